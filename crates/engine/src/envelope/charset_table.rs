//! Every label of the WHATWG's Encoding Standard, wherever a header may name or need a charset.

use encoding_rs::{Encoding, REPLACEMENT, UTF_16BE, UTF_16LE, X_USER_DEFINED};

use super::EnvelopeScanner;

/// The standard's labels, those of one charset in a line.
const LABELS: &str = "
unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8
866 cp866 csibm866 ibm866
csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2
csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3
csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4
csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988
arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987
csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek
csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 visual
csiso88598i iso-8859-8-i logical
csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6
iso-8859-13 iso8859-13 iso885913
iso-8859-14 iso8859-14 iso885914
csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9
iso-8859-16
cskoi8r koi koi8 koi8-r koi8_r
koi8-ru koi8-u
csmacintosh mac macintosh x-mac-roman
dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874
cp1250 windows-1250 x-cp1250
cp1251 windows-1251 x-cp1251
ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252
cp1253 windows-1253 x-cp1253
cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 windows-1254 x-cp1254
cp1255 windows-1255 x-cp1255
cp1256 windows-1256 x-cp1256
cp1257 windows-1257 x-cp1257
cp1258 windows-1258 x-cp1258
x-mac-cyrillic x-mac-ukrainian
chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk
gb18030
big5 big5-hkscs cn-big5 csbig5 x-x-big5
cseucpkdfmtjapanese euc-jp x-euc-jp
csiso2022jp iso-2022-jp
csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis
cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949
csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr replacement
unicodefffe utf-16be
csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le
x-user-defined";

/// How many labels the standard has.
const COUNT: usize = 228;

/// Texts that charsets of several bytes can say, one of each script.
const TEXTS: [&str; 8] = ["日本語ソ表", "한국어", "中文許功蓋", "Ελλάδα", "Привет", "ไทย", "Łódź", "café"];

/// A label, a text, and the text in the label's charset.
struct Sample {
    label: &'static str,
    charset: &'static Encoding,
    text: String,
    bytes: Vec<u8>,
}

fn labels() -> impl Iterator<Item = (&'static str, &'static Encoding)> {
    let lines = LABELS.lines().filter(|line| !line.is_empty());
    lines.flat_map(|line| {
        let charset = line.split(' ').next().and_then(|first| Encoding::for_label(first.as_bytes()));
        let charset = charset.unwrap_or_else(|| panic!("{line}: no such label"));
        line.split(' ').map(move |label| (label, charset))
    })
}

/// Of a charset of one byte a character every letter that it has, ten at a time; of others some texts.
fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (label, charset) in labels().filter(|(_, charset)| *charset != REPLACEMENT) {
        let sample = |text: String, bytes: Vec<u8>| Sample { label, charset, text, bytes };
        if charset == UTF_16BE || charset == UTF_16LE {
            // The mark says the order of bytes; the labels of one order alone need none.
            let bytes_of =
                |unit: u16| if charset == UTF_16BE { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let has_mark = !["utf-16be", "utf-16le", "unicodefffe"].contains(&label);
            let marked = if has_mark { "\u{feff}Łódź" } else { "Łódź" };
            samples.push(sample("Łódź".to_owned(), marked.encode_utf16().flat_map(bytes_of).collect()));
        } else if charset.is_single_byte() {
            let is_meant =
                |text: &str| text.chars().all(|c| c.is_alphanumeric() || charset == X_USER_DEFINED);
            let letters: Vec<(u8, String)> = (0x80..=0xff)
                .map(|byte: u8| (byte, charset.decode_without_bom_handling(&[byte]).0.into_owned()))
                .filter(|(_, letter)| is_meant(letter))
                .collect();
            for some in letters.chunks(10) {
                let text: String = some.iter().map(|(_, letter)| letter.as_str()).collect();
                samples.push(sample(text, some.iter().map(|(byte, _)| *byte).collect()));
            }
        } else {
            let says = |text: &&str| !charset.encode(text).2;
            let texts = TEXTS.into_iter().filter(says);
            samples.extend(texts.map(|text| sample(text.to_owned(), charset.encode(text).0.into_owned())));
        }
    }
    samples
}

fn escaped(bytes: &[u8], sign: char) -> String {
    bytes.iter().map(|byte| format!("{sign}{byte:02X}")).collect()
}

/// Base64, for encoded words.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn words(sample: &Sample) -> [String; 2] {
    let Sample { label, bytes, .. } = sample;
    [format!("=?{label}?Q?{}?=", escaped(bytes, '=')), format!("=?{label}?b?{}?=", base64(bytes))]
}

fn with_line_ends(mail: &[u8], line_end: &str) -> Vec<u8> {
    match line_end {
        "\n" => mail.iter().copied().filter(|byte| *byte != b'\r').collect(),
        _ => mail.to_vec(),
    }
}

#[test]
fn the_table_has_every_label() {
    let mut all: Vec<&str> = labels().map(|(label, _)| label).collect();
    for (label, charset) in labels() {
        assert_eq!(Encoding::for_label(label.as_bytes()), Some(charset), "{label}");
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), COUNT);
}

#[test]
fn encoded_words_of_every_label_are_read_in_subjects_and_names() {
    for sample in samples() {
        for word in words(&sample) {
            let mail = format!(
                "From: {word} <a@example.org>\r\nTo: {word} <b@example.org>\r\nSubject: {word}\r\n\r\nbody"
            );
            let found = EnvelopeScanner::scan(mail.as_bytes());
            let text = &sample.text;
            assert_eq!(&found.subject, text, "{word}");
            assert_eq!(
                (found.from, found.to),
                (format!("{text} <a@example.org>"), format!("{text} <b@example.org>")),
                "{word}"
            );
        }
    }
}

/// Charsets that contain ASCII: in others nobody can write a header.
fn raw_samples() -> impl Iterator<Item = Sample> {
    let is_raw =
        |sample: &Sample| sample.charset.is_ascii_compatible() || sample.charset == encoding_rs::ISO_2022_JP;
    // A text that is UTF-8 by accident is taken for that.
    let is_no_accident = |sample: &Sample| {
        sample.charset == encoding_rs::UTF_8
            || std::str::from_utf8(&sample.bytes).is_err()
            || sample.bytes.contains(&0x1b)
    };
    samples().into_iter().filter(move |sample| is_raw(sample) && is_no_accident(sample))
}

/// In one text, and where the first part that names a charset comes behind.
#[test]
fn raw_headers_are_read_in_the_charset_that_the_message_names() {
    for Sample { label, text, bytes, .. } in raw_samples() {
        let named = format!("Content-Type: text/plain; charset=\"{label}\"\r\n");
        let subject =
            [b"Subject: ", bytes.as_slice(), b"\r\nFrom: \"", &bytes, b"\" <a@example.org>\r\n"].concat();
        let in_parts = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
        for line_end in ["\r\n", "\n"] {
            for mail in [
                [&subject, named.as_bytes(), b"\r\nbody"].concat(),
                [&subject[..], in_parts, named.as_bytes(), b"\r\nbody\r\n--b--\r\n"].concat(),
            ] {
                let found = EnvelopeScanner::scan(&with_line_ends(&mail, line_end));
                assert_eq!(
                    (found.subject, found.from),
                    (text.clone(), format!("{text} <a@example.org>")),
                    "{label}"
                );
            }
        }
    }
}

/// The forms in which a part may have a name: RFC 2231, also continued and cut within a character, and encoded words.
fn named_parts(sample: &Sample) -> Vec<Vec<u8>> {
    let Sample { label, bytes, .. } = sample;
    let disposition =
        |parameters: &str| format!("Content-Disposition: attachment; {parameters}\r\n").into_bytes();
    let whole = escaped(bytes, '%');
    let (first, second) = whole.split_at(whole.len() / 6 * 3);
    let mut parts = vec![
        disposition(&format!("filename*={label}''{whole}")),
        disposition(&format!("filename*={label}'en'{whole}")),
        format!("Content-Type: x/y; name*={label}''{whole}\r\n").into_bytes(),
        disposition(&format!("filename*0*={label}''{first};\r\n filename*1*={second}")),
        disposition(&format!("FILENAME*1*={second};\r\n\tFileName*0*={label}''{first}; size=1")),
        format!("Content-Type: x/y;\r\n name*0*={label}''{first};\r\n name*1*={second}\r\n").into_bytes(),
    ];
    parts.extend(words(sample).map(|word| disposition(&format!("filename=\"{word}\""))));
    parts.extend(words(sample).map(|word| format!("Content-Type: x/y; name=\"{word}\"\r\n").into_bytes()));
    parts
}

/// The part first, at once or behind a preamble, and in a message within a message.
fn mails_with(part: &[u8]) -> Vec<Vec<u8>> {
    let head = b"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    let parts = [b"--b\r\n", part, b"\r\nx\r\n--b--\r\n"].concat();
    let attached = |mail: &[u8]| {
        let head = b"Subject: s\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: message/rfc822\r\n\r\n";
        [head, mail, b"\r\n--c--\r\n"].concat()
    };
    let at_once = [head, parts.as_slice()].concat();
    vec![
        [head, b"preamble\r\n".as_slice(), &parts].concat(),
        attached(&at_once),
        attached(&attached(&at_once)),
        at_once,
    ]
}

fn assert_named(part: &[u8], text: &str) {
    for mail in mails_with(part) {
        for line_end in ["\r\n", "\n"] {
            let mail = with_line_ends(&mail, line_end);
            let found = EnvelopeScanner::scan(&mail);
            let shown = mail.escape_ascii();
            assert_eq!(
                (found.subject.as_str(), &found.attachments[..]),
                ("s", &[text.to_owned()][..]),
                "{shown}"
            );
        }
    }
}

#[test]
fn names_of_attachments_are_read_in_every_charset_and_form() {
    for sample in samples() {
        for part in named_parts(&sample) {
            assert_named(&part, &sample.text);
        }
    }
}

#[test]
fn raw_names_of_attachments_are_read_in_the_charset_that_the_message_names() {
    for Sample { label, text, bytes, .. } in raw_samples() {
        for parameter in ["Content-Disposition: attachment; filename=\"", "Content-Type: x/y; name=\""] {
            let own = format!("Content-Type: text/plain; charset={label}\r\n\r\nx\r\n--b\r\n");
            assert_named(&[own.as_bytes(), parameter.as_bytes(), &bytes, b"\"\r\n"].concat(), &text);
        }
    }
}

#[test]
fn names_that_are_continued_in_odd_ways() {
    for (parameters, name) in [
        ("filename*0=\"a b\"; filename*1=\"c.pdf\"", "a bc.pdf"),
        ("filename*0*=utf-8''%C3; filename*1*=%A4; filename*2=\"%20.pdf\"", "ä%20.pdf"),
        ("filename*0=\"a\\\"b;\"; filename*1=.pdf", "a\"b;.pdf"),
        ("filename*0*=no-such-charset''%C3%A4; filename*1*=%E4", "Ã¤ä"),
        ("filename*0*=''%C3%A4; filename*1*=.pdf", "ä.pdf"),
        ("filename*0*=utf-8''a%2; filename*1*=%zz.pdf", "a%2%zz.pdf"),
        ("filename*0=a; filename*2=b", "a"),
        ("filename=plain; filename*=utf-8''%C3%A4", "ä"),
        ("filename*=\"iso-8859-7''%AA\"; size=1", "ͺ"),
        ("filename*=plain; filename=other", "plain"),
    ] {
        assert_named(format!("Content-Disposition: attachment; {parameters}\r\n").as_bytes(), name);
    }
}

/// The standard reads charsets that were used to smuggle text past filters as one sign that something stood there.
#[test]
fn what_decodes_nothing_is_a_sign_and_no_text() {
    for (label, _) in labels().filter(|(_, charset)| *charset == REPLACEMENT) {
        let subject =
            EnvelopeScanner::scan(format!("Subject: =?{label}?Q?=1B$)Cabc?=\r\n\r\n").as_bytes()).subject;
        assert_eq!(subject, "\u{fffd}", "{label}");
    }
}
