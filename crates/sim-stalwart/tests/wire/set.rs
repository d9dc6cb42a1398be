//! `set` of every type: what is made, changed and destroyed, and what is refused.

use crate::client::Client;
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, DataType, Limits, Simulator, Sizes, Version};

async fn with(spec: AccountSpec, limits: Limits) -> (Simulator, Client, AccountHandle) {
    let builder = Simulator::builder().seed(5).limits(limits).account(spec).admin("admin", "root");
    let simulator = builder.start().await.unwrap();
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let account = simulator.account("alice@example.org").unwrap();
    (simulator, client, account)
}

fn spec() -> AccountSpec {
    AccountSpec::new("alice@example.org", "secret").bare().sizes(Sizes::tiny())
}

async fn start() -> (Simulator, Client, AccountHandle) {
    with(spec().emails(20), Limits::default()).await
}

/// The id that a creation got.
fn id(answer: &Value, creation: &str) -> String {
    answer["created"][creation]["id"].as_str().unwrap_or_else(|| panic!("{creation}: {answer}")).to_owned()
}

/// Types of the errors in `notCreated`, `notUpdated` or `notDestroyed`, by creation id or id.
fn kinds(answer: &Value, member: &str) -> Vec<(String, String)> {
    let errors = answer[member].as_object().unwrap_or_else(|| panic!("{answer}"));
    errors.iter().map(|(id, error)| (id.clone(), error["type"].as_str().unwrap().to_owned())).collect()
}

fn expected(errors: &[(&str, &str)]) -> Vec<(String, String)> {
    errors.iter().map(|(id, kind)| ((*id).to_owned(), (*kind).to_owned())).collect()
}

#[tokio::test]
async fn folders_are_made_inside_one_another_by_creation_id() {
    let (simulator, client, account) = start().await;
    let before = account.state(DataType::Mailbox);
    let create = json!({
        "a": { "name": "Grand", "parentId": "#z" },
        "z": { "name": " Child ", "parentId": "#m", "sortOrder": 7 },
        "m": { "name": "Parent", "isSubscribed": true, "role": "archive" },
    });
    let answer = client.call("Mailbox/set", json!({ "create": create })).await;
    assert_eq!(
        (&answer["oldState"], &answer["newState"]),
        (&json!(before), &json!(account.state(DataType::Mailbox)))
    );
    let content = account.content(DataType::Mailbox);
    let [grand, child, parent] = ["a", "z", "m"].map(|creation| content[&id(&answer, creation)].clone());
    assert_eq!((&grand["parentId"], &child["parentId"]), (&child["id"], &parent["id"]));
    assert_eq!((&child["name"], &child["sortOrder"]), (&json!("Child"), &json!(7)));
    assert_eq!((&parent["isSubscribed"], &parent["role"]), (&json!(true), &json!("archive")));
    let changes = client.call("Mailbox/changes", json!({ "sinceState": before })).await;
    assert_eq!(changes["created"].as_array().unwrap().len(), 3);
    assert_eq!(simulator.counters().created, 3);
    let lost = json!({ "create": { "q": { "name": "Q", "parentId": "#none" }, "r": { "name": "R" } } });
    assert_eq!(client.call("Mailbox/set", lost).await["type"], "invalidResultReference");
    assert_eq!(account.content(DataType::Mailbox), content);
}

#[tokio::test]
async fn creation_ids_hold_for_the_whole_request_and_are_told_if_asked() {
    let (_simulator, client, account) = start().await;
    let calls = json!([
        ["Mailbox/set", { "accountId": client.account, "create": { "m": { "name": "M" } } }, "0"],
        ["Mailbox/set", { "accountId": client.account, "create": { "n": { "name": "N", "parentId": "#m" } } },
            "1"],
    ]);
    let request = json!({ "using": client.using, "methodCalls": calls, "createdIds": {} });
    let (_, answer) = client.post(&request).await;
    let [m, n] = ["m", "n"].map(|name| answer["createdIds"][name].as_str().unwrap().to_owned());
    assert_eq!(account.content(DataType::Mailbox)[&n]["parentId"], m);
}

#[tokio::test]
async fn folders_that_are_refused() {
    let (_simulator, client, account) = start().await;
    let create = json!({
        "caseTwin": { "name": "inBOX" }, "role": { "name": "T", "role": "trash" },
        "odd": { "name": "O", "role": "odd" },
        "empty": { "name": "  " }, "long": { "name": "x".repeat(255) }, "none": {}, "number": { "name": 5 },
        "lost": { "name": "L", "parentId": "zzz" }, "unknown": { "name": "U", "foo": 1 },
        "own": { "name": "I", "id": "b" },
    });
    let answer = client.call("Mailbox/set", json!({ "create": create })).await;
    let errors = kinds(&answer, "notCreated");
    assert_eq!(errors.len(), 10);
    assert!(errors.iter().all(|(_, kind)| kind == "invalidProperties"), "{errors:?}");
    assert_eq!(answer["notCreated"]["role"]["properties"], json!(["role"]));
    assert_eq!((&answer["created"], &answer["newState"]), (&Value::Null, &answer["oldState"]));
    // Twins of one call pass, as in Stalwart; the next call finds the name taken.
    let twins = json!({ "a": { "name": "Twin" }, "b": { "name": "TWIN" } });
    let answer = client.call("Mailbox/set", json!({ "create": twins })).await;
    assert_eq!(answer["created"].as_object().unwrap().len(), 2);
    let (first, second) = (id(&answer, "a"), id(&answer, "b"));
    let update = json!({ &first: { "name": "TWIN" }, &second: { "parentId": first } });
    let answer = client.call("Mailbox/set", json!({ "update": update })).await;
    assert_eq!(kinds(&answer, "notUpdated"), expected(&[(&first, "invalidProperties")]));
    assert_eq!(account.content(DataType::Mailbox)[&second]["parentId"], first);
}

#[tokio::test]
async fn folders_no_deeper_than_ten_and_no_more_than_allowed() {
    let limits = Limits { max_folders: 17, ..Limits::default() };
    let (_simulator, client, _account) = with(spec(), limits).await;
    let mut parent = Value::Null;
    for depth in 0..10 {
        let create = json!({ "a": { "name": format!("{depth}"), "parentId": parent } });
        parent = id(&client.call("Mailbox/set", json!({ "create": create })).await, "a").into();
    }
    let answer =
        client.call("Mailbox/set", json!({ "create": { "a": { "name": "x", "parentId": parent } } })).await;
    assert_eq!(answer["notCreated"]["a"]["properties"], json!(["parentId"]));
    let three = json!({ "a": { "name": "x" }, "b": { "name": "y" }, "c": { "name": "z" } });
    let answer = client.call("Mailbox/set", json!({ "create": three })).await;
    assert_eq!(kinds(&answer, "notCreated"), expected(&[("c", "overQuota")]));
}

#[tokio::test]
async fn folders_change_and_keep_what_they_must() {
    let (_simulator, client, account) = start().await;
    let create = json!({ "p": { "name": "P" }, "c": { "name": "C", "parentId": "#p" } });
    let answer = client.call("Mailbox/set", json!({ "create": create })).await;
    let (p, c, inbox) = (id(&answer, "p"), id(&answer, "c"), client.inbox().await);
    let update = json!({
        &p: { "parentId": c }, &c: { "name": "renamed", "sortOrder": 3 }, &inbox: { "role": null },
        "zzz": { "name": "q" },
    });
    let answer = client.call("Mailbox/set", json!({ "update": update })).await;
    assert_eq!(answer["updated"], json!({ &c: null }));
    let mut wrong =
        expected(&[(&p, "invalidProperties"), (&inbox, "invalidProperties"), ("zzz", "notFound")]);
    wrong.sort();
    assert_eq!(kinds(&answer, "notUpdated"), wrong);
    assert_eq!(account.content(DataType::Mailbox)[&c]["name"], "renamed");
    let answer =
        client.call("Mailbox/set", json!({ "update": { &c: { "name": "no" } }, "destroy": [c] })).await;
    assert_eq!(kinds(&answer, "notUpdated"), expected(&[(&c, "willDestroy")]));
    assert_eq!(answer["destroyed"], json!([c]));
}

#[tokio::test]
async fn folders_are_destroyed_when_nothing_is_in_them_or_with_their_emails() {
    let (_simulator, client, account) = start().await;
    let (inbox, p) = (client.inbox().await, account.create_folder("p", None));
    let c = account.create_folder("c", Some(&p));
    let [first, second] = [0, 1].map(|at| account.emails()[at].id.clone());
    account.move_to(&first, &[&c]);
    account.move_to(&second, &[&c, &inbox]);
    let answer = client.call("Mailbox/set", json!({ "destroy": [inbox, p, c, "zzz"] })).await;
    let mut wrong = expected(&[
        (&inbox, "forbidden"),
        (&p, "mailboxHasChild"),
        (&c, "mailboxHasEmail"),
        ("zzz", "notFound"),
    ]);
    wrong.sort();
    assert_eq!(kinds(&answer, "notDestroyed"), wrong);
    let arguments = json!({ "destroy": [c, p], "onDestroyRemoveEmails": true });
    assert_eq!(client.call("Mailbox/set", arguments).await["destroyed"], json!([c, p]));
    assert_eq!(account.email(&first), None);
    assert_eq!(account.email(&second).unwrap().mailbox_ids, [inbox].into());
}

#[tokio::test]
async fn subscriptions_are_those_of_the_one_who_writes() {
    let (simulator, client, account) = start().await;
    let (admin, inbox) = (Client::new(&simulator, "admin", "root").await, client.inbox().await);
    let as_admin = |mut arguments: Value| {
        arguments["accountId"] = account.id().into();
        arguments
    };
    let create = json!({
        "create": { "a": { "name": "A", "isSubscribed": true } }, "update": { &inbox: { "isSubscribed": false } },
    });
    let made = id(&admin.call("Mailbox/set", as_admin(create)).await, "a");
    let seen = async |client: &Client| {
        let answer = client.call("Mailbox/get", as_admin(json!({ "ids": [made, inbox] }))).await;
        [0, 1].map(|at| answer["list"][at]["isSubscribed"].as_bool().unwrap())
    };
    let order = if made < inbox { [0, 1] } else { [1, 0] };
    let sorted = |flags: [bool; 2]| order.map(|at| flags[at]);
    assert_eq!(sorted(seen(&admin).await), [true, false]);
    assert_eq!(sorted(seen(&client).await), [false, true]);
}

#[tokio::test]
async fn emails_change_by_patch_and_as_a_whole() {
    let (simulator, client, account) = start().await;
    let id = account.deliver("Subject: x\r\n\r\n", &["a"], &["$seen", "Foo"]);
    let changed = async |patch: Value| {
        let answer = client.call("Email/set", json!({ "update": { &id: patch } })).await;
        let truth = account.email(&id).unwrap();
        let sets = (truth.keywords, truth.mailbox_ids);
        let names = |set: std::collections::BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
        (answer["notUpdated"][&id]["type"].as_str().map(str::to_owned), names(sets.0), names(sets.1))
    };
    let ok = |keywords: &str, folders: &str| (None, keywords.to_owned(), folders.to_owned());
    let patch = json!({
        "keywords/$Flagged": true, "keywords/$seen": null, "keywords/a~1b": true, "mailboxIds/b": true,
    });
    assert_eq!(changed(patch).await, ok("$flagged Foo a/b", "a b"));
    assert_eq!(
        changed(json!({ "keywords/FOO": null, "mailboxIds/a": false })).await,
        ok("$flagged Foo a/b", "b")
    );
    assert_eq!(
        changed(json!({ "keywords": { "z": true }, "mailboxIds": { "c": true } })).await,
        ok("z", "c")
    );
    let refused = Some("invalidProperties".to_owned());
    for patch in [
        json!({ "mailboxIds/c": null }),
        json!({ "mailboxIds": {} }),
        json!({ "mailboxIds": { "zzz": true } }),
        json!({ "receivedAt": "2020-01-01T00:00:00Z" }),
        json!({ "keywords/x": 5 }),
        json!({ "keywords": null }),
    ] {
        assert_eq!(
            changed(patch.clone()).await,
            (refused.clone(), "z".to_owned(), "c".to_owned()),
            "{patch}"
        );
    }
    assert_eq!(simulator.counters().updated, 3);
}

#[tokio::test]
async fn emails_are_destroyed_and_states_tell() {
    let (simulator, mut client, account) = start().await;
    let ids: Vec<String> = account.emails().into_iter().map(|email| email.id).collect();
    let state = account.state(DataType::Email);
    let same = json!({ "update": { &ids[0]: {} }, "ifInState": state });
    assert_eq!(client.call("Email/set", same).await["newState"], state);
    let answer =
        client.call("Email/set", json!({ "destroy": [ids[0], "zzz", ids[1]], "ifInState": state })).await;
    assert_eq!(answer["destroyed"], json!([ids[0], ids[1]]));
    assert_eq!(kinds(&answer, "notDestroyed"), expected(&[("zzz", "notFound")]));
    let changes = client.call("Email/changes", json!({ "sinceState": state })).await;
    assert_eq!((&changes["destroyed"], &changes["newState"]), (&answer["destroyed"], &answer["newState"]));
    let late = json!({ "destroy": [ids[2]], "ifInState": state });
    assert_eq!(client.call("Email/set", late).await["type"], "stateMismatch");
    assert_eq!(client.call("Email/set", json!({ "ifInState": "?" })).await["type"], "invalidArguments");
    assert_eq!(
        client.call("Email/set", json!({ "destroy": vec!["a"; 501] })).await["type"],
        "requestTooLarge"
    );
    assert_eq!((account.email_count(), simulator.counters().destroyed), (18, 2));
    let odd = json!({ "update": { "!": {}, "#x": {} }, "destroy": ["!"] });
    simulator.set_version(Version::V0_15);
    client.be_old();
    let answer = client.call("Email/set", odd).await;
    assert_eq!((&answer["notUpdated"], &answer["notDestroyed"]), (&Value::Null, &Value::Null));
}
