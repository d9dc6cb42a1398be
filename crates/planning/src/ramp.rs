/// How many first backups of a server may be started now, if this many were in the last hour: they read whole
/// mailboxes, and ten thousand new customers on one day must not press their server harder than ten.
pub fn first_backups_admitted(per_hour: u32, started_in_last_hour: u32) -> u32 {
    per_hour.saturating_sub(started_in_last_hour)
}
