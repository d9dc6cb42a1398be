//! Scripts, vacation response, identities, contacts, calendars and files are given back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{Mode, RestoreId, Restored, RestoredObjects};
use model::{BackupState, DataType};
use serde_json::{Value, json};
use sim_stalwart::{
    AccountHandle, AccountSpec, DataType as Kind, Effect, Fault, Folders, Kinds, Limits, TypeContent, Version,
};
use testkit::stride;
use tests::seeds;
use tests::truth::{Digest, kind_of};

use crate::alice;
use crate::restore::{Two, struck};

/// All but emails and folders.
const TYPES: [DataType; 9] = [
    DataType::SieveScript,
    DataType::VacationResponse,
    DataType::Identity,
    DataType::ParticipantIdentity,
    DataType::AddressBook,
    DataType::ContactCard,
    DataType::Calendar,
    DataType::CalendarEvent,
    DataType::FileNode,
];

/// How often the account holds each object, told without ids.
pub(crate) type Objects = BTreeMap<DataType, BTreeMap<String, usize>>;

pub(crate) fn objects(account: &AccountHandle) -> Objects {
    TYPES.into_iter().map(|data_type| (data_type, objects_of(account, data_type))).collect()
}

fn objects_of(account: &AccountHandle, data_type: DataType) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for object in account.content(kind_of(data_type)).values() {
        // The server's own, made of the vacation response; and a response that says nothing.
        let is_servers_own = data_type == DataType::SieveScript && object["name"] == "vacation";
        let says_nothing = |it: &Value| it["subject"].is_null() && it["textBody"].is_null();
        if is_servers_own || data_type == DataType::VacationResponse && says_nothing(object) {
            continue;
        }
        *found.entry(told(account, Value::clone(object))).or_default() += 1;
    }
    found
}

/// References as names, content as its digest.
fn told(account: &AccountHandle, mut object: Value) -> String {
    let content = object["blobId"].as_str().and_then(|blob| account.blob(blob));
    object["blobId"] = content.map(|bytes| Digest::of(&bytes).hex()).into();
    for (member, kind) in [("addressBookIds", Kind::AddressBook), ("calendarIds", Kind::Calendar)] {
        let containers = account.content(kind);
        if let Some(set) = object[member].as_object() {
            let names: BTreeSet<String> = set.keys().map(|id| containers[id]["name"].to_string()).collect();
            object[member] = json!(names);
        }
    }
    if object.get("parentId").is_some() {
        object["parentId"] = json!(path(&account.content(Kind::FileNode), object["parentId"].as_str()));
    }
    let members = object.as_object_mut().expect("an object");
    members.remove("id");
    // Nothing is shared again by itself.
    members.remove("shareWith");
    members.retain(|_, value| !value.is_null());
    object.to_string()
}

fn path<'a>(nodes: &'a TypeContent, mut at: Option<&'a str>) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(node) = at.and_then(|id| nodes.get(id)) {
        path.insert(0, node["name"].to_string());
        at = node["parentId"].as_str();
    }
    path
}

/// A few of everything, some of it in places of its own.
pub(crate) fn furnished(seed: u64) -> AccountSpec {
    alice(0).objects(7, 6, 4).scripts(3).seed(seed)
}

fn add_more(alice: &AccountHandle) {
    let book = alice.insert(
        Kind::AddressBook,
        json!({ "name": "Œuvres ☀", "description": "friends", "isDefault": false }),
    );
    let first = alice.content(Kind::AddressBook).keys().next().expect("there is one").clone();
    for (number, books) in
        [json!({ &book: true }), json!({ &book: true, &first: true })].into_iter().enumerate()
    {
        let card = json!({
            "@type": "Card", "version": "1.0", "uid": format!("more-{number}"), "addressBookIds": books,
            "name": { "full": "Zoë" },
        });
        alice.insert(Kind::ContactCard, card);
    }
    alice.insert(Kind::AddressBook, json!({ "name": "empty", "isDefault": false }));
    let calendar =
        alice.insert(Kind::Calendar, json!({ "name": "work", "color": "#112233", "isDefault": false }));
    let event = json!({
        "@type": "Event", "uid": "one", "calendarIds": { calendar: true }, "title": "one", "start": "2024-01-01T00:00:00",
        "isDraft": false,
        "alerts": { "a": { "trigger": { "offset": "-PT15M" } } },
    });
    alice.insert(Kind::CalendarEvent, event);
    let outer = alice.insert(Kind::FileNode, json!({ "name": "outer", "parentId": null }));
    let inner = alice.insert(Kind::FileNode, json!({ "name": "inner", "parentId": outer }));
    let long: Vec<u8> = (0..700_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for (name, bytes) in [("long", long), ("empty", Vec::new())] {
        let size = bytes.len();
        let blob = alice.put_blob(bytes);
        alice.insert(
            Kind::FileNode,
            json!({ "name": name, "parentId": inner, "blobId": blob, "size": size, "type": "text/plain" }),
        );
    }
}

pub(crate) async fn two(seed: u64, limits: Limits) -> Two {
    let two = Two::unsaved(furnished(seed), limits, Version::V0_16).await;
    add_more(&two.home.alice);
    activate(
        &two.home.alice,
        if seed.is_multiple_of(2) { Active::Vacation } else { Active::Script("script 0") },
    );
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    two
}

/// What happens to arriving mail: at most one of these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Active {
    Nothing,
    Script(&'static str),
    Vacation,
}

pub(crate) fn activate(alice: &AccountHandle, active: Active) {
    alice.edit(Kind::VacationResponse, "singleton", |it| {
        it["isEnabled"] = (active == Active::Vacation).into();
    });
    for (id, script) in &alice.content(Kind::SieveScript) {
        let is = match active {
            Active::Nothing => false,
            Active::Script(name) => script["name"] == name,
            Active::Vacation => script["name"] == "vacation",
        };
        alice.edit(Kind::SieveScript, id, |script| script["isActive"] = is.into());
    }
}

fn assert_same(found: &Objects, expected: &Objects, when: &str) {
    for data_type in TYPES {
        let (nothing, found, expected) = (BTreeMap::new(), found.get(&data_type), expected.get(&data_type));
        let (found, expected) = (found.unwrap_or(&nothing), expected.unwrap_or(&nothing));
        let surplus: Vec<_> = found.iter().filter(|(it, n)| expected.get(*it) != Some(n)).collect();
        let missing: Vec<_> = expected.iter().filter(|(it, n)| found.get(*it) != Some(n)).collect();
        assert!(
            surplus.is_empty() && missing.is_empty(),
            "{when}: {data_type}: too much: {surplus:#?} missing: {missing:#?}"
        );
    }
}

pub(crate) fn assert_whole(restored: &Restored) {
    assert!(restored.objects.iter().all(RestoredObjects::is_whole), "{:#?}", restored.objects);
}

/// Without what bob has by nature: a default address book, a calendar, identities.
fn given(account: &AccountHandle, by_nature: &Objects) -> Objects {
    let mut found = objects(account);
    for (data_type, natural) in by_nature {
        let found = found.get_mut(data_type).expect("every type is there");
        found.retain(|object, _| !natural.contains_key(object));
    }
    found
}

/// What lies beside everything else, as if it were not.
fn brought_home(objects: &Objects, label: &str) -> Objects {
    let mut home = Objects::new();
    for (data_type, found) in objects {
        for (object, count) in found {
            let mut object: Value = serde_json::from_str(object).expect("JSON");
            if *data_type == DataType::FileNode && object["name"] == label {
                continue;
            }
            if *data_type == DataType::FileNode {
                let top = object["parentId"].as_array_mut().map(|path| path.remove(0));
                assert_eq!(top, Some(json!(format!("{label:?}"))), "{object}");
            }
            let text = object.to_string().replace(&format!(" – {label}"), "");
            *home.entry(*data_type).or_default().entry(text).or_default() += count;
        }
    }
    home
}

/// What a server adds, or what the account's reader sees.
const SERVERS_OWN: [&str; 5] = ["isSubscribed", "mayDelete", "myRights", "size", "sortOrder"];
const FLAGS: [&str; 2] = ["isActive", "isDefault"];

fn without(objects: &Objects, left_out: &[&str]) -> Objects {
    let mut plain = Objects::new();
    for (data_type, found) in objects {
        for (object, count) in found {
            let mut object: Value = serde_json::from_str(object).expect("JSON");
            let members = object.as_object_mut().expect("an object");
            left_out.iter().for_each(|member| drop(members.remove(*member)));
            *plain.entry(*data_type).or_default().entry(object.to_string()).or_default() += count;
        }
    }
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_into_an_empty_account() {
    for mode in [Mode::Missing, Mode::Exact] {
        let two = two(1, Limits::default()).await;
        let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        assert_whole(&restored);
        let [mut found, mut expected] =
            [&two.bob, &two.home.alice].map(|account| without(&objects(account), &SERVERS_OWN));
        if mode == Mode::Missing {
            // What he had stays, and what is his alone does not become the default.
            (found, expected) = (without(&found, &FLAGS), without(&expected, &FLAGS));
            for (data_type, found) in &mut found {
                found.retain(|object, _| expected[data_type].contains_key(object) || !object.contains("bob"));
            }
        }
        assert_same(&found, &expected, &format!("{mode:?}"));
        let again = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        let done: u64 = again.objects.iter().map(|of| of.restored + of.changed + of.removed).sum();
        assert_eq!(done, 0, "{mode:?} again: {:#?}", again.objects);
    }
}

/// The only address book is the default one because it is the only one; beside it others come.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_address_book_stays_the_default_one() {
    let modes = [Mode::Beside, Mode::Missing, Mode::Exact];
    for (mode, has_chosen) in modes.into_iter().flat_map(|mode| [(mode, false), (mode, true)]) {
        let two = two(1, Limits::default()).await;
        if has_chosen {
            let books = two.home.alice.content(Kind::AddressBook);
            let chosen = books.iter().find(|(_, book)| book["name"] == "Œuvres ☀").expect("it is there").0;
            two.home.alice.edit(Kind::AddressBook, chosen, |book| book["isDefault"] = true.into());
            two.home.backup().await;
        }
        let defaults = |account: &AccountHandle| {
            let books = account.content(Kind::AddressBook);
            let is_default = |book: &&Value| book["isDefault"] == true;
            books.values().filter(is_default).map(|book| book["name"].clone()).collect::<Vec<_>>()
        };
        let before = defaults(&two.bob);
        assert_eq!((before.len(), defaults(&two.home.alice).len()), (1, usize::from(has_chosen)));
        two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        assert!(two.bob.content(Kind::AddressBook).len() > 1);
        let expected = if mode == Mode::Exact { defaults(&two.home.alice) } else { before };
        assert_eq!(defaults(&two.bob), expected, "{mode:?}, {has_chosen}");
    }
}

/// Of each type one object that bob may see.
fn share(alice: &AccountHandle) -> [(Kind, String); 4] {
    [Kind::Mailbox, Kind::AddressBook, Kind::Calendar, Kind::FileNode].map(|kind| {
        let named = |name: &Value| name != "empty" && name != "Inbox";
        let content = alice.content(kind);
        let (id, _) = content.iter().find(|(_, object)| named(&object["name"])).expect("there is one");
        alice.edit(kind, id, |object| object["shareWith"] = json!({ "bob": { "mayRead": true } }));
        (kind, id.clone())
    })
}

fn is_shared(account: &AccountHandle) -> usize {
    let kinds = [Kind::Mailbox, Kind::AddressBook, Kind::Calendar, Kind::FileNode];
    let all = kinds.into_iter().flat_map(|kind| account.content(kind).into_values().collect::<Vec<_>>());
    all.filter(|object| object["shareWith"].as_object().is_some_and(|with| !with.is_empty())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shared_is_named_and_shared_again_only_when_that_is_asked_for() {
    let two = two(1, Limits::default()).await;
    let shared = share(&two.home.alice);
    two.home.backup().await;
    let number = two.home.bed.newest(&two.home.url).await.1.info().number;
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        assert_eq!(is_shared(&two.bob), 0, "{mode:?}: {restored:#?}");
        assert!(restored.shares.iter().all(|share| !share.granted && share.people == 1), "{restored:#?}");
        let types: BTreeSet<&str> = restored.shares.iter().map(|share| share.r#type.as_str()).collect();
        assert_eq!(types.len(), 4, "{mode:?}: {restored:#?}");
        // What came beside stays there alone where mode missing makes its book or calendar: that is named.
        if mode != Mode::Missing {
            assert_whole(&restored);
        }
    }
    // The shares end, and what one person may see no more stays so.
    for (kind, id) in &shared {
        two.home.alice.edit(*kind, id, |object| object["shareWith"] = json!({}));
    }
    let (bed, url) = (&two.home.bed, &two.home.url);
    let (rehearsed, _) = bed.rehearse(url, number, bed, Mode::Exact).await;
    assert_eq!(rehearsed.shares.len(), 4, "{rehearsed:#?}");
    let restored = two.give_alice(number, Mode::Exact).await;
    assert_eq!((is_shared(&two.home.alice), restored.shares.len()), (0, 4), "{restored:#?}");
    let sharing = bed.clone().sharing();
    let (mode, id) = (Mode::Exact, RestoreId::random());
    let restored = bed.restore(url, Some(number), &sharing, mode, &id).await.expect("restores");
    assert!(restored.shares.iter().all(|share| share.granted), "{restored:#?}");
    assert_eq!((is_shared(&two.home.alice), restored.shares.len()), (4, 4), "{restored:#?}");
    let again = two.give_alice(number, Mode::Exact).await;
    assert_eq!((is_shared(&two.home.alice), again.shares.len()), (4, 0), "as it is: {again:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_what_is_there_and_none_of_that_changes() {
    let two = two(2, Limits::default()).await;
    let before = objects(&two.home.alice);
    let bed = &two.home.bed;
    let restored =
        bed.restore(&two.home.url, None, bed, Mode::Beside, &RestoreId::random()).await.expect("restores");
    assert_whole(&restored);
    let label = restored.folder.expect("a folder of its own");
    let after = objects(&two.home.alice);
    for (data_type, before) in &before {
        let lost: Vec<_> =
            before.iter().filter(|(object, n)| after[data_type].get(*object) != Some(n)).collect();
        assert!(lost.is_empty(), "{data_type}: {lost:?}");
    }
    let mut found = brought_home(&given(&two.home.alice, &before), &label);
    let mut expected = before.clone();
    // There is one of each; of events one of each UID.
    let once = [
        DataType::VacationResponse,
        DataType::Identity,
        DataType::ParticipantIdentity,
        DataType::CalendarEvent,
    ];
    for one_only in once {
        assert!(!found.contains_key(&one_only), "{found:#?}");
        expected.remove(&one_only);
    }
    // The vacation response comes as the script that the server made of it.
    let scripts = found.get_mut(&DataType::SieveScript).expect("there are some");
    let vacation: Vec<String> = scripts.keys().filter(|it| it.contains("\"vacation\"")).cloned().collect();
    assert_eq!(vacation.len(), 1, "{scripts:#?}");
    scripts.remove(&vacation[0]);
    let plain = |objects| without(&without(objects, &SERVERS_OWN), &FLAGS);
    assert_same(&plain(&found), &plain(&expected), "beside");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_random_edits_an_exact_restore_brings_it_back_and_its_safety_backup_undoes_it() {
    for seed in seeds() {
        println!("MALLE_SEED={seed}");
        let two = two(seed, Limits::default()).await;
        let number = two.home.bed.newest(&two.home.url).await.1.info().number;
        let before = objects(&two.home.alice);
        edit(&two.home.alice, seed);
        let edited = objects(&two.home.alice);
        let restored = two.give_alice(number, Mode::Exact).await;
        assert_same(&objects(&two.home.alice), &before, "restored");
        two.give_alice(restored.safety.expect("it was backed up first"), Mode::Exact).await;
        assert_same(&objects(&two.home.alice), &edited, "undone");
    }
}

/// Random edits, and those that names are exchanged by.
fn edit(alice: &AccountHandle, seed: u64) {
    alice.mutate(400, seed, Kinds::All);
    let first_two = |kind| {
        let mut ids = alice.content(kind).keys().cloned().collect::<Vec<_>>().into_iter();
        (ids.next(), ids.next())
    };
    if let (Some(a), Some(b)) = first_two(Kind::SieveScript) {
        let named = |id: &str| alice.content(Kind::SieveScript)[id]["name"].clone();
        let (of_a, of_b) = (named(&a), named(&b));
        if seed.is_multiple_of(2) && of_a != "vacation" && of_b != "vacation" {
            alice.edit(Kind::SieveScript, &a, |script| script["name"] = of_b);
            alice.edit(Kind::SieveScript, &b, |script| script["name"] = of_a);
        }
    }
    let nodes = alice.content(Kind::FileNode);
    let of_name = |name: &str| nodes.iter().find(|(_, node)| node["name"] == name).map(|(id, _)| id.clone());
    if let (Some(outer), Some(inner), 1) = (of_name("outer"), of_name("inner"), seed % 3) {
        alice.edit(Kind::FileNode, &inner, |node| node["parentId"] = Value::Null);
        alice.edit(Kind::FileNode, &outer, |node| node["parentId"] = inner.as_str().into());
    }
    if let (Some(long), 2) = (of_name("long"), seed % 3) {
        let blob = alice.put_blob("something else");
        alice.edit(Kind::FileNode, &long, |node| (node["blobId"], node["size"]) = (blob.into(), 14.into()));
    }
    match seed % 4 {
        0 => alice.remove(Kind::VacationResponse, "singleton"),
        1 => alice.edit(Kind::VacationResponse, "singleton", |it| it["subject"] = "elsewhere".into()),
        _ => {}
    }
}

/// At each third request, in the long run at every one; each mode begins at another.
async fn struck_at_any_request(effect: fn() -> Effect) {
    for mode in [Mode::Beside, Mode::Missing, Mode::Exact] {
        let expected = {
            let two = few().await;
            two.give_bob(mode, &id()).await.expect("restores");
            objects(&two.bob)
        };
        for number in (mode as u64..).step_by(stride(3)) {
            let (two, id, effect) = (few().await, id(), effect());
            let faults = two.home.simulator.faults();
            let fault = faults.add(Fault::at_request(number, effect.clone()));
            let ended = tokio::select! {
                ended = two.give_bob(mode, &id) => Some(ended),
                () = killed(faults, fault, &effect) => None,
            };
            faults.remove(fault);
            let ended = match ended {
                Some(ended) => ended,
                None => two.give_bob(mode, &id).await,
            };
            ended.unwrap_or_else(|error| panic!("{number}: {error}"));
            assert_same(&objects(&two.bob), &expected, &format!("{mode:?}, request {number}"));
            if faults.struck(fault) == 0 {
                assert!(number >= 15, "{number}");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_brings_no_object_twice() {
    struck_at_any_request(|| Effect::Reset { after: 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_objects_that_is_lost_is_made_up_for() {
    struck_at_any_request(|| Effect::ResetUnserved).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_objects_that_is_killed_anywhere_is_gone_on_with() {
    struck_at_any_request(|| Effect::Delay(Duration::from_secs(3600))).await;
}

async fn few() -> Two {
    let limits = Limits { max_objects_in_set: 3, ..Limits::default() };
    let two =
        Two::unsaved(alice(0).folders(Folders::Plain).objects(4, 4, 3).scripts(2), limits, Version::V0_16)
            .await;
    activate(&two.home.alice, Active::Script("script 1"));
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    two
}

/// Always the same, as names beside carry it.
fn id() -> RestoreId {
    RestoreId::parse("abcd2345").expect("an id")
}

async fn killed(faults: &sim_stalwart::Faults, fault: sim_stalwart::FaultId, effect: &Effect) {
    match effect {
        Effect::Delay(_) => struck(faults, fault).await,
        _ => std::future::pending().await,
    }
}

/// Which script is active, and the vacation response, before and after.
#[tokio::test(flavor = "multi_thread")]
async fn one_filter_is_active_as_it_was() {
    use Active::{Nothing, Script, Vacation};
    let (a, b) = ("script 0", "script 1");
    for (before, after) in [
        (Nothing, Script(a)),
        (Nothing, Vacation),
        (Script(a), Nothing),
        (Script(a), Script(b)),
        (Script(a), Vacation),
        (Vacation, Nothing),
        (Vacation, Script(b)),
    ] {
        let two = Two::unsaved(furnished(3), Limits::default(), Version::V0_16).await;
        activate(&two.home.alice, before);
        two.home.backup().await;
        let number = two.home.bed.newest(&two.home.url).await.1.info().number;
        let kept = objects(&two.home.alice);
        activate(&two.home.alice, after);
        two.give_alice(number, Mode::Exact).await;
        assert_same(&objects(&two.home.alice), &kept, &format!("{before:?} after {after:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_asked_for() {
    let two = two(8, Limits::default()).await;
    let id = RestoreId::random();
    let types = [DataType::AddressBook, DataType::ContactCard];
    let (bed, url) = (&two.home.bed, &two.home.url);
    let restored =
        bed.restore_types(url, None, &two.bobs, Mode::Missing, &id, &types).await.expect("restores");
    assert_eq!(restored.objects.iter().map(|of| of.data_type).collect::<Vec<_>>(), types);
    assert_eq!(two.bob.content(Kind::ContactCard).len(), two.home.alice.content(Kind::ContactCard).len());
    assert_eq!(two.bob.content(Kind::FileNode).len(), 0);
}

/// What stands in a file's place goes first: a directory where a file was, a file where a directory was, and files that were
/// made again, whose time of creation nobody can change.
#[tokio::test(flavor = "multi_thread")]
async fn an_exact_restore_brings_files_back_into_places_that_others_took() {
    let two = two(0, Limits::default()).await;
    let (home, alice) = (&two.home, &two.home.alice);
    let (before, number) = (objects(alice), home.bed.newest(&home.url).await.1.info().number);
    let nodes = alice.content(Kind::FileNode);
    let of_name = |name: &str| {
        let found = nodes.iter().find(|(_, node)| node["name"] == name).expect("it is there");
        (found.0.clone(), found.1.clone())
    };
    let make = |name: &str, parent: &Value, bytes: Option<&'static str>| {
        let blob = bytes.map(|bytes| alice.put_blob(bytes));
        let size = bytes.map(str::len);
        let node = json!({
            "name": name, "parentId": parent, "blobId": blob, "size": size, "type": bytes.map(|_| "text/plain"),
            "created": "2025-05-05T05:05:05Z", "modified": "2025-05-05T05:05:05Z",
        });
        alice.insert(Kind::FileNode, node)
    };
    // A directory with a file in it stands where `long` was, a file where `inner` was, with all that lay in it.
    let ((long, _), (empty, _), (inner, directory)) = (of_name("long"), of_name("empty"), of_name("inner"));
    let again = of_name("file 1.bin");
    [&long, &empty, &inner, &again.0].into_iter().for_each(|id| alice.remove(Kind::FileNode, id));
    make("inner", &directory["parentId"], Some("a file"));
    make("file 1.bin", &again.1["parentId"], Some("made again"));
    let (file, its) = of_name("file 0.bin");
    alice.remove(Kind::FileNode, &file);
    let taken = make("file 0.bin", &its["parentId"], None);
    make("within", &json!(taken), Some("in the way"));
    home.good_backup().await;
    let restored = two.give_alice(number, Mode::Exact).await;
    assert_eq!(objects(alice), before);
    let files = restored.objects.iter().find(|of| of.data_type == DataType::FileNode).expect("it is told");
    assert_eq!((files.restored, files.removed), (5, 4), "{files:#?}");
    let (again, items) = home.bed.rehearse(&home.url, number, &home.bed, Mode::Exact).await;
    assert!(items.is_empty(), "{items:?} {again:?}");
}
