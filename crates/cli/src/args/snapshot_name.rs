use std::fmt::{self, Display};
use std::str::FromStr;

use model::SnapshotNumber;

/// A snapshot as the command line names it: `41`, or `s7` for the log's own number where a fleet numbers the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotName {
    Number(u64),
    Own(SnapshotNumber),
}

impl FromStr for SnapshotName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SnapshotName, &'static str> {
        let number =
            |digits: &str| digits.parse().map_err(|_| "write a number from `malle list`, like 41 or s7");
        Ok(match text.strip_prefix('s') {
            Some(own) => SnapshotName::Own(SnapshotNumber(number(own)?)),
            None => SnapshotName::Number(number(text)?),
        })
    }
}

impl Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotName::Number(number) => write!(f, "{number}"),
            SnapshotName::Own(snapshot) => write!(f, "s{snapshot}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "s", "-1", "s-1", "seven", "S7", "7s"] {
            assert!(text.parse::<SnapshotName>().is_err(), "{text}");
        }
    }
}
