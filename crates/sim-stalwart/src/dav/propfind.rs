//! `PROPFIND` (RFC 4918 §9.1).

use axum::response::Response;
use http::StatusCode;

use super::answer::{Declared, Multistatus, Name};
use super::home::Depth;
use super::place::Place;
use super::xml::{self, CALENDAR_SERVER, DAV};
use super::{Refusal, Visit};
use crate::server::lock;

/// What is answered when nothing is asked for.
const USUAL: [(&str, &str); 5] = [
    (DAV, "displayname"),
    (DAV, "getetag"),
    (DAV, "getcontentlength"),
    (DAV, "resourcetype"),
    (DAV, "sync-token"),
];

impl Visit<'_> {
    pub(super) fn propfind(&self, place: &Place) -> Result<Response, Refusal> {
        let depth = match self.header("depth") {
            Some("0") => Depth::Zero,
            Some("infinity") => {
                let condition = "<D:propfind-finite-depth/>".to_owned();
                return Err(Refusal::Condition(StatusCode::FORBIDDEN, condition));
            }
            _ => Depth::One,
        };
        let wanted = self.wanted()?;
        let mut answer = Multistatus::default();
        if *place == Place::Root {
            let resourcetype =
                |name: &Name| (name.name == "resourcetype").then(|| "<D:collection/>".to_owned());
            answer.properties(&format!("{}/", self.dialect.root()), &wanted, resourcetype);
            if let Some((name, account)) = self.own().filter(|_| depth == Depth::One) {
                self.home(&name, &lock(&account)).add(&mut answer, &wanted);
            }
        } else {
            let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
            let account = self.account(owner)?;
            let account = lock(&account);
            self.home(owner, &account).list(&mut answer, place, depth, &wanted)?;
        }
        Ok(answer.finish(self.dialect, declared(place, depth, &wanted)))
    }

    /// The properties that the body names.
    fn wanted(&self) -> Result<Vec<Name>, Refusal> {
        let usual = || USUAL.iter().map(|(namespace, name)| Name::new(namespace, name)).collect();
        if self.body.is_empty() {
            return Ok(usual());
        }
        let request = xml::parse(self.body).filter(|root| root.name == "propfind");
        let request = request.ok_or_else(|| self.unreadable())?;
        Ok(request.child("prop").map_or_else(usual, names))
    }
}

/// The properties that a `prop` element names.
pub(super) fn names(prop: &xml::Element) -> Vec<Name> {
    prop.children.iter().map(|child| Name::new(&child.namespace, &child.name)).collect()
}

/// As Stalwart does: of a home at depth 0 the prefix of `getctag` is used and not declared.
fn declared(place: &Place, depth: Depth, wanted: &[Name]) -> Declared {
    let is_named = wanted.iter().any(|name| name.namespace == CALENDAR_SERVER);
    let is_home_alone = matches!(place, Place::Home { .. }) && depth == Depth::Zero;
    if is_named && !is_home_alone { Declared::CalendarServer } else { Declared::Usual }
}
