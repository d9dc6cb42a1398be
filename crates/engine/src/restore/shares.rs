//! With whom folders, address books, calendars and files were shared. A restore does not share anything again by itself: somebody
//! whose share has ended since, or a stranger of that id in another account, would read what is not theirs.

use std::collections::BTreeMap;

use jmap::{Batch, Id, Ids, Set};
use model::DataType;
use repository::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::restore::objects::pairs::{JmapObject, NewIds, read_object};
use crate::restore::request::{Mode, Restore};
use crate::restore::target::{Target, pointer, read};
use crate::server::types::to_jmap;

const SHARED: [DataType; 4] =
    [DataType::Mailbox, DataType::AddressBook, DataType::Calendar, DataType::FileNode];
const MEMBER: &str = "shareWith";

/// Something that was shared with others, and is not shared with just them now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// JMAP's name of its type.
    pub r#type: String,
    /// What people call it.
    pub name: String,
    /// With how many it was shared.
    pub people: u64,
    /// It is shared again, as was asked for.
    pub granted: bool,
    /// Why it is not, although it was asked for.
    pub refusal: Option<String>,
    /// The other way round (mode *exact*): it was not shared with these people, or with fewer rights, and still is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub since: bool,
    /// What of it came back is in one of the account's that is shared with these people, and is not the same by its id: they
    /// see now what they did not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exposed: bool,
}

/// Names what was shared, and shares it again if that was asked for.
pub(super) async fn settle(
    target: Target<'_>,
    snapshot: &Snapshot,
    how: &Restore<'_>,
    ids: &NewIds,
) -> Result<Vec<Share>> {
    let mut shares = Vec::new();
    for data_type in SHARED.into_iter().filter(|data_type| how.types.contains(data_type)) {
        if !target.account.offers(to_jmap(data_type)) {
            continue;
        }
        let all = of_type(snapshot, data_type).await?;
        if how.mode != Mode::Beside {
            shares.extend(shared_since(target, data_type, &all, how, ids).await?);
        }
        let shared: Vec<JmapObject> = all.into_iter().filter(is_shared).collect();
        if shared.is_empty() {
            continue;
        }
        let there =
            |thing: &JmapObject| ids.get(&(data_type, thing.id.clone())).and_then(|id| Id::new(id).ok());
        let now = shared_with(target, data_type, shared.iter().filter_map(there).collect()).await?;
        let (mut set, mut open) = (Set::new(), Vec::new());
        for thing in &shared {
            // What did not come back is named as that.
            let Some(id) = there(thing) else { continue };
            let with = &thing.json[MEMBER];
            if !grants(now.get(id.as_str()), with) {
                // Each by itself: others who may see it now still may.
                let patch = with.as_object().into_iter().flatten().filter_map(|(person, rights)| {
                    Some((pointer(MEMBER, &Id::new(person).ok()?), rights.clone()))
                });
                set.update(&id, Value::Object(patch.collect()));
                open.push((thing, id));
            }
        }
        let asked = how.grant_shares && how.dry_run.is_none() && !open.is_empty();
        let mut refused = if asked {
            target.set("what was shared", to_jmap(data_type), set).await?.not_updated
        } else {
            BTreeMap::new()
        };
        shares.extend(open.into_iter().map(|(thing, id)| {
            let refusal = refused.remove(&id).map(|refusal| refusal.to_string());
            Share {
                r#type: data_type.name().to_owned(),
                name: thing.name(),
                people: thing.json[MEMBER].as_object().map_or(0, |with| with.len() as u64),
                granted: asked && refusal.is_none(),
                refusal,
                since: false,
                exposed: false,
            }
        }));
    }
    Ok(shares)
}

/// Whether everybody has the rights now that they had.
fn grants(now: Option<&Value>, with: &Value) -> bool {
    let with = with.as_object().into_iter().flatten();
    let mut has = with.map(|(person, rights)| now.and_then(|now| now.get(person)) == Some(rights));
    has.all(|has| has)
}

/// What others may see now and could not then. Whose share a restore ended would be for its owner to say. What its owner shares
/// since, by its id, they shared; of anything else they may not know who sees what comes into it.
async fn shared_since(
    target: Target<'_>,
    data_type: DataType,
    things: &[JmapObject],
    how: &Restore<'_>,
    ids: &NewIds,
) -> Result<Vec<Share>> {
    let there = |thing: &JmapObject| ids.get(&(data_type, thing.id.clone())).and_then(|id| Id::new(id).ok());
    let now = shared_with(target, data_type, things.iter().filter_map(there).collect()).await?;
    let shares = things.iter().filter_map(|thing| {
        let id = there(thing)?;
        let people = gained(now.get(id.as_str()), thing.json.get(MEMBER));
        let exposed = !(how.same_account && id.as_str() == thing.id);
        let (name, r#type, since) = (thing.name(), data_type.name().to_owned(), how.mode == Mode::Exact);
        (people > 0 && (since || exposed)).then_some(Share {
            r#type,
            name,
            people,
            granted: false,
            refusal: None,
            since,
            exposed,
        })
    });
    Ok(shares.collect())
}

/// How many people have rights now that they had not.
fn gained(now: Option<&Value>, with: Option<&Value>) -> u64 {
    let may = |rights: Option<&Value>, right: &str| {
        rights.and_then(|rights| rights.get(right)) == Some(&Value::Bool(true))
    };
    let has_more = |(person, rights): &(&String, &Value)| {
        let then = with.and_then(|with| with.get(person.as_str()));
        let mut names = rights.as_object().into_iter().flat_map(Map::keys);
        names.any(|right| may(Some(rights), right) && !may(then, right))
    };
    now.and_then(Value::as_object).into_iter().flatten().filter(has_more).count() as u64
}

async fn of_type(snapshot: &Snapshot, data_type: DataType) -> Result<Vec<JmapObject>> {
    let objects = snapshot.objects_of(data_type).await?;
    Ok(objects.iter().filter_map(|object| read_object(&object.id, &object.json)).collect())
}

fn is_shared(thing: &JmapObject) -> bool {
    thing.json.get(MEMBER).and_then(Value::as_object).is_some_and(|with| !with.is_empty())
}

/// With whom these objects of the account are shared.
async fn shared_with(
    target: Target<'_>,
    data_type: DataType,
    ids: Vec<Id>,
) -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for chunk in ids.chunks(target.client.session().limits.max_objects_in_get) {
        let mut batch = Batch::new(&target.account.id);
        let call = batch.get_properties(to_jmap(data_type), Ids::These(chunk.to_vec()), &[MEMBER]);
        let answer = target.client.call(&batch).await.and_then(|answer| answer.take(call));
        for object in answer.map_err(|source| read("what is shared", source))?.list {
            let json: Map<String, Value> = serde_json::from_slice(&object.json).unwrap_or_default();
            let with = json.get(MEMBER).cloned().unwrap_or_default();
            found.insert(object.id.as_str().to_owned(), with);
        }
    }
    Ok(found)
}
