/// Lengths at which things are closed and begun anew. They shape cost, never meaning: a reader needs none of them. The
/// defaults are right for mailboxes of any size; tests use small ones to meet many packs and segments with few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Raw bytes of blobs after which a frame is closed.
    pub frame: usize,
    /// Sealed bytes after which a pack is closed.
    pub pack: usize,
    /// Raw bytes of rows after which a block is closed.
    pub block: usize,
    /// Sealed bytes after which a segment is closed.
    pub segment: usize,
    /// Segments from this length on are merged only when much of what they hold is outdated.
    pub full_segment: u64,
    /// Rows that wait in memory are written out when they take about this much.
    pub spill: usize,
    /// A checkpoint is due after this many log entries.
    pub checkpoint: u64,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes {
            frame: 2 << 20,
            pack: 16 << 20,
            block: 64 << 10,
            segment: 16 << 20,
            full_segment: 2 << 20,
            spill: 9 << 20,
            checkpoint: 32,
        }
    }
}
