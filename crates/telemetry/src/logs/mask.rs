use std::borrow::Cow;

const MASK: &str = "<address>";

/// Replaces whatever looks like an e-mail address, percent-encoded too, and the user and password of a URL. The last
/// net below the rule that no address is logged; JSON stays JSON.
pub fn mask(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut done = 0;
    while let Some((at, width)) = next_at(text, done) {
        let start = done + left_edge(&text[done..at]);
        let end = at + width + right_edge(&text[at + width..]);
        if start == at && end == at + width {
            masked.push_str(&text[done..end]);
        } else {
            masked.push_str(&text[done..start]);
            masked.push_str(MASK);
        }
        done = end;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[done..]);
    Cow::Owned(masked)
}

/// The next `@` or `%40`, and its length.
fn next_at(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let at = (from..bytes.len()).find(|at| bytes[*at] == b'@' || bytes[*at..].starts_with(b"%40"))?;
    Some((at, if bytes[at] == b'@' { 1 } else { 3 }))
}

/// Where the local part, or user and password, begins. Nearly every character may be in it.
fn left_edge(before: &str) -> usize {
    let Some((edge, stop)) = before.char_indices().rev().find(|(_, c)| is_edge(*c)) else {
        return 0;
    };
    let after = edge + stop.len_utf8();
    // An escape of JSON or of Debug stays whole.
    let escape = match (stop, before[after..].chars().next()) {
        ('\\', Some('u')) => 5,
        ('\\', Some(escaped)) => escaped.len_utf8(),
        _ => 0,
    };
    // What is cut off here by a wrong escape is masked from its end.
    let kept = (after + escape).min(before.len());
    if before.is_char_boundary(kept) { kept } else { after }
}

/// Length of the domain.
fn right_edge(after: &str) -> usize {
    after.find(|c: char| is_edge(c) || matches!(c, ':' | '?' | '&' | '#' | '\'')).unwrap_or(after.len())
}

fn is_edge(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"<>()[]{}|,;\\/`".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, masked: &str) {
        assert_eq!(mask(text), masked);
    }

    #[test]
    fn addresses_and_passwords_in_urls_are_masked_and_nothing_else() {
        check("job 7 of mailbox 3 is done", "job 7 of mailbox 3 is done");
        check("to <alice@example.org>, Bob@Example.ORG; x", "to <<address>>, <address>; x");
        check("no account \"alice.o'hara+x@example.org\"", "no account \"<address>\"");
        check("VERP alice=example.org@lists.example", "VERP <address>");
        check("?user=alice%40example.org&x=1", "<address>&x=1");
        check("https://admin:pw@mail.example.org/jmap", "https://<address>/jmap");
        check("redis://:pw@[::1]:6379", "redis://<address>[::1]:6379");
        check("élise@exämple.fr: no such", "<address>: no such");
        check("\"alice smith\"@example.org", "\"alice smith\"<address>");
        check("@ and user@ and a@b@c", "@ and <address> and <address>");
    }

    #[test]
    fn escapes_of_json_stay_whole() {
        check(r#"{"m":"line\nalice@example.org\tx"}"#, r#"{"m":"line\n<address>\tx"}"#);
        check(r#"{"m":"\u001falice@example.org"}"#, r#"{"m":"\u001f<address>"}"#);
        check(r#"{"m":"\"a@b\""}"#, r#"{"m":"\"<address>\""}"#);
    }

    proptest! {
        #[test]
        fn json_stays_json_and_no_address_is_left(
            text in "([a-z@%40\\\\\"\n\u{1f}é ]|a@b\\.c){0,40}", local in "[a-z]{4,8}",
        ) {
            let line = serde_json::json!({ "message": format!("{text} {local}@{local}.example") }).to_string();
            let masked = mask(&line);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok(), "{}", masked);
            prop_assert!(!masked.contains(&format!("{local}@")) && !masked.contains(".example"), "{}", masked);
        }

        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            let _ = mask(&text);
            let _ = mask(&format!("\\u{text}@{text}"));
        }
    }
}
