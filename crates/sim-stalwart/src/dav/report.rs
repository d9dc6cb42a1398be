//! `REPORT`: a search of a collection and a look-up of paths (RFC 4791 §7.8, §7.9; RFC 6352 §8.6, §8.7).

use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;

use super::answer::{Declared, Multistatus, Name};
use super::home::{Home, of_resource};
use super::place::Place;
use super::propfind::names;
use super::query::{Part, is_wanted};
use super::xml::{self, Element};
use super::{Refusal, Visit};
use crate::dialect::Dialect;
use crate::resources::Text;
use crate::server::lock;

/// The properties that a report wants of each resource.
struct Wanted {
    dialect: Dialect,
    names: Vec<Name>,
    /// The part of the text; none for all.
    part: Option<Part>,
}

impl Wanted {
    fn parse(dialect: Dialect, report: &Element) -> Self {
        let prop = report.child("prop");
        let data = prop.and_then(|prop| prop.child(dialect.data_element()));
        let part = data.and_then(|data| Part::of_data(dialect, data));
        Self { dialect, names: prop.map(names).unwrap_or_default(), part }
    }

    fn add(&self, answer: &mut Multistatus, path: &str, text: &Text) {
        let cut = self.part.as_ref().map(|part| Text { body: part.cut(&text.body), size: text.size });
        answer.properties(path, &self.names, |name| match &cut {
            Some(cut) if name.name == self.dialect.data_element() => of_resource(self.dialect, name, cut),
            _ => of_resource(self.dialect, name, text),
        });
    }
}

impl Visit<'_> {
    pub(super) fn report(&self, place: &Place) -> Result<Response, Refusal> {
        let report = xml::parse(self.body).ok_or_else(|| self.unreadable())?;
        let [query, multiget] = self.dialect.reports();
        match report.name.as_str() {
            name if name == query => self.query(place, &report),
            name if name == multiget => Ok(self.multiget(&report)),
            _ => Err(self.unreadable()),
        }
    }

    fn query(&self, place: &Place, report: &Element) -> Result<Response, Refusal> {
        let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
        let account = self.account(owner)?;
        let account = lock(&account);
        let home = self.home(owner, &account);
        let mut answer = Multistatus::default();
        let id = match place {
            Place::Collection { collection, .. } => home.collection(collection),
            Place::Resource { collection, name, .. } if home.resource(collection, name).is_none() => None,
            _ => return Err(StatusCode::METHOD_NOT_ALLOWED.into()),
        };
        let Some(id) = id else {
            answer.status(self.parts.uri.path(), StatusCode::NOT_FOUND, "No resources found");
            return Ok(answer.finish(self.dialect, Declared::Usual));
        };
        let wanted = Wanted::parse(self.dialect, report);
        let passes = |text: &Text| {
            report.child("filter").is_none_or(|filter| is_wanted(self.dialect, filter, &text.body))
        };
        for resource in home.resources(&id) {
            if let Some(text) = home.text(&resource).filter(passes) {
                wanted.add(&mut answer, &home.href(&resource), &text);
            }
        }
        Ok(answer.finish(self.dialect, Declared::Usual))
    }

    /// Looks up the paths that the report names, wherever they are; those that are not there come first.
    fn multiget(&self, report: &Element) -> Response {
        let (mut answer, mut texts) = (Multistatus::default(), Vec::new());
        let mut accounts = BTreeMap::new();
        for path in report.children("href").map(|href| href.text.trim()) {
            let place = Place::parse(self.dialect, path);
            let account =
                accounts.entry(place.account().map(str::to_owned)).or_insert_with(|| self.texts(&place));
            match account.as_ref().map_err(|code| (*code, "")).and_then(|texts| texts.find(&place)) {
                Ok(found) => texts.push(found),
                Err((code, words)) => answer.status(path, code, words),
            }
        }
        let wanted = Wanted::parse(self.dialect, report);
        texts.iter().for_each(|(path, text)| wanted.add(&mut answer, path, text));
        answer.finish(self.dialect, Declared::Usual)
    }

    fn texts(&self, place: &Place) -> Result<Texts, StatusCode> {
        let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
        let account = self.account(owner)?;
        let account = lock(&account);
        Ok(Texts::of(self.home(owner, &account)))
    }
}

/// The texts of an account at one moment with their paths, by names of collection and resource.
struct Texts(BTreeMap<(String, String), (String, Text)>);

impl Texts {
    fn of(home: Home<'_>) -> Self {
        let texts = home.account.resources(home.dialect).into_iter().filter_map(|resource| {
            let (path, text) = (home.href(&resource), home.text(&resource)?);
            let collection = home.account.collection_name(home.dialect, &resource.collection);
            Some(((collection, resource.name), (path, text)))
        });
        Self(texts.collect())
    }

    fn find(&self, place: &Place) -> Result<(String, Text), (StatusCode, &'static str)> {
        match place {
            Place::Resource { collection, name, .. } => {
                let found = self.0.get(&(collection.clone(), name.clone())).cloned();
                found.ok_or((StatusCode::NOT_FOUND, ""))
            }
            _ => Err((StatusCode::FORBIDDEN, "Multiget not allowed for collections")),
        }
    }
}
