//! `PROPPATCH` (RFC 4918 §9.2).

use axum::response::Response;
use http::StatusCode;
use serde_json::Value as Json;

use super::answer::{Declared, Multistatus};
use super::draft::{Draft, Of};
use super::outcome::Outcome;
use super::patch::Patch;
use super::place::Place;
use super::resource::tag;
use super::shown::{Collection, Times};
use super::{Refusal, Visit, empty, xml};
use crate::account::Account;
use crate::kind::DataType;
use crate::own;
use crate::server::lock;

impl Visit<'_> {
    pub(super) fn proppatch(&self, place: &Place) -> Result<Response, Refusal> {
        let root = xml::parse(self.body).filter(|root| root.name == "propertyupdate");
        let patch = root.as_ref().and_then(Patch::read).ok_or_else(|| self.unreadable())?;
        let owner = place.account().ok_or(match place {
            Place::Root => StatusCode::FORBIDDEN,
            _ => StatusCode::NOT_FOUND,
        })?;
        let account = self.account(owner)?;
        let mut account = lock(&account);
        let (of, id) = self.found(place, owner, &account).ok_or(StatusCode::NOT_FOUND)?;
        if patch.is_empty() {
            return Ok(empty(StatusCode::NO_CONTENT));
        }
        self.check_tag(self.tag_of(of, &id, owner, &account).as_deref())?;
        let mut draft = self.draft((of, &id), &account).ok_or(StatusCode::NOT_FOUND)?;
        let mut outcome = Outcome::default();
        let is_done = draft.apply(patch, &mut outcome);
        if is_done {
            self.keep(&mut account, draft, &id);
            self.server.meters.set(0, 1, 0);
        }
        let mut response = if is_done && self.wants_little() {
            empty(StatusCode::NO_CONTENT)
        } else {
            let mut answer = Multistatus::default();
            answer.outcome(self.parts.uri.path(), &outcome.stats());
            answer.finish(self.dialect, Declared::Usual)
        };
        if let Some(etag) = self.tag_of(of, &id, owner, &account) {
            tag(&mut response, &etag);
        }
        Ok(response)
    }

    /// What is at a place, with its id.
    fn found(&self, place: &Place, owner: &str, account: &Account) -> Option<(Of, String)> {
        let home = self.home(owner, account);
        match place {
            Place::Collection { collection, .. } => Some((Of::Collection, home.collection(collection)?)),
            Place::Resource { collection, name, .. } => {
                Some((Of::Resource, home.resource(collection, name)?.item))
            }
            _ => None,
        }
    }

    fn kind(&self, of: Of) -> DataType {
        if of == Of::Resource { self.dialect.item() } else { self.dialect.container() }
    }

    pub(super) fn tag_of(&self, of: Of, id: &str, owner: &str, account: &Account) -> Option<String> {
        if of == Of::Resource {
            return account.text(self.dialect, id).map(|text| text.etag());
        }
        let collection = Collection::of(self.home(owner, account), id, &Times::default())?;
        Some(collection.etag().to_owned())
    }

    fn draft(&self, (of, id): (Of, &str), account: &Account) -> Option<Draft> {
        let kind = self.kind(of);
        let object = own::view(account, self.login, kind, account.object(kind, id)?);
        let (_, properties) = account.properties(kind, id);
        Some(Draft { dialect: self.dialect, of, object, own: properties })
    }

    fn keep(&self, account: &mut Account, draft: Draft, id: &str) {
        let Draft { of, mut object, own: properties, .. } = draft;
        let kind = self.kind(of);
        if let Some(before) = account.object(kind, id).map(|before| Json::clone(before)) {
            own::keep(account, self.login, (kind, &mut object), Some(&before));
        }
        account.put_object(kind, id, Some(object));
        account.set_properties(kind, id, properties);
    }

    /// Whether the client wants no body of an answer that says that all went well (RFC 7240 §4.2).
    pub(super) fn wants_little(&self) -> bool {
        self.header("prefer").is_some_and(|prefer| prefer.contains("return=minimal"))
    }
}
