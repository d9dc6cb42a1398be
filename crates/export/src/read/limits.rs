/// How much of an export is read before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and directories in it.
    pub files: u64,
    /// Bytes in it, unpacked.
    pub bytes: u64,
    /// Bytes of the description of one item: its JSON, or a line of a side file.
    pub description: u64,
}

impl Limits {
    /// For a mailbox of up to twenty million emails and four terabytes.
    pub const GENEROUS: Limits = Limits { files: 40_000_000, bytes: 4 << 40, description: 64 << 20 };
}
