//! One generated email: a realistic header, then a body that fills up to the exact size.

use std::fmt::Write as _;

use crate::recipe::{Part, Recipe};
use crate::rng::{Rng, mix};
use crate::vocabulary::{BASE64_LINE, Flavour, noise, phrase};

const PEOPLE: [(&str, &str); 8] = [
    ("Bob Martin", "bob.martin@example.com"),
    ("=?utf-8?Q?Zo=C3=A9_L=C3=A9ger?=", "zoe@exemple.fr"),
    ("=?utf-8?B?5bGx55Sw5aSq6YOO?=", "yamada@example.jp"),
    ("\"O'Neil, Pat\"", "pat@example.net"),
    ("Newsletter", "no-reply@news.example.com"),
    ("=?iso-8859-1?Q?Andr=E9?=", "andre@exemple.fr"),
    ("Support", "support+ticket@example.org"),
    ("Ada", "ada@example.org"),
];

const FILES: [(&str, &str); 5] = [
    ("application/pdf", "facture 2024.pdf"),
    ("image/jpeg", "IMG_0042.JPG"),
    ("application/zip", "=?utf-8?Q?r=C3=A9union.zip?="),
    ("application/octet-stream", "../../etc/passwd"),
    ("application/vnd.ms-excel", "a\\\"b.xls"),
];

/// Attachments that several emails carry, byte for byte.
const SHARED: u32 = 64;

/// What there is to say about an email before it is written.
pub(crate) struct Letter<'a> {
    pub(crate) rng: Rng,
    pub(crate) tag: String,
    pub(crate) thread_tag: Option<String>,
    pub(crate) date: String,
    pub(crate) owner: &'a str,
    pub(crate) size: u64,
}

impl Letter<'_> {
    pub(crate) fn write(mut self) -> Recipe {
        let (size, kind) = (self.size, self.rng.below(1000));
        Recipe::new(match (size, kind) {
            (..30_000, 0..20) => self.malformed(),
            (..1_500, 20..60) => self.plain("iso-8859-1", "8bit", Flavour::Latin1),
            (..1_500, 60..300) => self.plain("utf-8", "8bit", Flavour::Utf8),
            (..1_500, _) => self.plain("us-ascii", "7bit", Flavour::Ascii),
            (30_000.., 0..900) | (_, 900..) => self.with_attachment(),
            (_, 20..60) => self.plain("iso-8859-1", "8bit", Flavour::Latin1),
            (_, 60..200) => self.plain("utf-8", "8bit", Flavour::Utf8),
            (_, 200..500) => self.alternative(),
            _ => self.plain("us-ascii", "7bit", Flavour::Ascii),
        })
    }

    /// The header without the fields that describe the body, and without the blank line.
    fn header(&mut self) -> String {
        let subject = self.subject();
        let (name, address) = *self.rng.pick(&PEOPLE);
        let (hop, id) = (self.rng.below(250), self.rng.next());
        let Self { tag, date, owner, .. } = self;
        let detailed = self.size >= 2_500;
        let mut header = String::with_capacity(1024);
        if detailed {
            let _ = write!(
                header,
                "Received: from mx{hop}.example.net (mx{hop}.example.net [192.0.2.{hop}])\r\n\tby mail.example.org \
                 (Stalwart SMTP) with ESMTPS id {id:016X};\r\n\t{date}\r\n"
            );
        }
        let _ = write!(
            header,
            "From: {name} <{address}>\r\nTo: {owner}\r\nSubject: {subject}\r\nMessage-ID: <{tag}@example.com>\r\n\
             Date: {date}\r\n"
        );
        if let Some(thread) = self.thread_tag.as_ref().filter(|_| detailed) {
            let _ = write!(
                header,
                "In-Reply-To: <{thread}@example.com>\r\nReferences: <{thread}@example.com>\r\n"
            );
        }
        header.push_str("MIME-Version: 1.0\r\n");
        header
    }

    fn subject(&mut self) -> String {
        match self.rng.below(10) {
            0 => "=?utf-8?Q?R=C3=A9union_d=27=C3=A9quipe_=E2=9C=93?=".to_owned(),
            1 => "=?utf-8?B?5Lya6K2w44Gu44GK55+l44KJ44Gb?=".to_owned(),
            2 => String::new(),
            words => {
                let reply = if self.thread_tag.is_some() { "Re: " } else { "" };
                format!("{reply}{}", phrase(&mut self.rng, words.min(5)))
            }
        }
    }

    fn plain(&mut self, charset: &str, encoding: &str, flavour: Flavour) -> Vec<Part> {
        let head = format!(
            "{}Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n",
            self.header()
        );
        self.filled(head.into_bytes(), flavour)
    }

    fn filled(&mut self, head: Vec<u8>, flavour: Flavour) -> Vec<Part> {
        let len = self.size.saturating_sub(head.len() as u64);
        vec![Part::Literal(head), Part::Text { seed: self.rng.next(), len, flavour }]
    }

    fn alternative(&mut self) -> Vec<Part> {
        let boundary = format!("=_{:016x}", self.rng.next());
        let first = format!(
            "{}Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
            self.header()
        );
        let second = format!(
            "\r\n--{boundary}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p class=\"MsoNormal\">\r\n"
        );
        let last = format!("</p></body></html>\r\n--{boundary}--\r\n");
        let free = self.size.saturating_sub((first.len() + second.len() + last.len()) as u64);
        let plain = free * 2 / 5;
        let flavour = Flavour::Utf8;
        vec![
            Part::Literal(first.into_bytes()),
            Part::Text { seed: self.rng.next(), len: plain, flavour },
            Part::Literal(second.into_bytes()),
            Part::Text { seed: self.rng.next(), len: free - plain, flavour },
            Part::Literal(last.into_bytes()),
        ]
    }

    fn with_attachment(&mut self) -> Vec<Part> {
        let boundary = format!("----=_Part_{:016x}", self.rng.next());
        let (media, name) = *self.rng.pick(&FILES);
        let first = format!(
            "{}Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\nThis is a multi-part message.\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
            self.header()
        );
        let second = format!(
            "\r\n--{boundary}\r\nContent-Type: {media}; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n"
        );
        let last = format!("--{boundary}--\r\n");
        let free = self.size.saturating_sub((first.len() + second.len() + last.len()) as u64);
        let (seed, attached) = self.attachment(free);
        vec![
            Part::Literal(first.into_bytes()),
            Part::Text { seed: self.rng.next(), len: free - attached, flavour: Flavour::Utf8 },
            Part::Literal(second.into_bytes()),
            Part::Base64 { seed, len: attached },
            Part::Literal(last.into_bytes()),
        ]
    }

    /// Seed and length, in whole lines, of an attachment that takes most of the free room; an eighth come from
    /// a small stock and so occur again elsewhere.
    fn attachment(&mut self, free: u64) -> (u64, u64) {
        let line = BASE64_LINE as u64;
        let stock = mix(0x5106, u64::from(self.rng.below(SHARED)));
        let stocked = (200 + stock % 30_000) * line;
        if self.rng.chance(125) && stocked <= free && stocked * 2 > free {
            return (stock, stocked);
        }
        let prose = (free / 10).min(3_000);
        (self.rng.next(), (free - prose) / line * line)
    }

    fn malformed(&mut self) -> Vec<Part> {
        let tag = self.tag.clone();
        match self.rng.below(5) {
            0 => self.filled(format!("no header at all, {tag}\r\n").into_bytes(), Flavour::Ascii),
            1 => {
                let head = format!("{}\n", self.header().replace("\r\n", "\n"));
                self.filled(head.into_bytes(), Flavour::BareLf)
            }
            2 => {
                let len = self.size.saturating_sub(tag.len() as u64);
                vec![Part::Literal(tag.into_bytes()), Part::Noise { seed: self.rng.next(), len }]
            }
            3 => {
                let mut head = format!("X-Tag: {tag}\r\nFrom caf").into_bytes();
                head.extend_from_slice(
                    b"\xe9 without colon\r\nSubject: \xff\xfe raw 8-bit\r\nDate: never\r\n\r\n",
                );
                self.filled(head, Flavour::Latin1)
            }
            _ => {
                let mut head = format!("Subject: {tag}\r\nX-Nul: ").into_bytes();
                noise(self.rng.next(), 40, &mut head);
                head.extend_from_slice(b"\0\r\n\r\n");
                self.filled(head, Flavour::Ascii)
            }
        }
    }
}
