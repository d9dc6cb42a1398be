//! `REPORT`: `calendar-query` and `calendar-multiget` (RFC 4791 §7.8, §7.9).

use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;

use super::answer::{Declared, Multistatus, Name};
use super::place::{self, Place, href};
use super::propfind::{names, of_resource};
use super::query::{Part, passes};
use super::xml::{self, Element};
use super::{Refusal, Visit};
use crate::account::Account;
use crate::resources::Text;
use crate::server::lock;

/// The properties that a report wants of each resource.
struct Wanted {
    names: Vec<Name>,
    /// The part of the text; none for all.
    part: Option<Part>,
}

impl Wanted {
    fn parse(report: &Element) -> Self {
        let prop = report.child("prop");
        let data = prop.and_then(|prop| prop.child("calendar-data"));
        Self { names: prop.map(names).unwrap_or_default(), part: data.and_then(Part::of_data) }
    }

    fn add(&self, answer: &mut Multistatus, path: &str, text: &Text) {
        let cut = self.part.as_ref().map(|part| Text { calendar: part.cut(&text.calendar), size: text.size });
        answer.properties(path, &self.names, |name| match &cut {
            Some(cut) if name.name == "calendar-data" => of_resource(name, cut),
            _ => of_resource(name, text),
        });
    }
}

impl Visit<'_> {
    pub(super) fn report(&self, place: &Place) -> Result<Response, Refusal> {
        let report = xml::parse(self.body).ok_or_else(|| self.unreadable())?;
        match report.name.as_str() {
            "calendar-query" => self.query(place, &report),
            "calendar-multiget" => Ok(self.multiget(&report)),
            _ => Err(self.unreadable()),
        }
    }

    fn query(&self, place: &Place, report: &Element) -> Result<Response, Refusal> {
        let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
        let account = self.account(owner)?;
        let account = lock(&account);
        let Place::Collection { calendar, .. } = place else {
            return Err(StatusCode::METHOD_NOT_ALLOWED.into());
        };
        let mut answer = Multistatus::default();
        let Some(id) = account.collection(calendar) else {
            let path = place::collection(owner, calendar);
            answer.status(&path, StatusCode::NOT_FOUND, "No resources found");
            return Ok(answer.finish(Declared::Usual));
        };
        let wanted = Wanted::parse(report);
        let filter = report.child("filter").and_then(|filter| filter.child("comp-filter"));
        for resource in account.resources().into_iter().filter(|resource| resource.calendar == id) {
            let text = account.text(&resource.event);
            let text = text.filter(|text| filter.is_none_or(|filter| passes(filter, &text.calendar)));
            if let Some(text) = text {
                wanted.add(&mut answer, &href(owner, &account, &resource), &text);
            }
        }
        Ok(answer.finish(Declared::Usual))
    }

    /// Looks up the paths that the report names, wherever they are; those that are not there come first.
    fn multiget(&self, report: &Element) -> Response {
        let (mut answer, mut texts) = (Multistatus::default(), Vec::new());
        let mut homes = BTreeMap::new();
        for path in report.children("href").map(|href| href.text.trim()) {
            let place = Place::parse(path);
            let home = homes.entry(place.account().map(str::to_owned)).or_insert_with(|| self.home(&place));
            match home.as_ref().map_err(|code| (*code, "")).and_then(|home| home.find(&place)) {
                Ok(found) => texts.push(found),
                Err((code, words)) => answer.status(path, code, words),
            }
        }
        let wanted = Wanted::parse(report);
        texts.iter().for_each(|(path, text)| wanted.add(&mut answer, path, text));
        answer.finish(Declared::Usual)
    }

    fn home(&self, place: &Place) -> Result<Home, StatusCode> {
        let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
        let account = self.account(owner)?;
        let account = lock(&account);
        Ok(Home::new(owner, &account))
    }
}

/// The texts of an account at one moment, by names of calendar and resource.
struct Home {
    texts: BTreeMap<(String, String), (String, Text)>,
}

impl Home {
    fn new(owner: &str, account: &Account) -> Self {
        let resources = account.resources().into_iter().filter_map(|resource| {
            let text = account.text(&resource.event)?;
            let path = href(owner, account, &resource);
            Some(((account.collection_name(&resource.calendar), resource.name), (path, text)))
        });
        Self { texts: resources.collect() }
    }

    fn find(&self, place: &Place) -> Result<(String, Text), (StatusCode, &'static str)> {
        match place {
            Place::Resource { calendar, name, .. } => {
                let found = self.texts.get(&(calendar.clone(), name.clone())).cloned();
                found.ok_or((StatusCode::NOT_FOUND, ""))
            }
            _ => Err((StatusCode::FORBIDDEN, "Multiget not allowed for collections")),
        }
    }
}
