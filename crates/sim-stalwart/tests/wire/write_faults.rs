//! Faults of writes: before and after the work, of single objects, and abuse of every single request.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::client::Client;
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, Churn, DataType, Effect, Fault, Kinds, Simulator, Target};

async fn start() -> (Simulator, Client, AccountHandle) {
    let simulator =
        Simulator::builder().account(AccountSpec::new("alice", "secret").bare()).start().await.unwrap();
    let client = Client::new(&simulator, "alice", "secret").await;
    let account = simulator.account("alice").unwrap();
    (simulator, client, account)
}

fn create(name: &str) -> (&'static str, Value) {
    ("Mailbox/set", json!({ "create": { "a": { "name": name } } }))
}

fn has(account: &AccountHandle, name: &str) -> bool {
    account.content(DataType::Mailbox).values().any(|folder| folder["name"] == name)
}

#[tokio::test]
async fn answers_lost_after_the_work_and_requests_lost_before_it() {
    let (simulator, client, account) = start().await;
    for (number, (effect, done)) in [
        (Effect::ResetUnserved, false),
        (Effect::Reset { after: 0 }, true),
        (Effect::Reset { after: 20 }, true),
        (Effect::Truncate { after: 0 }, true),
        (Effect::Truncate { after: 60 }, true),
        (Effect::Status { code: 503, retry_after: None }, false),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("folder {number}");
        let fault = simulator.faults().add(Fault::new(Target::method("Mailbox/set"), effect).times(1));
        let answer = client.send(&client.request(&[create(&name)])).await;
        let lost = match answer {
            Ok(answer) => !answer.status().is_success() || answer.bytes().await.is_err(),
            Err(_) => true,
        };
        assert!(lost, "{name}");
        assert_eq!(simulator.faults().struck(fault), 1);
        assert_eq!(has(&account, &name), done, "{name}");
    }
}

#[tokio::test]
async fn every_single_request_can_be_struck() {
    for number in 0..4 {
        let (simulator, client, account) = start().await;
        let fault = simulator.faults().add(Fault::at_request(number, Effect::ResetUnserved));
        for at in 0..4 {
            let answer = client.send(&client.request(&[create(&format!("folder {at}"))])).await;
            assert_eq!(answer.is_err(), at == number);
            assert_eq!(has(&account, &format!("folder {at}")), at != number);
        }
        assert_eq!(simulator.faults().struck(fault), 1);
    }
}

#[tokio::test]
async fn chosen_objects_are_refused_and_the_others_are_served() {
    let (simulator, client, account) = start().await;
    let blob = client.upload("message/rfc822", "Subject: x\r\n\r\n").await.1["blobId"].clone();
    let email = json!({ "blobId": blob, "mailboxIds": { "a": true } });
    let import = json!({ "emails": { "one": email, "two": email, "three": email } });
    let chosen = Effect::refuse("serverFail", |id, object| id == "two" && object["blobId"].is_string());
    let fault = simulator.faults().add(Fault::new(Target::method("Email/import"), chosen));
    let answer = client.call("Email/import", import.clone()).await;
    assert_eq!(answer["notCreated"]["two"]["type"], "serverFail");
    assert_eq!((answer["notCreated"].as_object().unwrap().len(), account.email_count()), (1, 2));
    simulator.faults().remove(fault);
    // A disk that is full after the next one.
    let left = AtomicU32::new(1);
    let full = Effect::refuse("overQuota", move |_, _| {
        left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err()
    });
    simulator.faults().add(Fault::new(Target::method("Email/import"), full));
    let answer = client.call("Email/import", import).await;
    assert_eq!((answer["created"].as_object().unwrap().len(), account.email_count()), (1, 3));
    let ids: Vec<String> = account.emails().into_iter().map(|email| email.id).collect();
    let keep = ids[0].clone();
    let held = Effect::refuse("forbidden", move |id, _| id == keep);
    simulator.faults().add(Fault::new(Target::method("Email/set"), held));
    let update = json!({ &ids[0]: { "keywords/x": true }, &ids[1]: { "keywords/x": true } });
    let answer = client.call("Email/set", json!({ "update": update, "destroy": [ids[0], ids[2]] })).await;
    assert_eq!(answer["updated"], json!({ &ids[1]: null }));
    assert_eq!(
        (&answer["notUpdated"][&ids[0]]["type"], &answer["notDestroyed"][&ids[0]]["type"]),
        (&json!("forbidden"), &json!("forbidden"))
    );
    assert_eq!(answer["destroyed"], json!([ids[2]]));
}

#[tokio::test]
async fn method_errors_and_failing_types_do_nothing() {
    let (simulator, client, account) = start().await;
    let state = account.state(DataType::Mailbox);
    simulator
        .faults()
        .add(Fault::new(Target::method("Mailbox/set"), Effect::method_error("serverFail")).times(1));
    let answers = client.calls(&[create("one")]).await;
    assert_eq!(answers[0]["type"], "serverFail");
    account.set_failing(DataType::Mailbox, true);
    assert_eq!(client.calls(&[create("one")]).await[0]["type"], "serverFail");
    account.set_failing(DataType::Mailbox, false);
    assert_eq!(account.state(DataType::Mailbox), state);
}

#[tokio::test]
async fn writes_and_churn_leave_every_announced_state_with_its_content() {
    let (simulator, client, account) = start().await;
    simulator.churn(Some(Churn { before: 2, after: 2, seed: 3, kinds: Kinds::All }));
    let blob = client.upload("message/rfc822", "Subject: x\r\n\r\n").await.1["blobId"].clone();
    for round in 0..20 {
        let inbox = client.inbox().await;
        let email = json!({ "emails": { "e": { "blobId": blob, "mailboxIds": { inbox: true } } } });
        let answers = client.calls(&[create(&format!("round {round}")), ("Email/import", email)]).await;
        for (kind, answer) in [(DataType::Mailbox, &answers[0]), (DataType::Email, &answers[1])] {
            let state = answer["newState"].as_str().unwrap_or_else(|| panic!("{answer}"));
            let content = account.state_content(kind, state).unwrap();
            let made = answer["created"].as_object().unwrap().values().next().unwrap();
            assert!(content.contains_key(made["id"].as_str().unwrap()), "{answer}");
        }
    }
}
