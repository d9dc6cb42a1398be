//! Tests that `docs/configuration.md` and `deploy/malle.toml` say of every key what the settings' types say.
//!
//! `MALLE_WRITE_DOCS=1 cargo nextest run --workspace --bin malle -E 'test(manual::)'` writes the former.

use std::fmt::Write as _;
use std::path::Path;

use model::settings::{Allowed, Key, Section, Table, Tables, Value, Visitor};

use super::settings::config::Config;
use super::settings::file;

/// Keys of the example that show another value than the usual one.
const SHOWN_OTHERWISE: [&str; 1] = ["allow_plain_http"];

const HEAD: &str = "\
# The configuration of the fleet

This is generated from the settings' types; `crates/cli/src/fleet/manual.rs` says how. An example with every key is
[`deploy/malle.toml`](../deploy/malle.toml).

`malle produce`, `malle work` and what operators ask of the fleet read one TOML file, which `--config` or `MALLE_CONFIG` names.
A variable overrides a key that is not in a list: `MALLE__WORKER__NIGHTLY=9` is `worker.nightly = 9`. Secrets stand in files or variables
of their own. Mistakes are refused at the start by every command alike, with exit code 2 and all of them at once; `malle config check` also tries what the
file names. The longest times are ten years: more than anybody means, and clocks can count them.
";

/// A key, as its settings describe it.
pub(super) struct Described {
    /// `""`, `worker`, `servers`, `servers.discover`.
    pub(super) section: String,
    pub(super) key: String,
    about: String,
    pub(super) usual: Option<String>,
    pub(super) is_required: bool,
    pub(super) allowed: Allowed,
}

impl Described {
    /// As it stands in the file, with its section.
    pub(super) fn name(&self) -> String {
        if self.section.is_empty() { self.key.clone() } else { format!("{}.{}", self.section, self.key) }
    }
}

/// Every key, and every table that may be left out or be there several times.
#[derive(Default)]
struct Describer {
    prefix: String,
    keys: Vec<Described>,
    tables: Vec<(String, String, Tables)>,
}

impl Visitor for Describer {
    fn key(&mut self, key: Key<'_>) {
        let name = format!("{}{}", self.prefix, key.name);
        let (section, last) = name.rsplit_once('.').unwrap_or(("", &name));
        let about = one_line(key.about);
        let Key { usual, is_required, allowed, .. } = key;
        let (section, key) = (section.to_owned(), last.to_owned());
        self.keys.push(Described { section, key, about, usual, is_required, allowed });
    }

    fn tables(
        &mut self,
        name: &'static str,
        about: &'static str,
        shape: Tables,
        each: &mut dyn FnMut(&mut dyn Visitor),
    ) {
        let outer = std::mem::take(&mut self.prefix);
        let name = format!("{outer}{name}");
        self.prefix = format!("{name}.");
        self.tables.push((name, one_line(about), shape));
        each(self);
        self.prefix = outer;
    }
}

fn one_line(about: &str) -> String {
    about.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn describe() -> Describer {
    let mut describer = Describer::default();
    Config::default().visit(&mut describer);
    // The keys of a section stand together.
    let mut order: Vec<String> = Vec::new();
    for key in &describer.keys {
        if !order.contains(&key.section) {
            order.push(key.section.clone());
        }
    }
    describer.keys.sort_by_key(|key| order.iter().position(|section| *section == key.section));
    describer
}

/// Every key, section by section.
pub(super) fn keys() -> Vec<Described> {
    describe().keys
}

fn manual() -> String {
    let (mut text, describer) = (HEAD.to_owned(), describe());
    let mut section = None;
    for key in &describer.keys {
        if section != Some(&key.section) {
            section = Some(&key.section);
            let table = describer.tables.iter().find(|(name, ..)| *name == key.section);
            let _ = match (key.section.as_str(), table) {
                ("", _) => writeln!(text, "\n## The whole file"),
                (name, Some((_, about, Tables::Many))) => writeln!(text, "\n## `[[{name}]]`\n\n{about}"),
                (name, Some((_, about, Tables::One))) => writeln!(text, "\n## `[{name}]`\n\n{about}"),
                (name, None) => writeln!(text, "\n## `[{name}]`"),
            };
            text.push_str("\n| Key | Usually | Allowed | Meaning |\n|---|---|---|---|\n");
        }
        assert!(!key.about.is_empty(), "{} has no comment", key.name());
        let usual = match (&key.usual, key.is_required) {
            (Some(usual), _) => format!("`{usual}`"),
            (None, true) => "must be set".to_owned(),
            (None, false) => "–".to_owned(),
        };
        let _ = writeln!(text, "| `{}` | {usual} | {} | {} |", key.key, key.allowed, key.about);
    }
    text
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn the_manual_is_what_the_settings_say() {
    let (path, manual) = (root().join("docs/configuration.md"), manual());
    if std::env::var_os("MALLE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &manual).expect("writable");
    }
    let written = std::fs::read_to_string(&path).expect("readable");
    assert!(
        written == manual,
        "docs/configuration.md is older than the settings: write it with MALLE_WRITE_DOCS=1"
    );
}

/// The example, with keys that stand there as comments made true or left out.
pub(super) fn example(with_all_keys: bool) -> String {
    let text = std::fs::read_to_string(root().join("deploy/malle.toml")).expect("readable");
    let is_key = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let line = |line: &str| {
        let key = line.strip_prefix("# ").filter(|rest| with_all_keys && is_key(rest));
        format!("{}\n", key.unwrap_or(line))
    };
    text.lines().map(line).collect()
}

#[test]
fn the_example_shows_every_key_with_its_usual_value() {
    let text = example(true);
    let table = file::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let mut compared = 0;
    for key in keys() {
        assert!(text.contains(&format!("{} = ", key.key)), "deploy/malle.toml does not show {}", key.name());
        let Some(usual) = key.usual.as_ref().filter(|_| !SHOWN_OTHERWISE.contains(&key.key.as_str())) else {
            continue;
        };
        let name = key.name();
        let shown = look_up(&table, &name).unwrap_or_else(|| panic!("no {name} in deploy/malle.toml"));
        assert_eq!(shown, *usual, "{name} in deploy/malle.toml");
        compared += 1;
    }
    assert!(compared >= 40, "{compared}");
}

/// A value as it is written; of a list the first table counts.
fn look_up(table: &Table, name: &str) -> Option<String> {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    match (&table.get(first)?.value, rest) {
        (Value::Table(table), Some(rest)) => look_up(table, rest),
        (Value::List(nodes), Some(rest)) => match &nodes.first()?.value {
            Value::Table(table) => look_up(table, rest),
            _ => None,
        },
        (Value::Whole(number), None) => Some(number.to_string()),
        (Value::Number(number), None) => Some(format!("{number:?}")),
        (Value::Flag(flag), None) => Some(flag.to_string()),
        (Value::Text(text), None) => Some(format!("{text:?}")),
        _ => None,
    }
}

#[test]
fn the_example_is_true_with_all_its_keys_and_without() {
    for with_all_keys in [false, true] {
        let config =
            Config::read(&example(with_all_keys), []).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        assert_eq!((config.servers.len(), config.stores.len(), config.rules.len()), (1, 1, 3));
        assert_eq!(config.telemetry.otlp.is_some(), with_all_keys);
        // With all keys it names a password and a token.
        assert_eq!(config.without_contradictions().is_ok(), !with_all_keys);
    }
}
