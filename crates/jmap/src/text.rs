//! Text that a server sent, made fit for logs.

/// The longest piece of server text an error may carry, in characters.
const LONGEST: usize = 160;

/// `text` without control characters and cut to a length a log line bears.
pub(crate) fn printable(text: &str) -> String {
    let mut cut: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_is_cut_and_loses_control_characters() {
        assert_eq!(printable("a\x1b[31m\nb"), "a [31m b");
        assert_eq!(printable(&"é".repeat(500)).chars().count(), LONGEST + 1);
    }
}
