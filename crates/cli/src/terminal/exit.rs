//! What the process says of itself when it ends. The numbers are a promise to scripts.

use std::fmt::Write as _;
use std::pin::Pin;
use std::process::ExitCode;

use anyhow::Result;

/// A command that has asked for everything it needs.
pub(crate) type Work<'a> = Pin<Box<dyn Future<Output = Result<Exit>> + 'a>>;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Good = 0,
    Unexpected = 1,
    Usage = 2,
    Incomplete = 3,
    Refused = 4,
    Server = 5,
    NotFound = 6,
    Store = 7,
    Key = 8,
    Damage = 9,
    LostRace = 10,
    NewerFormat = 11,
    UnfitStore = 12,
    StoreFull = 13,
    Erased = 14,
    Target = 15,
    Service = 16,
    KeyGone = 17,
    Rules = 18,
    Interrupted = 130,
    Terminated = 143,
}

/// Every code and its meaning, as `--help` and the README list them.
const MEANINGS: [(Exit, &str); 21] = [
    (Exit::Good, "done; a backup is good"),
    (Exit::Unexpected, "something that should not happen"),
    (Exit::Usage, "wrong arguments or settings"),
    (
        Exit::Incomplete,
        "a backup was made and is partial, shrunk or moving, or a restore or export left something out; the result says what is missing",
    ),
    (Exit::Refused, "the mail server refuses the credentials, or they may not read the account"),
    (Exit::Server, "the mail server cannot be reached, is busy or does not speak JMAP properly"),
    (Exit::NotFound, "no such account, mailbox, snapshot, folder or email; nothing is backed up yet"),
    (Exit::Store, "the store cannot be reached or refuses access"),
    (Exit::Key, "the key ring is missing, unreadable or the wrong one"),
    (Exit::Damage, "stored data is damaged or missing, or is not a continuation of what was seen before"),
    (Exit::LostRace, "another backup or restore of the same mailbox was first; the message says whose"),
    (Exit::NewerFormat, "the data was written by a newer malle; use that one"),
    (Exit::UnfitStore, "no malle store, in another zone, or it cannot create objects conditionally"),
    (Exit::StoreFull, "the store is full"),
    (Exit::Erased, "the mailbox's backups were erased on purpose"),
    (Exit::Target, "an export cannot be written where it shall go: no room, or not allowed"),
    (Exit::Service, "Postgres, RabbitMQ or Redis cannot be reached, or refuses"),
    (Exit::KeyGone, "the mailbox's key is gone from the store"),
    (
        Exit::Rules,
        "the fleet's rules do not allow it: the plan, too many requests, a backup that runs, another customer's mailbox",
    ),
    (Exit::Interrupted, "interrupted (SIGINT)"),
    (Exit::Terminated, "terminated (SIGTERM)"),
];

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The table at the end of `malle --help`.
pub(crate) fn table() -> String {
    let mut text = String::from("Exit codes:\n");
    for (exit, meaning) in MEANINGS {
        let _ = writeln!(text, "{:>5}  {meaning}", exit.code());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_code_with_its_meaning() {
        let readme = include_str!("../../../../README.md");
        for (exit, meaning) in MEANINGS {
            let row = format!("| {} | {meaning} |", exit.code());
            assert!(readme.contains(&row), "README.md lacks {row}");
        }
    }

    #[test]
    fn no_code_means_two_things() {
        let codes: std::collections::BTreeSet<u8> = MEANINGS.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes.len(), MEANINGS.len());
    }
}
