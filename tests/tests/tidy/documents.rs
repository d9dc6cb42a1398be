//! Documents are short, wrapped, and lead to what is there.

use std::path::{Path, PathBuf};

use super::{files_below, read, root};

/// The README is read in one sitting.
const LONGEST_README: usize = 150;
/// Longer lines of sentences are wrapped; tables, code and links may be longer.
const WIDEST_LINE: usize = 100;

/// What this test keeps in order: the documents for people, but not those of crates, and not what is generated.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)).into();
    found.extend(files_below(&root().join("docs"), &[".md"]));
    found
}

/// Lines outside fenced blocks, with their numbers.
fn sentences(text: &str) -> Vec<(usize, &str)> {
    let mut is_block = false;
    let numbered = text.lines().enumerate().filter(|(_, line)| {
        let is_fence = line.starts_with("```");
        is_block ^= is_fence;
        !is_block && !is_fence
    });
    numbered.map(|(at, line)| (at + 1, line)).collect()
}

/// Targets of `[…](…)`.
fn links(line: &str) -> Vec<&str> {
    let rests = line.split("](").skip(1);
    rests.filter_map(|rest| rest.split(')').next()).collect()
}

/// The name under which a heading is linked to.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|sign| sign.is_alphanumeric() || [' ', '-', '_'].contains(sign));
    kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect()
}

fn has_anchor(path: &Path, wanted: &str) -> bool {
    let text = read(path);
    sentences(&text).iter().any(|(_, line)| line.starts_with('#') && anchor(line) == wanted)
}

/// What is wrong with a link in a document, or nothing.
fn broken(document: &Path, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (file, wanted) = link.split_once('#').unwrap_or((link, ""));
    let path = match file {
        "" => document.to_owned(),
        _ => document.parent().expect("a directory").join(file),
    };
    let leads = path.exists() && (wanted.is_empty() || has_anchor(&path, wanted));
    (!leads).then(|| format!("{}: {link} leads nowhere", document.display()))
}

#[test]
fn the_readme_is_short() {
    let lines = read(&root().join("README.md")).lines().count();
    assert!(
        lines <= LONGEST_README,
        "README.md has {lines} lines: move what is not for everybody into docs/"
    );
}

#[test]
fn documents_are_wrapped() {
    let mut found = Vec::new();
    for path in documents().iter().filter(|path| !path.ends_with("configuration.md")) {
        let text = read(path);
        for (number, line) in sentences(&text) {
            let may_be_longer = line.starts_with('|') || line.contains("](http");
            if !may_be_longer && line.chars().count() > WIDEST_LINE {
                found.push(format!("{}:{number}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "wrap at {WIDEST_LINE}: {found:#?}");
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut found = Vec::new();
    for path in documents() {
        let text = read(&path);
        for (_, line) in sentences(&text) {
            found.extend(links(line).into_iter().filter_map(|link| broken(&path, link)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn targets_that_documents_name_are_in_the_makefile() {
    let makefile = read(&root().join("Makefile"));
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    let mut found = Vec::new();
    for path in documents() {
        let text = read(&path);
        let code = text.split('`').skip(1).step_by(2).filter_map(|span| span.strip_prefix("make "));
        let blocks = text.lines().filter_map(|line| line.strip_prefix("make "));
        for words in code.chain(blocks) {
            let name = words.split_whitespace().next().unwrap_or_default();
            if !is_target(name) {
                found.push(format!("{}: make {name}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Paths of this repository that a document names in backquotes.
#[test]
fn paths_that_documents_name_are_there() {
    let mut found = Vec::new();
    for path in documents() {
        let text = read(&path);
        for (_, line) in sentences(&text) {
            let spans = line.split('`').skip(1).step_by(2);
            let named = spans.filter(|span| span.starts_with("crates/") || span.starts_with("tests/"));
            found.extend(named.filter(|name| !root().join(name).exists()).map(str::to_owned));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_alarm_is_explained() {
    let alarms = read(&root().join("deploy/alerts.yaml"));
    let names: Vec<&str> =
        alarms.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::trim).collect();
    assert!(names.len() > 5, "{names:?}");
    let operating = read(&root().join("docs/operating.md"));
    let rows: Vec<&str> = operating.lines().filter(|line| line.starts_with("| `Malle")).collect();
    let explained: Vec<&str> = rows.iter().filter_map(|row| row.split('`').nth(1)).collect();
    for name in &names {
        assert!(explained.contains(name), "docs/operating.md does not explain {name}");
    }
    assert_eq!(explained.len(), names.len(), "docs/operating.md explains what is no alarm");
}
