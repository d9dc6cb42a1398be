//! `set` of scripts, vacation, identities, contacts, calendars and files.

use crate::client::{Client, data};
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, DataType, Simulator};

async fn start() -> (Simulator, Client, AccountHandle) {
    let spec = AccountSpec::new("alice@example.org", "secret").bare().alias("a@example.org");
    let simulator = Simulator::builder().seed(5).account(spec).start().await.unwrap();
    let client = Client::new(&simulator, "alice@example.org", "secret").await;
    let account = simulator.account("alice@example.org").unwrap();
    (simulator, client, account)
}

fn id(answer: &Value, creation: &str) -> String {
    answer["created"][creation]["id"].as_str().unwrap_or_else(|| panic!("{creation}: {answer}")).to_owned()
}

fn kind(answer: &Value, creation: &str) -> String {
    answer["notCreated"][creation]["type"]
        .as_str()
        .unwrap_or_else(|| panic!("{creation}: {answer}"))
        .to_owned()
}

async fn script(client: &Client, text: &str) -> String {
    client.upload("application/sieve", text).await.1["blobId"].as_str().unwrap().to_owned()
}

/// Names of the active scripts.
fn active(account: &AccountHandle) -> Vec<String> {
    let scripts = account.content(DataType::SieveScript);
    let active = scripts.values().filter(|script| script["isActive"] == true);
    active.map(|script| script["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn scripts_are_made_from_blobs_and_refused_for_a_reason() {
    let (_simulator, client, account) = start().await;
    let good = script(&client, "keep;\r\n").await;
    let one =
        client.call("SieveScript/set", json!({ "create": { "a": { "name": "one", "blobId": good } } })).await;
    let kept = account.content(DataType::SieveScript)[&id(&one, "a")].clone();
    assert_eq!(kept["blobId"], one["created"]["a"]["blobId"]);
    account.expire_uploads();
    let read = client.call("Blob/get", json!({ "ids": [kept["blobId"]] })).await;
    assert_eq!(data(&read["list"][0]), "keep;\r\n");
    let again = script(&client, "keep;\r\n").await;
    let bad = script(&client, "this { is no script").await;
    let create = json!({
        "twin": { "name": "one", "blobId": again }, "reserved": { "name": "Vacation", "blobId": again },
        "bad": { "name": "bad", "blobId": bad },
        "lost": { "name": "lost", "blobId": good }, "none": { "name": "none" },
        "active": { "name": "x", "blobId": again, "isActive": true },
        "nameless": { "blobId": again },
    });
    let answer = client.call("SieveScript/set", json!({ "create": create })).await;
    let kinds = ["twin", "reserved", "bad", "lost", "none", "active"].map(|name| kind(&answer, name));
    let expected = [
        "alreadyExists",
        "forbidden",
        "invalidScript",
        "blobNotFound",
        "invalidProperties",
        "invalidProperties",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(answer["notCreated"]["twin"]["existingId"], kept["id"]);
    id(&answer, "nameless");
}

#[tokio::test]
async fn one_script_is_active_and_no_state_tells() {
    let (_simulator, client, account) = start().await;
    let good = script(&client, "keep;\r\n").await;
    let create = json!({ "a": { "name": "one", "blobId": good }, "b": { "name": "two", "blobId": good } });
    let answer =
        client.call("SieveScript/set", json!({ "create": create, "onSuccessActivateScript": "#a" })).await;
    assert_eq!(
        (&answer["created"]["a"]["isActive"], active(&account)),
        (&json!(true), vec!["one".to_owned()])
    );
    let (one, two, state) = (id(&answer, "a"), id(&answer, "b"), account.state(DataType::SieveScript));
    client.call("SieveScript/set", json!({ "onSuccessActivateScript": two })).await;
    assert_eq!((active(&account), account.state(DataType::SieveScript)), (vec!["two".to_owned()], state));
    let answer =
        client.call("SieveScript/set", json!({ "destroy": [two], "onSuccessDeactivateScript": true })).await;
    assert_eq!(answer["notDestroyed"][&two]["type"], "scriptIsActive");
    assert_eq!(active(&account), ["two"]);
    client.call("SieveScript/set", json!({ "onSuccessDeactivateScript": true })).await;
    assert!(active(&account).is_empty());
    let (new, update) = (
        script(&client, "discard;\r\n").await,
        |blob: &str| json!({ "update": { &one: { "blobId": blob } } }),
    );
    let answer = client.call("SieveScript/set", update(&new)).await;
    assert_eq!(answer["updated"][&one]["blobId"], account.content(DataType::SieveScript)[&one]["blobId"]);
    assert_eq!(
        client.call("SieveScript/set", json!({ "destroy": [one, two] })).await["destroyed"],
        json!([one, two])
    );
}

#[tokio::test]
async fn the_vacation_response_is_made_by_updating_it_and_is_a_script_too() {
    let (_simulator, client, account) = start().await;
    let set = async |patch: Value| {
        client.call("VacationResponse/set", json!({ "update": { "singleton": patch } })).await
    };
    let answer =
        set(json!({ "isEnabled": true, "subject": "Away", "fromDate": "2024-07-01T00:00:00Z" })).await;
    assert_eq!(
        (&answer["updated"]["singleton"], active(&account)),
        (&Value::Null, vec!["vacation".to_owned()])
    );
    let scripts = account.content(DataType::SieveScript);
    let own = scripts.keys().next().unwrap();
    let answer = client.call("SieveScript/set", json!({ "update": { own: { "name": "x" } } })).await;
    assert_eq!(answer["notUpdated"][own]["type"], "forbidden");
    // A patch that says nothing of isEnabled switches it off.
    set(json!({ "subject": "Still away" })).await;
    let vacation = account.content(DataType::VacationResponse)["singleton"].clone();
    assert_eq!(
        (&vacation["isEnabled"], &vacation["fromDate"]),
        (&json!(false), &json!("2024-07-01T00:00:00Z"))
    );
    set(json!({ "isEnabled": true })).await;
    let good = script(&client, "keep;\r\n").await;
    let create =
        json!({ "create": { "a": { "name": "one", "blobId": good } }, "onSuccessActivateScript": "#a" });
    client.call("SieveScript/set", create).await;
    assert_eq!(account.content(DataType::VacationResponse)["singleton"]["isEnabled"], false);
    assert_eq!(set(json!({ "foo": 1 })).await["notUpdated"]["singleton"]["type"], "invalidProperties");
    assert_eq!(
        set(json!({ "textBody": "x".repeat(2048) })).await["notUpdated"]["singleton"]["type"],
        "invalidProperties"
    );
    let answer = client.call("VacationResponse/set", json!({ "destroy": ["singleton"] })).await;
    assert_eq!(answer["destroyed"], json!(["singleton"]));
    assert_eq!(account.content(DataType::SieveScript).len(), 1);
    let answer =
        client.call("VacationResponse/set", json!({ "create": { "a": { "isEnabled": false } } })).await;
    assert_eq!(answer["created"]["a"]["id"], "singleton");
}

#[tokio::test]
async fn identities_have_an_address_of_the_account() {
    let (_simulator, client, account) = start().await;
    let create = json!({
        "own": { "email": "ALICE@example.org", "name": null, "replyTo": [{ "name": null, "email": "r@x.y" }] },
        "alias": { "email": "a@example.org" }, "other": { "email": "bob@example.org" }, "none": { "name": "x" },
        "server": { "email": "a@example.org", "mayDelete": false },
        "long": { "email": "a@example.org", "textSignature": "x".repeat(2048) },
        "bad": { "email": "a@example.org", "bcc": [{ "email": "" }] },
    });
    let answer = client.call("Identity/set", json!({ "create": create, "ifInState": "n" })).await;
    for name in ["other", "none", "server", "long", "bad"] {
        assert_eq!(kind(&answer, name), "invalidProperties", "{name}");
    }
    let own = account.content(DataType::Identity)[&id(&answer, "own")].clone();
    assert_eq!((&own["email"], &own["name"]), (&json!("alice@example.org"), &json!("")));
    assert_eq!(
        (&answer["oldState"], &answer["newState"]),
        (&Value::Null, &json!(account.state(DataType::Identity)))
    );
    let own = own["id"].as_str().unwrap();
    let update = json!({ "update": { own: { "name": "New", "bcc": null } }, "ifInState": "sooooooo" });
    assert_eq!(client.call("Identity/set", update).await["updated"], json!({ own: null }));
    let update = json!({ "update": { own: { "email": "a@example.org" } } });
    assert_eq!(client.call("Identity/set", update).await["notUpdated"][own]["type"], "invalidProperties");
    let all: Vec<String> = account.content(DataType::Identity).into_keys().collect();
    assert_eq!(client.call("Identity/set", json!({ "destroy": all })).await["destroyed"], json!(all));
    let twin = json!({ "create": { "p": { "name": "P", "calendarAddress": "mailto:alice@example.org" } } });
    assert_eq!(kind(&client.call("ParticipantIdentity/set", twin).await, "p"), "invalidProperties");
    let other = json!({ "create": { "p": { "name": "P", "calendarAddress": "a@example.org" } } });
    let answer = client.call("ParticipantIdentity/set", other).await;
    assert_eq!(
        account.content(DataType::ParticipantIdentity)[&id(&answer, "p")]["calendarAddress"],
        "mailto:a@example.org"
    );
    assert_eq!(answer["newState"], Value::Null);
}

/// Contacts and events follow the same rules: (container, item, ids, flag, error).
const NESTED: [[&str; 5]; 2] = [
    ["AddressBook", "ContactCard", "addressBookIds", "onDestroyRemoveContents", "addressBookHasContents"],
    ["Calendar", "CalendarEvent", "calendarIds", "onDestroyRemoveEvents", "calendarHasEvent"],
];

#[tokio::test]
async fn contacts_and_events_lie_in_containers() {
    let (_simulator, client, _account) = start().await;
    for [container, item, ids, flag, full] in NESTED {
        let set = async |kind: &str, arguments: Value| client.call(&format!("{kind}/set"), arguments).await;
        let answer =
            set(container, json!({ "create": { "c": { "name": "Mine", "description": "d" }, "n": {} } }))
                .await;
        assert_eq!(kind(&answer, "n"), "invalidProperties");
        let made = id(&answer, "c");
        let object =
            |uid: &str, place: &str| json!({ "uid": uid, ids: { place: true }, "keywords": { "x": true } });
        let create =
            json!({ "a": object("u1", &made), "lost": object("u2", "zzz"), "none": { "uid": "u3" } });
        let create = json!({ "create": create });
        let answer = set(item, create.clone()).await;
        assert_eq!(
            (kind(&answer, "lost"), kind(&answer, "none")),
            ("invalidProperties".into(), "invalidProperties".into())
        );
        let first = id(&answer, "a");
        assert_eq!(kind(&set(item, create).await, "a"), "invalidProperties");
        let patch = json!({ "update": { &first: { "keywords/y": true, "keywords/x": null } } });
        assert_eq!(set(item, patch).await["updated"], json!({ &first: null }));
        let got = client.call(&format!("{item}/get"), json!({ "ids": [first] })).await;
        assert_eq!(got["list"][0]["keywords"], json!({ "y": true }));
        for patch in
            [json!({ "uid": "u9" }), json!({ ids: {} }), json!({ "no/such/place": 1 }), json!({ "id": "zz" })]
        {
            let answer = set(item, json!({ "update": { &first: patch } })).await;
            assert_eq!(answer["notUpdated"][&first]["type"], "invalidProperties", "{patch}");
        }
        assert_eq!(set(container, json!({ "destroy": [made] })).await["notDestroyed"][&made]["type"], full);
        assert_eq!(
            set(container, json!({ "destroy": [made], flag: true })).await["destroyed"],
            json!([made])
        );
        let got = client.call(&format!("{item}/get"), json!({ "ids": [first] })).await;
        assert_eq!(got["notFound"], json!([first]));
    }
}

#[tokio::test]
async fn contacts_keep_no_property_that_nobody_knows_and_a_default_can_be_chosen() {
    let (_simulator, client, account) = start().await;
    let book = account.content(DataType::AddressBook).into_keys().next().unwrap();
    let create = json!({ "a": { "addressBookIds": { &book: true }, "colour": "red" } });
    assert_eq!(
        kind(&client.call("ContactCard/set", json!({ "create": create })).await, "a"),
        "invalidProperties"
    );
    let arguments = json!({ "create": { "b": { "name": "B" } }, "onSuccessSetIsDefault": "#b" });
    let made = id(&client.call("AddressBook/set", arguments).await, "b");
    let books = account.content(DataType::AddressBook);
    assert_eq!((&books[&book]["isDefault"], &books[&made]["isDefault"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn files_lie_in_directories_and_keep_their_blobs() {
    let (_simulator, client, account) = start().await;
    let blob = client.upload("text/plain", "content").await.1["blobId"].clone();
    let create = json!({
        "f": { "name": "file", "parentId": "#d", "blobId": blob, "type": "text/plain" }, "d": { "name": "dir" },
        "slash": { "name": "a/b" }, "dots": { "name": ".." }, "blobless": { "name": "x", "type": "text/plain" },
        "lost": { "name": "y", "blobId": "u".repeat(33) },
    });
    let answer = client.call("FileNode/set", json!({ "create": create })).await;
    for name in ["slash", "dots", "blobless", "lost"] {
        assert_eq!(kind(&answer, name), "invalidProperties", "{name}");
    }
    let (file, directory) = (id(&answer, "f"), id(&answer, "d"));
    let node = account.content(DataType::FileNode)[&file].clone();
    assert_eq!((&node["size"], &node["parentId"]), (&json!(7), &json!(directory)));
    account.expire_uploads();
    assert_eq!(account.blob(node["blobId"].as_str().unwrap()).unwrap(), "content");
    let update =
        json!({ &directory: { "parentId": directory }, &file: { "name": "other", "executable": true } });
    let answer = client.call("FileNode/set", json!({ "update": update })).await;
    assert_eq!(answer["notUpdated"][&directory]["type"], "invalidProperties");
    assert_eq!(answer["updated"], json!({ &file: null }));
    let twin = json!({ "create": { "t": { "name": "other", "parentId": directory } } });
    assert_eq!(kind(&client.call("FileNode/set", twin).await, "t"), "alreadyExists");
    let answer = client.call("FileNode/set", json!({ "destroy": [directory] })).await;
    assert_eq!(answer["notDestroyed"][&directory]["type"], "nodeHasChildren");
    let answer =
        client.call("FileNode/set", json!({ "destroy": [directory], "onDestroyRemoveChildren": true })).await;
    assert_eq!(answer["destroyed"], json!([file, directory]));
}
