//! The snapshot, and what must be true of each of its lines. A person has read it.
//! `MALLE_WRITE_DOCS=1 cargo nextest run --workspace --bin malle -E 'test(every_error::)'` writes it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::sample::{Sample, Samples};
use super::{fleet, libraries, source};
use crate::terminal::hint::Setup;

const LONGEST: usize = 400;

/// Words that our English has given up.
const GIVEN_UP: [&str; 9] = [
    " anew",
    "whoever",
    " is none",
    "makes no sense",
    " shall ",
    "for ever",
    "of no use",
    "nobody knows",
    "somebody who",
];

/// What cannot follow "failed to".
const NO_VERB: [&str; 12] =
    ["there", "the", "it", "its", "no", "none", "a", "an", "this", "that", "nothing", "what"];

/// Options of commands that the fleet does not use.
const OPTIONS: [&str; 11] = [
    "--server",
    "--store",
    "--account",
    "--ca-file",
    "--zone",
    "--resume",
    "--mode",
    "--key-file",
    "--verbose",
    "--only",
    "--accept-history",
];

/// How the text itself says what to do, where it has no hint.
const ADVICE: [&str; 8] = [
    ": use ",
    ": name ",
    ": list it ",
    ": ask again ",
    ": take ",
    "may give a backup",
    ": there are ",
    "run `malle",
];

/// They end the command because somebody wanted that, so nothing is left to be done.
const INTERRUPTED: u8 = 130;

async fn samples() -> Vec<Sample> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut all = Samples::default();
    libraries::add(&mut all).await;
    fleet::add(&mut all).await;
    all.0
}

#[tokio::test]
async fn every_error_reads_as_a_person_has_read_it() {
    let (samples, mut text, mut of) = (samples().await, String::new(), "");
    for sample in &samples {
        if sample.of != of {
            of = sample.of;
            let _ = write!(text, "{}## {of}\n\n", if text.is_empty() { "" } else { "\n" });
        }
        let _ = write!(text, "{sample}");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/terminal/every_error/errors.snapshot.txt");
    if std::env::var_os("MALLE_WRITE_DOCS").is_some() {
        fs::write(&file, &text).expect("is written");
    }
    let read = fs::read_to_string(&file).unwrap_or_default();
    for (line, expected) in text.lines().zip(read.lines()) {
        assert_eq!(line, expected, "read the new text, then write the snapshot with MALLE_WRITE_DOCS=1");
    }
    assert_eq!(text.len(), read.len(), "write errors.snapshot.txt with MALLE_WRITE_DOCS=1");
}

#[tokio::test]
async fn every_variant_of_every_crate_is_rendered() {
    let named = |sample: &Sample| format!("{}::{}", sample.of, sample.variant);
    let rendered: BTreeSet<String> = samples().await.iter().map(named).collect();
    let missing: Vec<String> =
        source::variants().into_iter().filter(|name| !rendered.contains(name)).collect();
    assert!(missing.is_empty(), "add these to the samples: {missing:#?}");
    assert!(rendered.len() >= 150, "{}", rendered.len());
}

#[tokio::test]
async fn every_line_is_plain_english_that_says_what_to_do() {
    let mut wrong = Vec::new();
    for sample in samples().await {
        for (setup, exit, line) in &sample.lines {
            wrong.extend(
                mistakes(*setup, *exit, line)
                    .map(|what| format!("{}::{} {setup:?}: {what}: {line}", sample.of, sample.variant)),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn mistakes(setup: Setup, exit: u8, line: &str) -> impl Iterator<Item = String> + use<> {
    let mut found = Vec::new();
    let lower = format!("{line} ").to_lowercase();
    if let Some(rest) = line.strip_prefix("failed to ") {
        let verb = rest.split([' ', ':']).next().unwrap_or_default();
        if NO_VERB.contains(&verb) || !verb.starts_with(|c: char| c.is_ascii_lowercase()) {
            found.push(format!("\"failed to {verb}\""));
        }
    }
    found.extend(GIVEN_UP.iter().filter(|word| lower.contains(**word)).map(|word| format!("says {word:?}")));
    for twice in ["::", ";;", ": ;", "; ;", ",,", "..", ": :", "  ", ".;"] {
        if line.replace("[::1]", "").contains(twice) {
            found.push(format!("has {twice:?}"));
        }
    }
    if setup == Setup::Fleet {
        let named = line.split([' ', '`', ',', ';']).filter(|word| OPTIONS.contains(word));
        found.extend(named.map(|option| format!("names the option {option}")));
    }
    if exit != INTERRUPTED && !line.contains("; ") && !ADVICE.iter().any(|start| line.contains(start)) {
        found.push("does not say what to do".to_owned());
    }
    if line.chars().count() > LONGEST {
        found.push(format!("has {} characters", line.chars().count()));
    }
    found.into_iter()
}

/// What completes "failed to …" in the commands' own failures, as far as their source says it in one literal.
#[test]
fn failures_of_the_commands_begin_with_a_verb() {
    let (mut seen, mut wrong) = (0, Vec::new());
    let starts = ["let what = \"", "let what = format!(\"", "Failure::usage(\"", "Failure::usage(format!(\""];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    source::visit(&src, &mut |text| {
        let text: String =
            text.split("#[cfg(test)]").next().unwrap_or_default().lines().map(str::trim).collect();
        for start in starts {
            for literal in text.split(start).skip(1) {
                let verb = literal.split([' ', ':', '"']).next().unwrap_or_default();
                let is_name = verb.starts_with(['{', '-']);
                seen += 1;
                let begins_well =
                    verb.starts_with(|c: char| c.is_ascii_lowercase()) && !NO_VERB.contains(&verb);
                if !is_name && !begins_well {
                    wrong.push(literal.chars().take(80).collect::<String>());
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen >= 50, "{seen}");
}
