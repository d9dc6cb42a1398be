//! Results on standard output, remarks on standard error; numbers as people and programs read them.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::Result;
use serde::Serialize;

use crate::args::shared::Talk;
use crate::terminal::failure::turns_text;

/// Where results and remarks go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    talk: Talk,
}

impl Out {
    pub(crate) fn new(talk: Talk) -> Out {
        IS_QUIET.store(talk.quiet, Relaxed);
        Out { talk }
    }

    /// Whether results are JSON.
    pub(crate) fn json(&self) -> bool {
        self.talk.json
    }

    /// Whether progress and warnings are wanted.
    pub(crate) fn chatty(&self) -> bool {
        !self.talk.json && !self.talk.quiet
    }

    /// A result for people; whatever it quotes moves no cursor and changes no colour.
    pub(crate) fn line(&self, text: impl Display) -> Result<()> {
        Ok(writeln!(io::stdout(), "{}", plain(&text.to_string()))?)
    }

    /// A screen that takes the place of the one before.
    #[cfg(feature = "fleet")]
    pub(crate) fn screen(&self, text: impl Display) -> Result<()> {
        Ok(writeln!(io::stdout(), "{CLEAR}{}", plain(&text.to_string()))?)
    }

    /// A result for programs: one object on one line.
    pub(crate) fn object(&self, object: &impl Serialize) -> Result<()> {
        Ok(writeln!(io::stdout(), "{}", escaped(&serde_json::to_string(object)?))?)
    }

    /// A remark that changes no result.
    pub(crate) fn warn(&self, text: impl Display) {
        if !self.talk.quiet {
            remark(text);
        }
    }
}

/// Whether the process was told to be quiet, for what has no `Out` at hand.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// A remark that changes no result.
pub(crate) fn warn(text: impl Display) {
    if !IS_QUIET.load(Relaxed) {
        remark(text);
    }
}

/// One line on standard error; a closed standard error is nobody's concern.
pub(crate) fn remark(text: impl Display) {
    let _ = writeln!(io::stderr(), "malle: {}", plain(&text.to_string()));
}

/// Erases a terminal and begins at its top.
#[cfg(feature = "fleet")]
const CLEAR: &str = "\x1b[2J\x1b[H";

/// What a terminal obeys instead of showing it, line breaks and tabs apart: control characters, and those that turn the
/// direction of text.
fn is_obeyed(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t') || turns_text(c)
}

fn plain(text: &str) -> Cow<'_, str> {
    match text.contains(is_obeyed) {
        true => text.replace(is_obeyed, "\u{fffd}").into(),
        false => text.into(),
    }
}

/// The same of JSON, which loses nothing: they stand in strings only, where escapes say what they are.
fn escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(is_obeyed) {
        return json.into();
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match is_obeyed(c) {
            // All of them have one UTF-16 unit.
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text.into()
}

/// A stamp without fractions, for tables.
pub(crate) fn minute(stamp: &str) -> String {
    stamp.get(..16).unwrap_or(stamp).replace('T', " ")
}

/// `1.2 MB`
pub(crate) fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

/// `0.42 s`, `3 min 4 s`, `2 h 5 min`
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.2} s");
    }
    let whole = std::time::Duration::from_secs_f64(seconds.min(1e12)).as_secs();
    match (whole / 3600, whole % 3600 / 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// `1 email`, `2 emails`
pub(crate) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// `-` for nothing.
pub(crate) fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Columns of equal width: numbers to the right, words to the left.
pub(crate) struct Table<const N: usize> {
    heads: [&'static str; N],
    right: [bool; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Heads that begin with `>` are of columns aligned to the right.
    pub(crate) fn new(heads: [&'static str; N]) -> Table<N> {
        Table {
            heads: heads.map(|head| head.trim_start_matches('>')),
            right: heads.map(|head| head.starts_with('>')),
            rows: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }
}

impl<const N: usize> Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.heads.map(str::to_owned);
        let lines = || std::iter::once(&heads).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        let mut text = String::new();
        for row in lines() {
            for ((cell, width), right) in row.iter().zip(widths).zip(self.right) {
                if right {
                    write!(text, "{cell:>width$}  ")?;
                } else {
                    write!(text, "{cell:<width$}  ")?;
                }
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        f.write_str(text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_is_quoted_and_programs_read_it_as_it_was() {
        for n in 0..0x3000 {
            let Some(c) = char::from_u32(n) else { continue };
            let text = format!("a{c}b");
            let shown = plain(&text);
            assert!(
                !shown.contains(|c: char| (c.is_control() && c != '\n' && c != '\t') || turns_text(c)),
                "{n:x}"
            );
            assert_eq!(shown == text, !is_obeyed(c), "{n:x}");
            let json = serde_json::to_string(&text).expect("a string");
            let printed = escaped(&json);
            assert!(!printed.contains(is_obeyed) && !printed.contains('\n'), "{n:x}");
            assert_eq!(serde_json::from_str::<String>(&printed).expect("JSON"), text, "{n:x}");
        }
    }

    #[test]
    fn durations_read_well() {
        let cases = [(0.4217, "0.42 s"), (59.9, "59 s"), (184.0, "3 min 4 s"), (7530.0, "2 h 5 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new([">n", "word"]);
        table.push(["1".into(), "a".into()]);
        table.push(["100".into(), "bcdef".into()]);
        assert_eq!(table.to_string(), "  n  word\n  1  a\n100  bcdef");
    }

    #[test]
    fn stamps_lose_their_seconds_in_tables() {
        assert_eq!(minute("2026-11-22T15:21:07.123Z"), "2026-11-22 15:21");
    }
}
