//! A server that lies, breaks off and never ends. Whatever it does, the backup is good and true, or it names what is missing,
//! or it fails and leaves the repository as it was.

use std::time::Duration;

use engine::Report;
use futures::{StreamExt, stream};
use model::{BackupState, DataType};
use repository::TypeStatus;
use serde_json::{Value, json};
use sim_stalwart::{Effect, Fault, Kinds, OddId, Shape, Target};
use testkit::stride;
use tests::truth::{Mails, held_mails, held_things, kind_of, mails_of, things_of};
use tests::{Bed, assert_is_now, attachment};

use crate::{Home, alice};

type Make = fn() -> Effect;

/// Faults of an answer as a whole.
const ON_REQUESTS: [(&str, Make); 14] = [
    ("slow", || Effect::Delay(Duration::from_secs(4))),
    ("dripping", || Effect::Drip { bytes: 64, pause: Duration::from_millis(100) }),
    ("never ending", || Effect::NeverEnding { pause: Duration::from_micros(50) }),
    ("never ending, slowly", || Effect::NeverEnding { pause: Duration::from_millis(200) }),
    ("reset before an answer", || Effect::Reset { after: 0 }),
    ("reset in the middle", || Effect::Reset { after: 700 }),
    ("cut short", || Effect::Truncate { after: 700 }),
    ("announced too long", || Effect::ContentLength { add: 100 }),
    ("announced too short", || Effect::ContentLength { add: -40 }),
    ("500", || Effect::Status { code: 500, retry_after: None }),
    ("503 for an hour", || Effect::Status { code: 503, retry_after: Some(3_600) }),
    ("redirected elsewhere", || Effect::Redirect("http://198.51.100.7/jmap".to_owned())),
    ("no JSON", || Effect::InvalidJson),
    ("padded", || Effect::Huge { bytes: 100 << 20 }),
];

const REQUESTS: [fn() -> Target; 8] = [
    || Target::Session,
    || Target::Api,
    || Target::Download,
    || Target::method("Email/query"),
    || Target::method("Email/get"),
    || Target::method("Email/changes"),
    || Target::method("Blob/get"),
    || Target::method("ContactCard/get"),
];

/// Lies in the answer to a method call.
const ON_CALLS: [(&str, Make); 24] = [
    ("serverFail", || Effect::method_error("serverFail")),
    ("serverUnavailable", || Effect::method_error("serverUnavailable")),
    ("accountNotFound", || Effect::method_error("accountNotFound")),
    ("nonsense", || Effect::method_error("\u{1f4a5}")),
    ("text", || Effect::WrongShape(Shape::Text)),
    ("empty", || Effect::WrongShape(Shape::Empty)),
    ("lists as objects", || Effect::WrongShape(Shape::ListsAsObjects)),
    ("lists as null", || Effect::WrongShape(Shape::ListsAsNull)),
    ("numbers", || Effect::WrongShape(Shape::ElementsAsNumbers)),
    ("wrong account", || Effect::WrongAccount),
    ("duplicated", || Effect::DuplicateIds),
    ("huge id", || Effect::OddIds(OddId::Long)),
    ("path as id", || Effect::OddIds(OddId::Path)),
    ("quotes as id", || Effect::OddIds(OddId::Quotes)),
    ("control characters as id", || Effect::OddIds(OddId::Control)),
    ("empty id", || Effect::OddIds(OddId::Empty)),
    ("not asked for", || Effect::Unasked),
    ("omitted", || Effect::Omitted),
    ("vanished", || Effect::Vanished),
    ("larger than it is", || Effect::LyingSize { add: 1_000 }),
    ("smaller than it is", || Effect::LyingSize { add: -100 }),
    ("half of the data", || Effect::ShortData),
    ("states that change", || Effect::distort(|answer| restate(answer, "s0"))),
    ("more changes for ever", || Effect::distort(forever)),
];

/// Nothing contradicts these when a type is read as a whole: the answer is all that is known of it.
const BELIEVABLE: [&str; 5] = ["path as id", "quotes as id", "not asked for", "omitted", "vanished"];

const CALLS: [&str; 8] = [
    "Email/query",
    "Email/get",
    "Email/changes",
    "Blob/get",
    "Mailbox/get",
    "SieveScript/get",
    "ContactCard/get",
    "ParticipantIdentity/get",
];

fn restate(answer: &mut Value, state: &str) {
    for name in ["state", "newState", "queryState"] {
        if answer.get(name).is_some() {
            answer[name] = json!(state);
        }
    }
}

/// Each answer says that there is more, under a new state.
fn forever(answer: &mut Value) {
    if let Some(state) = answer["newState"].as_str() {
        let since = answer["oldState"].as_str().unwrap_or_default();
        let next = if since == state { format!("{state}x") } else { state.to_owned() };
        answer["newState"] = json!(next);
        answer["hasMoreChanges"] = json!(true);
    }
}

/// A mailbox with a bit of everything, few enough that a hundred backups of it take seconds.
async fn home() -> Home {
    let home = Home::of(alice(24).objects(3, 3, 3)).await;
    home.alice.deliver(attachment(1, 400_000), &[], &[]);
    home
}

/// Everything in the snapshot is true, and what is missing or old is named.
async fn assert_honest(home: &Home, report: &Report, before: &Mails, lies_about_states: bool) {
    let (_, snapshot) = home.bed.newest(&home.url).await;
    if report.state == BackupState::Good {
        return assert_is_now(&snapshot, &home.alice).await;
    }
    let failed = |data_type: DataType, id: &str| {
        report.failures.iter().any(|f| f.data_type == data_type && f.id == id && !f.reason.is_empty())
    };
    for known in &report.types {
        let kind = kind_of(known.data_type);
        if known.status == TypeStatus::Stale {
            assert!(!known.reason.is_empty(), "{known:?}");
            continue;
        }
        if known.status == TypeStatus::Moving {
            let contradicts_itself = known.data_type == DataType::Email && !report.failures.is_empty();
            assert!(contradicts_itself || lies_about_states, "a mailbox that holds still: {known:?}");
        }
        if known.data_type == DataType::Email {
            let held = held_mails(&home.alice, &home.alice.content(kind));
            let found = mails_of(&snapshot).await;
            // A server may name ids that do not exist in the place of those that do.
            let mut made_up = report.failures.iter().filter(|f| !held.contains_key(&f.id)).count();
            for id in held.keys().chain(found.keys()).filter(|id| !failed(DataType::Email, id)) {
                if found.get(id) != held.get(id) {
                    assert!(made_up > 0, "{id} is not as it should be and nobody says so");
                    made_up -= 1;
                }
            }
            for (id, mail) in found.iter().filter(|(id, _)| failed(DataType::Email, id)) {
                let expected = [held.get(id), before.get(id)];
                let is_doubted = report.failures.iter().any(|f| f.id == *id && f.reason.contains("claims"));
                assert!(
                    expected.contains(&Some(mail)) || is_doubted,
                    "{id} is neither as it is nor as it was"
                );
            }
        } else {
            let held = held_things(&home.alice, &home.alice.content(kind));
            let found = things_of(&snapshot, known.data_type).await;
            for id in held.keys().chain(found.keys()).filter(|id| !failed(known.data_type, id)) {
                assert_eq!(found.get(id), held.get(id), "{} {id}", known.data_type);
            }
        }
    }
    let is_partial =
        !report.failures.is_empty() || report.types.iter().any(|t| t.status == TypeStatus::Stale);
    assert_eq!(report.state == BackupState::Partial, is_partial, "{report:?}");
}

/// What came of a fault.
#[derive(Debug, Default, Clone, Copy)]
struct Outcomes {
    good: u32,
    imperfect: u32,
    refused: u32,
    struck: u64,
}

/// A backup under a fault, and one when it is over.
async fn under(home: &Home, fault: Fault, lies_about_states: bool, outcomes: &mut Outcomes) {
    let snapshots = home.bed.checked(&home.url).await;
    let before = match snapshots {
        0 => Mails::new(),
        _ => mails_of(&home.bed.newest(&home.url).await.1).await,
    };
    let fault = home.simulator.faults().add(fault);
    let limit = Duration::from_secs(120);
    // Only under the fault: what comes after it must not fail because the machine is slow.
    let bed = home.bed.clone().impatient();
    let result = tokio::time::timeout(limit, bed.backup(&home.url)).await.expect("it ends");
    home.simulator.faults().clear();
    outcomes.struck += home.simulator.faults().struck(fault);
    match result {
        Ok(report) => {
            match report.state {
                BackupState::Good => outcomes.good += 1,
                _ => outcomes.imperfect += 1,
            }
            assert_honest(home, &report, &before, lies_about_states).await;
        }
        Err(error) => {
            outcomes.refused += 1;
            assert!(!error.to_string().is_empty());
            assert_eq!(home.bed.checked(&home.url).await, snapshots, "after {error}");
        }
    }
    home.good_backup().await;
    home.bed.checked(&home.url).await;
}

/// At a first backup, at an incremental one and at a listing, always, once or sometimes; with `MALLE_FULL` all of these.
async fn everywhere(index: usize, target: Target, effect: Make, lies_about_states: bool) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let fault = || Fault::new(target.clone(), effect());
    let mut faults = vec![fault(), fault().chance(400, index as u64), fault().times(1)];
    faults.rotate_left(index % 3);
    let all = std::env::var_os("MALLE_FULL").is_some();
    for fault in faults {
        if outcomes.struck > 0 && !all {
            break;
        }
        let home = home().await;
        under(&home, fault.clone(), lies_about_states, &mut outcomes).await;
        home.alice.mutate(12, 3, Kinds::All);
        home.alice.deliver(attachment(2, 300_000), &[], &[]);
        under(&home, fault.clone(), lies_about_states, &mut outcomes).await;
        home.alice.mutate(12, 4, Kinds::All);
        home.alice.truncate_history();
        under(&home, fault, lies_about_states, &mut outcomes).await;
    }
    outcomes
}

/// Most of them wait most of the time, so many run at once.
async fn all(cases: Vec<(String, Target, Make)>) {
    let only = std::env::var("MALLE_CASE").unwrap_or_default();
    let cases = cases.into_iter().filter(|(name, ..)| name.contains(&only));
    let one = |(index, (name, target, effect)): (usize, (String, Target, Make))| async move {
        println!("{name} …");
        let outcomes =
            everywhere(index, target, effect, name.contains("states") || name.contains("for ever")).await;
        println!("{name}: {outcomes:?}");
        assert!(outcomes.struck > 0, "{name} never happened");
    };
    stream::iter(cases.enumerate()).map(one).buffer_unordered(12).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_break_off_or_never_end() {
    let mut cases = Vec::new();
    for (row, target) in REQUESTS.into_iter().enumerate() {
        // The usual run tries every effect and every target, in the long one each with each.
        for (name, effect) in ON_REQUESTS.into_iter().skip(row % stride(3)).step_by(stride(3)) {
            cases.push((format!("{:?} {name}", target()), target(), effect));
        }
    }
    all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_lie() {
    let mut cases = Vec::new();
    for (row, method) in CALLS.into_iter().enumerate() {
        let is_whole = !method.starts_with("Email/") && !method.starts_with("Blob/");
        let effects = ON_CALLS.into_iter().filter(|(name, _)| !is_whole || !BELIEVABLE.contains(name));
        for (name, effect) in effects.skip(row % stride(3)).step_by(stride(3)) {
            cases.push((format!("{method} {name}"), Target::method(method), effect));
        }
    }
    all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lists_for_ever() {
    let home = home().await;
    let endless = Effect::distort(|answer| {
        let Some(ids) = answer["ids"].as_array_mut() else { return };
        let fill = |ids: &mut Vec<Value>, n: usize| ids.extend((0..n).map(|i| json!(format!("made-up-{i}"))));
        ids.truncate(2);
        fill(ids, 5_000);
    });
    let fault = home.simulator.faults().add(Fault::new(Target::method("Email/query"), endless));
    let report = home.backup().await;
    assert_eq!(report.state, BackupState::Partial, "{report:?}");
    assert!(home.simulator.faults().struck(fault) > 10);
    home.simulator.faults().clear();
    home.good_backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_unknown_account_and_nobody_there() {
    let home = home().await;
    let bed = Bed::new(crate::ALICE, "wrong").impatient();
    assert_eq!(bed.backup(&home.url).await.expect_err("refused").class(), model::ErrorClass::Auth);
    let nowhere = "http://127.0.0.1:9";
    let error = home.bed.clone().impatient().backup(nowhere).await.expect_err("nobody there");
    assert!(matches!(error.class(), model::ErrorClass::Transient { .. }), "{error:?}");
}

/// That the server counts requests says nothing of an email: the backup comes again later and is no partial one.
#[tokio::test(flavor = "multi_thread")]
async fn a_429_that_does_not_pass_ends_the_backup() {
    let home = home().await;
    let bed = home.bed.clone().impatient();
    home.alice.deliver_large(3_000_000);
    let refused = Effect::Status { code: 429, retry_after: Some(3_600) };
    let fault = home.simulator.faults().add(Fault::new(Target::Download, refused));
    let error = bed.backup(&home.url).await.expect_err("it is refused");
    assert!(matches!(error.class(), model::ErrorClass::Transient { .. }), "{error}");
    assert!(home.simulator.faults().struck(fault) > 0);
    home.simulator.faults().clear();
    home.good_backup().await;
}
