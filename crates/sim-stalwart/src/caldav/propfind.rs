//! `PROPFIND` (RFC 4918 §9.1).

use axum::response::Response;
use http::StatusCode;

use super::answer::{Declared, Multistatus, Name};
use super::place::{self, Place, ROOT, href};
use super::xml::{self, CALDAV, CALENDAR_SERVER, DAV, escaped};
use super::{Refusal, Visit};
use crate::account::Account;
use crate::kind::DataType;
use crate::own;
use crate::resources::{self, Text};
use crate::server::{Login, lock};

/// How far below its path a request looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
}

/// What is answered when nothing is asked for.
const USUAL: [(&str, &str); 5] = [
    (DAV, "displayname"),
    (DAV, "getetag"),
    (DAV, "getcontentlength"),
    (DAV, "resourcetype"),
    (DAV, "sync-token"),
];

impl Visit<'_> {
    pub(super) fn propfind(&self, place: &Place) -> Result<Response, Refusal> {
        let depth = match self.header("depth") {
            Some("0") => Depth::Zero,
            Some("infinity") => {
                let condition = "<D:propfind-finite-depth/>".to_owned();
                return Err(Refusal::Condition(StatusCode::FORBIDDEN, condition));
            }
            _ => Depth::One,
        };
        let wanted = self.wanted()?;
        let mut answer = Multistatus::default();
        if *place == Place::Root {
            let resourcetype =
                |name: &Name| (name.name == "resourcetype").then(|| "<D:collection/>".to_owned());
            answer.properties(&format!("{ROOT}/"), &wanted, resourcetype);
            if let Some((name, account)) = self.own().filter(|_| depth == Depth::One) {
                add_home(&mut answer, &name, &lock(&account), &wanted);
            }
            return Ok(answer.finish(declared(depth, &wanted)));
        }
        let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
        let account = self.account(owner)?;
        let account = lock(&account);
        list(&mut answer, place, (owner, &account, self.login), depth, &wanted)?;
        Ok(answer.finish(declared(depth, &wanted)))
    }

    /// The properties that the body names.
    fn wanted(&self) -> Result<Vec<Name>, Refusal> {
        let usual = || USUAL.iter().map(|(namespace, name)| Name::new(namespace, name)).collect();
        if self.body.is_empty() {
            return Ok(usual());
        }
        let request = xml::parse(self.body).filter(|root| root.name == "propfind");
        let request = request.ok_or_else(|| self.unreadable())?;
        Ok(request.child("prop").map_or_else(usual, names))
    }
}

/// The properties that a `prop` element names.
pub(super) fn names(prop: &xml::Element) -> Vec<Name> {
    prop.children.iter().map(|child| Name::new(&child.namespace, &child.name)).collect()
}

/// As Stalwart does: at depth 0 the prefix of `getctag` is used and not declared.
fn declared(depth: Depth, wanted: &[Name]) -> Declared {
    let named = wanted.iter().any(|name| name.namespace == CALENDAR_SERVER);
    if named && depth == Depth::One { Declared::CalendarServer } else { Declared::Usual }
}

fn list(
    answer: &mut Multistatus,
    place: &Place,
    (owner, account, login): (&str, &Account, &Login),
    depth: Depth,
    wanted: &[Name],
) -> Result<(), StatusCode> {
    match place {
        Place::Collection { calendar, .. } => {
            let id = account.collection(calendar).ok_or(StatusCode::NOT_FOUND)?;
            add_collection(answer, owner, (account, login), &id, wanted);
            let inside =
                account.resources().into_iter().filter(|it| depth == Depth::One && it.calendar == id);
            for resource in inside {
                if let Some(text) = account.text(&resource.event) {
                    answer.properties(&href(owner, account, &resource), wanted, |name| {
                        of_resource(name, &text)
                    });
                }
            }
        }
        Place::Resource { calendar, name, .. } => {
            let resource = account.collection(calendar).and_then(|id| account.resource(&id, name));
            let resource = resource.ok_or(StatusCode::NOT_FOUND)?;
            let text = account.text(&resource.event).ok_or(StatusCode::NOT_FOUND)?;
            answer.properties(&href(owner, account, &resource), wanted, |name| of_resource(name, &text));
        }
        _ => {
            add_home(answer, owner, account, wanted);
            for id in account.objects[&DataType::Calendar].present.keys().filter(|_| depth == Depth::One) {
                add_collection(answer, owner, (account, login), id, wanted);
            }
        }
    }
    Ok(())
}

fn add_home(answer: &mut Multistatus, owner: &str, account: &Account, wanted: &[Name]) {
    answer.properties(&place::home(owner), wanted, |name| match name.name.as_str() {
        "displayname" => Some(escaped(owner)),
        "resourcetype" => Some("<D:collection/>".to_owned()),
        _ => token(name, account),
    });
}

fn add_collection(
    answer: &mut Multistatus,
    owner: &str,
    (account, login): (&Account, &Login),
    id: &str,
    wanted: &[Name],
) {
    let Some(calendar) = account.object(DataType::Calendar, id) else { return };
    let calendar = own::view(account, login, DataType::Calendar, calendar);
    let path = place::collection(owner, &account.collection_name(id));
    answer.properties(&path, wanted, |name| match name.name.as_str() {
        "displayname" => Some(escaped(calendar["name"].as_str().unwrap_or_default())),
        "resourcetype" => Some("<D:collection/><A:calendar/>".to_owned()),
        "getetag" => Some(escaped(&resources::etag(calendar.to_string().as_bytes()))),
        _ => token(name, account),
    });
}

/// As in Stalwart, one number tells of changes in any calendar of the account.
fn token(name: &Name, account: &Account) -> Option<String> {
    let state = account.state(DataType::Calendar).max(account.state(DataType::CalendarEvent));
    match name.name.as_str() {
        "getctag" => Some(escaped(&format!("\"{state}\""))),
        "sync-token" => Some(format!("urn:stalwart:davsync:{state:x}")),
        _ => None,
    }
}

/// What is in a property of a resource; none if it has no such property.
pub(super) fn of_resource(name: &Name, text: &Text) -> Option<String> {
    match (name.namespace.as_str(), name.name.as_str()) {
        (DAV, "getetag") => Some(escaped(&text.etag())),
        (DAV, "getcontentlength") => Some(text.size.to_string()),
        (DAV, "getcontenttype") => Some("text/calendar".to_owned()),
        (DAV, "resourcetype") => Some(String::new()),
        (CALDAV, "calendar-data") => Some(format!("<![CDATA[{}]]>", text.calendar.text())),
        _ => None,
    }
}
