//! `PROPFIND` (RFC 4918 §9.1).

use axum::response::Response;
use http::StatusCode;

use super::answer::{Declared, Multistatus};
use super::asked::Asked;
use super::listing::Depth;
use super::name::Name;
use super::place::Place;
use super::xml;
use super::{Refusal, Visit};
use crate::properties::Properties;
use crate::server::lock;

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
        let asked = self.asked()?;
        let mut answer = Multistatus::default();
        if *place == Place::Root {
            let resourcetype =
                |name: &Name| (name.name == "resourcetype").then(|| "<D:collection/>".to_owned());
            let root = format!("{}/", self.dialect.root());
            answer.properties(&root, &asked, &Properties::default(), resourcetype);
            if let Some((name, account)) = self.own().filter(|_| depth == Depth::One) {
                self.home(&name, &lock(&account)).add(&mut answer, &asked);
            }
        } else {
            let owner = place.account().ok_or(StatusCode::NOT_FOUND)?;
            let account = self.account(owner)?;
            let account = lock(&account);
            self.home(owner, &account).list(
                &mut answer,
                (place, depth),
                &asked,
                (self.parts.uri.path(), self.most),
            )?;
        }
        Ok(answer.finish(self.dialect, declared(place, depth, &asked)))
    }

    /// The properties that the body asks for.
    fn asked(&self) -> Result<Asked, Refusal> {
        if self.body.is_empty() {
            return Ok(Asked::all(None));
        }
        let request = xml::parse(self.body).filter(|root| root.name == "propfind");
        Ok(Asked::of(&request.ok_or_else(|| self.unreadable())?))
    }
}

/// As Stalwart does: of a home at depth 0 the prefix of `getctag` is used and not declared.
fn declared(place: &Place, depth: Depth, asked: &Asked) -> Declared {
    let is_named = asked.wants_calendar_server();
    let is_home_alone = matches!(place, Place::Home { .. }) && depth == Depth::Zero;
    if is_named && !is_home_alone { Declared::CalendarServer } else { Declared::Usual }
}
