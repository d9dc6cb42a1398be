//! The master-key ring: a small text file that people keep safe.

use std::fmt::Write as _;
use std::str::FromStr;

use blake3::{Hasher, derive_key, keyed_hash};
use model::MailboxIdentity;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};
use crate::sealing::seal::Secret;
use crate::storage::layout::{MailboxDir, hex, unhex};

const TITLE: &str = "malle key ring, format 1";
const MAX_KEYS: usize = 64;
const FINGERPRINT_CONTEXT: &str = "malle key ring format 1: fingerprint of a secret";
const CHECK_CONTEXT: &str = "malle key ring format 1: check line";

/// Master keys, the current one first, and the secret that names mailboxes' directories.
#[derive(Debug, Clone)]
pub struct KeyRing {
    naming: Secret,
    masters: Vec<Secret>,
}

impl KeyRing {
    /// A new ring with one master key, from the operating system's random generator.
    pub fn generate() -> KeyRing {
        KeyRing { naming: Secret::random(), masters: vec![Secret::random()] }
    }

    /// The same ring with a new current master key; the older ones still open what they wrapped.
    #[must_use]
    pub fn rotated(&self) -> KeyRing {
        let masters = std::iter::once(Secret::random()).chain(self.masters.iter().cloned()).collect();
        KeyRing { naming: self.naming.clone(), masters }
    }

    /// The key that wraps from now on.
    pub fn current(&self) -> &Secret {
        &self.masters[0]
    }

    /// All master keys, the current one first.
    pub fn masters(&self) -> &[Secret] {
        &self.masters
    }

    /// Ids of the master keys, for people; they tell nothing about the keys.
    pub fn ids(&self) -> Vec<String> {
        self.masters.iter().map(|key| hex(&key.id())).collect()
    }

    /// The directory of a mailbox: a keyed hash of who it is, so that nobody can tell mailboxes from names.
    pub fn directory(&self, mailbox: &MailboxIdentity) -> MailboxDir {
        let who = [
            mailbox.server.as_bytes(),
            mailbox.account.as_str().as_bytes(),
            &mailbox.incarnation.to_be_bytes(),
        ];
        let mut message = Vec::new();
        for part in who {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part);
        }
        let hash = keyed_hash(self.naming.bytes(), &message);
        let mut dir = [0; 16];
        dir.copy_from_slice(&hash.as_bytes()[..16]);
        MailboxDir(dir)
    }

    /// Returns 16 hex digits that name another secret: equal for equal ones under rings of one origin, and of no help to anyone
    /// without the ring who wants to guess the secret.
    pub fn fingerprint(&self, secret: &[u8]) -> String {
        let key = Zeroizing::new(derive_key(FINGERPRINT_CONTEXT, self.naming.bytes()));
        hex(&keyed_hash(&key, secret).as_bytes()[..8])
    }

    /// The file's text. It is the secret itself.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = String::with_capacity(1024 + 96 * self.masters.len());
        let _ = writeln!(text, "{TITLE}");
        let _ = writeln!(
            text,
            "# Keep this file safe and apart from the backups. Without it no backup can be read, ever."
        );
        for (word, key) in
            std::iter::once(("naming", &self.naming)).chain(self.masters.iter().map(|k| ("master", k)))
        {
            let secret = Zeroizing::new(hex(key.bytes()));
            let _ = writeln!(text, "{word} {}", secret.as_str());
        }
        let _ = writeln!(text, "check {}", hex(&self.check()));
        Zeroizing::new(text)
    }

    /// Without it a wrong digit would be another key: a mistyped naming key would show an empty store, and fill it.
    fn check(&self) -> [u8; 8] {
        let mut hasher = Hasher::new_derive_key(CHECK_CONTEXT);
        for key in std::iter::once(&self.naming).chain(&self.masters) {
            hasher.update(key.bytes());
        }
        let mut check = [0; 8];
        hasher.finalize_xof().fill(&mut check);
        check
    }
}

impl FromStr for KeyRing {
    type Err = Error;

    fn from_str(text: &str) -> Result<KeyRing> {
        let mut lines = text.lines().map(str::trim).enumerate();
        if lines.next().map(|(_, title)| title) != Some(TITLE) {
            return Err(bad("its first line is not that of a key ring; make one with `malle key new`"));
        }
        let (mut naming, mut masters, mut check) = (None, Vec::new(), None);
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            if let (Some(digits), None) = (line.strip_prefix("check "), check) {
                check = Some(digits.trim());
                continue;
            }
            match parse_key(line) {
                Some(("naming", key)) if naming.is_none() => naming = Some(key),
                Some(("master", key)) if masters.len() < MAX_KEYS => masters.push(key),
                _ => {
                    return Err(bad(&format!(
                        "line {} is not `naming` or `master` and 64 hex digits",
                        number + 1
                    )));
                }
            }
        }
        let (Some(naming), Some(check), false) = (naming, check, masters.is_empty()) else {
            return Err(bad(
                "it is cut off: a ring has one `naming` line, at least one `master` line and one `check` line",
            ));
        };
        let ring = KeyRing { naming, masters };
        if hex(&ring.check()) != check {
            return Err(bad(
                "its keys do not match its `check` line: a digit or a line is wrong; take another copy of the file",
            ));
        }
        Ok(ring)
    }
}

fn parse_key(line: &str) -> Option<(&str, Secret)> {
    let (word, digits) = line.split_once(' ')?;
    let mut bytes = unhex::<32>(digits.trim())?;
    let key = Secret::from_bytes(bytes);
    bytes.zeroize();
    Some((word, key))
}

fn bad(what: &str) -> Error {
    Error::BadRing { what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use model::AccountId;

    use super::*;

    fn who(server: &str, account: &str, incarnation: u32) -> MailboxIdentity {
        MailboxIdentity { server: server.to_owned(), account: AccountId::from(account), incarnation }
    }

    #[test]
    fn a_ring_comes_back_from_its_text() {
        let ring = KeyRing::generate().rotated();
        let back: KeyRing = ring.to_text().parse().expect("parses");
        assert_eq!(back.ids(), ring.ids());
        let mailbox = who("s", "a", 0);
        assert_eq!(back.directory(&mailbox), ring.directory(&mailbox));
    }

    #[test]
    fn rotating_keeps_directories_and_old_keys() {
        let old = KeyRing::generate();
        let new = old.rotated();
        assert_eq!(new.ids()[1], old.ids()[0]);
        assert_eq!(new.directory(&who("s", "a", 0)), old.directory(&who("s", "a", 0)));
    }

    #[test]
    fn fingerprints_are_of_the_secret_and_of_the_ring() {
        let ring = KeyRing::generate();
        assert_eq!(ring.fingerprint(b"one"), ring.rotated().fingerprint(b"one"));
        assert_ne!(ring.fingerprint(b"one"), ring.fingerprint(b"two"));
        assert_ne!(ring.fingerprint(b"one"), KeyRing::generate().fingerprint(b"one"));
    }

    #[test]
    fn directories_differ_wherever_the_mailbox_does() {
        let ring = KeyRing::generate();
        let dirs = [who("s", "a", 0), who("s", "a", 1), who("sa", "", 0), who("", "sa", 0), who("s", "b", 0)]
            .map(|m| ring.directory(&m).to_string());
        let unique: std::collections::BTreeSet<_> = dirs.iter().collect();
        assert_eq!(unique.len(), dirs.len());
    }

    #[test]
    fn one_wrong_digit_anywhere_is_noticed() {
        let text = KeyRing::generate().rotated().to_text();
        for (at, digit) in text.char_indices().filter(|(_, c)| c.is_ascii_hexdigit()) {
            let other = if digit == '0' { "1" } else { "0" };
            let mut wrong = text.as_str().to_owned();
            wrong.replace_range(at..=at, other);
            let comment = text[..at].rsplit('\n').next().is_some_and(|line| line.starts_with('#'));
            assert_eq!(wrong.parse::<KeyRing>().is_ok(), comment, "digit at {at}");
        }
    }

    #[test]
    fn damaged_files_are_refused_without_telling_the_key() {
        let text = KeyRing::generate().to_text();
        let secret =
            text.lines().nth(3).expect("has a master").split(' ').next_back().expect("has a key").to_owned();
        let cut = &text[..text.len() - 3];
        let twice = format!("{}{}", text.as_str(), text.lines().nth(2).expect("naming"));
        for damaged in ["", "hello", cut, &twice, text.lines().next().expect("title")] {
            let error = damaged.parse::<KeyRing>().expect_err("is refused").to_string();
            assert!(!error.contains(&secret[..8]), "{error}");
        }
    }
}
