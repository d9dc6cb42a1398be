//! What programs set to calendars and address books by CalDAV and CardDAV, and JMAP does not show: Apple's colour and order, a list for
//! tasks alone, whatever a program keeps for itself. It stands in the JSON of the object, as one member.

use jmap::{Account, Class, Client, Collection, Home, Properties, TIME_ZONE};
use model::DataType;
use serde_json::{Map, Value};

use super::account::is_fatal;

/// What a snapshot lacks where a server does not show them; stands beside properties that JMAP does not give.
pub(crate) const NOT_SHOWN: &str = "what programs set by CalDAV and CardDAV alone (such as Apple's colours)";
/// The same where it shows them, and does not say whose they are, or shows some of them in a way that nobody can read.
pub(crate) const NOT_TOLD: &str = "what programs set by CalDAV and CardDAV alone to some, because others have the same name or the server's answer is no XML";

/// The member: an object with elements of XML by names that are written `{namespace}name`.
pub(crate) const MEMBER: &str = "davProperties";

/// Collections that belong to a type's objects; `None`: the server shows none.
pub(crate) type Collections = Option<Vec<Collection>>;

/// Where objects of a type are collections.
pub(crate) fn home_of(data_type: DataType) -> Option<Home> {
    match data_type {
        DataType::Calendar => Some(Home::Calendars),
        DataType::AddressBook => Some(Home::AddressBooks),
        _ => None,
    }
}

/// The collections of an account. A server that does not show them, or not to us, is no failure.
pub(crate) async fn collections(
    client: &Client,
    account: &Account,
    home: Home,
) -> Result<Collections, jmap::Error> {
    match client.collections(account, home).await {
        Ok(collections) => Ok(Some(collections)),
        Err(error) if is_fatal(&error) => Err(error),
        Err(error) => match error.class() {
            Class::Transient { .. } | Class::Cancelled => Err(error),
            Class::Permanent | Class::Auth | Class::Corrupt => Ok(None),
        },
    }
}

/// Puts the properties of an object's collection into its JSON; false if it is not told which collection that is. It is told by the
/// name: of two with one name and different properties it is not.
pub(crate) fn add(object: &mut Map<String, Value>, collections: &[Collection]) -> bool {
    let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut same = collections.iter().filter(|collection| is_called(collection, name));
    let Some(first) = same.next() else { return false };
    if same.any(|other| other.properties != first.properties) {
        return false;
    }
    let Some(mut properties) = first.properties.clone() else { return false };
    if object.get("timeZone").is_some_and(|zone| !zone.is_null()) {
        properties.remove(TIME_ZONE);
    }
    let properties: Map<String, Value> =
        properties.into_iter().map(|(name, element)| (name, Value::String(element))).collect();
    object.insert(MEMBER.to_owned(), properties.into());
    true
}

/// Whether a collection has this name. XML makes LF of every line end.
pub(crate) fn is_called(collection: &Collection, name: &str) -> bool {
    collection.name == name || collection.name == name.replace("\r\n", "\n").replace('\r', "\n")
}

/// The properties in an object's JSON; `None`: nobody asked for them, or the server did not show them.
pub(crate) fn of(object: &Map<String, Value>) -> Option<Properties> {
    let properties = object.get(MEMBER)?.as_object()?;
    let element = |(name, element): (&String, &Value)| Some((name.clone(), element.as_str()?.to_owned()));
    properties.iter().map(element).collect()
}

/// Its name, for people.
pub(crate) fn local_name(name: &str) -> &str {
    name.rsplit_once('}').map_or(name, |(_, local)| local)
}
