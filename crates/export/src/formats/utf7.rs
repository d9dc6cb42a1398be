//! Modified UTF-7 (RFC 3501 §5.1.3), the encoding of folder names in a Maildir.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Printable ASCII stays, `&` becomes `&-`, all else is UTF-16 in base64 between `&` and `-`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    let mut shifted = Vec::new();
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            shift(&mut shifted, &mut encoded);
            encoded.push(c);
            encoded.extend((c == '&').then_some('-'));
        } else {
            let mut units = [0; 2];
            shifted.extend(c.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    shift(&mut shifted, &mut encoded);
    encoded
}

fn shift(bytes: &mut Vec<u8>, encoded: &mut String) {
    if bytes.is_empty() {
        return;
    }
    encoded.push('&');
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            let value = (bits >> (18 - 6 * digit)) & 63;
            encoded.push(char::from(ALPHABET[value as usize]));
        }
    }
    encoded.push('-');
    bytes.clear();
}

/// The text that `encode` was given; `None` for what `encode` never writes.
pub(crate) fn decode(encoded: &str) -> Option<String> {
    let mut text = String::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((plain, shifted)) = rest.split_once('&') {
        text.push_str(plain);
        let (digits, after) = shifted.split_once('-')?;
        if digits.is_empty() {
            text.push('&');
        } else {
            text.push_str(&unshift(digits)?);
        }
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

fn unshift(digits: &str) -> Option<String> {
    let mut bits = 0_u32;
    let mut held = 0;
    let mut bytes = Vec::new();
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        bits = ((bits << 6) | u32::try_from(value).ok()?) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).collect::<Result<String, _>>().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_rfc_and_others() {
        for (text, encoded) in [
            ("INBOX", "INBOX"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("A & B", "A &- B"),
            ("😀", "&2D3eAA-"),
            ("a\0b", "a&AAA-b"),
        ] {
            assert_eq!(encode(text), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(text));
        }
        for wrong in ["&", "&AAA", "&2D0-", "&!-"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_as_printable_ascii(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(decode(&encoded), Some(text));
        }
    }
}
