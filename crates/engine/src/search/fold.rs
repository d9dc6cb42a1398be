//! Texts compared as people remember them: upper and lower case and accents do not count.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use memchr::{memchr2_iter, memmem};

const NFKD: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizerBorrowed::new_nfkd();
const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();

/// A text to be looked for.
///
/// Texts are compared by Unicode's compatibility decomposition without the marks U+0300 to U+036F, put together again (so
/// that `か` is no part of `が`), each character in lower case: `reunion`, `RÉUNION` and `Re\u{301}union` are one word, and so are `ﬁn` and `fin`, `ｂｏｂ` and `bob`. Marks of
/// other scripts count, and so do letters that have no decomposition (`ø` is not `o`, `ß` not `ss`).
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    folded: String,
    finder: memmem::Finder<'static>,
}

impl Needle {
    pub(crate) fn new(text: &str) -> Needle {
        let folded = fold(text);
        Needle { finder: memmem::Finder::new(folded.as_bytes()).into_owned(), folded }
    }

    /// Whether a text contains it. Most texts are ASCII and are not copied.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        if text.is_ascii() {
            return self.is_in_ascii(text.as_bytes());
        }
        self.finder.find(fold(text).as_bytes()).is_some()
    }

    fn is_in_ascii(&self, text: &[u8]) -> bool {
        let needle = self.folded.as_bytes();
        let Some(first) = needle.first() else {
            return true;
        };
        let Some(last_start) = text.len().checked_sub(needle.len()) else {
            return false;
        };
        memchr2_iter(*first, first.to_ascii_uppercase(), &text[..=last_start.min(text.len() - 1)])
            .any(|at| text[at..at + needle.len()].eq_ignore_ascii_case(needle))
    }
}

/// The form in which texts are compared.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain = NFKD.normalize_iter(text.chars()).filter(|c| !matches!(c, '\u{300}'..='\u{36f}'));
    NFC.normalize_iter(plain).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_widths_do_not_count() {
        let check = |needle: &str, text: &str, expected: bool| {
            assert_eq!(Needle::new(needle).is_in(text), expected, "{needle:?} in {text:?}");
        };
        check("reunion", "Re: RÉUNION d'équipe", true);
        check("RÉUNION", "reunion", true);
        check("e\u{301}quipe", "l'équipe", true);
        check("bob", "ＢＯＢ <b@example.org>", true);
        check("istanbul", "İSTANBUL", true);
        check("ΤΈΛΟΣ", "τέλοσ", true);
        check("か", "が", false);
        check("bob", "bo", false);
        check("bob", "", false);
        check("", "", true);
        check("b", "B", true);
        check("é", "plain ascii has an e", true);
        check("ø", "oslo", false);
        check("하", "한", false);
        check("会議", "会議のお知らせ", true);
    }

    proptest! {
        #[test]
        fn searching_is_what_folding_both_says(needle in "[a-cA-C éÉ]{0,3}", text in "[a-cA-C éÉİﬁ]{0,20}") {
            prop_assert_eq!(Needle::new(&needle).is_in(&text), fold(&text).contains(&fold(&needle)));
        }

        #[test]
        fn folding_twice_changes_nothing(text in any::<String>()) {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }
    }
}
