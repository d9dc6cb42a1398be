//! Encoded words (RFC 2047) of any charset, turned into such of UTF-8.
//!
//! The parser of headers knows most labels, but not each charset as the WHATWG's standard has it, and decodes every word by itself: mailers cut
//! a character in two where they begin another word, which the RFC forbids.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::{Encoding, UTF_8};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Longest word that is looked at, in bytes. The RFC allows 75, and many mailers write longer ones.
const MOST_WORD: usize = 16 << 10;

/// An encoded word: what it says, and the length of its text in the header.
struct Word {
    charset: &'static Encoding,
    bytes: Vec<u8>,
    length: usize,
}

/// Replaces the words of other charsets, and those that follow each other, by words of UTF-8. What is malformed stays.
pub(super) fn words_in_utf8(head: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memmem::find(head, b"=?") else { return Cow::Borrowed(head) };
    let (mut text, mut at) = (head[..first].to_vec(), first);
    let mut is_same = true;
    while at < head.len() {
        let Some(mut word) = word_at(&head[at..]) else {
            let next = memchr::memmem::find(&head[at + 1..], b"=?").map_or(head.len(), |next| at + 1 + next);
            text.extend_from_slice(&head[at..next]);
            at = next;
            continue;
        };
        let start = at;
        at += word.length;
        let mut is_alone = true;
        while let Some((space, next)) =
            next_word(&head[at..]).filter(|(_, next)| next.charset == word.charset)
        {
            word.bytes.extend_from_slice(&next.bytes);
            at += space + next.length;
            is_alone = false;
        }
        if is_alone && word.charset == UTF_8 {
            text.extend_from_slice(&head[start..at]);
        } else {
            is_same = false;
            let decoded = word.charset.decode_with_bom_removal(&word.bytes).0;
            text.extend_from_slice(format!("=?utf-8?B?{}?=", BASE64.encode(decoded.as_bytes())).as_bytes());
        }
    }
    if is_same { Cow::Borrowed(head) } else { Cow::Owned(text) }
}

/// Returns the word behind white space alone, and how much of that there is.
fn next_word(text: &[u8]) -> Option<(usize, Word)> {
    let space = text.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
    // Without any it belongs to the word before; a line that does not begin with white space is another field.
    let is_folded = memchr::memrchr(b'\n', &text[..space]).is_none_or(|at| at + 1 < space);
    Some((space, word_at(&text[space..]).filter(|_| space > 0 && is_folded)?))
}

/// Returns the word that a text begins with.
fn word_at(text: &[u8]) -> Option<Word> {
    let inside = text.strip_prefix(b"=?")?;
    let inside = &inside[..inside.len().min(MOST_WORD)];
    let label_end = memchr::memchr(b'?', inside)?;
    // RFC 2231 section 5: a language may follow.
    let label = inside[..label_end].split(|byte| *byte == b'*').next()?;
    let charset = Encoding::for_label(label)?;
    let (encoding, inside) = inside[label_end + 1..].split_first()?;
    let inside = inside.strip_prefix(b"?")?;
    let end = memchr::memmem::find(inside, b"?=")?;
    let encoded = &inside[..end];
    if encoded.contains(&b'\n') {
        return None;
    }
    let bytes = match encoding {
        b'B' | b'b' => BASE64.decode(encoded.trim_ascii()).ok()?,
        b'Q' | b'q' => unquoted(encoded),
        _ => return None,
    };
    Some(Word { charset, bytes, length: label_end + end + 7 })
}

/// Quoted-printable as words have it: `_` is a space.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, behind)) = rest.split_first() {
        let digits =
            behind.get(..2).filter(|digits| *first == b'=' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(if *first == b'_' { b' ' } else { *first }));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::EnvelopeScanner;
    use super::*;

    fn check(subject: &str, expected: &str) {
        let mail = format!("Subject: {subject}\r\nFrom: a@example.org\r\n\r\n");
        assert_eq!(EnvelopeScanner::scan(mail.as_bytes()).subject, expected, "{subject}");
    }

    #[test]
    fn a_character_may_be_cut_in_two() {
        check("=?utf-8?Q?J=C3?= =?UTF8?Q?=BCrgen?=", "Jürgen");
        check("=?gb2312?B?1g==?=\r\n =?gb2312?B?0M7E?=", "中文");
        check("=?shift_jis?B?k/o=?=\r\n\t=?Shift_JIS?B?lnuM6g==?= plain", "日本語 plain");
        check("=?iso-2022-jp?B?GyRCRnw=?= =?iso-2022-jp?B?GyRCS1wbKEI=?=", "日本");
    }

    #[test]
    fn words_of_several_charsets_and_languages_stand_side_by_side() {
        check("=?koi8-r?Q?=CD=C9=D2?= =?iso-8859-1*de?q?_f=FCr?= alle", "мир für alle");
        check("[list] =?iso-8859-15?Q?5_=A4?= x", "[list] 5 € x");
        check("=?iso-8859-7?Q?=AA?=", "ͺ");
        check("=?windows-1252?B?4A?=", "à");
    }

    #[test]
    fn what_is_malformed_stays_as_it_is() {
        for head in [
            "=?",
            "=?utf-8",
            "=?utf-8?Q",
            "=?utf-8?Q?x",
            "=?utf-8?X?x?=",
            "=?no-such?Q?x?=",
            "=?koi8-r?Q?a\r\n b?=",
            "==??==",
        ] {
            assert!(matches!(words_in_utf8(head.as_bytes()), Cow::Borrowed(_)), "{head}");
        }
        // Another field is not a continuation.
        let fields = b"Subject: =?utf-8?Q?a?=\r\n=?utf-8?Q?b?=: x\r\n";
        assert!(matches!(words_in_utf8(fields), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "(=\\?|\\?=|utf-8|koi8-r|[?qQbB=_ \\r\\n\\x1b~]|[A-F0-9]){0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            words_in_utf8(text.as_bytes());
            words_in_utf8(&bytes);
        }
    }
}
