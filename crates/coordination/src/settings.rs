use std::fmt;
use std::time::Duration;

use crate::{CoordinationError, LeaseTerms};

/// How to reach Redis, and every bound of this crate but a budget's.
#[derive(Clone)]
pub struct Settings {
    pub(crate) url: String,
    pub(crate) prefix: String,
    /// Certificates in PEM that are trusted instead of the system's; for `rediss://` only.
    pub authorities: Option<Vec<u8>>,
    /// How long one command may take, connecting included.
    pub timeout: Duration,
    /// How long a lease lives.
    pub lease: LeaseTerms,
    /// How long an entry on the board of progress lives without being shown again.
    pub progress_ttl: Duration,
}

impl Settings {
    /// With defaults: answers within 500 ms, leases of 60 s, progress forgotten after 60 s. Every key begins with `prefix`, so
    /// that several deployments may share one Redis.
    pub fn new(url: &str, prefix: &str) -> Result<Self, CoordinationError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if prefix.is_empty() || !prefix.chars().all(plain) {
            return Err(CoordinationError::InvalidPrefix);
        }
        Ok(Self {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
            authorities: None,
            timeout: Duration::from_millis(500),
            lease: LeaseTerms::default(),
            progress_ttl: Duration::from_secs(60),
        })
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
