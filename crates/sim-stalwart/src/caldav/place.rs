//! Paths of CalDAV: the root, an account's home, a calendar's collection, a resource.

use crate::account::Account;
use crate::resources::Resource;

/// The collection of all homes, without its slash.
pub(super) const ROOT: &str = "/dav/cal";

/// What a path names; the names are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    Home {
        account: String,
    },
    Collection {
        account: String,
        calendar: String,
    },
    Resource {
        account: String,
        calendar: String,
        name: String,
    },
    /// Too deep, outside, or not decodable.
    Nowhere,
}

impl Place {
    /// Reads a path or a URL; a slash at the end does not matter.
    pub(super) fn parse(path: &str) -> Self {
        let path = match path.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => path,
        };
        let Some(rest) = path.strip_prefix(ROOT) else { return Self::Nowhere };
        let steps: Option<Vec<String>> = rest.trim_matches('/').split('/').map(decoded).collect();
        match steps.as_deref() {
            Some([account]) if account.is_empty() => Self::Root,
            Some([account]) => Self::Home { account: account.clone() },
            Some([account, calendar]) => {
                Self::Collection { account: account.clone(), calendar: calendar.clone() }
            }
            Some([account, calendar, name]) => {
                let (account, calendar) = (account.clone(), calendar.clone());
                Self::Resource { account, calendar, name: name.clone() }
            }
            _ => Self::Nowhere,
        }
    }

    /// The name of the account that the place belongs to.
    pub(super) fn account(&self) -> Option<&str> {
        match self {
            Self::Home { account } | Self::Collection { account, .. } | Self::Resource { account, .. } => {
                Some(account)
            }
            Self::Root | Self::Nowhere => None,
        }
    }
}

/// The path of an account's home.
pub(super) fn home(account: &str) -> String {
    format!("{ROOT}/{}/", encoded(account))
}

/// The path of a calendar.
pub(super) fn collection(account: &str, calendar: &str) -> String {
    format!("{}{}/", home(account), encoded(calendar))
}

/// The path of a resource.
pub(crate) fn href(name: &str, account: &Account, resource: &Resource) -> String {
    let calendar = account.collection_name(&resource.calendar);
    format!("{}{}", collection(name, &calendar), encoded(&resource.name))
}

fn encoded(step: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let letter = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    step.bytes().map(letter).collect()
}

fn decoded(step: &str) -> Option<String> {
    let mut bytes = step.bytes();
    let mut out = Vec::with_capacity(step.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_they_are_written() {
        let resource = |name: &str| Place::Resource {
            account: "alice@example.org".to_owned(),
            calendar: "default".to_owned(),
            name: name.to_owned(),
        };
        assert_eq!(Place::parse("/dav/cal"), Place::Root);
        assert_eq!(Place::parse("/dav/cal/"), Place::Root);
        assert_eq!(Place::parse("/dav/cal/a@b/"), Place::Home { account: "a@b".to_owned() });
        assert_eq!(Place::parse("/dav/cal/alice%40example.org/default/x.ics"), resource("x.ics"));
        assert_eq!(Place::parse("http://h/dav/cal/alice@example.org/default/%C3%A9%2f"), resource("é/"));
        assert_eq!(Place::parse("/dav/cal/a/b/c/d"), Place::Nowhere);
        assert_eq!(Place::parse("/foo"), Place::Nowhere);
        assert_eq!(encoded("é /x.ics"), "%C3%A9%20%2Fx.ics");
    }
}
