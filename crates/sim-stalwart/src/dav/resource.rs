//! `GET`, `PUT` and `DELETE` of a resource.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderValue, StatusCode};

use super::home::Home;
use super::place::Place;
use super::{Refusal, Visit, empty};
use crate::account::Account;
use crate::dialect::Dialect;
use crate::resources::{Resource, Text};
use crate::server::lock;

/// Bytes that a resource may have, as in Stalwart.
const MOST: usize = 512 << 10;

impl Visit<'_> {
    pub(super) fn get(&self, place: &Place) -> Result<Response, Refusal> {
        let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
        let account = self.account(owner)?;
        let account = lock(&account);
        let home = self.home(owner, &account);
        let text = home.text(&existing(home, place)?).ok_or(StatusCode::NOT_FOUND)?;
        if self.header("if-none-match") == Some(&text.etag()) {
            return Err(StatusCode::NOT_MODIFIED.into());
        }
        let media = format!("{}; charset=utf-8", self.dialect.media_type());
        let etag = text.etag();
        let mut response = Response::new(Body::from(text.body));
        if let Ok(media) = HeaderValue::from_str(&media) {
            response.headers_mut().insert(CONTENT_TYPE, media);
        }
        tag(&mut response, &etag);
        Ok(response)
    }

    pub(super) fn put(&self, place: &Place) -> Result<Response, Refusal> {
        let owner = place.account().ok_or(StatusCode::CONFLICT)?;
        let account = self.account(owner)?;
        let mut account = lock(&account);
        let home = self.home(owner, &account);
        let (id, name) = match place {
            Place::Resource { collection, name, .. } => {
                (home.collection(collection).ok_or(StatusCode::CONFLICT)?, name)
            }
            Place::Collection { collection, .. } if home.collection(collection).is_some() => {
                return Err(StatusCode::METHOD_NOT_ALLOWED.into());
            }
            _ => return Err(StatusCode::CONFLICT.into()),
        };
        let present = account.resource(self.dialect, &id, name);
        self.check_conditions(home, present.as_ref())?;
        let text = self.read()?;
        check_uid(home, (&id, present.as_ref()), &text.body)?;
        let before = present.as_ref().and_then(|resource| home.text(resource));
        // Stalwart writes an equal card again.
        if self.dialect == Dialect::CalDav && before.is_some_and(|before| before.body == text.body) {
            return Ok(empty(StatusCode::NO_CONTENT));
        }
        check_quota(&account, self.body.len())?;
        let (created, item) = (present.is_none(), present.map(|resource| resource.item));
        let item = account.put_text(self.dialect, (&id, name), item, text);
        self.server.meters.set(u64::from(created), u64::from(!created), 0);
        let mut response = empty(if created { StatusCode::CREATED } else { StatusCode::NO_CONTENT });
        if let Some(text) = account.text(self.dialect, &item) {
            tag(&mut response, &text.etag());
        }
        Ok(response)
    }

    pub(super) fn delete(&self, place: &Place) -> Result<Response, Refusal> {
        let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
        let account = self.account(owner)?;
        let mut account = lock(&account);
        let home = self.home(owner, &account);
        let resource = existing(home, place)?;
        self.check_conditions(home, Some(&resource))?;
        account.remove_resource(self.dialect, &resource);
        self.server.meters.set(0, 0, 1);
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// `If-Match` and `If-None-Match` (RFC 9110 §13.1).
    fn check_conditions(&self, home: Home<'_>, present: Option<&Resource>) -> Result<(), StatusCode> {
        let tag = present.and_then(|resource| home.text(resource)).map(|text| text.etag());
        self.check_tag(tag.as_deref())
    }

    /// The conditions on what has this entity tag; none: on what is not there.
    pub(super) fn check_tag(&self, tag: Option<&str>) -> Result<(), StatusCode> {
        let matches = |tags: &str| {
            tag.is_some_and(|tag| tags.split(',').any(|it| it.trim() == "*" || it.trim() == tag))
        };
        let holds =
            self.header("if-match").is_none_or(matches) && !self.header("if-none-match").is_some_and(matches);
        if holds { Ok(()) } else { Err(StatusCode::PRECONDITION_FAILED) }
    }

    /// Reads the text that is put, unless it is too large or not what one resource may hold.
    fn read(&self) -> Result<Text, Refusal> {
        let (prefix, size) = (self.dialect.prefix(), self.body.len());
        if size > MOST {
            return Err(failed(format!("<{prefix}:max-resource-size>{MOST}</{prefix}:max-resource-size>")));
        }
        let body = self.dialect.read(self.body);
        let body = body.map_err(|condition| failed(format!("<{prefix}:{condition}/>")))?;
        Ok(Text::put(body, size))
    }
}

/// The resource at a place: 405 for a collection, 404 for nothing.
fn existing(home: Home<'_>, place: &Place) -> Result<Resource, StatusCode> {
    match place {
        Place::Resource { collection, name, .. } => {
            home.resource(collection, name).ok_or(StatusCode::NOT_FOUND)
        }
        Place::Collection { collection, .. } if home.collection(collection).is_none() => {
            Err(StatusCode::NOT_FOUND)
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn failed(condition: String) -> Refusal {
    Refusal::Condition(StatusCode::PRECONDITION_FAILED, condition)
}

/// A resource keeps the UID that it has, and no other of the collection has it. Cards may have none.
fn check_uid(home: Home<'_>, (id, present): (&str, Option<&Resource>), text: &str) -> Result<(), Refusal> {
    let dialect = home.dialect;
    let uid_of = |resource: &Resource| {
        let object = home.account.object(dialect.item(), &resource.item)?;
        let uid = object["uid"].as_str().map(str::to_owned);
        uid.or_else(|| dialect.uid(&home.text(resource)?.body))
    };
    let uid = dialect.uid(text);
    let conflict = match present {
        Some(present) => {
            Some(present.clone()).filter(|present| uid_of(present).is_some_and(|before| Some(before) != uid))
        }
        None => home.resources(id).find(|resource| uid.is_some() && uid_of(resource) == uid),
    };
    match conflict {
        None => Ok(()),
        Some(other) => {
            let (prefix, path) = (dialect.prefix(), home.href(&other));
            let condition = format!("{prefix}:no-uid-conflict");
            Err(failed(format!("<{condition}><D:href>{path}</D:href></{condition}>")))
        }
    }
}

fn check_quota(account: &Account, more: usize) -> Result<(), Refusal> {
    account.check_quota(more as u64).map_err(|_| failed("<D:quota-not-exceeded/>".to_owned()))
}

pub(super) fn tag(response: &mut Response, etag: &str) {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
}
