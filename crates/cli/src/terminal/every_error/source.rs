//! The error types that the crates' sources define. Reading them finds new types and variants, `#[non_exhaustive]` ones too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Crates whose errors nobody reads but their own tests.
const FOR_TESTS: [&str; 2] = ["sim-stalwart", "testkit"];

/// Every variant as `crate::Type::Variant`, every struct as `crate::Type::Type`.
pub(super) fn variants() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in crates/");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(crates).expect("crates/ lists") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        if !FOR_TESTS.contains(&name.as_str()) {
            visit(&path.join("src"), &mut |text| read(&name, text, &mut found));
        }
    }
    found
}

/// Calls it with the text of every source file.
pub(super) fn visit(dir: &Path, with: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, with);
        } else if path.extension().is_some_and(|end| end == "rs") {
            with(&fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

fn read(name: &str, text: &str, found: &mut BTreeSet<String>) {
    // What follows the derive is formatted: a variant begins behind four spaces.
    for part in text.split("thiserror::Error)]\n").skip(1) {
        let Some(line) = part.lines().find(|line| line.starts_with("pub ")) else { continue };
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
        let [_, kind, type_name, ..] = words.as_slice() else { continue };
        if *kind == "struct" {
            found.insert(format!("{name}::{type_name}::{type_name}"));
            continue;
        }
        let body = part.lines().skip_while(|other| *other != line).skip(1).take_while(|line| *line != "}");
        for line in body.filter_map(|line| line.strip_prefix("    ")) {
            if line.starts_with(|c: char| c.is_ascii_uppercase()) {
                let variant: String = line.chars().take_while(|c| c.is_alphanumeric()).collect();
                found.insert(format!("{name}::{type_name}::{variant}"));
            }
        }
    }
}
