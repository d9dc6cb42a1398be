/// Logs that a mail server or a store lets us wait, and for what.
pub fn waits(of: &'static str, what: &'static str, seconds: u64) {
    tracing::warn!(of, what, seconds, "no answer for long");
}
