/// Logs that a mail server or a store does not answer, and what is awaited.
pub fn waits(of: &str, what: &'static str, seconds: u64) {
    tracing::warn!(of, what, seconds, "no answer for long");
}
