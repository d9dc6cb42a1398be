//! The XML of answers, with the prefixes that Stalwart uses.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use super::asked::Asked;
use super::dead;
use super::name::Name;
use super::xml::escaped;
use crate::dialect::Dialect;
use crate::properties::Properties;

/// A `multistatus` while it is written.
#[derive(Debug, Default)]
pub(super) struct Multistatus {
    responses: String,
    limit: Option<Limit>,
}

/// How many responses with properties an answer has at most.
#[derive(Debug)]
struct Limit {
    /// The requested path.
    path: String,
    left: usize,
    most: usize,
}

impl Multistatus {
    /// From here on adds the properties of so many paths. As in Stalwart, an answer with exactly so many says that there are more.
    pub(super) fn limit(&mut self, path: &str, most: usize) {
        self.limit = Some(Limit { path: path.to_owned(), left: most, most });
    }

    /// Adds the properties of a path that it is asked for: those that are there, and those that are not. `found` gives what is in a
    /// live property.
    pub(super) fn properties(
        &mut self,
        href: &str,
        asked: &Asked,
        own: &Properties,
        found: impl Fn(&Name) -> Option<String>,
    ) {
        match &mut self.limit {
            Some(Limit { left: 0, .. }) => return,
            Some(limit) => limit.left -= 1,
            None => {}
        }
        let (mut present, mut missing) = (String::new(), String::new());
        for name in &asked.names {
            let inside = if name.is_live() { found(name) } else { own.dead(&name.name).map(dead::inside) };
            match inside {
                Some(inside) => present.push_str(&name.element(&inside)),
                None if asked.mentions_missing(name) => missing.push_str(&name.empty()),
                None => {}
            }
        }
        if asked.is_all() {
            own.dead.iter().for_each(|property| present.push_str(&dead::element(property)));
        }
        let parts = [(present, StatusCode::OK), (missing, StatusCode::NOT_FOUND)];
        let mut stats: String = parts
            .iter()
            .filter(|(names, _)| !names.is_empty())
            .map(|(names, code)| propstat(names, *code, ""))
            .collect();
        if stats.is_empty() {
            stats = propstat("", StatusCode::OK, "");
        }
        self.responses.push_str(&format!("<D:response><D:href>{href}</D:href>{stats}</D:response>"));
    }

    /// Adds what became of a change of properties.
    pub(super) fn outcome(&mut self, href: &str, stats: &str) {
        self.responses
            .push_str(&format!("<D:response><D:href>{}</D:href>{stats}</D:response>", escaped(href)));
    }

    /// Adds the status of a path, with words about it if there are any.
    pub(super) fn status(&mut self, href: &str, code: StatusCode, words: &str) {
        let description = match words {
            "" => String::new(),
            words => format!("<D:responsedescription>{words}</D:responsedescription>"),
        };
        let href = escaped(href);
        self.responses.push_str(&format!(
            "<D:response><D:href>{href}</D:href><D:status>HTTP/1.1 {code}</D:status>{description}</D:response>"
        ));
    }

    /// The answer; the namespace of CalendarServer is declared only if it is asked for.
    pub(super) fn finish(self, dialect: Dialect, declared: Declared) -> Response {
        let more = match declared {
            Declared::Usual => "",
            Declared::CalendarServer => " xmlns:C=\"http://calendarserver.org/ns/\"",
        };
        let (names, responses) = (namespaces(dialect), self.responses);
        let exceeded =
            self.limit.filter(|limit| limit.left == 0).map(|limit| limit.response()).unwrap_or_default();
        document(
            StatusCode::MULTI_STATUS,
            &format!("<D:multistatus {names}{more}>{responses}{exceeded}</D:multistatus>"),
        )
    }
}

impl Limit {
    fn response(&self) -> String {
        let (path, code, most) = (escaped(&self.path), StatusCode::INSUFFICIENT_STORAGE, self.most);
        format!(
            "<D:response><D:href>{path}</D:href><D:status>HTTP/1.1 {code}</D:status>\
             <D:error><D:number-of-matches-within-limits/></D:error>\
             <D:responsedescription>The number of matches exceeds the limit of {most}</D:responsedescription></D:response>"
        )
    }
}

/// Properties with one status, and what is said about it.
pub(super) fn propstat(names: &str, code: StatusCode, about: &str) -> String {
    format!("<D:propstat><D:prop>{names}</D:prop><D:status>HTTP/1.1 {code}</D:status>{about}</D:propstat>")
}

/// The namespaces that an answer declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    /// Those of WebDAV and of the dialect.
    Usual,
    /// That of `getctag`, too.
    CalendarServer,
}

/// The answer that names a condition which does not hold.
pub(super) fn error(dialect: Dialect, code: StatusCode, condition: &str) -> Response {
    let names = namespaces(dialect);
    let mut response = document(code, &format!("<D:error {names}>{condition}</D:error>"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The answer about the properties of a collection that was to be made.
pub(super) fn made(dialect: Dialect, code: StatusCode, element: &str, stats: &str) -> Response {
    let names = namespaces(dialect);
    document(code, &format!("<{element} {names}>{stats}</{element}>"))
}

fn namespaces(dialect: Dialect) -> String {
    format!("xmlns:D=\"DAV:\" xmlns:{}=\"{}\"", dialect.prefix(), dialect.namespace())
}

fn document(code: StatusCode, element: &str) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{element}");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    let media = HeaderValue::from_static("application/xml; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}
