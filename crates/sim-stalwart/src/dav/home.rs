//! What an account shows: its home, its collections and its resources, each with its properties.

use http::StatusCode;

use super::answer::{Multistatus, Name};
use super::place::{self, Place};
use super::xml::{CALENDAR_SERVER, DAV, escaped};
use crate::account::Account;
use crate::dialect::Dialect;
use crate::own;
use crate::resources::{self, Resource, Text};
use crate::server::Login;

/// An account by one of the dialects, as this user sees it.
#[derive(Clone, Copy)]
pub(super) struct Home<'a> {
    pub(super) dialect: Dialect,
    /// The account's name.
    pub(super) owner: &'a str,
    pub(super) account: &'a Account,
    pub(super) login: &'a Login,
}

/// How far below its path a request looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    Zero,
    One,
}

impl Home<'_> {
    pub(super) fn collection(&self, name: &str) -> Option<String> {
        self.account.collection(self.dialect, name)
    }

    /// Every resource of a collection.
    pub(super) fn resources(&self, collection: &str) -> impl Iterator<Item = Resource> {
        let resources = self.account.resources(self.dialect).into_iter();
        resources.filter(move |resource| resource.collection == collection)
    }

    pub(super) fn resource(&self, collection: &str, name: &str) -> Option<Resource> {
        self.account.resource(self.dialect, &self.collection(collection)?, name)
    }

    pub(super) fn text(&self, resource: &Resource) -> Option<Text> {
        self.account.text(self.dialect, &resource.item)
    }

    pub(super) fn href(&self, resource: &Resource) -> String {
        place::href(self.dialect, self.owner, self.account, resource)
    }

    /// Adds what is at a place and, at depth one, what lies directly in it.
    pub(super) fn list(
        &self,
        answer: &mut Multistatus,
        place: &Place,
        depth: Depth,
        wanted: &[Name],
    ) -> Result<(), StatusCode> {
        match place {
            Place::Collection { collection, .. } => {
                let id = self.collection(collection).ok_or(StatusCode::NOT_FOUND)?;
                self.add_collection(answer, &id, wanted);
                for resource in self.resources(&id).filter(|_| depth == Depth::One) {
                    self.add_resource(answer, &resource, wanted);
                }
            }
            Place::Resource { collection, name, .. } => {
                let resource = self.resource(collection, name).ok_or(StatusCode::NOT_FOUND)?;
                self.add_resource(answer, &resource, wanted).ok_or(StatusCode::NOT_FOUND)?;
            }
            _ => {
                self.add(answer, wanted);
                let collections = self.account.objects[&self.dialect.container()].present.keys();
                let collections = collections.filter(|_| depth == Depth::One);
                collections.for_each(|id| self.add_collection(answer, id, wanted));
            }
        }
        Ok(())
    }

    /// Adds the home itself.
    pub(super) fn add(&self, answer: &mut Multistatus, wanted: &[Name]) {
        answer.properties(&place::home(self.dialect, self.owner), wanted, |name| match name.name.as_str() {
            "displayname" => Some(escaped(self.owner)),
            "resourcetype" => Some("<D:collection/>".to_owned()),
            _ => self.token(name),
        });
    }

    fn add_collection(&self, answer: &mut Multistatus, id: &str, wanted: &[Name]) {
        let (dialect, kind) = (self.dialect, self.dialect.container());
        let Some(collection) = self.account.object(kind, id) else { return };
        let collection = own::view(self.account, self.login, kind, collection);
        let path = place::collection(dialect, self.owner, &self.account.collection_name(dialect, id));
        answer.properties(&path, wanted, |name| match name.name.as_str() {
            "displayname" => Some(escaped(collection["name"].as_str().unwrap_or_default())),
            "resourcetype" => {
                Some(format!("<D:collection/><{}:{}/>", dialect.prefix(), dialect.collection_element()))
            }
            "getetag" => Some(escaped(&resources::etag(collection.to_string().as_bytes()))),
            _ => self.token(name),
        });
    }

    fn add_resource(&self, answer: &mut Multistatus, resource: &Resource, wanted: &[Name]) -> Option<()> {
        let text = self.text(resource)?;
        answer.properties(&self.href(resource), wanted, |name| match name.name.as_str() {
            "sync-token" => self.token(name),
            _ => of_resource(self.dialect, name, &text),
        });
        Some(())
    }

    /// As in Stalwart, one number tells of changes in any collection of the account.
    fn token(&self, name: &Name) -> Option<String> {
        let state = |kind| self.account.state(kind);
        let state = state(self.dialect.container()).max(state(self.dialect.item()));
        match (name.namespace.as_str(), name.name.as_str()) {
            (CALENDAR_SERVER, "getctag") => Some(escaped(&format!("\"{state}\""))),
            (DAV, "sync-token") => Some(format!("urn:stalwart:davsync:{state:x}")),
            _ => None,
        }
    }
}

/// What is in a property of a resource; none if it has no such property.
pub(super) fn of_resource(dialect: Dialect, name: &Name, text: &Text) -> Option<String> {
    match (name.namespace.as_str(), name.name.as_str()) {
        (DAV, "getetag") => Some(escaped(&text.etag())),
        (DAV, "getcontentlength") => Some(text.size.to_string()),
        (DAV, "getcontenttype") => Some(dialect.media_type().to_owned()),
        (DAV, "resourcetype") => Some(String::new()),
        (namespace, name) if (namespace, name) == (dialect.namespace(), dialect.data_element()) => {
            Some(format!("<![CDATA[{}]]>", text.body))
        }
        _ => None,
    }
}
