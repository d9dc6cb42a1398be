//! Secrets and addresses in what a program wrote.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

/// Shorter ones are found by chance.
const SHORTEST: usize = 6;

/// Those of the secrets that the output holds: as they are in any case, or as base64, hexadecimal or percent-encoded.
pub fn leaks<'a>(output: &[u8], secrets: &[&'a str]) -> Vec<&'a str> {
    let folded = output.to_ascii_lowercase();
    let leaks = |secret: &&&str| {
        assert!(secret.len() >= SHORTEST, "{secret:?} is too short to be looked for");
        holds(&folded, secret.to_ascii_lowercase().as_bytes())
            || holds(&folded, hexadecimal(secret).as_bytes())
            || holds(&folded, percent_encoded(secret).as_bytes())
            || base64(secret).iter().any(|encoded| holds(output, encoded.as_bytes()))
    };
    secrets.iter().filter(leaks).copied().collect()
}

fn holds(output: &[u8], needle: &[u8]) -> bool {
    memmem::find(output, needle).is_some()
}

fn hexadecimal(secret: &str) -> String {
    secret.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn percent_encoded(secret: &str) -> String {
    let encoded = secret.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    });
    encoded.collect::<String>().to_ascii_lowercase()
}

/// The part that is the same whatever stands around it, for each of the three places in a group of four.
fn base64(secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for before in 0..3 {
        let padded = [&[0; 3][..before], secret.as_bytes()].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&padded);
            // Characters that hold bits of a neighbour are left out.
            let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            found.push(encoded[first..last].to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "alice.b@example.org";

    fn check(output: &str, expected: &[&str]) {
        assert_eq!(leaks(output.as_bytes(), &[ADDRESS, "correct horse"]), expected, "{output}");
    }

    #[test]
    fn secrets_are_found_however_they_are_written() {
        check("mailbox 7 on mail.example.org", &[]);
        check("for <Alice.B@Example.org>", &[ADDRESS]);
        check("?user=alice.b%40example.org", &[ADDRESS]);
        check("616c6963652E62406578616d706C652e6f7267", &[ADDRESS]);
        for around in ["", "x", "xy", "xyz"] {
            let basic = STANDARD_NO_PAD.encode(format!("{around}{ADDRESS}:correct horse{around}"));
            check(&format!("Authorization: Basic {basic}"), &[ADDRESS, "correct horse"]);
        }
    }
}
