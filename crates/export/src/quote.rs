//! mboxrd quoting: a line of any number of `>` and then `From ` gets one more `>`, and loses one when it is read. Streaming,
//! and exact for any bytes.

use std::io::{self, Read};

use memchr::memchr;

const FROM: &[u8; 5] = b"From ";
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
    /// How much of `From ` the line has been so far, after any `>`; `None` further on in a line.
    matched: Option<usize>,
    /// A `>` that goes if the line turns out to be a quoted one.
    held: bool,
}

impl Quoting {
    pub(crate) fn quote() -> Quoting {
        Quoting { way: Way::Quote, matched: Some(0), held: false }
    }

    fn unquote() -> Quoting {
        Quoting { way: Way::Unquote, ..Quoting::quote() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            let Some(matched) = self.matched else {
                rest = self.rest_of_line(rest, out);
                continue;
            };
            match *byte {
                b'>' if matched == 0 => self.angle(out),
                byte if byte == FROM[matched] => self.step(matched, out),
                _ => {
                    self.miss(out);
                    continue;
                }
            }
            rest = after;
        }
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.miss(out);
    }

    fn rest_of_line<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let Some(at) = memchr(b'\n', bytes) else {
            out.extend(bytes);
            return &[];
        };
        self.matched = Some(0);
        out.extend(&bytes[..=at]);
        &bytes[at + 1..]
    }

    fn angle(&mut self, out: &mut Vec<u8>) {
        match (self.way, self.held) {
            (Way::Unquote, false) => self.held = true,
            _ => out.push(b'>'),
        }
    }

    fn step(&mut self, matched: usize, out: &mut Vec<u8>) {
        if matched + 1 < FROM.len() {
            self.matched = Some(matched + 1);
            return;
        }
        if self.way == Way::Quote {
            out.push(b'>');
        }
        out.extend(FROM);
        self.matched = None;
        self.held = false;
    }

    fn miss(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held) {
            out.push(b'>');
        }
        out.extend(&FROM[..self.matched.take().unwrap_or_default()]);
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
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(quoted(plain.as_bytes(), 3)).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn every_email_comes_back(
            text in "([>From \n\r\0a]|From |>From |\n){0,40}",
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
