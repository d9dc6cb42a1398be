//! `MKCALENDAR` (RFC 4791 §5.3.1) and extended `MKCOL` (RFC 5689).

use axum::response::Response;
use http::StatusCode;
use serde_json::Value as Json;

use super::draft::{Draft, Of};
use super::outcome::Outcome;
use super::patch::Patch;
use super::place::Place;
use super::resource::tag;
use super::xml::DAV;
use super::{Refusal, Visit, answer, empty, xml};
use crate::account::Account;
use crate::dialect::Dialect;
use crate::own;
use crate::properties::Properties;
use crate::server::lock;
use crate::set_object::template;

impl Visit<'_> {
    pub(super) fn mkcol(&self, place: &Place) -> Result<Response, Refusal> {
        let (element, patch) = self.wanted_collection()?;
        let owner = place.account().ok_or(match place {
            Place::Root => StatusCode::FORBIDDEN,
            _ => StatusCode::METHOD_NOT_ALLOWED,
        })?;
        let account = self.account(owner)?;
        let mut account = lock(&account);
        let name = match place {
            Place::Home { .. } => return Err(StatusCode::FORBIDDEN.into()),
            Place::Collection { collection, .. } => collection,
            _ => return Err(StatusCode::METHOD_NOT_ALLOWED.into()),
        };
        if account.collection(self.dialect, name).is_some() {
            return Err(StatusCode::METHOD_NOT_ALLOWED.into());
        }
        let mut draft = self.new_collection(name);
        let mut outcome = Outcome::default();
        if !draft.apply(patch, &mut outcome) {
            return Ok(answer::made(self.dialect, StatusCode::FORBIDDEN, element, &outcome.stats()));
        }
        let id = self.make(&mut account, draft, name);
        self.server.meters.set(1, 0, 0);
        let says_nothing = self.wants_little() || self.is_mkcol_alone();
        let mut response = if says_nothing {
            empty(StatusCode::CREATED)
        } else {
            answer::made(self.dialect, StatusCode::CREATED, element, &outcome.stats())
        };
        if let Some(etag) = self.tag_of(Of::Collection, &id, owner, &account) {
            tag(&mut response, &etag);
        }
        Ok(response)
    }

    /// Whether it is a plain `MKCOL` (RFC 4918 §9.3).
    fn is_mkcol_alone(&self) -> bool {
        self.body.is_empty() && self.parts.method.as_str() == "MKCOL"
    }

    /// The element of the answer, and what the body says of the collection. As in Stalwart, both methods take both bodies.
    fn wanted_collection(&self) -> Result<(&'static str, Patch), Refusal> {
        const PLAIN: &str = "D:mkcol-response";
        if self.body.is_empty() {
            return Ok((PLAIN, Patch::default()));
        }
        let root = xml::parse(self.body).ok_or_else(|| self.unreadable())?;
        let element = match (root.namespace.as_str(), root.name.as_str()) {
            (DAV, "mkcol") => PLAIN,
            (namespace, "mkcalendar") if namespace == Dialect::CalDav.namespace() => "A:mkcalendar-response",
            _ => return Err(self.unreadable()),
        };
        let patch = Patch::read(&root).ok_or_else(|| self.unreadable())?;
        Ok((element, patch))
    }

    fn new_collection(&self, name: &str) -> Draft {
        let mut object = Json::Object(template(self.dialect.container()));
        object["name"] = if self.dialect == Dialect::CalDav { name } else { "Address Book" }.into();
        let own = Properties { name: Some(name.to_owned()), ..Properties::default() };
        Draft { dialect: self.dialect, of: Of::NewCollection, object, own }
    }

    fn make(&self, account: &mut Account, draft: Draft, name: &str) -> String {
        let kind = self.dialect.container();
        let Draft { mut object, own: properties, .. } = draft;
        let id = account.draw_id(kind);
        object["id"] = id.as_str().into();
        let unsaid = self.new_collection(name).object;
        own::keep(account, self.login, (kind, &mut object), Some(&unsaid));
        account.put_object(kind, &id, Some(object));
        account.set_properties(kind, &id, properties);
        id
    }
}
