use std::time::Duration;

use async_trait::async_trait;

/// A server that refused the credentials is left alone for so long after the first, the second and each further time in a row.
pub(crate) const PAUSES: [Duration; 3] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(900)];
/// Refusals so far apart are not in a row.
pub(crate) const ROW: Duration = Duration::from_secs(24 * 3600);

/// Mail servers that refused the fleet's own credentials: who asked again and again would be shut out.
#[async_trait]
pub trait SignIns: Send + Sync {
    /// The refusal that stands, if one does.
    async fn refusal(&self, server: &str) -> Option<SignInRefusal>;

    /// The server refused, just now. While one stands already, another one changes nothing.
    async fn refused(&self, server: &str) -> SignInRefusal;

    /// The server took the credentials.
    async fn accepted(&self, server: &str);
}

/// A server refused the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRefusal {
    /// Tells it from any other one.
    pub id: String,
    /// After this time it is tried again with the same credentials.
    pub left: Duration,
}
