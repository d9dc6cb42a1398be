//! An error as people read it: one line that says what failed, why, and what to do.

use std::error::Error;
use std::fmt;

use crate::terminal::exit::Exit;
#[cfg(feature = "fleet")]
use crate::terminal::fleet_hint;
use crate::terminal::hint::{self, Hint, Setup};

/// A line is cut here: servers send pages of text as explanations.
const LONGEST: usize = 900;

/// An error of this program's own; `what` completes "failed to …".
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    what: String,
    hint: Hint,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>, hint: impl Into<Hint>) -> Failure {
        Failure { exit, what: what.into(), hint: hint.into() }
    }

    pub(crate) fn usage(what: impl Into<String>, hint: impl Into<Hint>) -> Failure {
        Failure::new(Exit::Usage, what, hint)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {}

/// The exit code and the line of an error.
pub(crate) fn explain(error: &anyhow::Error, setup: Setup) -> (Exit, String) {
    // Without any context: it was met where output is written.
    if error.chain().len() == 1 && error.is::<std::io::Error>() {
        return (
            Exit::Unexpected,
            format!("failed to write the answer: {error}; send it where there is room"),
        );
    }
    let (exit, hint) = error.chain().find_map(judge).unwrap_or((Exit::Unexpected, Hint::default()));
    let mut line = format!("{}{}", opening(error), one_line(&causes(error), LONGEST));
    let hint = hint.told(setup);
    if !hint.is_empty() {
        line.push_str("; ");
        line.push_str(hint);
    }
    (exit, line)
}

/// What fits before the text of an error: some name what was tried, some state what is wrong.
fn opening(error: &anyhow::Error) -> &'static str {
    // Contexts and messages of this crate.
    let is_ours = error.is::<&'static str>() || error.is::<String>() || error.is::<Failure>();
    let is_action = is_ours
        || error.is::<engine::Error>()
        || error.is::<repository::Error>()
        || error.is::<export::Error>()
        || error.is::<export::NoSuchFormat>();
    if is_action {
        return "failed to ";
    }
    #[cfg(feature = "fleet")]
    if let Some(opening) = fleet_hint::opening(error) {
        return opening;
    }
    if error.is::<jmap::Error>() { "" } else { "failed: " }
}

fn judge(error: &(dyn Error + 'static)) -> Option<(Exit, Hint)> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some((failure.exit, failure.hint.clone()));
    }
    if let Some(error) = error.downcast_ref::<engine::Error>() {
        return Some(hint::of_engine(error));
    }
    if let Some(error) = error.downcast_ref::<repository::Error>() {
        return Some(hint::of_repository(error));
    }
    if let Some(error) = error.downcast_ref::<jmap::Error>() {
        return Some(hint::of_server(error));
    }
    #[cfg(feature = "fleet")]
    return fleet_hint::judge(error);
    #[cfg(not(feature = "fleet"))]
    None
}

/// What the store's library says of an error in its own words: for `--verbose`, since the line says what they mean.
pub(crate) fn library_text(error: &anyhow::Error) -> Option<String> {
    let text = error.chain().find(|cause| is_of_the_library(*cause))?.to_string();
    Some(one_line(&text, LONGEST))
}

fn is_of_the_library(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<object_store::Error>()
}

/// The causes, outermost first. Some libraries repeat their source's text in their own; that is left out.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let ours = error.chain().take_while(|cause| !is_of_the_library(*cause));
    for cause in ours.map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// Without line breaks, control characters and those that change the direction of text (whoever wrote it), and not longer
/// than `most` characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let visible = text.chars().filter(|c| !turns_text(*c));
    let clean: String = visible.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = clean.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Marks, embeddings, overrides and isolates of Unicode's bidirectional algorithm: a subject that holds one can make what
/// stands beside it look like something else.
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_chain_becomes_one_line_without_repetitions_or_control_characters() {
        let io = std::io::Error::other("disk\n on \x1b[31mfire");
        let error = Err::<(), _>(io)
            .context("read it: disk\n on \x1b[31mfire")
            .context("open the store")
            .unwrap_err();
        let (exit, line) = explain(&error, Setup::OneShot);
        assert_eq!(exit, Exit::Unexpected);
        assert_eq!(line, "failed to open the store: read it: disk on [31mfire");
    }

    #[test]
    fn the_hint_of_the_failure_stands_at_the_end() {
        let error = anyhow::Error::from(Failure::usage("read --server", "write a URL")).context("start");
        assert_eq!(
            explain(&error, Setup::OneShot),
            (Exit::Usage, "failed to start: read --server; write a URL".to_owned())
        );
    }

    /// No command erases yet, so no test of the binary meets such a mailbox.
    #[test]
    fn an_erased_mailbox_is_told_from_every_other_failure() {
        let erased = repository::Error::Erased { number: 7 };
        let error = anyhow::Error::from(engine::Error::Repository(erased)).context("back up");
        let (exit, line) = explain(&error, Setup::OneShot);
        assert_eq!(exit.code(), 14);
        assert!(line.contains("erased by log entry 7") && line.ends_with("any more"), "{line}");
    }

    #[test]
    fn nothing_turns_the_direction_of_text() {
        assert_eq!(one_line("invoice\u{202e}fdp.exe\u{2066}\u{200f}", 99), "invoicefdp.exe");
        assert_eq!(one_line("a\u{2028}b\u{85}c\u{9b}31m", 99), "a b c 31m");
        assert_eq!(one_line("👩\u{200d}💻 שלום", 99), "👩\u{200d}💻 שלום");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(one_line(&"é".repeat(12), 10), format!("{}…", "é".repeat(10)));
    }
}
