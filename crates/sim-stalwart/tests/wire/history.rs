//! Changes, histories, roll-backs, accounts that come again.

use std::collections::BTreeMap;

use crate::client::Client;
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, Churn, DataType, Kinds, Simulator, Sizes, TypeContent};

async fn start(spec: AccountSpec) -> (Simulator, Client, AccountHandle) {
    let simulator = Simulator::builder().seed(3).account(spec).start().await.unwrap();
    let client = Client::new(&simulator, "alice", "secret").await;
    let account = simulator.account("alice").unwrap();
    (simulator, client, account)
}

fn spec() -> AccountSpec {
    AccountSpec::new("alice", "secret").emails(60).sizes(Sizes::tiny())
}

/// Types that answer `/changes`.
fn changing() -> impl Iterator<Item = DataType> {
    let without = [DataType::SieveScript, DataType::VacationResponse, DataType::ParticipantIdentity];
    DataType::ALL.into_iter().filter(move |kind| !without.contains(kind))
}

/// Follows `/changes` to its end by pages of `page`, and reads what it names: the content as a client sees it.
async fn follow(client: &Client, kind: DataType, copy: &mut TypeContent, state: &mut String, page: u32) {
    loop {
        let arguments = json!({ "sinceState": *state, "maxChanges": page });
        let changes = client.call(&format!("{}/changes", kind.name()), arguments).await;
        let ids = |name: &str| changes[name].as_array().unwrap_or_else(|| panic!("{changes}")).clone();
        for gone in ids("destroyed") {
            copy.remove(gone.as_str().unwrap());
        }
        let mut wanted = ids("created");
        wanted.extend(ids("updated"));
        copy.extend(read(client, kind, json!(wanted)).await);
        changes["newState"].as_str().unwrap().clone_into(state);
        if changes["hasMoreChanges"] == false {
            return;
        }
    }
}

/// Objects by id, as `content` has them.
async fn read(client: &Client, kind: DataType, ids: Value) -> TypeContent {
    let properties = match kind {
        DataType::Email => json!(["id", "blobId", "mailboxIds", "keywords", "receivedAt", "size"]),
        DataType::Mailbox => {
            json!(["id", "name", "parentId", "role", "sortOrder", "isSubscribed", "myRights", "shareWith"])
        }
        _ => Value::Null,
    };
    let method = format!("{}/get", kind.name());
    let answer = client.call(&method, json!({ "ids": ids, "properties": properties })).await;
    let named = match kind {
        DataType::Email => json!({ "list": [] }),
        _ => client.call(&method, json!({ "ids": ids, "properties": NAMED })).await,
    };
    let id_of = |object: &Value| object["id"].as_str().unwrap().to_owned();
    let list = answer["list"].as_array().unwrap().iter();
    let mut objects: BTreeMap<String, Value> = list.map(|object| (id_of(object), object.clone())).collect();
    for more in named["list"].as_array().unwrap() {
        let object = objects.get_mut(&id_of(more)).unwrap().as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
    }
    objects.into_iter().collect()
}

/// What comes only to those who name it.
const NAMED: [&str; 9] = [
    "shareWith",
    "isVisible",
    "includeInAvailability",
    "defaultAlertsWithTime",
    "defaultAlertsWithoutTime",
    "vCard",
    "iCalendar",
    "alerts",
    "recurrenceOverrides",
];

#[tokio::test]
async fn properties_that_have_to_be_named_come_only_to_those_who_name_them() {
    let (_simulator, client, _account) = start(spec()).await;
    for kind in [
        DataType::Mailbox,
        DataType::AddressBook,
        DataType::Calendar,
        DataType::ContactCard,
        DataType::CalendarEvent,
    ] {
        let method = format!("{}/get", kind.name());
        let unasked = client.call(&method, json!({})).await;
        let named = client.call(&method, json!({ "properties": NAMED })).await;
        let has = |answer: &Value| {
            let objects = answer["list"].as_array().unwrap().iter();
            objects.filter(|object| NAMED.iter().any(|name| object.get(name).is_some())).count()
        };
        assert_eq!(has(&unasked), 0, "{unasked}");
        assert_eq!(has(&named), named["list"].as_array().unwrap().len(), "{named}");
        assert!(has(&named) > 0);
    }
}

#[tokio::test]
async fn a_client_that_follows_changes_ends_with_the_server_s_content() {
    for seed in 0..6 {
        let (_simulator, client, account) = start(spec()).await;
        let mut copies = BTreeMap::new();
        for kind in changing() {
            copies.insert(kind, (account.content(kind), account.state(kind)));
        }
        for round in 0..3 {
            account.mutate(150, seed * 10 + round, Kinds::All);
            for (kind, (copy, state)) in &mut copies {
                follow(&client, *kind, copy, state, [3, 1000, 7][(seed % 3) as usize]).await;
                // The time at which it was read.
                copy.values_mut()
                    .filter_map(Value::as_object_mut)
                    .for_each(|node| drop(node.remove("accessed")));
                assert_eq!(*state, account.state(*kind), "{kind:?} seed {seed}");
                assert_eq!(*copy, account.content(*kind), "{kind:?} seed {seed}");
            }
        }
    }
}

#[tokio::test]
async fn every_state_that_was_announced_has_the_content_it_had() {
    let (_simulator, _client, account) = start(spec()).await;
    let mut seen: Vec<(DataType, String, TypeContent)> = Vec::new();
    for step in 0..200 {
        for kind in DataType::ALL {
            seen.push((kind, account.state(kind), account.content(kind)));
        }
        account.mutate(1, step, Kinds::All);
    }
    for (kind, state, content) in seen {
        assert_eq!(account.state_content(kind, &state).unwrap(), content, "{kind:?} {state}");
        assert!(account.states(kind).contains(&state));
    }
    assert_eq!(account.state_content(DataType::Email, "s3333"), None);
}

#[tokio::test]
async fn churn_moves_the_state_inside_a_request() {
    let (simulator, client, account) = start(spec()).await;
    simulator.churn(Some(Churn { before: 3, after: 2, seed: 5, kinds: Kinds::All }));
    let calls: Vec<_> = (0..4).map(|_| ("Email/get", json!({ "ids": [] }))).collect();
    let answers = client.calls(&calls).await;
    let states: std::collections::BTreeSet<_> =
        answers.iter().map(|answer| answer["state"].as_str().unwrap()).collect();
    assert!(states.len() > 1, "{states:?}");
    assert!(states.iter().all(|state| account.state_content(DataType::Email, state).is_some()));
}

#[tokio::test]
async fn roll_back_repeats_states_and_ids_with_other_content() {
    let (_simulator, client, account) = start(spec()).await;
    account.mutate(20, 1, Kinds::All);
    let before = (account.content(DataType::Email), account.content(DataType::Mailbox));
    let point = account.checkpoint();
    let first = account.deliver("Subject: one\r\n\r\n", &[], &[]);
    let lost_state = account.state(DataType::Email);
    let lost = account.content(DataType::Email);
    account.roll_back(&point);
    assert_eq!((account.content(DataType::Email), account.content(DataType::Mailbox)), before);
    let changes = client.call("Email/changes", json!({ "sinceState": lost_state })).await;
    assert_eq!(changes["type"], "cannotCalculateChanges");
    let second = account.deliver("Subject: two\r\n\r\n", &[], &[]);
    assert_eq!((&first, &lost_state), (&second, &account.state(DataType::Email)));
    let contents = account.state_contents(DataType::Email, &lost_state);
    assert_eq!(contents, [account.content(DataType::Email), lost]);
}

#[tokio::test]
async fn truncated_history_cannot_be_calculated() {
    let (_simulator, client, account) = start(spec()).await;
    let state = account.state(DataType::Email);
    account.mutate(5, 1, Kinds::Emails);
    account.truncate_history();
    let kind = async |state: &str| {
        client.call("Email/changes", json!({ "sinceState": state })).await["type"].clone()
    };
    assert_eq!(kind(&state).await, "cannotCalculateChanges");
    assert_eq!(kind("nonsense").await, "invalidArguments");
    assert_eq!(kind("s33333").await, "cannotCalculateChanges");
    assert_eq!(kind("n").await, Value::Null);
    assert_eq!(kind(&account.state(DataType::Email)).await, Value::Null);
    let (_simulator, client, account) = start(spec().keep_history(4)).await;
    let state = account.state(DataType::Email);
    (0..4).for_each(|_| drop(account.deliver("x", &[], &[])));
    let changes = client.call("Email/changes", json!({ "sinceState": state })).await;
    assert_eq!(changes["created"].as_array().unwrap().len(), 4);
    account.deliver("x", &[], &[]);
    let changes = client.call("Email/changes", json!({ "sinceState": state })).await;
    assert_eq!(changes["type"], "cannotCalculateChanges");
}

#[tokio::test]
async fn delivery_touches_the_folder_s_counts_alone() {
    let (_simulator, client, account) = start(spec()).await;
    let state = account.state(DataType::Mailbox);
    account.deliver("Subject: x\r\n\r\n", &[], &[]);
    let changes = client.call("Mailbox/changes", json!({ "sinceState": state })).await;
    assert_eq!(changes["updatedProperties"][0], "totalEmails");
    let folder = changes["updated"][0].clone();
    account.rename_folder(folder.as_str().unwrap(), "other");
    let changes = client.call("Mailbox/changes", json!({ "sinceState": state })).await;
    assert_eq!((&changes["updated"], &changes["updatedProperties"]), (&json!([folder]), &Value::Null));
}

#[tokio::test]
async fn account_that_is_made_again_begins_anew() {
    let (simulator, _client, account) = start(spec()).await;
    account.mutate(10, 1, Kinds::All);
    let (id, state) = (account.id(), account.state(DataType::Email));
    assert!(simulator.remove_account("alice"));
    let answer = crate::client::get(&format!("{}/jmap/session", simulator.url()), "alice", "secret").await;
    assert_eq!(answer.status(), 401);
    let again = simulator.add_account(&spec().seed(99));
    assert_ne!(again.id(), id);
    let same = simulator.add_account(&spec().seed(98).account_id(&id).first_state(5000));
    assert_eq!((same.id(), same.email_count()), (id, 60));
    assert_ne!(same.state(DataType::Email), state);
    assert_ne!(same.emails()[0].blob_id, account.emails()[0].blob_id);
}

#[tokio::test]
async fn vacation_response_shows_as_a_script_and_shares_its_state() {
    let (_simulator, client, account) = start(spec()).await;
    let scripts = client.call("SieveScript/get", json!({ "ids": null })).await;
    assert!(scripts["list"].as_array().unwrap().iter().any(|script| script["name"] == "vacation"));
    account
        .edit(DataType::VacationResponse, "singleton", |vacation| vacation["textBody"] = "elsewhere".into());
    let answers = client.calls(&[("SieveScript/get", json!({})), ("VacationResponse/get", json!({}))]).await;
    assert_eq!(answers[0]["state"], answers[1]["state"]);
    assert_ne!(answers[0]["state"], scripts["state"]);
    account.remove(DataType::VacationResponse, "singleton");
    let answers = client.calls(&[("SieveScript/get", json!({})), ("VacationResponse/get", json!({}))]).await;
    assert_eq!(answers[0]["list"].as_array().unwrap().len(), 2);
    assert_eq!(answers[1]["notFound"], json!(["singleton"]));
}

#[tokio::test]
async fn equal_seeds_make_equal_servers() {
    let truth = async |seed: u64| {
        let simulator = Simulator::builder().seed(seed).account(spec()).start().await.unwrap();
        let account = simulator.account("alice").unwrap();
        account.mutate(50, 2, Kinds::All);
        let raws: Vec<_> = account.emails().iter().map(|email| account.raw(&email.id).unwrap()).collect();
        (account.emails(), raws, DataType::ALL.map(|kind| account.content(kind)))
    };
    assert!(truth(1).await == truth(1).await);
    assert!(truth(1).await != truth(2).await);
}
