use std::fmt;
use std::time::Duration;

use model::forms::{Nested, required, text, url};
use model::settings;

use crate::{CoordinationError, LeaseTerms};

settings! {
    /// How to reach Redis, and every bound of this crate but a budget's.
    #[derive(Clone)]
    pub struct Settings {
        /// The server and the number of its database; `rediss://` for TLS.
        pub url: String = String::new(), "redis.url": required(url("a URL like redis://host/0", &["redis", "rediss", "valkey", "valkeys", "unix", "redis+unix", "valkey+unix"]));
        /// Stands before every key, so that several fleets may share one Redis.
        pub prefix: String = "malle".to_owned(), "redis.prefix": text("a word of letters, digits, -, _ and .", prefix);
        /// Certificates in PEM that are trusted instead of the system's; for `rediss://` only.
        pub authorities: Option<Vec<u8>> = None;
        /// How long one command may take, connecting included.
        pub timeout: Duration = Duration::from_millis(500);
        /// How long a lease lives.
        pub lease: LeaseTerms = LeaseTerms::default(), "worker": Nested;
        /// How long an entry on the board of progress lives without being shown again.
        pub progress_ttl: Duration = Duration::from_secs(60);
    }
}

/// A prefix that is no pattern.
fn prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || !text.chars().all(plain) { Err(String::new()) } else { Ok(text.to_owned()) }
}

impl Settings {
    /// The usual settings, with keys that begin with this prefix.
    pub fn new(url: &str, named: &str) -> Result<Self, CoordinationError> {
        let prefix = prefix(named).map_err(|_| CoordinationError::InvalidPrefix)?;
        Ok(Self { url: url.to_owned(), prefix, ..Self::default() })
    }
}

impl fmt::Debug for Settings {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_cannot_be_a_pattern_and_debug_shows_no_password() {
        for prefix in ["", "a*", "a:b", "a?", "[a]", "{a}"] {
            assert!(matches!(Settings::new("redis://h", prefix), Err(CoordinationError::InvalidPrefix)));
        }
        let settings = Settings::new("redis://:geheim@h", "malle-1").expect("valid");
        assert!(!format!("{settings:?}").contains("geheim"));
    }
}
