//! `REPORT`: a search of a collection and a look-up of paths (RFC 4791 §7.8, §7.9; RFC 6352 §8.6, §8.7).

use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;

use super::answer::{Declared, Multistatus};
use super::asked::Asked;
use super::home::Home;
use super::place::Place;
use super::query::{Part, is_wanted};
use super::shown::{Shown, Times};
use super::xml::{self, Element};
use super::{Refusal, Visit};
use crate::dialect::Dialect;
use crate::resources::Text;
use crate::server::lock;

/// The properties that a report wants of each resource.
struct Wanted {
    dialect: Dialect,
    asked: Asked,
    /// The part of the text; none for all.
    part: Option<Part>,
}

impl Wanted {
    fn parse(dialect: Dialect, report: &Element) -> Self {
        let prop = report.child("prop");
        let data = prop.and_then(|prop| prop.child(dialect.data_element()));
        let part = data.and_then(|data| Part::of_data(dialect, data));
        Self { dialect, asked: Asked::of(report), part }
    }

    fn add(&self, answer: &mut Multistatus, shown: &Shown) {
        let body = self.part.as_ref().map(|part| part.cut(&shown.text.body));
        let cut = body.map(|body| shown.with_body(body));
        answer.properties(&shown.path, &self.asked, &shown.common.own, |name| match &cut {
            Some(cut) if name.name == self.dialect.data_element() => cut.value(name),
            _ => shown.value(name),
        });
    }
}

/// Most results of a report: what the server allows, or fewer that the client wants of an `addressbook-query`.
fn most(allowed: usize, report: &Element) -> usize {
    let wanted = report.child("limit").and_then(|limit| limit.child("nresults"));
    let wanted = wanted.and_then(|wanted| wanted.text().trim().parse().ok());
    wanted.filter(|wanted| *wanted > 0).map_or(allowed, |wanted: usize| wanted.min(allowed))
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
        let times = Times::of(home, &wanted.asked);
        answer.limit(self.parts.uri.path(), most(self.most, report));
        for resource in home.resources(&id) {
            if let Some(shown) = Shown::of(home, &resource, &times).filter(|shown| passes(&shown.text)) {
                wanted.add(&mut answer, &shown);
            }
        }
        Ok(answer.finish(self.dialect, Declared::Usual))
    }

    /// Looks up the paths that the report names, wherever they are; those that are not there come first; the limit is on the others alone.
    fn multiget(&self, report: &Element) -> Response {
        let (mut answer, mut found) = (Multistatus::default(), Vec::new());
        let wanted = Wanted::parse(self.dialect, report);
        let mut accounts = BTreeMap::new();
        for path in report.children("href").map(Element::text) {
            let path = path.trim();
            let place = Place::parse(self.dialect, path);
            let name = place.account().map(str::to_owned);
            let account = accounts.entry(name).or_insert_with(|| self.texts(&place, &wanted.asked));
            match account.as_ref().map_err(|code| (*code, "")).and_then(|texts| texts.find(&place)) {
                Ok(shown) => found.push(shown),
                Err((code, words)) => answer.status(path, code, words),
            }
        }
        answer.limit(self.parts.uri.path(), self.most);
        found.iter().for_each(|shown| wanted.add(&mut answer, shown));
        answer.finish(self.dialect, Declared::Usual)
    }

    fn texts(&self, place: &Place, asked: &Asked) -> Result<Texts, StatusCode> {
        let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
        let account = self.account(owner)?;
        let account = lock(&account);
        Ok(Texts::of(self.home(owner, &account), asked))
    }
}

/// The resources of an account at one moment, by names of collection and resource.
struct Texts(BTreeMap<(String, String), Shown>);

impl Texts {
    fn of(home: Home<'_>, asked: &Asked) -> Self {
        let times = Times::of(home, asked);
        let shown = home.account.resources(home.dialect).into_iter().filter_map(|resource| {
            let shown = Shown::of(home, &resource, &times)?;
            let collection = home.account.collection_name(home.dialect, &resource.collection);
            Some(((collection, resource.name), shown))
        });
        Self(shown.collect())
    }

    fn find(&self, place: &Place) -> Result<Shown, (StatusCode, &'static str)> {
        match place {
            Place::Resource { collection, name, .. } => {
                let found = self.0.get(&(collection.clone(), name.clone())).cloned();
                found.ok_or((StatusCode::NOT_FOUND, ""))
            }
            _ => Err((StatusCode::FORBIDDEN, "Multiget not allowed for collections")),
        }
    }
}
