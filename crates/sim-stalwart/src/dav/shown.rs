//! The live properties of collections and resources.

use std::collections::HashMap;

use serde_json::Value;

use super::asked::Asked;
use super::home::Home;
use super::name::Name;
use super::xml::{CALENDAR_SERVER, DAV, escaped};
use crate::dates;
use crate::dialect::Dialect;
use crate::own;
use crate::properties::Properties;
use crate::resources::{self, Resource, Text};

const LOCKS: &str = "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>\
    <D:lockentry><D:lockscope><D:shared/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>";

/// The components of a calendar of which nobody said what it may hold.
const COMPONENTS: [&str; 13] = [
    "VEVENT",
    "VTODO",
    "VJOURNAL",
    "VFREEBUSY",
    "VTIMEZONE",
    "VALARM",
    "STANDARD",
    "DAYLIGHT",
    "VAVAILABILITY",
    "AVAILABLE",
    "PARTICIPANT",
    "VLOCATION",
    "VRESOURCE",
];

/// The time at which the server started, when nothing had happened.
const START: u64 = 1_790_000_000;

/// When objects were made and changed, in seconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Times(HashMap<String, (u64, u64)>);

impl Times {
    /// The times of a collection or of items, if they are asked for.
    pub(super) fn of(home: Home<'_>, asked: &Asked) -> Self {
        if !asked.wants_dates() {
            return Self::default();
        }
        let logs = [home.dialect.container(), home.dialect.item()]
            .map(|kind| (kind, &home.account.objects[&kind].log));
        let all = logs.iter().flat_map(|(kind, log)| {
            let moments = log.moments().into_iter();
            moments
                .map(|(id, (first, last))| (format!("{} {id}", kind.name()), (START + first, START + last)))
        });
        Self(all.collect())
    }

    fn find(&self, kind: crate::kind::DataType, id: &str) -> (u64, u64) {
        self.0.get(&format!("{} {id}", kind.name())).copied().unwrap_or((START, START))
    }
}

/// What a collection and a resource have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) own: Properties,
    times: (u64, u64),
    token: u64,
    principal: String,
    owner: String,
}

impl Common {
    fn of(home: Home<'_>, own: Properties, times: (u64, u64)) -> Self {
        let principal = super::place::principal(&home.login.user);
        Self { own, times, token: home.state(), principal, owner: super::place::principal(home.owner) }
    }

    fn value(&self, name: &Name) -> Option<String> {
        if name.namespace != DAV {
            return None;
        }
        let href = |path: &str| Some(format!("<D:href>{path}</D:href>"));
        match name.name.as_str() {
            "creationdate" => Some(dates::rfc3339(self.own.created.unwrap_or(self.times.0))),
            "getlastmodified" => Some(dates::http(self.times.1)),
            "lockdiscovery" => Some(String::new()),
            "supportedlock" => Some(LOCKS.to_owned()),
            "current-user-principal" => href(&self.principal),
            "owner" => href(&self.owner),
            "sync-token" => Some(sync_token(self.token)),
            _ => None,
        }
    }
}

pub(super) fn sync_token(state: u64) -> String {
    format!("urn:stalwart:davsync:{state:x}")
}

/// A collection as a user sees it.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    dialect: Dialect,
    object: Value,
    etag: String,
    pub(super) common: Common,
}

impl Collection {
    pub(super) fn of(home: Home<'_>, id: &str, times: &Times) -> Option<Self> {
        let (dialect, kind) = (home.dialect, home.dialect.container());
        let object = own::view(home.account, home.login, kind, home.account.object(kind, id)?);
        let (set, own) = home.account.properties(kind, id);
        let etag = resources::etag(&object.to_string(), set);
        Some(Self { dialect, object, etag, common: Common::of(home, own, times.find(kind, id)) })
    }

    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    pub(super) fn value(&self, name: &Name) -> Option<String> {
        let said = |member: &str| self.object[member].as_str().map(escaped);
        let dialect = self.dialect;
        match (name.namespace.as_str(), name.name.as_str()) {
            (DAV, "displayname") => Some(said("name").unwrap_or_default()),
            (DAV, "resourcetype") => {
                Some(format!("<D:collection/><{}:{}/>", dialect.prefix(), dialect.collection_element()))
            }
            (DAV, "getetag") => Some(escaped(&self.etag)),
            (DAV, _) => self.common.value(name),
            (CALENDAR_SERVER, _) => Some(escaped(&format!("\"{}\"", self.common.token))),
            (namespace, _) if namespace != dialect.namespace() => None,
            (_, "calendar-description" | "addressbook-description") => said("description"),
            (_, "calendar-timezone") => self.own_zone().map(|text| format!("<![CDATA[{text}]]>")),
            (_, "calendar-timezone-id") if self.own_zone().is_none() => said("timeZone"),
            (_, "supported-calendar-component-set") => Some(self.components()),
            _ => None,
        }
    }

    /// The time zone that a client defined, unless JMAP has set another one since.
    fn own_zone(&self) -> Option<&str> {
        let zone = self.common.own.zone.as_ref()?;
        (zone.known_as.as_deref() == self.object["timeZone"].as_str()).then_some(zone.text.as_str())
    }

    fn components(&self) -> String {
        let own = self.common.own.components.as_slice();
        let components = if own.is_empty() { &COMPONENTS } else { own };
        components.iter().map(|name| format!("<A:comp name=\"{name}\"/>")).collect()
    }
}

/// A resource with its text.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    dialect: Dialect,
    pub(super) path: String,
    pub(super) text: Text,
    pub(super) common: Common,
}

impl Shown {
    pub(super) fn of(home: Home<'_>, resource: &Resource, times: &Times) -> Option<Self> {
        let (dialect, kind) = (home.dialect, home.dialect.item());
        let (_, own) = home.account.properties(kind, &resource.item);
        let common = Common::of(home, own, times.find(kind, &resource.item));
        Some(Self { dialect, path: home.href(resource), text: home.text(resource)?, common })
    }

    /// The resource with a part of its text.
    pub(super) fn with_body(&self, body: String) -> Self {
        let mut part = self.clone();
        part.text.body = body;
        part
    }

    pub(super) fn value(&self, name: &Name) -> Option<String> {
        let (dialect, text) = (self.dialect, &self.text);
        match (name.namespace.as_str(), name.name.as_str()) {
            (DAV, "displayname") => self.common.own.display_name.as_deref().map(escaped),
            (DAV, "getetag") => Some(escaped(&text.etag())),
            (DAV, "getcontentlength") => Some(text.size.to_string()),
            (DAV, "getcontenttype") => Some(dialect.media_type().to_owned()),
            (DAV, "resourcetype") => Some(String::new()),
            (namespace, name) if (namespace, name) == (dialect.namespace(), dialect.data_element()) => {
                Some(format!("<![CDATA[{}]]>", text.body))
            }
            _ => self.common.value(name),
        }
    }
}
