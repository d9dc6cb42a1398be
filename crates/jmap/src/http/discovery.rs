//! Finding the session (RFC 8620 section 2.2).

use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

use crate::class::Class;
use crate::error::Error;
use crate::http::broken::is_closed;
use crate::http::config::Config;
use crate::http::template::{UrlTemplate, Warning, api_url};
use crate::http::transport::{Body, Outgoing, Transport};
use crate::session::{Session, parse_session};

/// A session and what its URLs mean from here.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) session: Arc<Session>,
    pub(crate) session_url: Url,
    pub(crate) api: Url,
    pub(crate) download: UrlTemplate,
    /// `None` where the server has no uploads.
    pub(crate) upload: Option<UrlTemplate>,
    pub(crate) warnings: Vec<Warning>,
}

/// Refuses what cannot be the address of a JMAP server.
pub(crate) fn check_url(url: &Url) -> Result<(), Error> {
    let reason = if !matches!(url.scheme(), "http" | "https") {
        "it must start with https:// (or http://)"
    } else if url.host().is_none() {
        "it names no host"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it must not hold a user name or a password"
    } else {
        return Ok(());
    };
    Err(Error::InvalidUrl { reason })
}

/// Where the session may be, best place first.
fn candidates(url: &Url) -> Vec<Url> {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/').to_owned();
    if path.ends_with("/session") || path.ends_with("/.well-known/jmap") {
        return vec![url.clone()];
    }
    let mut places = Vec::new();
    for place in ["/.well-known/jmap", "/jmap/session"] {
        base.set_path(&format!("{path}{place}"));
        places.push(base.clone());
    }
    if !path.is_empty() {
        places.push(url.clone());
    }
    places
}

/// Looks in every place until one holds a session.
pub(crate) async fn discover(transport: &Transport, config: &Config) -> Result<Found, Error> {
    check_url(&config.url)?;
    let mut first_failure = None;
    for place in candidates(&config.url) {
        let error = match fetch(transport, &place, config.limits.session).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        // A wrong password or a dead server is so in every place; a missing page, an HTML page or a redirect is not.
        let elsewhere = match error.class() {
            Class::Corrupt => true,
            Class::Permanent => !matches!(error, Error::Setup(_)),
            Class::Auth | Class::Transient { .. } | Class::Cancelled => false,
        };
        if !elsewhere {
            // A server that has said something before has not blocked us.
            return Err(if first_failure.is_none() { at_the_door(error) } else { error });
        }
        let is_telling = matches!(error, Error::ForeignRedirect { .. });
        if first_failure.is_none() || is_telling {
            first_failure = Some(error);
        }
    }
    match first_failure {
        Some(error @ Error::ForeignRedirect { .. }) => Err(error),
        Some(error) => Err(Error::NoSession(Box::new(error))),
        None => Err(Error::InvalidUrl { reason: "it names no place to look for a session" }),
    }
}

/// Tells a server that closes connections before it has said anything from one that breaks off.
fn at_the_door(error: Error) -> Error {
    match error {
        Error::Interrupted(source) if source.is_request() => Error::ClosedAtOnce(source),
        // In the middle of the TLS handshake.
        Error::Unreachable(source) if is_closed(&source) => Error::ClosedAtOnce(source),
        other => other,
    }
}

/// Reads the session at a known place.
pub(crate) async fn fetch(transport: &Transport, session_url: &Url, limit: u64) -> Result<Found, Error> {
    let request = Outgoing { url: session_url.clone(), body: Body::None, accept: "application/json" };
    let session = parse_session(&transport.fetch(&request, limit).await?)?;
    let (api, api_warning) = api_url(&session.api_url, session_url)?;
    let (download, download_warning) = UrlTemplate::download(&session.download_url, session_url)?;
    // A server that only lets read may name none.
    let upload = UrlTemplate::upload(&session.upload_url, session_url).ok();
    let plain = is_exposed(session_url).then_some(Warning::PlainHttp);
    let warnings = [plain, api_warning, download_warning].into_iter().flatten().collect();
    Ok(Found {
        session: Arc::new(session),
        session_url: session_url.clone(),
        api,
        download,
        upload,
        warnings,
    })
}

/// Plain HTTP to anything but this machine.
fn is_exposed(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !is_here
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &[&str]) {
        let places: Vec<String> =
            candidates(&Url::parse(url).unwrap()).into_iter().map(String::from).collect();
        assert_eq!(places, expected, "{url}");
    }

    #[test]
    fn places_to_look_for_a_session() {
        check("https://h.org", &["https://h.org/.well-known/jmap", "https://h.org/jmap/session"]);
        check("https://h.org/?a#b", &["https://h.org/.well-known/jmap", "https://h.org/jmap/session"]);
        check("https://h.org/jmap/session", &["https://h.org/jmap/session"]);
        check("https://h.org/.well-known/jmap", &["https://h.org/.well-known/jmap"]);
        check("https://h.org/api/session?x=1", &["https://h.org/api/session?x=1"]);
        check(
            "https://h.org/mail/",
            &[
                "https://h.org/mail/.well-known/jmap",
                "https://h.org/mail/jmap/session",
                "https://h.org/mail/",
            ],
        );
    }

    #[test]
    fn urls_that_are_no_server() {
        for (url, fine) in [
            ("https://h.org", true),
            ("http://127.0.0.1:8080", true),
            ("ftp://h.org", false),
            ("file:///etc/passwd", false),
            ("https://user@h.org", false),
            ("https://user:secret@h.org", false),
        ] {
            assert_eq!(check_url(&Url::parse(url).unwrap()).is_ok(), fine, "{url}");
        }
    }

    #[test]
    fn plain_http_is_fine_on_this_machine_only() {
        for (url, exposed) in [
            ("http://127.0.0.1:8080", false),
            ("http://[::1]", false),
            ("http://localhost", false),
            ("https://h.org", false),
            ("http://h.org", true),
            ("http://10.0.0.1", true),
        ] {
            assert_eq!(is_exposed(&Url::parse(url).unwrap()), exposed, "{url}");
        }
    }
}
