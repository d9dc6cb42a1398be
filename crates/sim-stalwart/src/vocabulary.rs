//! Filler that behaves like what mail is made of: prose that compresses, base64 that hardly does, noise that
//! does not at all. Every filler writes exactly the number of bytes it was asked for.

use std::sync::LazyLock;

use crate::rng::{Rng, mix};

/// The letters and line ends of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// 7-bit.
    Ascii,
    /// Accents as UTF-8.
    Utf8,
    /// Accents as single bytes: not valid UTF-8.
    Latin1,
    /// 7-bit with the bare LF that a mail must not have.
    BareLf,
}

const TOKEN: usize = 16;
const LINE: usize = 70;
const SLOTS: usize = 4096;

#[derive(Clone, Copy)]
struct Token {
    bytes: [u8; TOKEN],
    len: u8,
}

struct Vocabulary {
    tokens: Vec<Token>,
    /// Frequent words fill many slots, rare ones one: a cheap Zipf distribution.
    slots: Vec<u16>,
}

const COMMON: &str = "the of and to a in is that for it you was on with be as at this have from we are not by \
    or I your can will if our please one all would there they their what about which when new more up do my \
    out time no just de la le et les des en un une du pour que dans est vous nous sur pas par avec plus au \
    bonjour merci cordialement message meeting attached regards invoice order project update tomorrow week \
    report version server account number address question answer customer price delivery monday friday list \
    réunion équipe été déjà très facture commande semaine fichier joint rendez-vous question réponse client";

const SYLLABLES: [&str; 40] = [
    "an", "ar", "ba", "be", "ca", "ce", "co", "da", "de", "di", "el", "en", "er", "es", "fa", "fi", "ga",
    "ge", "in", "is", "la", "le", "li", "lo", "ma", "me", "mi", "na", "ne", "on", "or", "pa", "pro", "ra",
    "re", "ri", "sa", "ta", "ti", "tion",
];

fn words() -> Vec<String> {
    let mut rng = Rng::new(0x0c0b);
    let mut words: Vec<String> = COMMON.split_whitespace().map(str::to_owned).collect();
    while words.len() < 2000 {
        let word: String = (0..2 + rng.below(3)).map(|_| *rng.pick(&SYLLABLES)).collect();
        let ending = if rng.chance(80) { "," } else { "" };
        words.push(format!("{word}{ending}"));
    }
    words
}

fn encode(word: &str, flavour: Flavour) -> Vec<u8> {
    let letter = |letter: char| match (flavour, letter) {
        (Flavour::Utf8, letter) => letter.to_string().into_bytes(),
        (_, letter) if letter.is_ascii() => letter.to_string().into_bytes(),
        (Flavour::Latin1, letter) => vec![u8::try_from(u32::from(letter)).unwrap_or(b'?')],
        _ => vec![b'e'],
    };
    word.chars().flat_map(letter).chain([b' ']).collect()
}

impl Vocabulary {
    fn new(flavour: Flavour) -> Self {
        let tokens: Vec<Token> = words().iter().map(|word| token(&encode(word, flavour))).collect();
        let mut slots = Vec::with_capacity(SLOTS);
        for (rank, word) in (0u16..).zip(&tokens) {
            let share = 1 + 420 / (usize::from(rank) + 4) * usize::from(word.len > 0);
            slots.extend(std::iter::repeat_n(rank, share));
        }
        let mut rng = Rng::new(3);
        while slots.len() < SLOTS {
            slots.push(u16::try_from(rng.index(tokens.len())).unwrap_or(0));
        }
        slots.truncate(SLOTS);
        Self { tokens, slots }
    }

    fn of(flavour: Flavour) -> &'static Self {
        static ASCII: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::new(Flavour::Ascii));
        static UTF8: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::new(Flavour::Utf8));
        static LATIN1: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::new(Flavour::Latin1));
        match flavour {
            Flavour::Ascii | Flavour::BareLf => &ASCII,
            Flavour::Utf8 => &UTF8,
            Flavour::Latin1 => &LATIN1,
        }
    }
}

fn token(encoded: &[u8]) -> Token {
    let len = encoded.len().min(TOKEN);
    let mut bytes = [b' '; TOKEN];
    bytes[..len].copy_from_slice(&encoded[..len]);
    Token { bytes, len: u8::try_from(len).unwrap_or(0) }
}

/// Some words as one phrase of 7-bit letters, for subjects and names of files.
pub(crate) fn phrase(rng: &mut Rng, count: u32) -> String {
    let vocabulary = Vocabulary::of(Flavour::Ascii);
    let word = |rng: &mut Rng| {
        let token = &vocabulary.tokens[usize::from(vocabulary.slots[rng.index(SLOTS)])];
        token.bytes[..usize::from(token.len)].iter().map(|byte| char::from(*byte)).collect::<String>()
    };
    let words: String = (0..count).map(|_| word(rng)).collect();
    words.trim_end_matches([' ', ',']).to_owned()
}

/// Appends `len` bytes of prose in lines of about 70 letters, the last one ended.
pub(crate) fn text(seed: u64, flavour: Flavour, len: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + len, b'.');
    let buffer = &mut out[start..];
    let vocabulary = Vocabulary::of(flavour);
    let (mut rng, mut bits, mut left) = (Rng::new(seed), 0, 0);
    let (mut at, mut line_end) = (0, LINE);
    while at + TOKEN + 3 <= len {
        if left == 0 {
            (bits, left) = (rng.next(), 5);
        }
        let token = &vocabulary.tokens[usize::from(vocabulary.slots[(bits & 4095) as usize])];
        (bits, left) = (bits >> 12, left - 1);
        buffer[at..at + TOKEN].copy_from_slice(&token.bytes);
        at += usize::from(token.len);
        if at >= line_end {
            at = end_line(buffer, at, flavour);
            line_end = at + LINE;
        }
    }
    buffer[at..].fill(b'.');
    if len >= 2 {
        end_line(buffer, len - 1, flavour);
    }
}

/// Ends a line after `at` - 1 letters (the last one, a blank, makes room) and says where the next begins.
fn end_line(buffer: &mut [u8], at: usize, flavour: Flavour) -> usize {
    if flavour == Flavour::BareLf {
        buffer[at - 1] = b'\n';
        return at;
    }
    buffer[at - 1] = b'\r';
    buffer[at] = b'\n';
    at + 1
}

/// One line of base64 with its CRLF.
pub(crate) const BASE64_LINE: usize = 78;

/// Appends `len` bytes of base64 that decodes to random bytes, as a photograph would; `len` in whole lines.
pub(crate) fn base64(seed: u64, len: usize, out: &mut Vec<u8>) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static PAIRS: LazyLock<Vec<[u8; 2]>> = LazyLock::new(|| {
        LETTERS.iter().flat_map(|first| LETTERS.iter().map(|second| [*first, *second])).collect()
    });
    let (start, pairs) = (out.len(), &*PAIRS);
    out.resize(start + len, b'A');
    let mut rng = Rng::new(seed);
    for line in out[start..].chunks_mut(BASE64_LINE) {
        let letters = line.len().saturating_sub(2);
        let (body, end) = line.split_at_mut(letters);
        for group in body.chunks_mut(10) {
            let mut bits = rng.next();
            for pair in group.chunks_exact_mut(2) {
                pair.copy_from_slice(&pairs[(bits & 4095) as usize]);
                bits >>= 12;
            }
        }
        end.copy_from_slice(&b"\r\n"[..end.len()]);
    }
}

/// Appends `len` random bytes, NUL and all.
pub(crate) fn noise(seed: u64, len: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + len, 0);
    let mut rng = Rng::new(mix(seed, 9));
    for chunk in out[start..].chunks_mut(8) {
        chunk.copy_from_slice(&rng.next().to_le_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillers_are_exact_and_repeatable() {
        for len in [0, 1, 2, 17, 18, 19, 100, 5000] {
            for flavour in [Flavour::Ascii, Flavour::Utf8, Flavour::Latin1, Flavour::BareLf] {
                let (mut first, mut second) = (Vec::new(), Vec::new());
                text(5, flavour, len, &mut first);
                text(5, flavour, len, &mut second);
                assert_eq!((first.len(), &first), (len, &second));
            }
        }
    }

    #[test]
    fn flavours_are_what_they_say() {
        let valid = |flavour| {
            let mut out = Vec::new();
            text(1, flavour, 20_000, &mut out);
            (out.is_ascii(), std::str::from_utf8(&out).is_ok())
        };
        assert_eq!(valid(Flavour::Ascii), (true, true));
        assert_eq!(valid(Flavour::Utf8), (false, true));
        assert_eq!(valid(Flavour::Latin1), (false, false));
    }

    #[test]
    fn attachments_decode() {
        use ::base64::{Engine as _, engine::general_purpose::STANDARD};
        let mut out = Vec::new();
        base64(1, BASE64_LINE * 3, &mut out);
        let letters: Vec<u8> = out.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        assert_eq!(STANDARD.decode(letters).unwrap().len(), 57 * 3);
    }
}
