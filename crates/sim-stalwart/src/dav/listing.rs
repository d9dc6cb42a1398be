//! What a `PROPFIND` lists: a home, its collections and their resources, each with its properties.

use http::StatusCode;

use super::answer::Multistatus;
use super::asked::Asked;
use super::home::Home;
use super::name::Name;
use super::place::{self, Place};
use super::shown::{self, Collection, Shown, Times};
use super::xml::{CALENDAR_SERVER, DAV, escaped};
use crate::properties::Properties;
use crate::resources::Resource;

/// How far below its path a request looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    Zero,
    One,
}

impl Home<'_> {
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
}
