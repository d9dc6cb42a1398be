//! What an account shows: its home, its collections and its resources, each with its properties.

use http::StatusCode;

use super::answer::Multistatus;
use super::asked::Asked;
use super::name::Name;
use super::place::{self, Place};
use super::shown::{self, Collection, Shown, Times};
use super::xml::{CALENDAR_SERVER, DAV, escaped};
use crate::account::Account;
use crate::dialect::Dialect;
use crate::properties::Properties;
use crate::resources::{Resource, Text};
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

    /// Adds what is at a place and, at depth one, what lies directly in it; no more than `most`, without the home itself.
    pub(super) fn list(
        &self,
        answer: &mut Multistatus,
        (place, depth): (&Place, Depth),
        asked: &Asked,
        (path, most): (&str, usize),
    ) -> Result<(), StatusCode> {
        let times = Times::of(*self, asked);
        match place {
            Place::Collection { collection, .. } => {
                let id = self.collection(collection).ok_or(StatusCode::NOT_FOUND)?;
                answer.limit(path, most);
                self.add_collection(answer, &id, asked, &times);
                for resource in self.resources(&id).filter(|_| depth == Depth::One) {
                    self.add_resource(answer, &resource, asked, &times);
                }
            }
            Place::Resource { collection, name, .. } => {
                let resource = self.resource(collection, name).ok_or(StatusCode::NOT_FOUND)?;
                self.add_resource(answer, &resource, asked, &times).ok_or(StatusCode::NOT_FOUND)?;
            }
            _ => {
                self.add(answer, asked);
                answer.limit(path, most);
                let collections = self.account.objects[&self.dialect.container()].present.keys();
                let collections = collections.filter(|_| depth == Depth::One);
                collections.for_each(|id| self.add_collection(answer, id, asked, &times));
            }
        }
        Ok(())
    }

    /// Adds the home itself.
    pub(super) fn add(&self, answer: &mut Multistatus, asked: &Asked) {
        let found = |name: &Name| match (name.namespace.as_str(), name.name.as_str()) {
            (DAV, "displayname") => Some(escaped(self.owner)),
            (DAV, "resourcetype") => Some("<D:collection/>".to_owned()),
            (DAV, "current-user-principal") => Some(self.user()),
            (DAV, "sync-token") => Some(shown::sync_token(self.state())),
            (CALENDAR_SERVER, "getctag") => Some(escaped(&format!("\"{}\"", self.state()))),
            _ => None,
        };
        answer.properties(&place::home(self.dialect, self.owner), asked, &Properties::default(), found);
    }

    /// The element that leads to the one who asks.
    fn user(&self) -> String {
        format!("<D:href>{}</D:href>", place::principal(&self.login.user))
    }

    fn add_collection(&self, answer: &mut Multistatus, id: &str, asked: &Asked, times: &Times) {
        if let Some(collection) = Collection::of(*self, id, times) {
            let path =
                place::collection(self.dialect, self.owner, &self.account.collection_name(self.dialect, id));
            answer.properties(&path, asked, &collection.common.own, |name| collection.value(name));
        }
    }

    fn add_resource(
        &self,
        answer: &mut Multistatus,
        resource: &Resource,
        asked: &Asked,
        times: &Times,
    ) -> Option<()> {
        let shown = Shown::of(*self, resource, times)?;
        answer.properties(&shown.path, asked, &shown.common.own, |name| shown.value(name));
        Some(())
    }

    /// As in Stalwart, one number tells of changes in any collection of the account.
    pub(super) fn state(&self) -> u64 {
        let state = |kind| self.account.state(kind);
        state(self.dialect.container()).max(state(self.dialect.item()))
    }
}
