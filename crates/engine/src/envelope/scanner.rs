//! What people remember of an email, read from its raw bytes as they pass by.
//!
//! **Version.** Each envelope says by which version of the scanner it was read. A change of what the scanner makes of any bytes
//! adds 1 to [`VERSION`]: envelopes of earlier versions are then read again (`renewal.rs`, `reindex.rs`).

use std::borrow::Cow;
use std::sync::LazyLock;

use encoding_rs::{Encoding, ISO_2022_JP, WINDOWS_1252};
use mail_parser::{Address, Message, MessageParser, MimeHeaders};
use memchr::memmem;
use model::Envelope;

use super::sections::extended_name;
use super::words::words_in_utf8;

/// Version of the scanner: 1 since it reads parts without a preamble, every charset and raw bytes; 2 since it decodes what is cut into
/// words or sections as a whole, and every charset as the WHATWG's standard has it.
pub(crate) const VERSION: u32 = 2;

/// A header block longer than this is read up to here.
const MOST_HEAD: usize = 256 << 10;
const MOST_PART_HEAD: usize = 16 << 10;
/// Longest text kept of one field, in bytes.
const MOST_TEXT: usize = 2_000;
const MOST_ATTACHMENTS: usize = 100;

/// The fields that an envelope is made of.
const FIELDS: [&[u8]; 8] =
    [b"from", b"to", b"cc", b"subject", b"message-id", b"date", b"content-type", b"content-disposition"];

static PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new().with_minimal_headers().header_id(mail_parser::HeaderName::MessageId)
});

/// Reads an email that comes in pieces. Costs a search for line starts; bodies are never decoded.
///
/// Parts are recognised by any line that begins with `--`, whatever the boundary is called: parts of attached messages are
/// seen too, and a text that quotes a MIME part may add a name that is no attachment's.
///
/// Bytes above 127 in a header (which RFC 5322 does not allow, and RFC 6532 allows as UTF-8) are what the message's own charset says, the
/// one that the first part with one names; without any, windows-1252.
pub(crate) struct EnvelopeScanner {
    envelope: Envelope,
    state: State,
    /// The header block so far, or the last bytes of the body that may begin a boundary.
    held: Vec<u8>,
    /// The first charset that a header named.
    charset: Option<&'static Encoding>,
    /// The message's header, while no charset is known and it needs one.
    undecided: Option<Vec<u8>>,
}

enum State {
    Head,
    /// No parts to look for.
    Done,
    Body,
    BoundaryLine,
    PartHead,
}

impl EnvelopeScanner {
    pub(crate) fn new() -> EnvelopeScanner {
        let (envelope, state, held) = (Envelope::default(), State::Head, Vec::new());
        EnvelopeScanner { envelope, state, held, charset: None, undecided: None }
    }

    /// Of an email that is there as a whole.
    pub(crate) fn scan(bytes: &[u8]) -> Envelope {
        let mut scanner = EnvelopeScanner::new();
        scanner.push(bytes);
        scanner.finish()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Head => self.head(rest, MOST_HEAD),
                State::Done => return,
                State::Body => self.body(rest),
                State::BoundaryLine => self.boundary_line(rest),
                State::PartHead => self.head(rest, MOST_PART_HEAD),
            };
        }
    }

    pub(crate) fn finish(mut self) -> Envelope {
        if matches!(self.state, State::Head | State::PartHead) {
            self.close_head();
        }
        if let Some(head) = self.undecided.take() {
            self.read_undecided(&head);
        }
        self.envelope.version = VERSION;
        self.envelope
    }

    /// Gathers a header block up to its empty line.
    fn head<'a>(&mut self, bytes: &'a [u8], most: usize) -> &'a [u8] {
        let before = self.held.len();
        let room = most.saturating_sub(before).min(bytes.len());
        self.held.extend_from_slice(&bytes[..room]);
        let from = before.saturating_sub(3);
        let end = end_of_head(&self.held, from);
        if end.is_none() && before + bytes.len() < most {
            return &[];
        }
        let end = end.unwrap_or(self.held.len());
        self.held.truncate(end);
        self.close_head();
        &bytes[end.saturating_sub(before).min(bytes.len())..]
    }

    fn close_head(&mut self) {
        let head = wanted_fields(&std::mem::take(&mut self.held));
        let head = match words_in_utf8(&head) {
            Cow::Borrowed(_) => head,
            Cow::Owned(rewritten) => rewritten,
        };
        let is_first = matches!(self.state, State::Head);
        let Some(message) = PARSER.parse_headers(&head) else {
            self.state = if is_first { State::Done } else { State::Body };
            return;
        };
        let named = message.content_type().and_then(|t| t.attribute("charset"));
        self.charset = self.charset.or_else(|| Encoding::for_label(named?.as_bytes()));
        if let Some(undecided) = self.undecided.take_if(|_| self.charset.is_some()) {
            self.read_undecided(&undecided);
        }
        // Nearly every header is UTF-8 and parsed once.
        let text = decoded(&head, self.charset);
        let again = match &text {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => PARSER.parse_headers(text),
        };
        let read = again.as_ref().unwrap_or(&message);
        if self.envelope.attachments.len() < MOST_ATTACHMENTS {
            let name = extended_name(&text).or_else(|| read.attachment_name().map(str::to_owned));
            self.envelope.attachments.extend(name.map(cut));
        }
        let is_multipart =
            message.content_type().is_some_and(|t| t.ctype().eq_ignore_ascii_case("multipart"));
        if is_first {
            if is_multipart && self.charset.is_none() && needs_charset(&head) {
                self.undecided = Some(head.clone())
            } else {
                self.read_fields(read)
            }
        }
        self.state = if is_first && !is_multipart { State::Done } else { State::Body };
        // What follows is the beginning of a line.
        self.held = b"\n".to_vec();
    }

    fn read_undecided(&mut self, head: &[u8]) {
        if let Some(message) = PARSER.parse_headers(decoded(head, self.charset).as_ref()) {
            self.read_fields(&message);
        }
    }

    fn read_fields(&mut self, message: &Message<'_>) {
        self.envelope.from = message.from().map(addresses).unwrap_or_default();
        let to = [message.to(), message.cc()].into_iter().flatten().map(addresses).collect::<Vec<_>>();
        self.envelope.to = cut(to.join(", "));
        self.envelope.subject = cut(message.subject().unwrap_or_default().to_owned());
        self.envelope.message_id = cut(message.message_id().unwrap_or_default().to_owned());
        self.envelope.date = message.date().filter(|date| date.is_valid()).map(|date| date.to_timestamp());
    }

    /// Looks for a line that begins with `--`.
    fn body<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if !self.held.is_empty() {
            let seam: Vec<u8> = self.held.iter().chain(bytes.iter().take(2)).copied().collect();
            if let Some(at) = memmem::find(&seam, b"\n--") {
                let used = (at + 3).saturating_sub(self.held.len());
                self.held.clear();
                self.state = State::BoundaryLine;
                return &bytes[used..];
            }
        }
        if let Some(at) = memmem::find(bytes, b"\n--") {
            self.held.clear();
            self.state = State::BoundaryLine;
            return &bytes[at + 3..];
        }
        self.held.extend_from_slice(&bytes[bytes.len().saturating_sub(2)..]);
        let surplus = self.held.len().saturating_sub(2);
        self.held.drain(..surplus);
        &[]
    }

    fn boundary_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(at) = memchr::memchr(b'\n', bytes) else { return &[] };
        self.state = State::PartHead;
        &bytes[at + 1..]
    }
}

/// Whether an earlier version of the scanner read this envelope.
pub(crate) fn is_outdated(envelope: &Envelope) -> bool {
    envelope.version < VERSION
}

/// Neither UTF-8 nor without the shifts of ISO-2022-JP, which takes seven bits.
fn needs_charset(head: &[u8]) -> bool {
    memchr::memchr(0x1b, head).is_some() || std::str::from_utf8(head).is_err()
}

/// A header as UTF-8, if it is not.
fn decoded<'a>(head: &'a [u8], charset: Option<&'static Encoding>) -> Cow<'a, [u8]> {
    let charset = charset.filter(|charset| charset.is_ascii_compatible() || *charset == ISO_2022_JP);
    let is_shifted = charset == Some(ISO_2022_JP) && memchr::memchr(0x1b, head).is_some();
    if !is_shifted && std::str::from_utf8(head).is_ok() {
        return Cow::Borrowed(head);
    }
    let (text, _) = charset.unwrap_or(WINDOWS_1252).decode_without_bom_handling(head);
    Cow::Owned(text.into_owned().into_bytes())
}

/// The header block without the fields that nobody asks for: finding the others costs less than parsing all.
fn wanted_fields(head: &[u8]) -> Vec<u8> {
    let mut wanted = Vec::new();
    let (mut start, mut keeps) = (0, false);
    let ends = memchr::memchr_iter(b'\n', head).map(|at| at + 1);
    for end in ends.chain((!head.ends_with(b"\n")).then_some(head.len())) {
        let line = &head[start..end];
        start = end;
        // A folded line belongs to the field before it.
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            let name = memchr::memchr(b':', line).map_or(line, |colon| &line[..colon]).trim_ascii_end();
            keeps = name.is_empty() || FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field));
        }
        if keeps {
            wanted.extend_from_slice(line);
        }
    }
    wanted
}

/// Index behind the empty line that ends a header block. A block may be empty itself.
fn end_of_head(held: &[u8], from: usize) -> Option<usize> {
    if held.starts_with(b"\r\n") {
        return Some(2);
    }
    if held.starts_with(b"\n") {
        return Some(1);
    }
    memchr::memchr_iter(b'\n', &held[from..]).map(|at| from + at).find_map(|at| match &held[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

fn addresses(address: &Address<'_>) -> String {
    let one = |addr: &mail_parser::Addr<'_>| match (&addr.name, &addr.address) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (Some(text), None) | (None, Some(text)) => text.to_string(),
        (None, None) => String::new(),
    };
    let mut text = String::new();
    for addr in address.iter() {
        if text.len() > MOST_TEXT {
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&one(addr));
    }
    cut(text)
}

fn cut(mut text: String) -> String {
    let mut end = MOST_TEXT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAIL: &str = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nTo: a@example.org,\r\n b@example.org\r\n\
        Cc: Carla <c@example.org>\r\nSubject: =?utf-8?b?SMOpbGxv?=\r\nMessage-ID: <m@1>\r\n\
        Date: Thu, 1 Jan 1970 00:01:00 +0000\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\ntext\r\n\
        --b\r\nContent-Type: application/pdf; name=\"bill.pdf\"\r\nContent-Disposition: attachment;\r\n\
        \tfilename*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n\r\nJVBERi0=\r\n--b--\r\n";

    fn expected() -> Envelope {
        Envelope {
            from: "Jürgen <j@example.org>".to_owned(),
            to: "a@example.org, b@example.org, Carla <c@example.org>".to_owned(),
            subject: "Héllo".to_owned(),
            message_id: "m@1".to_owned(),
            date: Some(60),
            attachments: vec!["résumé.pdf".to_owned()],
            version: VERSION,
        }
    }

    #[test]
    fn an_email_with_an_attachment() {
        assert_eq!(EnvelopeScanner::scan(MAIL.as_bytes()), expected());
        assert_eq!(EnvelopeScanner::scan(MAIL.replace("\r\n", "\n").as_bytes()), expected());
    }

    #[test]
    fn raw_bytes_of_no_charset_are_windows_1252() {
        let mail = b"Subject: caf\xe9\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment; filename=\"\xe9.pdf\"\r\n\r\nx\r\n--b--\r\n";
        let found = EnvelopeScanner::scan(mail);
        assert_eq!((found.subject.as_str(), found.attachments), ("café", vec!["é.pdf".to_owned()]));
    }

    #[test]
    fn what_is_no_email_has_an_empty_envelope() {
        for bytes in [&b""[..], b"\r\n", b"\n--\n", b"\0\xff\xfe", b"no header at all"] {
            let envelope = EnvelopeScanner::scan(bytes);
            assert_eq!((envelope.subject.as_str(), envelope.attachments.len()), ("", 0), "{bytes:?}");
        }
    }

    #[test]
    fn absurd_lengths_are_cut() {
        let long = format!("Subject: {}\r\n\r\n", "é".repeat(100_000));
        assert!(EnvelopeScanner::scan(long.as_bytes()).subject.len() <= MOST_TEXT);
        let parts = "\r\n--b\r\nContent-Disposition: attachment; filename=x\r\n\r\n".repeat(1000);
        let many = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}");
        assert_eq!(EnvelopeScanner::scan(many.as_bytes()).attachments.len(), MOST_ATTACHMENTS);
    }

    #[test]
    fn fields_nobody_asks_for_are_left_out() {
        let head =
            "Received: from a\r\n\tby b; Subject: no\r\nsubject : yes\r\n folded\r\nX-Subject: no\r\n\r\n";
        assert_eq!(wanted_fields(head.as_bytes()), b"subject : yes\r\n folded\r\n\r\n");
        assert_eq!(wanted_fields(b"X: y\nTo: z"), b"To: z");
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(cuts in proptest::collection::vec(0..MAIL.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut scanner = EnvelopeScanner::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([MAIL.len()]) {
                scanner.push(&MAIL.as_bytes()[from..cut]);
                from = cut;
            }
            prop_assert_eq!(scanner.finish(), expected());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            EnvelopeScanner::scan(&bytes);
        }
    }
}
