//! The little language of `malle find`: `from:bob subject:"two words" -folder:Junk before:2026-01-01 invoice`.

use std::iter::Peekable;
use std::str::{Chars, FromStr};

use model::Timestamp;

use crate::search::folders::Subfolders;
use crate::search::selection::{Selection, Test};

/// What can be said of an email, as it is written.
const KEYS: &str = "from:, to:, subject:, message-id:, before:, after:, has:, folder: and in:";

/// Why a query cannot be understood. `Display` completes "failed to read the query: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A word with a colon whose beginning is no key.
    #[error("{key}: is not one of {KEYS}; to look for the text itself write \"{key}:\" in quotes")]
    UnknownKey {
        /// What stands before the colon.
        key: String,
    },
    /// A key and nothing behind it.
    #[error("nothing stands behind {key}: (write it without a space, like {key}:{example})")]
    NoValue {
        /// The key.
        key: &'static str,
        /// What could stand there.
        example: &'static str,
    },
    /// Not a date.
    #[error("{value:?} is no date; write 2025, 2025-06, 2025-06-30 or 2025-06-30T18:00:00Z")]
    BadDate {
        /// What was written.
        value: String,
    },
    /// `has:` and something unknown.
    #[error("has:{value} means nothing; only has:attachment does")]
    BadHas {
        /// What was written.
        value: String,
    },
    /// A quote that does not end.
    #[error("a quote (\") is opened and not closed; inside quotes write \\\" for the character itself")]
    OpenQuote,
    /// A minus with nothing behind it.
    #[error("a minus stands alone; write it right before what must not be, like -from:bob")]
    NothingNegated,
    /// Two minuses: an option that there is not, most likely.
    #[error(
        "-{word} is neither an option nor a term; options stand before the query, one minus negates a term, and quotes make it a text"
    )]
    TwoMinuses {
        /// What stands behind the first.
        word: String,
    },
}

/// Terms between spaces, all of which must be true; `-` before a term: it must not be. A term is a word, words in quotes, or
/// one of the keys with a value behind it. Dates are UTC and stand for their first moment: `after:2025 before:2026` is
/// the year 2025.
impl FromStr for Selection {
    type Err = QueryError;

    fn from_str(query: &str) -> Result<Selection, QueryError> {
        let mut rest = query.chars().peekable();
        let mut selection = Selection::default();
        loop {
            while rest.next_if(|c| c.is_whitespace()).is_some() {}
            if rest.peek().is_none() {
                return Ok(selection);
            }
            let negated = rest.next_if_eq(&'-').is_some();
            let twice = negated && rest.peek() == Some(&'-');
            let word = Word::read(&mut rest)?;
            if twice {
                return Err(QueryError::TwoMinuses { word: word.text });
            }
            if negated && word.is_nothing() {
                return Err(QueryError::NothingNegated);
            }
            selection = match (word.test()?, negated) {
                (test, false) => selection.and(test),
                (test, true) => selection.and_not(test),
            };
        }
    }
}

/// What stands between spaces, quotes taken off.
#[derive(Default)]
struct Word {
    text: String,
    /// Where the first colon outside quotes is.
    colon: Option<usize>,
    is_quoted: bool,
}

impl Word {
    fn read(rest: &mut Peekable<Chars<'_>>) -> Result<Word, QueryError> {
        let mut word = Word::default();
        while let Some(c) = rest.next_if(|c| !c.is_whitespace()) {
            match c {
                '"' => word.read_quoted(rest)?,
                ':' if word.colon.is_none() => {
                    word.colon = Some(word.text.len());
                    word.text.push(c);
                }
                _ => word.text.push(c),
            }
        }
        Ok(word)
    }

    fn read_quoted(&mut self, rest: &mut Peekable<Chars<'_>>) -> Result<(), QueryError> {
        self.is_quoted = true;
        loop {
            match rest.next().ok_or(QueryError::OpenQuote)? {
                '"' => return Ok(()),
                '\\' => match rest.next().ok_or(QueryError::OpenQuote)? {
                    c @ ('"' | '\\') => self.text.push(c),
                    c => self.text.extend(['\\', c]),
                },
                c => self.text.push(c),
            }
        }
    }

    fn is_nothing(&self) -> bool {
        self.text.is_empty() && !self.is_quoted
    }

    fn test(self) -> Result<Test, QueryError> {
        let Some((key, value)) = self.parts() else {
            return Ok(Test::Text(self.text));
        };
        let value = |key, example| match value {
            "" => Err(QueryError::NoValue { key, example }),
            value => Ok(value.to_owned()),
        };
        Ok(match key.to_ascii_lowercase().as_str() {
            "from" => Test::From(value("from", "bob")?),
            "to" => Test::To(value("to", "alice@example.org")?),
            "subject" => Test::Subject(value("subject", "invoice")?),
            "message-id" => Test::MessageId(value("message-id", "123@example.org")?),
            "before" => Test::Before(date(&value("before", "2026-01-01")?)?),
            "after" => Test::After(date(&value("after", "2025-06")?)?),
            "has" => match value("has", "attachment")? {
                what if what.eq_ignore_ascii_case("attachment") => Test::HasAttachment,
                value => return Err(QueryError::BadHas { value }),
            },
            "folder" => Test::Folder(value("folder", "Archive/2025")?, Subfolders::Taken),
            "in" => Test::Folder(value("in", "Inbox")?, Subfolders::Left),
            _ => return Err(QueryError::UnknownKey { key: key.to_owned() }),
        })
    }

    /// Key and value. Only letters and dashes make a key, so that times (`10:30`) and addresses with a colon are texts; and
    /// `https://…` is one, unless quotes say that `//` is a value.
    fn parts(&self) -> Option<(&str, &str)> {
        let colon = self.colon?;
        let (key, value) = (&self.text[..colon], &self.text[colon + 1..]);
        let could_be_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
        let is_address = value.starts_with("//") && !self.is_quoted;
        (could_be_key && !is_address).then_some((key, value))
    }
}

/// A year, a month, a day (UTC; its first moment), or RFC 3339.
fn date(value: &str) -> Result<Timestamp, QueryError> {
    let is_digits_and_dashes = value.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let whole = match value.len() {
        4 if is_digits_and_dashes => format!("{value}-01-01T00:00:00Z"),
        7 if is_digits_and_dashes => format!("{value}-01T00:00:00Z"),
        10 if is_digits_and_dashes => format!("{value}T00:00:00Z"),
        _ => value.to_owned(),
    };
    whole.parse().map_err(|_| QueryError::BadDate { value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[track_caller]
    fn check(query: &str, expected: &Selection) {
        assert_eq!(query.parse().as_ref(), Ok(expected), "{query}");
    }

    #[track_caller]
    fn refused(query: &str, says: &str) {
        let error = query.parse::<Selection>().expect_err(query).to_string();
        assert!(error.contains(says), "{query}: {error}");
    }

    fn all() -> Selection {
        Selection::default()
    }

    #[test]
    fn every_key_is_understood() {
        let text = |text: &str| Test::Text(text.to_owned());
        check("", &all());
        check("  \t ", &all());
        check("from:bob", &all().and(Test::From("bob".into())));
        check("FROM:Bob", &all().and(Test::From("Bob".into())));
        check(
            "to:a@b subject:\"two words\"",
            &all().and(Test::To("a@b".into())).and(Test::Subject("two words".into())),
        );
        check("message-id:<1@x>", &all().and(Test::MessageId("<1@x>".into())));
        check("has:attachment", &all().and(Test::HasAttachment));
        check("folder:Archive/2025", &all().and(Test::Folder("Archive/2025".into(), Subfolders::Taken)));
        check("in:\"Sent Items\"", &all().and(Test::Folder("Sent Items".into(), Subfolders::Left)));
        check("one two", &all().and(text("one")).and(text("two")));
        check("\"one two\"", &all().and(text("one two")));
        check("-from:bob -\"one two\"", &all().and_not(Test::From("bob".into())).and_not(text("one two")));
        check("well-known", &all().and(text("well-known")));
    }

    #[test]
    fn dates_stand_for_their_first_moment() {
        for (written, meant) in [
            ("2025", "2025-01-01T00:00:00Z"),
            ("2025-06", "2025-06-01T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2025-06-30T18:00:00Z", "2025-06-30T18:00:00Z"),
            ("2025-06-30T18:00:00.5+02:00", "2025-06-30T16:00:00.5Z"),
        ] {
            check(&format!("before:{written}"), &all().and(Test::Before(time(meant))));
            check(&format!("after:{written}"), &all().and(Test::After(time(meant))));
        }
        for wrong in ["2025-13", "2025-02-30", "25", "20250630", "june", "2025-06-30T18:00:00", "2025-6"] {
            refused(&format!("after:{wrong}"), "is no date");
        }
    }

    #[test]
    fn colons_that_are_text() {
        for text in ["10:30", "https://example.org/x?a=b:c", ":)", "a1:b", "a@b:c"] {
            check(text, &all().and(Test::Text(text.to_owned())));
        }
        check("\"re:\"", &all().and(Test::Text("re:".into())));
        check("subject:\"//\"", &all().and(Test::Subject("//".into())));
        check("subject:re:", &all().and(Test::Subject("re:".into())));
        check("subject:\"say \\\"hi\\\" \\\\ \\n\"", &all().and(Test::Subject("say \"hi\" \\ \\n".into())));
        check("a\"b c\"d", &all().and(Test::Text("ab cd".into())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        refused("re: hello", "re: is not one of from:, to:");
        refused("re: hello", "\"re:\" in quotes");
        refused("cc:bob", "cc: is not one of");
        refused("subject: invoice", "like subject:invoice");
        refused("has:wings", "has:attachment");
        refused("\"open", "not closed");
        refused("\"open\\", "not closed");
        refused("a - b", "minus stands alone");
        refused("bob --limt 5", "--limt is neither");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(query in any::<String>()) {
            let _ = query.parse::<Selection>();
        }

        #[test]
        fn any_text_can_be_quoted(text in "\\PC{1,20}") {
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            let expected = all().and_not(Test::Subject(text));
            prop_assert_eq!(format!("-subject:{quoted}").parse(), Ok(expected));
        }
    }
}
