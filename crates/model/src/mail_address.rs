//! Addresses of domains that are written in other letters than ASCII (RFC 5890): `bücher.example` is `xn--bcher-kva.example`.

/// Returns an address as mail servers store it: lower case, its domain in ASCII. A text without a domain, or with an
/// invalid one, is lower-cased alone.
pub fn to_ascii(address: &str) -> String {
    with_ascii_domain(&address.to_lowercase())
}

/// Returns an address or another name of an account with its domain, if it has one, as mail servers store it.
pub fn with_ascii_domain(name: &str) -> String {
    match name.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain_to_ascii(domain)),
        None => name.to_owned(),
    }
}

/// Returns a domain as mail servers store it; `*.` before it stays.
pub fn domain_to_ascii(domain: &str) -> String {
    let lower = domain.to_lowercase();
    let (wildcard, plain) = lower.strip_prefix("*.").map_or(("", lower.as_str()), |rest| ("*.", rest));
    match idna::domain_to_ascii(plain) {
        Ok(ascii) if !ascii.is_empty() => format!("{wildcard}{ascii}"),
        _ => lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_address() {
        let check = |written: &str, stored: &str| {
            assert_eq!(to_ascii(written), stored);
            assert_eq!(to_ascii(stored), stored, "twice is once");
        };
        check("Ann@Bücher.example", "ann@xn--bcher-kva.example");
        check("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example");
        check("Ann@Example.ORG", "ann@example.org");
        check("müller@例え.テスト", "müller@xn--r8jz45g.xn--zckzah");
        check("alice", "alice");
        check("a@", "a@");
        check("a@not a domain", "a@not a domain");
        assert_eq!(domain_to_ascii("*.Bücher.example"), "*.xn--bcher-kva.example");
    }
}
