//! `GET`, `PUT` and `DELETE` of a resource.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderValue, StatusCode};

use super::place::{Place, href};
use super::{Refusal, Visit, empty};
use crate::account::Account;
use crate::ical::Component;
use crate::kind::DataType;
use crate::resources::Resource;
use crate::server::lock;

/// Bytes that a resource may have, as in Stalwart.
const MOST: usize = 512 << 10;

impl Visit<'_> {
    pub(super) fn get(&self, place: &Place) -> Result<Response, Refusal> {
        let account = self.account(place.account().ok_or(StatusCode::NOT_FOUND)?)?;
        let account = lock(&account);
        let resource = existing(&account, place)?;
        let text = account.text(&resource.event).ok_or(StatusCode::NOT_FOUND)?;
        if self.header("if-none-match") == Some(&text.etag()) {
            return Err(StatusCode::NOT_MODIFIED.into());
        }
        let mut response = Response::new(Body::from(text.calendar.text()));
        let media = HeaderValue::from_static("text/calendar; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, media);
        tag(&mut response, &text.etag());
        Ok(response)
    }

    pub(super) fn put(&self, place: &Place) -> Result<Response, Refusal> {
        let owner = place.account().ok_or(StatusCode::CONFLICT)?;
        let account = self.account(owner)?;
        let mut account = lock(&account);
        let (id, name) = match place {
            Place::Resource { calendar, name, .. } => {
                (account.collection(calendar).ok_or(StatusCode::CONFLICT)?, name)
            }
            Place::Collection { calendar, .. } if account.collection(calendar).is_some() => {
                return Err(StatusCode::METHOD_NOT_ALLOWED.into());
            }
            _ => return Err(StatusCode::CONFLICT.into()),
        };
        let present = account.resource(&id, name);
        self.check_conditions(&account, present.as_ref())?;
        let calendar = read(self.body)?;
        check_uid((owner, &account), (&id, present.as_ref()), &calendar)?;
        let before = present.as_ref().and_then(|resource| account.text(&resource.event));
        if before.is_some_and(|before| before.calendar == calendar) {
            return Ok(empty(StatusCode::NO_CONTENT));
        }
        check_quota(&account, self.body.len())?;
        let (created, event) = (present.is_none(), present.map(|resource| resource.event));
        let event = account.put_text((&id, name), event, (calendar, self.body.len()));
        self.server.meters.set(u64::from(created), u64::from(!created), 0);
        let mut response = empty(if created { StatusCode::CREATED } else { StatusCode::NO_CONTENT });
        if let Some(text) = account.text(&event) {
            tag(&mut response, &text.etag());
        }
        Ok(response)
    }

    pub(super) fn delete(&self, place: &Place) -> Result<Response, Refusal> {
        let account = self.account(place.account().ok_or(StatusCode::NOT_FOUND)?)?;
        let mut account = lock(&account);
        let resource = existing(&account, place)?;
        self.check_conditions(&account, Some(&resource))?;
        account.remove_resource(&resource);
        self.server.meters.set(0, 0, 1);
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// `If-Match` and `If-None-Match` (RFC 9110 §13.1).
    fn check_conditions(&self, account: &Account, present: Option<&Resource>) -> Result<(), StatusCode> {
        let tag = present.and_then(|resource| account.text(&resource.event)).map(|text| text.etag());
        let matches = |tags: &str| {
            tag.as_ref().is_some_and(|tag| tags.split(',').any(|it| it.trim() == "*" || it.trim() == tag))
        };
        let holds =
            self.header("if-match").is_none_or(matches) && !self.header("if-none-match").is_some_and(matches);
        if holds { Ok(()) } else { Err(StatusCode::PRECONDITION_FAILED) }
    }
}

/// The resource at a place: 405 for a collection, 404 for nothing.
fn existing(account: &Account, place: &Place) -> Result<Resource, StatusCode> {
    match place {
        Place::Resource { calendar, name, .. } => {
            let resource = account.collection(calendar).and_then(|id| account.resource(&id, name));
            resource.ok_or(StatusCode::NOT_FOUND)
        }
        Place::Collection { calendar, .. } if account.collection(calendar).is_none() => {
            Err(StatusCode::NOT_FOUND)
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn failed(condition: String) -> Refusal {
    Refusal::Condition(StatusCode::PRECONDITION_FAILED, condition)
}

/// Reads a text, unless it is too large, not iCalendar, or not what one resource may hold.
fn read(body: &[u8]) -> Result<Component, Refusal> {
    if body.len() > MOST {
        return Err(failed(format!("<A:max-resource-size>{MOST}</A:max-resource-size>")));
    }
    let calendar = Component::parse(&String::from_utf8_lossy(body));
    let calendar = calendar.ok_or_else(|| failed("<A:supported-calendar-data/>".to_owned()))?;
    match calendar.uid() {
        Some(_) => Ok(calendar),
        None => Err(failed("<A:valid-calendar-object-resource/>".to_owned())),
    }
}

/// A resource keeps its UID, and no other of the calendar has it.
fn check_uid(
    (owner, account): (&str, &Account),
    (id, present): (&str, Option<&Resource>),
    calendar: &Component,
) -> Result<(), Refusal> {
    let uid_of = |resource: &Resource| {
        let object = account.object(DataType::CalendarEvent, &resource.event)?;
        let uid = object["uid"].as_str().map(str::to_owned);
        uid.or_else(|| account.text(&resource.event)?.calendar.uid().map(str::to_owned))
    };
    let uid = calendar.uid();
    let resources = account.resources().into_iter().filter(|resource| resource.calendar == id);
    let conflict = match present {
        Some(present) => Some(present.clone()).filter(|present| uid_of(present).as_deref() != uid),
        None => resources.into_iter().find(|resource| uid_of(resource).as_deref() == uid),
    };
    match conflict {
        None => Ok(()),
        Some(other) => {
            let path = href(owner, account, &other);
            Err(failed(format!("<A:no-uid-conflict><D:href>{path}</D:href></A:no-uid-conflict>")))
        }
    }
}

fn check_quota(account: &Account, more: usize) -> Result<(), Refusal> {
    account.check_quota(more as u64).map_err(|_| failed("<D:quota-not-exceeded/>".to_owned()))
}

fn tag(response: &mut Response, etag: &str) {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
}
