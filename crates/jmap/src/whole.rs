//! Objects with all their properties, those too that a server gives only when they are named.
//!
//! `Foo/get` without `properties` gives all of them (RFC 8620 section 5.1). Stalwart 0.16 leaves some out. A list of names brings those,
//! but none of what has no name in the server's list (properties of vendors). So both are asked in one request, and put together.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::client::Client;
use crate::error::Error;
use crate::methods::answer::Answer;
use crate::methods::batch::{Batch, Call, Ids};
use crate::methods::capability::DataType;
use crate::methods::ids::{AccountId, Id};
use crate::methods::method_error::MethodErrorKind;
use crate::methods::objects::{Object, Objects};

/// Requests until both calls tell of one state.
const ATTEMPTS: usize = 3;

/// Objects, put together from both calls: what was named takes the place of what came unasked. An object of which something was
/// put together has its members in the order of their names; any other is as the server wrote it.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The objects. Their state is that of the first call, so that what changed between the two is among the changes since.
    pub objects: Objects,
    /// Properties that every object of the type has, that were named, and that the server did not give.
    pub not_given: BTreeSet<&'static str>,
    /// The second call did not have all objects of the first any more: they lack what was named.
    pub is_torn: bool,
}

/// What has to be named. Of those in the second list an object may have none.
fn named(data_type: DataType) -> (&'static [&'static str], &'static [&'static str]) {
    match data_type {
        DataType::Mailbox | DataType::AddressBook => (&["shareWith"], &[]),
        DataType::Calendar => (
            &[
                "isVisible",
                "includeInAvailability",
                "defaultAlertsWithTime",
                "defaultAlertsWithoutTime",
                "shareWith",
            ],
            &[],
        ),
        // What a vCard or an iCalendar object had and no property of JSContact or JSCalendar holds. Alarms, places, people and moved occurrences are
        // objects of iCalendar themselves, and have such a member of their own if they are named.
        DataType::ContactCard => (&[], &["vCard"]),
        DataType::CalendarEvent => (
            &[],
            &[
                "iCalendar",
                "alerts",
                "recurrenceOverrides",
                "locations",
                "virtualLocations",
                "participants",
                "links",
                "relatedTo",
                "useDefaultAlerts",
                "hideAttendees",
                "mayInviteSelf",
                "mayInviteOthers",
            ],
        ),
        _ => (&[], &[]),
    }
}

impl Client {
    /// `Foo/get` with everything. `limit`: the longest answer in bytes.
    ///
    /// # Errors
    /// Those of [`Client::call`] and of the call. A server that does not know a property that is named is no error.
    pub async fn get_whole(
        &self,
        account: &AccountId,
        data_type: DataType,
        ids: &Ids<Id>,
        limit: Option<u64>,
    ) -> Result<Whole, Error> {
        for attempt in 1.. {
            let mut batch = Batch::new(account);
            let all = batch.get(data_type, ids.clone());
            let (always, sometimes) = named(data_type);
            let names = [always, sometimes].concat();
            let asks = !names.is_empty() && self.session().limits.max_calls_in_request > 1;
            let more = asks.then(|| batch.get_properties(data_type, ids.clone(), &names));
            let batch = match limit {
                Some(limit) => batch.limit_answer(limit),
                None => batch,
            };
            let answer = self.call(&batch).await?;
            let objects = answer.take(all)?;
            let Some(more) = more else {
                return Ok(Whole { objects, not_given: always.iter().copied().collect(), is_torn: false });
            };
            let Some(more) = take_named(&answer, more)? else {
                return Ok(Whole { objects, not_given: names.into_iter().collect(), is_torn: false });
            };
            if objects.state == more.state || attempt == ATTEMPTS {
                return Ok(joined(objects, &more, always, &names));
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// `None`: the server knows one of the names not, and so answers none.
fn take_named(answer: &Answer, call: Call<Objects>) -> Result<Option<Objects>, Error> {
    match answer.take(call) {
        Err(error)
            if error.method_error().is_some_and(|error| error.kind == MethodErrorKind::InvalidArguments) =>
        {
            Ok(None)
        }
        objects => objects.map(Some),
    }
}

fn joined(mut objects: Objects, more: &Objects, always: &[&'static str], names: &[&'static str]) -> Whole {
    let more: BTreeMap<&Id, &Object> = more.list.iter().map(|object| (&object.id, object)).collect();
    let is_torn = objects.list.iter().any(|object| !more.contains_key(&object.id));
    let mut not_given = BTreeSet::new();
    for object in &mut objects.list {
        let Some(of_it) = more.get(&object.id) else { continue };
        let (Some(has), Some(given)) = (members(&object.json), members(&of_it.json)) else { continue };
        let is_given = |name: &&&'static str| has.contains_key(**name) || given.contains_key(**name);
        not_given.extend(always.iter().filter(|name| !is_given(name)));
        let is_new = |name: &&&'static str| match (has.get(**name), given.get(**name)) {
            (Some(has), Some(given)) => has.get() != given.get(),
            (None, given) => given.is_some(),
            (Some(_), None) => false,
        };
        if names.iter().any(|name| is_new(&name)) {
            let named = given.iter().filter(|(name, _)| names.contains(&name.as_ref()));
            let whole: BTreeMap<_, _> = has.iter().chain(named).map(|(name, value)| (name, *value)).collect();
            object.json = serde_json::to_vec(&whole).map(Bytes::from).unwrap_or_else(|_| object.json.clone());
        }
    }
    Whole { objects, not_given, is_torn }
}

fn members(json: &[u8]) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(list: &[(&str, &str)]) -> Objects {
        let object = |(id, json): &(&str, &str)| Object {
            id: Id::new(id).expect("an id"),
            json: Bytes::copy_from_slice(json.as_bytes()),
        };
        Objects {
            state: None,
            list: list.iter().map(object).collect(),
            not_found: Vec::new(),
            failures: Vec::new(),
            may_be_cut: false,
        }
    }

    #[test]
    fn what_was_named_stands_beside_what_came_unasked_or_in_its_place() {
        let all =
            objects(&[("a", r#"{"id":"a","x:y":{"z":1} }"#), ("b", r#"{"id":"b","vCard":1}"#), ("c", "{}")]);
        let more = objects(&[
            ("a", r#"{"vCard":{"properties":[]},"id":"a"}"#),
            ("b", r#"{"id":"b","vCard":2}"#),
            ("c", r#"{"vCard":3}"#),
            ("d", r#"{"vCard":4}"#),
        ]);
        let whole = joined(all, &more, &[], &["vCard"]);
        let jsons: Vec<&[u8]> = whole.objects.list.iter().map(|object| object.json.as_ref()).collect();
        let right: [&[u8]; 3] = [
            br#"{"id":"a","vCard":{"properties":[]},"x:y":{"z":1}}"#,
            br#"{"id":"b","vCard":2}"#,
            br#"{"vCard":3}"#,
        ];
        assert_eq!(jsons, right);
    }

    #[test]
    fn what_every_object_has_and_none_came_with_is_named() {
        let all = objects(&[("a", r#"{"id":"a","color":null}"#)]);
        let more = objects(&[("a", r#"{"id":"a","isVisible":true}"#)]);
        let names = ["isVisible", "shareWith"];
        let whole = joined(all, &more, &names, &names);
        assert_eq!(whole.not_given, BTreeSet::from(["shareWith"]));
    }
}
