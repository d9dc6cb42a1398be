//! The XML of answers, with the prefixes that Stalwart uses.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use super::xml::{CALENDAR_SERVER, DAV, escaped};
use crate::dialect::Dialect;

/// A property by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Name {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn prefix(&self) -> Option<&'static str> {
        match self.namespace.as_str() {
            DAV => Some("D"),
            CALENDAR_SERVER => Some("C"),
            other => Dialect::ALL.into_iter().find(|it| it.namespace() == other).map(Dialect::prefix),
        }
    }

    /// The element with what is in it, already escaped.
    fn element(&self, inside: &str) -> String {
        let name = &self.name;
        match self.prefix() {
            None => format!("<{name} xmlns=\"{}\"/>", escaped(&self.namespace)),
            Some(prefix) if inside.is_empty() => format!("<{prefix}:{name}/>"),
            Some(prefix) => format!("<{prefix}:{name}>{inside}</{prefix}:{name}>"),
        }
    }
}

/// A `multistatus` while it is written.
#[derive(Debug, Default)]
pub(super) struct Multistatus {
    responses: String,
}

impl Multistatus {
    /// Adds the properties of a path: found ones with what is in them, and those that are not there.
    pub(super) fn properties(
        &mut self,
        href: &str,
        wanted: &[Name],
        found: impl Fn(&Name) -> Option<String>,
    ) {
        let (mut present, mut missing) = (String::new(), String::new());
        for name in wanted {
            match found(name) {
                Some(inside) => present.push_str(&name.element(&inside)),
                None => missing.push_str(&name.element("")),
            }
        }
        self.responses.push_str(&format!("<D:response><D:href>{href}</D:href>"));
        for (elements, status) in [(present, "200 OK"), (missing, "404 Not Found")] {
            if !elements.is_empty() {
                self.responses.push_str(&format!(
                    "<D:propstat><D:prop>{elements}</D:prop><D:status>HTTP/1.1 {status}</D:status></D:propstat>"
                ));
            }
        }
        self.responses.push_str("</D:response>");
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
        document(
            StatusCode::MULTI_STATUS,
            &format!("<D:multistatus {names}{more}>{responses}</D:multistatus>"),
        )
    }
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
