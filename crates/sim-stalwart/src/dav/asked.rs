//! Which properties a request asks for.

use super::name::Name;
use super::xml::{CALENDAR_SERVER, DAV, Element};

/// The properties that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) names: Vec<Name>,
    /// All usual and all dead properties: what is not there is not mentioned.
    is_all: bool,
}

/// What `allprop` gives, in the order of the answer.
const USUAL: [&str; 11] = [
    "creationdate",
    "displayname",
    "getetag",
    "getlastmodified",
    "resourcetype",
    "lockdiscovery",
    "supportedlock",
    "current-user-principal",
    "getcontentlanguage",
    "getcontentlength",
    "getcontenttype",
];

/// Properties that are mentioned if they are not there, whatever is asked for.
const NOT_PASSED_OVER: [&str; 5] = [
    "calendar-description",
    "calendar-timezone",
    "calendar-timezone-id",
    "addressbook-description",
    "getctag",
];

impl Asked {
    /// Every usual property, and those that are included besides.
    pub(super) fn all(include: Option<&Element>) -> Self {
        let usual = USUAL.iter().map(|name| Name::live(DAV, name));
        let is_more =
            |name: &Name| name.is_live() && (name.namespace != DAV || !USUAL.contains(&name.name.as_str()));
        let more = include.map(names).unwrap_or_default().into_iter().filter(is_more);
        Self { names: usual.chain(more).collect(), is_all: true }
    }

    /// The properties that a `prop` element names.
    pub(super) fn named(prop: &Element) -> Self {
        Self { names: names(prop), is_all: false }
    }

    /// Reads a `propfind` or a report.
    pub(super) fn of(request: &Element) -> Self {
        request.child("prop").map_or_else(|| Self::all(request.child("include")), Self::named)
    }

    pub(super) const fn is_all(&self) -> bool {
        self.is_all
    }

    /// Whether the answer says that a property is not there.
    pub(super) fn mentions_missing(&self, name: &Name) -> bool {
        !self.is_all || NOT_PASSED_OVER.contains(&name.name.as_str())
    }

    /// Whether the times of resources have to be looked up.
    pub(super) fn wants_dates(&self) -> bool {
        self.names.iter().any(|name| ["creationdate", "getlastmodified"].contains(&name.name.as_str()))
    }

    pub(super) fn wants_calendar_server(&self) -> bool {
        self.names.iter().any(|name| name.is_live() && name.namespace == CALENDAR_SERVER)
    }
}

fn names(prop: &Element) -> Vec<Name> {
    prop.elements().filter_map(Name::of).collect()
}
