//! Emails that the server refuses to import, as attachments of emails that it takes.
//!
//! Stalwart 0.16 takes nothing without a header field (`invalidEmail`), though it holds such emails itself. One of these comes back as
//! `original.eml` in an email that says what it is. That has a keyword of ours, which is how a later restore finds it without
//! reading the account: what is in it is read, and counts as the email that it stands for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::EmailRecord;

use crate::restore::emails::dates;

/// The keyword of emails that stand for others.
pub(in crate::restore) const KEYWORD: &str = "malle-wrapped";
/// Longest email that is put into another one: it is held in memory some three times over.
pub(in crate::restore) const MOST_BYTES: u64 = 4 << 20;
/// Longest email that may stand for one: Base64 in lines, header and note included.
pub(in crate::restore) const MOST_WRAPPED: u64 = MOST_BYTES / 54 * 76 + (64 << 10);
/// The refusal of what is no email.
pub(in crate::restore) const NO_EMAIL: &str = "invalidEmail";

const MARK: &str = "X-Malle-Wrapped: 1";
const NAME: &str = "Content-Disposition: attachment; filename=\"original.eml\"";
const BOUNDARY: &str = "malle-original";
/// Bytes in a line of Base64.
const LINE: usize = 54;
/// Bytes of text in one encoded word.
const WORD: usize = 42;
/// Longest text of a header field or of a reason, in bytes.
const MOST_TEXT: usize = 500;

/// Returns the email that brings `original` back as an attachment; `reason`: why the server refuses it.
pub(in crate::restore) fn wrapped(email: &EmailRecord, original: &[u8], reason: &str) -> Vec<u8> {
    let (from, subject) = (sender(&email.envelope.from), subject(&email.envelope.subject));
    let date = email.envelope.date.filter(|date| dates::is_writable(*date)).unwrap_or(email.received_at);
    let date = rfc_5322(date).map(|date| format!("Date: {date}\r\n")).unwrap_or_default();
    let received =
        dates::sent(email.received_at).unwrap_or_else(|| "at a time that cannot be written".to_owned());
    let (reason, size) = (printable(reason), original.len());
    let mut text = format!(
        "From: {from}\r\nSubject: {subject}\r\n{date}{MARK}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\r\n\r\n\
         --{BOUNDARY}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         This email stands for another one that Malle gave back from a backup. The mail\r\n\
         server refused to take that one:\r\n\r\n    {reason}\r\n\r\n\
         The attachment original.eml is what the backup holds of it, byte for byte:\r\n\
         {size} bytes, received {received}.\r\n\r\n\
         The keyword {KEYWORD} tells later restores what this is. Without it they\r\n\
         bring the same once more.\r\n\r\n\
         --{BOUNDARY}\r\nContent-Type: application/octet-stream; name=\"original.eml\"\r\n\
         {NAME}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    for line in original.chunks(LINE) {
        BASE64.encode_string(line, &mut text);
        text.push_str("\r\n");
    }
    text.push_str(&format!("--{BOUNDARY}--\r\n"));
    text.into_bytes()
}

/// Returns the email that another one stands for, if it is one of ours.
pub(in crate::restore) fn unwrapped(email: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(email).ok()?.replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n")?;
    head.lines().find(|line| *line == MARK)?;
    let (_, part) = body.split_once(&format!("\n{NAME}\n"))?;
    let (_, content) = part.split_once("\n\n")?;
    let end = format!("--{BOUNDARY}--");
    let lines: Vec<&str> = content.lines().take_while(|line| *line != end).collect();
    BASE64.decode(lines.concat()).ok()
}

/// Adds our keyword to those of an email that another one stands for.
pub(in crate::restore) fn mark(keywords: &mut Vec<String>) {
    if !is_marked(keywords.iter().map(String::as_str)) {
        keywords.push(KEYWORD.to_owned());
        keywords.sort_unstable();
    }
}

/// Whether an email may stand for another one.
pub(in crate::restore) fn is_marked<'k>(mut keywords: impl Iterator<Item = &'k str>) -> bool {
    keywords.any(|keyword| keyword == KEYWORD)
}

/// Returns the first sender as a header field says it; one that cannot be answered if none can be read.
fn sender(from: &str) -> String {
    let first = from.split_inclusive('>').next().unwrap_or_default();
    let (name, address) = match first.strip_suffix('>').and_then(|first| first.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address.trim()),
        None => ("", from.split(',').next().unwrap_or_default().trim()),
    };
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"".contains(c);
    let is_address = address.len() < MOST_TEXT
        && address.chars().all(is_plain)
        && address.split('@').filter(|part| !part.is_empty()).count() == 2;
    match (is_address, name.is_empty()) {
        (true, true) => address.to_owned(),
        (true, false) => format!("{}\r\n <{address}>", words(name)),
        (false, _) if from.trim().is_empty() => "Unknown <unknown@malle.invalid>".to_owned(),
        (false, _) => format!("{}\r\n <unknown@malle.invalid>", words(from)),
    }
}

fn subject(subject: &str) -> String {
    match subject.trim() {
        "" => "An email that the mail server does not take".to_owned(),
        subject => words(subject),
    }
}

/// Encodes a text for a header (RFC 2047).
fn words(text: &str) -> String {
    let (mut words, mut word) = (Vec::new(), String::new());
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if word.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        if words.len() * WORD > MOST_TEXT {
            break;
        }
        word.push(c);
    }
    words.push(word);
    let words = words.iter().filter(|word| !word.is_empty());
    words.map(|word| format!("=?utf-8?B?{}?=", BASE64.encode(word))).collect::<Vec<_>>().join("\r\n ")
}

/// Returns a date as header fields have it.
fn rfc_5322(seconds: i64) -> Option<String> {
    let date = model::Timestamp::from_second(seconds).ok().filter(|_| dates::is_writable(seconds))?;
    Some(date.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string())
}

/// A text in one line of ASCII.
fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(MOST_TEXT).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};
    use model::{BlobId, Envelope};
    use proptest::prelude::*;

    use super::*;
    use crate::envelope::EnvelopeScanner;

    fn record(envelope: Envelope, received_at: i64) -> EmailRecord {
        EmailRecord {
            id: "e".into(),
            blob: BlobId([0; 32]),
            source_hash: 0,
            received_at,
            size: 0,
            folders: Vec::new(),
            keywords: Vec::new(),
            envelope,
        }
    }

    #[test]
    fn an_email_that_stands_for_another_one_says_so() {
        let original = b"\0\xff no header\r\n\r\nbody";
        let email = record(EnvelopeScanner::scan(original), 1_700_000_000);
        let mail = wrapped(&email, original, "invalidEmail: no\r\nmessage \u{e4}");
        let message = MessageParser::new().parse(&mail).expect("an email");
        assert_eq!(message.subject(), Some("An email that the mail server does not take"));
        assert_eq!(message.date().expect("a date").to_timestamp(), 1_700_000_000);
        let note = message.body_text(0).expect("a note");
        assert!(note.contains("    invalidEmail: no??message ?\r\n"), "{note}");
        assert!(note.contains("20 bytes, received 2023-11-14T22:13:20Z"), "{note}");
        let attachment = message.attachment(0).expect("it is there");
        assert_eq!(
            (attachment.attachment_name(), attachment.contents()),
            (Some("original.eml"), &original[..])
        );
        assert!(mail.is_ascii());
    }

    fn head(from: &str, subject: &str, date: Option<i64>) -> (String, String, Option<i64>) {
        let envelope =
            Envelope { from: from.to_owned(), subject: subject.to_owned(), date, ..Envelope::default() };
        let mail = wrapped(&record(envelope, -1), b"", "refused");
        let longest = mail.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
        assert!(longest < Some(100), "{}", mail.escape_ascii());
        let found = EnvelopeScanner::scan(&mail);
        assert_eq!(found.attachments, ["original.eml"]);
        (found.from, found.subject, found.date)
    }

    #[test]
    fn sender_subject_and_date_are_those_of_the_original_where_they_can_be_read() {
        let check = |from: &str, subject: &str, date, expected: (&str, &str, Option<i64>)| {
            let (from, subject, date) = head(from, subject, date);
            assert_eq!((from.as_str(), subject.as_str(), date), expected);
        };
        check(
            "Jürgen <j@example.org>, b@example.org",
            "Grüße",
            Some(60),
            ("Jürgen <j@example.org>", "Grüße", Some(60)),
        );
        check("a@example.org, b@example.org", " x ", Some(0), ("a@example.org", "x", Some(0)));
        let nothing = "An email that the mail server does not take";
        check("", "", None, ("Unknown <unknown@malle.invalid>", nothing, None));
        check("no address", "", Some(i64::MIN), ("no address <unknown@malle.invalid>", nothing, None));
        check("X <a@b@c>", "a\r\nBcc: x", None, ("X <a@b@c> <unknown@malle.invalid>", "a  Bcc: x", None));
        let long = "日本語".repeat(300);
        let (_, subject, _) = head("", &long, None);
        assert!(long.starts_with(&subject) && subject.len() > 400, "{subject}");
    }

    #[test]
    fn what_is_none_of_ours_stands_for_nothing() {
        let mail = String::from_utf8(wrapped(&record(Envelope::default(), 0), b"original", "refused"))
            .expect("ASCII");
        assert_eq!(unwrapped(mail.replace("\r\n", "\n").as_bytes()), Some(b"original".to_vec()));
        for other in [
            mail.replace(MARK, "X-Other: 1"),
            mail.replace("original.eml", "other.eml"),
            mail.replace("b3Jp", "b3*p"),
        ] {
            assert_eq!(unwrapped(other.as_bytes()), None, "{other}");
        }
        assert_eq!(unwrapped(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(original in proptest::collection::vec(any::<u8>(), 0..300), from in any::<String>(), subject in any::<String>(), reason in any::<String>()) {
            let envelope = Envelope { from, subject, ..Envelope::default() };
            let mail = wrapped(&record(envelope, 5), &original, &reason);
            prop_assert_eq!(unwrapped(&mail), Some(original.clone()));
            let message = MessageParser::new().parse(&mail).expect("an email");
            prop_assert_eq!(message.attachment(0).expect("it is there").contents(), &original[..]);
        }

        #[test]
        fn no_email_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            unwrapped(&bytes);
        }
    }

    #[test]
    fn the_longest_is_not_longer_than_what_is_looked_into() {
        let envelope = Envelope {
            from: "\u{1f600}".repeat(1000),
            subject: "\u{1f600}".repeat(1000),
            ..Envelope::default()
        };
        let original = vec![0; usize::try_from(MOST_BYTES).expect("fits")];
        let mail = wrapped(&record(envelope, 0), &original, &"x".repeat(10_000));
        assert!(mail.len() as u64 <= MOST_WRAPPED, "{}", mail.len());
    }
}
