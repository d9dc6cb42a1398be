use crate::words::words;

words! {
    /// How good a backup is.
    BackupState, "state of a backup" {
        /// Complete and structurally verified: the only one that counts for a slot.
        Good = "good",
        /// Something could not be fetched.
        Partial = "partial",
        /// More than half of the emails are gone since the one before.
        Shrunk = "shrunk",
        /// The mailbox never held still.
        Moving = "moving",
        /// Something of it was found missing or damaged later.
        Damaged = "damaged",
    }
}
