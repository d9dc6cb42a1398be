//! CalDAV (RFC 4791) and CardDAV (RFC 6352) as Stalwart 0.16 answers them: the same events and contact cards as JMAP's, as resources
//! with a text.

mod access;
mod answer;
mod asked;
mod dead;
mod draft;
mod home;
mod listing;
mod mkcol;
mod name;
mod outcome;
mod patch;
mod place;
mod propfind;
mod proppatch;
mod query;
mod report;
mod resource;
mod shown;
mod xml;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::account::Account;
use crate::churn::Churn;
use crate::dialect::Dialect;
use crate::server::{Login, Server, Settings, lock};
use crate::version::Version;
use home::Home;
use place::Place;

pub(crate) use place::href;

/// Whether the server serves CalDAV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CalDav {
    /// To everyone who may read the account by JMAP; 0.15 and a server without calendars never do.
    #[default]
    Offered,
    /// Not at all: 404.
    Missing,
    /// Nobody has the permission: 403.
    Forbidden,
}

/// The answer of a request that is refused.
#[derive(Debug)]
enum Refusal {
    Code(StatusCode),
    /// A status with the element that names the condition.
    Condition(StatusCode, String),
}

impl From<StatusCode> for Refusal {
    fn from(code: StatusCode) -> Self {
        Self::Code(code)
    }
}

/// What a request needs to be served.
struct Visit<'a> {
    dialect: Dialect,
    server: &'a Server,
    login: &'a Login,
    parts: &'a Parts,
    body: &'a Bytes,
    /// Most results of a request.
    most: usize,
}

/// Whether the server answers paths of a dialect.
fn is_offered(settings: &Settings, dialect: Dialect) -> bool {
    settings.version == Version::V0_16
        && settings.capabilities.offers(dialect.capability())
        && (dialect != Dialect::CalDav || settings.caldav != CalDav::Missing)
}

/// The dialect that the server speaks at a path.
pub(crate) fn dialect_at(settings: &Settings, path: &str) -> Option<Dialect> {
    let is_below = |dialect: &Dialect| {
        path.strip_prefix(dialect.root()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    Dialect::ALL.into_iter().find(is_below).filter(|dialect| is_offered(settings, *dialect))
}

/// Where a well-known path leads.
pub(crate) fn well_known(settings: &Settings, path: &str) -> Option<&'static str> {
    let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.well_known() == path)?;
    is_offered(settings, dialect).then(|| dialect.root())
}

/// The name under which a request is counted and struck by faults: `CalDAV/PUT`, `CardDAV/addressbook-query`.
pub(crate) fn call(dialect: Dialect, parts: &Parts, body: &[u8]) -> String {
    let report = (parts.method.as_str() == "REPORT").then(|| xml::parse(body)).flatten();
    let name = report.map_or_else(|| parts.method.as_str().to_owned(), |report| report.name);
    format!("{}/{name}", dialect.name())
}

/// Serves a request for a path of a dialect.
pub(crate) fn serve(
    (server, settings): (&Server, &Settings),
    dialect: Dialect,
    login: &Login,
    (parts, body): (&Parts, &Bytes),
) -> Response {
    let call = call(dialect, parts, body);
    server.meters.call(&call);
    server.faults.before_dav(&call);
    let visit = Visit { dialect, server, login, parts, body, most: settings.limits.dav_results };
    let place = Place::parse(dialect, parts.uri.path());
    visit.churn(&place, |churn| churn.before);
    let served = match (dialect, settings.caldav) {
        (Dialect::CalDav, CalDav::Forbidden) => Err(StatusCode::FORBIDDEN.into()),
        _ => visit.serve(&place),
    };
    visit.churn(&place, |churn| churn.after);
    served.unwrap_or_else(|refusal| match refusal {
        Refusal::Code(code) => empty(code),
        Refusal::Condition(code, condition) => answer::error(dialect, code, &condition),
    })
}

impl Visit<'_> {
    fn serve(&self, place: &Place) -> Result<Response, Refusal> {
        match self.parts.method.as_str() {
            "OPTIONS" => Ok(options()),
            "PROPFIND" => self.propfind(place),
            "PROPPATCH" => self.proppatch(place),
            "MKCALENDAR" if self.dialect == Dialect::CalDav => self.mkcol(place),
            "MKCOL" => self.mkcol(place),
            "REPORT" => self.report(place),
            "GET" | "HEAD" => self.get(place),
            "PUT" => self.put(place),
            "DELETE" => self.delete(place),
            _ => Err(StatusCode::METHOD_NOT_ALLOWED.into()),
        }
    }

    /// An account as this visit sees it.
    fn home<'a>(&'a self, owner: &'a str, account: &'a Account) -> Home<'a> {
        Home { dialect: self.dialect, owner, account, login: self.login }
    }

    /// Changes the account of a place at random, if the simulator was told to.
    fn churn(&self, place: &Place, steps: impl FnOnce(&Churn) -> u32) {
        if let Some(account) = place.account().and_then(|name| self.account(name).ok()) {
            self.server.churn(&mut lock(&account), steps);
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The refusal of a body that is not understood.
    fn unreadable(&self) -> Refusal {
        let is_xml = self.parts.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
        if is_xml.is_some_and(|media| media.contains("/xml")) {
            StatusCode::BAD_REQUEST.into()
        } else {
            StatusCode::UNSUPPORTED_MEDIA_TYPE.into()
        }
    }
}

fn empty(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

fn options() -> Response {
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static("dav"),
        HeaderValue::from_static("1, 2, 3, extended-mkcol, calendar-access, addressbook"),
    );
    let methods = "OPTIONS, GET, HEAD, PUT, DELETE, MKCALENDAR, MKCOL, PROPFIND, PROPPATCH, REPORT";
    headers.insert(ALLOW, HeaderValue::from_static(methods));
    response
}
