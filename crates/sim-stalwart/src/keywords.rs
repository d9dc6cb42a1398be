//! Keywords as the server keeps them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::MethodError;

/// Those that have a meaning; their case does not count, and `\Seen` is `$seen`.
const KNOWN: [&str; 29] = [
    "$seen",
    "$draft",
    "$flagged",
    "$answered",
    "$recent",
    "$important",
    "$phishing",
    "$junk",
    "$notjunk",
    "$deleted",
    "$forwarded",
    "$mdnsent",
    "$autosent",
    "$canunsubscribe",
    "$followed",
    "$hasattachment",
    "$hasmemo",
    "$hasnoattachment",
    "$imported",
    "$istrusted",
    "$mailflagbit0",
    "$mailflagbit1",
    "$mailflagbit2",
    "$maskedemail",
    "$memo",
    "$muted",
    "$new",
    "$notify",
    "$unsubscribed",
];

/// Characters that the server keeps of a keyword of one's own.
const LONGEST: usize = 128;

/// A keyword in the server's spelling: known ones in lower case, others as they are, cut at 128 characters.
pub(crate) fn spelled(keyword: &str) -> Cow<'static, str> {
    let rest = keyword.strip_prefix(['$', '\\']);
    let is = |known: &&&str| rest.is_some_and(|rest| known[1..].eq_ignore_ascii_case(rest));
    match KNOWN.iter().find(is) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(keyword.chars().take(LONGEST).collect()),
    }
}

/// The keywords of a set as JMAP writes it; those that are false or null are left out.
pub(crate) fn of_set(set: &Map<String, Value>) -> Result<Vec<Cow<'static, str>>, MethodError> {
    let mut keywords = Vec::with_capacity(set.len());
    for (name, value) in set {
        match value {
            Value::Bool(true) => add(&mut keywords, spelled(name)),
            Value::Bool(false) | Value::Null => {}
            _ => return Err(MethodError::invalid("keywords: expected a boolean")),
        }
    }
    Ok(keywords)
}

/// Adds a keyword once.
pub(crate) fn add(keywords: &mut Vec<Cow<'static, str>>, keyword: Cow<'static, str>) {
    if !keywords.contains(&keyword) {
        keywords.push(keyword);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_of_known_and_own_keywords() {
        for (given, kept) in [("$SEEN", "$seen"), ("\\Flagged", "$flagged"), ("My-Tag", "My-Tag"), ("", "")] {
            assert_eq!(spelled(given), kept);
        }
        assert_eq!(spelled("$malle-restore-1a2b"), "$malle-restore-1a2b");
        assert_eq!(spelled(&"é".repeat(300)), "é".repeat(128));
    }
}
