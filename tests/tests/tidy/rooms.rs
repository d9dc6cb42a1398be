//! Folders are small, and files of a crate do not import from each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{files_below, read, root};

/// Most source files in one folder.
const MOST_FILES: usize = 20;
/// Crates that are not in order yet: folders with more files, and files that lie in circles. Both may only become fewer.
const NOT_YET: [(&str, usize, usize); 1] = [("sim-stalwart", 1, 32)];

fn crates() -> Vec<String> {
    let dirs = fs::read_dir(root().join("crates")).expect("listable");
    let mut names: Vec<String> =
        dirs.map(|dir| dir.expect("a folder").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Files of a crate by their module paths.
fn modules(source: &Path) -> BTreeMap<Vec<String>, String> {
    let files = files_below(source, &[".rs"]);
    let module = |path: &Path| {
        let inside = path.strip_prefix(source).expect("it is below").with_extension("");
        let mut names: Vec<String> =
            inside.components().map(|name| name.as_os_str().to_str().expect("UTF-8").to_owned()).collect();
        if names.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            names.pop();
        }
        names
    };
    files.iter().map(|path| (module(path), read(path))).collect()
}

/// The paths that one `use` names.
fn paths(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for sign in inner.chars() {
        depth += i32::from(sign == '{') - i32::from(sign == '}');
        if sign == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("one").push(sign);
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| paths(&format!("{}{part}", head.trim()))).collect()
}

/// The modules of the crate that a file imports from.
fn imports(of: &[String], text: &str, modules: &BTreeMap<Vec<String>, String>) -> BTreeSet<Vec<String>> {
    let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let starts = text.match_indices("use ").filter(|(at, _)| {
        let before = text[..*at].rsplit('\n').next().unwrap_or_default();
        before.is_empty() || before.starts_with("pub")
    });
    let trees = starts.filter_map(|(at, _)| text[at + 4..].split_once(';')).map(|(tree, _)| tree);
    let mut found = BTreeSet::new();
    for path in trees.flat_map(|tree| paths(&tree.replace('\n', " "))) {
        let mut names = path.split("::").map(str::trim).peekable();
        let mut at = match names.next() {
            Some("crate") => Vec::new(),
            Some("self") => of.to_vec(),
            Some("super") => of[..of.len().saturating_sub(1)].to_vec(),
            _ => continue,
        };
        while names.next_if_eq(&"super").is_some() {
            at.pop();
        }
        for name in names {
            let deeper = [at.as_slice(), &[name.to_owned()]].concat();
            if !modules.contains_key(&deeper) {
                break;
            }
            at = deeper;
        }
        if at != of && modules.contains_key(&at) {
            found.insert(at);
        }
    }
    found
}

/// Modules from which one comes back to them by imports.
fn in_circles(arrows: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Vec<String> {
    let reaches_itself = |start: &Vec<String>| {
        let mut seen = BTreeSet::new();
        let mut left: Vec<&Vec<String>> = arrows[start].iter().collect();
        while let Some(module) = left.pop() {
            if module == start {
                return true;
            }
            if seen.insert(module) {
                left.extend(&arrows[module]);
            }
        }
        false
    };
    arrows.keys().filter(|module| reaches_itself(module)).map(|module| module.join("::")).collect()
}

#[test]
fn folders_are_small_and_imports_go_one_way() {
    let mut wrong = Vec::new();
    for name in crates() {
        let source = root().join("crates").join(&name).join("src");
        let mut folders: BTreeMap<_, usize> = BTreeMap::new();
        for file in files_below(&source, &[".rs"]) {
            *folders.entry(file.parent().expect("a folder").to_owned()).or_default() += 1;
        }
        let full: Vec<_> = folders.iter().filter(|(_, files)| **files > MOST_FILES).collect();
        let modules = modules(&source);
        let arrows: BTreeMap<_, _> =
            modules.iter().map(|(of, text)| (of.clone(), imports(of, text, &modules))).collect();
        let circles = in_circles(&arrows);
        let allowed = NOT_YET.iter().find(|(known, ..)| *known == name).map_or((0, 0), |it| (it.1, it.2));
        if (full.len(), circles.len()) != allowed {
            wrong.push(format!(
                "{name}: {} folders with more than {MOST_FILES} files: {full:?}; {} files in circles: {circles:?}; known: {allowed:?}",
                full.len(),
                circles.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_circle_is_found() {
    let of = |name: &str| vec![name.to_owned()];
    let modules: BTreeMap<Vec<String>, String> = [
        ("a", "use crate::b::{C, d::{E, F}};\nfn f() {}"),
        ("b", "pub(crate) use super::c;\n"),
        ("c", "use std::fs;\nuse crate::{a::G, e as h};"),
        ("e", "#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
    ]
    .map(|(name, text)| (of(name), text.to_owned()))
    .into();
    let arrows: BTreeMap<_, _> =
        modules.iter().map(|(name, text)| (name.clone(), imports(name, text, &modules))).collect();
    assert_eq!(in_circles(&arrows), ["a", "b", "c"]);
    assert_eq!(arrows[&of("c")], BTreeSet::from([of("a"), of("e")]));
}
