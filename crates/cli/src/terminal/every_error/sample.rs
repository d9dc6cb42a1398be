//! Errors as they are met, under the names that they have in the source.

use std::error::Error;
use std::fmt::{Display, Write as _};

use crate::terminal::failure::explain;
use crate::terminal::hint::Setup;

/// One error, and how a person reads it.
pub(super) struct Sample {
    /// Crate and type.
    pub(super) of: &'static str,
    pub(super) variant: String,
    /// Exit code and line of each kind of command that can meet it.
    pub(super) lines: Vec<(Setup, u8, String)>,
}

/// The samples of one type after the other.
#[derive(Default)]
pub(super) struct Samples(pub(super) Vec<Sample>);

impl Samples {
    /// An error that commands of both kinds meet.
    pub(super) fn both<E: Error + Send + Sync + 'static>(&mut self, of: &'static str, error: E) {
        let variant = variant(&error);
        self.add(of, &variant, &error.into(), &[Setup::OneShot, Setup::Fleet]);
    }

    /// An error that only the fleet's commands meet.
    pub(super) fn fleet<E: Error + Send + Sync + 'static>(&mut self, of: &'static str, error: E) {
        let variant = variant(&error);
        self.add(of, &variant, &error.into(), &[Setup::Fleet]);
    }

    /// An error that only commands with options meet.
    pub(super) fn one_shot<E: Error + Send + Sync + 'static>(&mut self, of: &'static str, error: E) {
        let variant = variant(&error);
        self.add(of, &variant, &error.into(), &[Setup::OneShot]);
    }

    pub(super) fn add(&mut self, of: &'static str, variant: &str, error: &anyhow::Error, setups: &[Setup]) {
        let told = setups.iter().map(|setup| {
            let (exit, line) = explain(error, *setup);
            (*setup, exit.code(), line)
        });
        self.0.push(Sample { of, variant: variant.to_owned(), lines: told.collect() });
    }
}

/// The first word of what `derive(Debug)` writes.
pub(super) fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.chars().take_while(|c| c.is_alphanumeric()).collect()
}

impl Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        match self.lines.as_slice() {
            [(_, exit, one), (_, _, other)] if one == other => writeln!(text, "  both {exit}: {one}")?,
            lines => {
                for (setup, exit, line) in lines {
                    writeln!(text, "  {setup:?} {exit}: {line}")?;
                }
            }
        }
        write!(f, "{}\n{text}", self.variant)
    }
}
