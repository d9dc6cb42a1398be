//! The session's URLs: resolved, kept on the called origin, filled in.

use std::fmt;
use std::fmt::Write;

use url::Url;

use crate::error::Error;

/// Something that works and that an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The session names another origin than the one called. Its path is used on the called origin, because a public
    /// URL behind a proxy is the usual reason, and because credentials stay with the origin they were given for.
    ForeignUrl {
        /// `apiUrl` or `downloadUrl`.
        which: &'static str,
        /// The origin the server named.
        origin: String,
    },
    /// Credentials travel unencrypted to a host that is not this machine.
    PlainHttp,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignUrl { which, origin } => {
                write!(
                    f,
                    "the server's {which} points to {origin}; its path is used on the address that was called"
                )
            }
            Self::PlainHttp => f.write_str("credentials and mail travel unencrypted (http, not https)"),
        }
    }
}

/// Scheme, host and port of a URL as people write them.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Splits a URL or template into the origin it names, if it names one, and the rest.
fn split_origin(text: &str) -> (Option<&str>, &str) {
    let host_at = match text.find("://") {
        Some(at) if text[..at].bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => at + 3,
        _ if text.starts_with("//") => 2,
        _ => return (None, text),
    };
    let end = text[host_at..].find(['/', '?', '#']).map_or(text.len(), |at| host_at + at);
    (Some(&text[..end]), &text[end..])
}

/// The called origin's version of a session URL, and the foreign origin it named, if any.
fn adopt(text: &str, session_url: &Url, which: &'static str) -> (String, Option<Warning>) {
    let (named, rest) = split_origin(text);
    let Some(named) = named else {
        return (rest.to_owned(), None);
    };
    let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let named_origin = session_url.join(named).ok().map(|url| url.origin());
    if named_origin.as_ref() == Some(&session_url.origin()) {
        return (rest, None);
    }
    let origin = named_origin.map_or_else(|| "nowhere".into(), |origin| origin.ascii_serialization());
    (rest, Some(Warning::ForeignUrl { which, origin }))
}

/// Where requests go, after resolving `apiUrl` against the session's own URL.
pub(crate) fn api_url(text: &str, session_url: &Url) -> Result<(Url, Option<Warning>), Error> {
    let (path, warning) = adopt(text, session_url, "apiUrl");
    let url = join(session_url, &path)?;
    Ok((url, warning))
}

/// Joins and makes sure that the result is still on the origin: `\\evil` and the like count as hosts to URL parsers.
fn join(base: &Url, path: &str) -> Result<Url, Error> {
    match base.join(path) {
        Ok(url) if url.origin() == base.origin() => Ok(url),
        _ => Err(Error::Malformed { what: "session object", why: "a URL that cannot be used".into() }),
    }
}

/// A URL template of RFC 6570 level 1, resolved against the session's URL.
#[derive(Debug, Clone)]
pub struct UrlTemplate {
    base: Url,
    template: String,
}

impl UrlTemplate {
    /// Takes a session's `downloadUrl`, which must name `{blobId}`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn download(text: &str, session_url: &Url) -> Result<(Self, Option<Warning>), Error> {
        Self::new(text, session_url, "downloadUrl", "{blobId}")
    }

    /// Takes a session's `uploadUrl`, which must name `{accountId}`.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn upload(text: &str, session_url: &Url) -> Result<Self, Error> {
        Self::new(text, session_url, "uploadUrl", "{accountId}").map(|(template, _)| template)
    }

    fn new(
        text: &str,
        session_url: &Url,
        which: &'static str,
        variable: &str,
    ) -> Result<(Self, Option<Warning>), Error> {
        let (template, warning) = adopt(text, session_url, which);
        if !template.contains(variable) {
            let why = format!("{which} without {variable}");
            return Err(Error::Malformed { what: "session object", why });
        }
        let template = Self { base: session_url.clone(), template };
        template.expand(&[("accountId", "a"), ("blobId", "b"), ("name", "n"), ("type", "t")])?;
        Ok((template, warning))
    }

    /// Fills in the values, percent-encoded; a variable without a value becomes empty (RFC 6570 section 3.2.1).
    ///
    /// # Errors
    /// [`Error::Malformed`] when the result leaves the origin, [`Error::InvalidId`] for a value such as `..` that URL
    /// parsers take for a path step.
    pub fn expand(&self, values: &[(&str, &str)]) -> Result<Url, Error> {
        let mut url = String::with_capacity(self.template.len() + 64);
        let mut rest = self.template.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            url.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                return Err(Error::Malformed {
                    what: "session object",
                    why: "URL template without end".into(),
                });
            };
            let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
            if matches!(value, "." | "..") {
                return Err(crate::methods::ids::InvalidId.into());
            }
            encode(value, &mut url);
            rest = after;
        }
        url.push_str(rest);
        join(&self.base, &url)
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            write!(into, "%{byte:02X}").expect("writing into a string");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Url {
        Url::parse("https://mail.example.org/jmap/session").unwrap()
    }

    fn check_api(text: &str, resolved: Option<&str>, foreign: Option<&str>) {
        let result = api_url(text, &base());
        assert_eq!(result.as_ref().ok().map(|(url, _)| url.as_str()), resolved, "{text}");
        let warned = result.ok().and_then(|(_, warning)| match warning {
            Some(Warning::ForeignUrl { origin, .. }) => Some(origin),
            _ => None,
        });
        assert_eq!(warned.as_deref(), foreign, "{text}");
    }

    #[test]
    fn api_urls_stay_on_the_called_origin() {
        let here = Some("https://mail.example.org/jmap/");
        check_api("https://mail.example.org/jmap/", here, None);
        check_api("https://mail.example.org:443/jmap/", here, None);
        check_api("HTTPS://MAIL.example.org/jmap/", here, None);
        check_api("/jmap/", here, None);
        check_api("./", here, None);
        check_api("//mail.example.org/jmap/", here, None);
        check_api("https://mail.example.com/jmap/", here, Some("https://mail.example.com"));
        check_api("http://mail.example.org/jmap/", here, Some("http://mail.example.org"));
        check_api("https://[nonsense/jmap/", here, Some("nowhere"));
        check_api("https://other.org", Some("https://mail.example.org/"), Some("https://other.org"));
        check_api("\\\\evil.org/jmap", None, None);
        check_api("javascript:alert(1)", None, None);
    }

    fn expand(template: &str, blob: &str, name: &str) -> Option<String> {
        let (template, _) = UrlTemplate::download(template, &base()).ok()?;
        let values = [("accountId", "c"), ("blobId", blob), ("name", name), ("type", "message/rfc822")];
        template.expand(&values).ok().map(String::from)
    }

    #[test]
    fn templates_are_filled_in_and_encoded() {
        let stalwart = "https://other.org/jmap/download/{accountId}/{blobId}/{name}?accept={type}";
        assert_eq!(
            expand(stalwart, "b1", "a b/c.eml").as_deref(),
            Some("https://mail.example.org/jmap/download/c/b1/a%20b%2Fc.eml?accept=message%2Frfc822")
        );
        assert_eq!(
            expand("/d/{blobId}{unknown}", "é", "").as_deref(),
            Some("https://mail.example.org/d/%C3%A9")
        );
        assert_eq!(expand("/d/{blobId}/x", "..", ""), None);
        assert_eq!(expand("/d/{accountId}", "b", ""), None);
        assert_eq!(expand("/d/{blobId}/{", "b", ""), None);
    }

    proptest! {
        #[test]
        fn values_never_change_a_urls_shape(blob in "\\PC{1,40}", name in "\\PC{0,40}") {
            prop_assume!(!matches!(blob.as_str(), "." | "..") && !matches!(name.as_str(), "." | ".."));
            let url = expand("/d/{accountId}/{blobId}/{name}?accept={type}", &blob, &name).unwrap();
            let url = Url::parse(&url).unwrap();
            prop_assert_eq!(origin(&url), "https://mail.example.org");
            prop_assert_eq!(url.path_segments().unwrap().count(), 4);
            prop_assert_eq!(url.query(), Some("accept=message%2Frfc822"));
            prop_assert_eq!(url.fragment(), None);
        }

        #[test]
        fn hostile_templates_never_leave_the_origin(template in "\\PC{0,60}", blob in "\\PC{1,20}") {
            if let Some(url) = expand(&format!("{template}{{blobId}}"), &blob, "n") {
                prop_assert_eq!(origin(&Url::parse(&url).unwrap()), "https://mail.example.org");
            }
        }
    }
}
