//! Every `malle` command that a document shows is one that the binary understands.
//!
//! Lines of code blocks run in `sh` with a key ring, a store and a configuration that are not there: the command line is read as a
//! whole, and the command ends before it does anything. Commands within sentences are read up to `--help`, since they are often
//! shortened; one with a placeholder is left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The README and all documents beside it and below `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in [root(), root().join("docs")] {
        let entries = fs::read_dir(dir).expect("listable").map(|entry| entry.expect("an entry").path());
        found.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    found.sort();
    found
}

/// Lines of fenced blocks, and texts between backquotes outside them.
fn code(document: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut lines, mut spans, mut is_block) = (Vec::new(), Vec::new(), false);
    for line in document.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if is_block {
            lines.push(line.strip_prefix("$ ").unwrap_or(line));
        } else {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    (lines, spans)
}

/// Runs a line where nothing can come of it.
fn sh(line: &str, place: &Path) -> Output {
    let malle = Path::new(env!("CARGO_BIN_EXE_malle")).parent().expect("a directory");
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(place).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", malle.display())).env("MALLE_STATE_DIR", place);
    command
        .env("MALLE_KEY_FILE", "no-ring")
        .env("MALLE_STORE", "nowhere:")
        .env("MALLE_CONFIG", "no-file.toml");
    command.env("MALLE_PASSWORD", "none");
    command.output().expect("sh runs")
}

/// What clap says of a line that it does not understand, or nothing. Within a sentence an option may stand without its value.
fn misunderstood(line: &str, place: &Path) -> Option<String> {
    let said = String::from_utf8_lossy(&sh(line, place).stderr).into_owned();
    let is_shortened = line.ends_with("--help") && said.contains("but none was supplied");
    (!is_shortened && (said.starts_with("error:") || said.contains("Usage:"))).then_some(said)
}

#[test]
fn every_command_of_the_documents_is_understood() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let (mut read, mut wrong) = (0, Vec::new());
    for path in documents() {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let (lines, spans) = code(&text);
        let lines = lines.into_iter().filter(|line| line.starts_with("malle ")).map(str::to_owned);
        let is_whole = |span: &&str| span.starts_with("malle ") && !span.contains(['<', '>', '…', '|']);
        let spans = spans.into_iter().filter(is_whole).map(|span| format!("{span} --help"));
        for line in lines.chain(spans) {
            read += 1;
            let said = misunderstood(&line, place.path());
            wrong.extend(said.map(|said| format!("{}: {line}\n{said}", path.display())));
        }
    }
    assert!(read > 50, "only {read} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_that_does_not_exist_is_noticed() {
    let place = tempfile::tempdir().expect("a temporary directory");
    for line in
        ["malle backup --nonsense", "malle resurrect", "malle restore --mode worse --help", "malle cat a b"]
    {
        assert!(misunderstood(line, place.path()).is_some(), "{line}");
    }
    for line in ["malle backup --account a", "malle list # all of them", "malle top --help"] {
        assert_eq!(misunderstood(line, place.path()), None);
    }
}
