//! Names of attachments that name their charset, or are cut into sections (RFC 2231): `filename*0*=utf-8''%C3; filename*1*=%A4.pdf`.
//!
//! Only the first section names the charset, and a character may begin in one and end in the next: so sections are put together as
//! bytes and decoded as a whole.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// Sections of one name that are read.
const MOST_SECTIONS: usize = 100;

/// One piece of a name.
struct Section {
    number: usize,
    /// Its bytes are escaped with `%`; the first of all has the charset and a language before them.
    is_escaped: bool,
    value: Vec<u8>,
}

/// Reads the name of an attachment from a part's header, if it is written in one of these ways.
pub(super) fn extended_name(head: &[u8]) -> Option<String> {
    memchr::memchr(b'*', head)?;
    let fields = [("content-disposition", "filename"), ("content-type", "name")];
    fields.into_iter().find_map(|(field, parameter)| joined(sections(&value_of(head, field)?, parameter)))
}

/// Returns the first field of this name, unfolded.
fn value_of(head: &[u8], field: &str) -> Option<Vec<u8>> {
    let mut value: Option<Vec<u8>> = None;
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (&mut value, line.first()) {
            (Some(value), Some(b' ' | b'\t')) => value.extend_from_slice(line),
            (Some(_), _) => break,
            (None, _) => {
                let Some(colon) = memchr::memchr(b':', line) else { continue };
                let is_it = line[..colon].trim_ascii().eq_ignore_ascii_case(field.as_bytes());
                value = is_it.then(|| line[colon + 1..].to_vec());
            }
        }
    }
    value
}

/// Returns the sections of a parameter, in any order.
fn sections(value: &[u8], parameter: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut rest = memchr::memchr(b';', value).map_or(&[][..], |at| &value[at + 1..]);
    while let Some(equals) = memchr::memchr(b'=', rest).filter(|_| sections.len() < MOST_SECTIONS) {
        let key = String::from_utf8_lossy(rest[..equals].trim_ascii()).to_ascii_lowercase();
        let value;
        (value, rest) = one_value(&rest[equals + 1..]);
        let key = key.rsplit(';').next().unwrap_or_default().trim();
        let Some(number) = key.strip_prefix(parameter).and_then(|rest| rest.strip_prefix('*')) else {
            continue;
        };
        // Without a number it is all of the name.
        let (number, is_escaped) = match number.strip_suffix('*') {
            _ if number.is_empty() => ("0", true),
            Some(number) => (number, true),
            None => (number, false),
        };
        if let Ok(number) = number.parse() {
            sections.push(Section { number, is_escaped, value });
        }
    }
    sections
}

/// Returns the value of a parameter, and what is behind it.
fn one_value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let text = text.trim_ascii_start();
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = memchr::memchr(b';', text).unwrap_or(text.len());
        return (text[..end].trim_ascii().to_vec(), text.get(end + 1..).unwrap_or_default());
    };
    let (mut value, mut bytes) = (Vec::new(), quoted.iter().enumerate());
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return (value, &quoted[at + 1..]),
            b'\\' => value.extend(bytes.next().map(|(_, byte)| *byte)),
            byte => value.push(*byte),
        }
    }
    (value, &[])
}

/// Decodes the sections up to the first that is missing; `None`: the first one is.
fn joined(mut sections: Vec<Section>) -> Option<String> {
    sections.sort_by_key(|section| section.number);
    sections.dedup_by_key(|section| section.number);
    let there = sections.into_iter().enumerate().take_while(|(at, section)| *at == section.number);
    let (mut name, mut escaped, mut charset) = (None::<String>, Vec::new(), None);
    for (_, Section { number, is_escaped, value }) in there {
        let name = name.get_or_insert_default();
        if !is_escaped {
            name.push_str(&decoded(charset, &std::mem::take(&mut escaped)));
            name.push_str(&String::from_utf8_lossy(&value));
            continue;
        }
        let mut bytes = value.as_slice();
        if number == 0 {
            let mut parts = value.splitn(3, |byte| *byte == b'\'');
            if let (Some(label), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
                charset = Encoding::for_label(label);
                bytes = rest;
            }
        }
        unescape(bytes, &mut escaped);
    }
    name.map(|name| name + &decoded(charset, &escaped))
}

/// Without a charset that is known it is UTF-8, or else windows-1252.
fn decoded(charset: Option<&'static Encoding>, bytes: &[u8]) -> String {
    let is_utf8 = std::str::from_utf8(bytes).is_ok();
    let charset = charset.unwrap_or(if is_utf8 { UTF_8 } else { WINDOWS_1252 });
    charset.decode_with_bom_removal(bytes).0.into_owned()
}

/// Replaces `%` and two digits by the byte that they say; leaves any other `%`.
fn unescape(text: &[u8], bytes: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let digits =
            behind.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
}
