use std::time::Duration;

use async_trait::async_trait;

/// A server that refused the credentials is left alone for so long after the first, the second and each further time in a row.
pub(crate) const PAUSES: [Duration; 3] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(900)];
/// Refusals so far apart are not in a row.
pub(crate) const ROW: Duration = Duration::from_secs(24 * 3600);

/// Mail servers that refused the fleet's own credentials. A client that shows them again and again is blocked.
///
/// Credentials are named by fingerprints that tell nothing to readers of Redis: `repository::KeyRing::fingerprint`.
#[async_trait]
pub trait SignIns: Send + Sync {
    /// Returns the refusal that is in force, if one is.
    async fn refusal(&self, server: &str) -> Option<SignInRefusal>;

    /// Notes that the server has just refused these credentials. A refusal that is in force is not prolonged.
    async fn refused(&self, server: &str, fingerprint: &str) -> SignInRefusal;

    /// Notes that a client to which the server had refused these is let in again, with them or with others. What was refused to
    /// other clients stays refused.
    async fn accepted(&self, server: &str, refused: &[String]);
}

/// A server refused credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRefusal {
    /// Fingerprints of what the server is not shown as long as the refusal is in force.
    pub fingerprints: Vec<String>,
    /// The time until then.
    pub left: Duration,
}

impl SignInRefusal {
    /// Whether these credentials are among those that were refused.
    pub fn names(&self, fingerprint: &str) -> bool {
        self.fingerprints.iter().any(|one| one == fingerprint)
    }
}
