//! Paths: the root, an account's home, a collection, a resource.

use crate::account::Account;
use crate::dialect::Dialect;
use crate::resources::Resource;

/// What a path names; the names are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    Home {
        account: String,
    },
    Collection {
        account: String,
        collection: String,
    },
    Resource {
        account: String,
        collection: String,
        name: String,
    },
    /// Too deep, outside, or not decodable.
    Nowhere,
}

impl Place {
    /// Reads a path or a URL; a slash at the end does not matter.
    pub(super) fn parse(dialect: Dialect, path: &str) -> Self {
        let path = match path.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => path,
        };
        let Some(rest) = path.strip_prefix(dialect.root()) else { return Self::Nowhere };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Self::Nowhere;
        }
        let steps: Option<Vec<String>> = rest.trim_matches('/').split('/').map(decoded).collect();
        match steps.as_deref() {
            Some([account]) if account.is_empty() => Self::Root,
            Some([account]) => Self::Home { account: account.clone() },
            Some([account, collection]) => {
                Self::Collection { account: account.clone(), collection: collection.clone() }
            }
            Some([account, collection, name]) => {
                let (account, collection) = (account.clone(), collection.clone());
                Self::Resource { account, collection, name: name.clone() }
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
pub(super) fn home(dialect: Dialect, account: &str) -> String {
    format!("{}/{}/", dialect.root(), encoded(account))
}

/// The path of a user among all users.
pub(super) fn principal(user: &str) -> String {
    format!("/dav/pal/{}/", encoded(user))
}

/// The path of a collection.
pub(super) fn collection(dialect: Dialect, account: &str, collection: &str) -> String {
    format!("{}{}/", home(dialect, account), encoded(collection))
}

/// The path of a resource.
pub(crate) fn href(dialect: Dialect, name: &str, account: &Account, resource: &Resource) -> String {
    let name_in_paths = account.collection_name(dialect, &resource.collection);
    format!("{}{}", collection(dialect, name, &name_in_paths), encoded(&resource.name))
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
            collection: "default".to_owned(),
            name: name.to_owned(),
        };
        let parse = |path| Place::parse(Dialect::CalDav, path);
        assert_eq!(parse("/dav/cal"), Place::Root);
        assert_eq!(parse("/dav/cal/"), Place::Root);
        assert_eq!(parse("/dav/cal/a@b/"), Place::Home { account: "a@b".to_owned() });
        assert_eq!(parse("/dav/cal/alice%40example.org/default/x.ics"), resource("x.ics"));
        assert_eq!(parse("http://h/dav/cal/alice@example.org/default/%C3%A9%2f"), resource("é/"));
        assert_eq!(parse("/dav/cal/a/b/c/d"), Place::Nowhere);
        assert_eq!(parse("/dav/card/a@b/"), Place::Nowhere);
        assert_eq!(
            Place::parse(Dialect::CardDav, "/dav/card/a@b/"),
            Place::Home { account: "a@b".to_owned() }
        );
        assert_eq!(parse("/foo"), Place::Nowhere);
        assert_eq!(encoded("é /x.ics"), "%C3%A9%20%2Fx.ics");
    }
}
