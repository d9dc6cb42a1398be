use model::Clock;
use repository::Origin;

use crate::backup::slice::Paused;
use crate::server::owner::Owner;

/// What one backup needs to know besides where from and where to.
pub struct Backup<'a> {
    /// What asked for it; goes into the log.
    pub origin: Origin,
    /// The account's owner, where somebody else signs in otherwise: folders, calendars and address books are read as the owner sees
    /// them.
    pub owner: Option<&'a Owner<'a>>,
    /// List everything although the server's states could be trusted.
    pub full_listing: bool,
    /// Compare what the snapshot would grow from with a listing of the store, as each full listing does: two listings
    /// and one or two reads a segment. What it has lost is fetched again at once.
    pub compares_store: bool,
    /// Told what is going on.
    pub progress: &'a dyn Progress,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Is told how a backup goes. Called often, from one task; must not block.
pub trait Progress: Send + Sync {
    /// A phase began: `listing`, `fetching`, `objects`, `committing`.
    fn phase(&self, name: &'static str);
    /// About so many emails have to be looked at in all; may grow.
    fn expect(&self, emails: u64);
    /// So many emails were looked at since the last call, and this many bytes of them were fetched.
    fn advance(&self, emails: u64, bytes: u64);
    /// All that this run fetched so far is committed: if it is cut off now, the next one goes on from there.
    fn kept(&self, _so_far: Paused) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _name: &'static str) {}
    fn expect(&self, _emails: u64) {}
    fn advance(&self, _emails: u64, _bytes: u64) {}
}
