//! mboxrd quoting: a line of any number of `>` and then `From ` gets one more `>`, and loses one when it is read. So do the lines
//! of an email's own header that programs take for an mbox's (`>Status` is a field like any other). Streaming, and exact for any
//! bytes.

use std::io::{self, Read};

use memchr::memchr;

const FROM: &[u8] = b"From ";
/// Fields of a header that say in an mbox what the mail program thinks of the email; in any case of letters.
const FIELDS: [&[u8]; 6] = [
    b"status:",
    b"x-status:",
    b"x-keywords:",
    b"x-mozilla-status:",
    b"x-mozilla-status2:",
    b"x-mozilla-keys:",
];
/// Length of the longest of these.
const LONGEST: usize = 18;
const BUFFER: usize = 64 << 10;
const SMALLEST: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Quote,
    Unquote,
}

/// Turns bytes into quoted ones or back, in pieces of any size.
pub(crate) struct Quoting {
    way: Way,
    /// What came of a line behind any `>`, as long as it may become something to quote; `None` further on in a line.
    begun: Option<Vec<u8>>,
    /// The line began with `>`.
    is_angled: bool,
    /// A `>` that goes if the line turns out to be a quoted one.
    held: bool,
    /// No empty line came yet.
    is_head: bool,
}

/// What the beginning of a line is.
enum Begun {
    Quotable,
    EndOfHead,
    /// More of it tells.
    Open,
    Other,
}

impl Quoting {
    pub(crate) fn quote() -> Quoting {
        let begun = Some(Vec::with_capacity(LONGEST));
        Quoting { way: Way::Quote, begun, is_angled: false, held: false, is_head: true }
    }

    fn unquote() -> Quoting {
        Quoting { way: Way::Unquote, ..Quoting::quote() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            let Some(begun) = &mut self.begun else {
                rest = self.rest_of_line(rest, out);
                continue;
            };
            rest = after;
            if *byte == b'>' && begun.is_empty() {
                self.angle(out);
                continue;
            }
            begun.push(*byte);
            match self.what_begun() {
                Begun::Open => {}
                Begun::Quotable => self.quotable(out),
                Begun::EndOfHead => {
                    self.is_head = false;
                    self.flush(out);
                    self.next_line();
                }
                // Its last byte may be the end of the line.
                Begun::Other => {
                    let is_end = *byte == b'\n';
                    self.flush(out);
                    if is_end {
                        self.next_line();
                    }
                }
            }
        }
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
    }

    fn what_begun(&self) -> Begun {
        let begun = self.begun.as_deref().unwrap_or_default();
        if begun == FROM {
            return Begun::Quotable;
        }
        let ends_head = self.is_head && !self.is_angled;
        if ends_head && matches!(begun, b"\n" | b"\r\n") {
            return Begun::EndOfHead;
        }
        let begins =
            |field: &[u8]| field.len() >= begun.len() && field[..begun.len()].eq_ignore_ascii_case(begun);
        let fields = || FIELDS.into_iter().filter(|_| self.is_head);
        if fields().any(|field| field.eq_ignore_ascii_case(begun)) {
            return Begun::Quotable;
        }
        let is_open = FROM.starts_with(begun) || fields().any(begins) || (ends_head && begun == b"\r");
        if is_open { Begun::Open } else { Begun::Other }
    }

    fn next_line(&mut self) {
        self.begun = Some(Vec::with_capacity(LONGEST));
        self.is_angled = false;
    }

    fn rest_of_line<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let Some(at) = memchr(b'\n', bytes) else {
            out.extend(bytes);
            return &[];
        };
        self.next_line();
        out.extend(&bytes[..=at]);
        &bytes[at + 1..]
    }

    fn angle(&mut self, out: &mut Vec<u8>) {
        self.is_angled = true;
        match (self.way, self.held) {
            (Way::Unquote, false) => self.held = true,
            _ => out.push(b'>'),
        }
    }

    fn quotable(&mut self, out: &mut Vec<u8>) {
        if self.way == Way::Quote {
            out.push(b'>');
        }
        self.held = false;
        self.flush(out);
    }

    /// The line is nothing to quote any more.
    fn flush(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held) {
            out.push(b'>');
        }
        out.extend(self.begun.take().unwrap_or_default());
    }
}

/// Reads quoted bytes as they were.
pub(crate) struct Unquoted<R> {
    inner: R,
    quoting: Quoting,
    ready: Vec<u8>,
    given: usize,
    is_at_end: bool,
}

impl<R: Read> Unquoted<R> {
    pub(crate) fn new(inner: R) -> Unquoted<R> {
        Unquoted { inner, quoting: Quoting::unquote(), ready: Vec::new(), given: 0, is_at_end: false }
    }
}

impl<R: Read> Read for Unquoted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() && !self.is_at_end {
            self.ready.clear();
            self.given = 0;
            // No more than asked for: an email of a few bytes stands between many others.
            let mut buffer = vec![0; out.len().clamp(SMALLEST, BUFFER)];
            let read = self.inner.read(&mut buffer)?;
            self.quoting.push(&buffer[..read], &mut self.ready);
            if read == 0 {
                self.is_at_end = true;
                self.quoting.finish(&mut self.ready);
            }
        }
        let given = (&self.ready[self.given..]).read(out)?;
        self.given += given;
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut quoting = Quoting::quote();
        bytes.chunks(piece).for_each(|piece| quoting.push(piece, &mut out));
        quoting.finish(&mut out);
        out
    }

    #[test]
    fn lines_that_look_like_the_start_of_an_email() {
        for (plain, expected) in [
            ("From x\nFrom", ">From x\nFrom"),
            ("a\n>From \n>>From y\n", "a\n>>From \n>>>From y\n"),
            ("\nFrom \r\n\nFromage\n> From \n", "\n>From \r\n\nFromage\n> From \n"),
            ("\rFrom \n", "\rFrom \n"),
            (">", ">"),
            (">Fro", ">Fro"),
            (
                "Status: RO\r\nX-STATUS: A\n>Status:x\n\nStatus: x\n",
                ">Status: RO\r\n>X-STATUS: A\n>>Status:x\n\nStatus: x\n",
            ),
            ("A: b\r\n\r\nX-Keywords: x", "A: b\r\n\r\nX-Keywords: x"),
            (">\nStatus:", ">\n>Status:"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(quoted(plain.as_bytes(), 3)).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn every_email_comes_back(
            text in "([>From \n\r\0a]|From |>From |\n|Status:|>X-Status:|x-keywords:|\r\n){0,40}",
            bytes in proptest::collection::vec(any::<u8>(), 0..50),
            piece in 1..9_usize,
        ) {
            for plain in [text.as_bytes(), &bytes] {
                let quoted = quoted(plain, piece);
                let lines = || quoted.split(|byte| *byte == b'\n');
                prop_assert!(lines().all(|line| !line.starts_with(FROM)));
                let mut back = Vec::new();
                let mut slow = Unquoted::new(Slow(&quoted, piece));
                slow.read_to_end(&mut back).unwrap();
                prop_assert_eq!(back, plain);
            }
        }
    }

    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let most = out.len().min(self.1);
            self.0.read(&mut out[..most])
        }
    }
}
