//! The house is as its drawing says: arrows between crates, outside crates, sizes and names of files, words.

mod documents;
mod rooms;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Past this a file is split.
const LONGEST_FILE: usize = 800;

/// Names that say nothing about what a file is for.
const NAMELESS: [&str; 6] = ["utils", "util", "common", "helpers", "manager", "misc"];

/// Spelled in halves, so that this file holds none of them.
const FORBIDDEN: [(&str, &str, &str); 7] = [
    ("#[al", "low(", "write #[expect(…, reason = \"…\")]"),
    ("#![al", "low(", "write #[expect(…, reason = \"…\")]"),
    ("TO", "DO", "do it or file an issue"),
    ("FIX", "ME", "do it or file an issue"),
    ("XX", "X", "do it or file an issue"),
    ("unimple", "mented!(", "implement it"),
    ("../sha", "red", "the repository stands alone"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).no_deps();
    command.exec().expect("cargo metadata works")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A row of the table of crates in `docs/architecture.md`.
#[derive(Debug, Default)]
struct Row {
    /// `None`: all.
    may_use: Option<BTreeSet<String>>,
    only_here: BTreeSet<String>,
}

/// The table whose head begins with `| Layer | Crate |`.
fn drawing() -> BTreeMap<String, Row> {
    let architecture = read(&root().join("docs/architecture.md"));
    let table = architecture
        .lines()
        .skip_while(|line| !line.starts_with("| Layer | Crate |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    table.map(row).collect()
}

fn row(line: &str) -> (String, Row) {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [_, name, _, may_use, only_here] = cells[..] else {
        panic!("not five cells: {line}");
    };
    let words = |cell: &str| -> BTreeSet<String> {
        let named = cell.split_whitespace().filter(|word| *word != "–");
        named.map(str::to_owned).collect()
    };
    let row = Row { may_use: (may_use != "all").then(|| words(may_use)), only_here: words(only_here) };
    (name.to_owned(), row)
}

/// Names of what a crate is built from, without what only its tests use.
fn built_from(package: &Package) -> BTreeSet<String> {
    let normal =
        package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    normal.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn the_architecture_names_every_crate_and_no_other() {
    let drawn: BTreeSet<String> = drawing().into_keys().collect();
    let built: BTreeSet<String> =
        metadata().packages.iter().map(|package| package.name.to_string()).collect();
    assert_eq!(drawn, built);
}

#[test]
fn arrows_between_crates_are_those_in_the_architecture() {
    let drawing = drawing();
    for package in &metadata().packages {
        let Some(may_use) = &drawing[package.name.as_str()].may_use else {
            continue;
        };
        let uses: BTreeSet<String> =
            built_from(package).into_iter().filter(|name| drawing.contains_key(name)).collect();
        assert_eq!(
            uses, *may_use,
            "what {} uses differs from the table in docs/architecture.md; a new arrow is a decision of its own",
            package.name
        );
    }
}

#[test]
fn outside_crates_stay_where_the_architecture_puts_them() {
    let drawing = drawing();
    let kept: BTreeSet<&String> = drawing.values().flat_map(|row| &row.only_here).collect();
    for package in &metadata().packages {
        let row = &drawing[package.name.as_str()];
        let built_from = built_from(package);
        for name in &row.only_here {
            assert!(built_from.contains(name), "{} does not use {name}", package.name);
        }
        if row.may_use.is_none() {
            continue;
        }
        for name in built_from.iter().filter(|name| kept.contains(name)) {
            assert!(row.only_here.contains(name), "{} uses {name}", package.name);
        }
    }
}

/// Every outside crate is bought with build time and trust.
#[test]
fn dependencies_are_used() {
    let mut unused = Vec::new();
    for package in &metadata().packages {
        let dir = package.manifest_path.parent().expect("a directory").as_std_path();
        let sources: String = files_below(dir, &[".rs"]).iter().map(|path| read(path)).collect();
        for name in built_from(package) {
            // The library of this one has another name.
            let library = if name == "md-5" { "md5".to_owned() } else { name.replace('-', "_") };
            if !sources.contains(&library) {
                unused.push(format!("{} names {name} and does not use it", package.name));
            }
        }
    }
    assert!(unused.is_empty(), "{unused:#?}");
}

#[test]
fn the_client_and_the_simulator_share_no_code() {
    let packages = metadata().packages;
    for (one, other) in [("jmap", "sim-stalwart"), ("sim-stalwart", "jmap")] {
        let package = packages.iter().find(|package| *package.name == *one);
        let uses = &package.expect("is there").dependencies;
        assert!(uses.iter().all(|dependency| dependency.name != other), "{one} uses {other}");
    }
}

#[test]
fn every_crate_begins_with_its_readme() {
    for package in &metadata().packages {
        let dir = package.manifest_path.parent().expect("a directory");
        if !dir.starts_with(root().join("crates").to_str().expect("UTF-8")) {
            continue;
        }
        let file = ["src/lib.rs", "src/main.rs"]
            .map(|file| dir.join(file))
            .into_iter()
            .find(|file| file.exists())
            .expect("lib.rs or main.rs");
        let source = read(file.as_std_path());
        let includes = source.contains("#![doc = include_str!(\"../README.md\")]");
        assert!(includes, "{file} does not include the crate's README");
        let words = read(dir.join("README.md").as_std_path()).split_whitespace().count();
        assert!(words >= 20, "the README of {} says nothing", package.name);
    }
}

/// Files of the project with one of these endings; what is built and what is fetched is left out.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    files_below(&root(), endings)
}

fn files_below(dir: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("listable") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                let skipped = matches!(name, "target" | ".git" | "testdata" | "corpus" | "artifacts");
                if !skipped {
                    dirs.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn files_are_short_and_named_for_what_they_do() {
    for path in files(&[".rs"]) {
        let lines = read(&path).lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines: split it", path.display());
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        assert!(!NAMELESS.contains(&stem), "{}: name it for what it does", path.display());
    }
}

#[test]
fn forbidden_words_are_absent() {
    let mut found = Vec::new();
    for path in files(&[".rs", ".md", ".toml", ".sh", ".proto", "Makefile"]) {
        let text = read(&path);
        for (number, line) in text.lines().enumerate() {
            // A task of iCalendar.
            let line = line.replace(concat!("VTO", "DO"), "task");
            for (head, tail, instead) in FORBIDDEN {
                if line.contains(&format!("{head}{tail}")) {
                    found.push(format!("{}:{}: {instead}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
