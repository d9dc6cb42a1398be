/// How far a mailbox's log had come when somebody looked: what is remembered of it outside the store.
///
/// A store that was rolled back, or whose log was forked, no longer has this entry at this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// Number of a log entry, from 1 on.
    pub number: u64,
    /// BLAKE3 of the object that held it, as it lay on the store.
    pub digest: [u8; 32],
}
