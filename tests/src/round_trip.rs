//! Each property of the table (`properties.rs`) is put into an account, backed up and given back; what is not as it was must be named.
//!
//! What counts is what the server holds, read by requests of the tests: all properties unasked and each known one by its name, and the
//! texts of events by CalDAV. What the server does not take, or makes something else of when it takes it, is no loss of Malle's.

mod exports;
mod making;
mod side;

use std::collections::{BTreeMap, BTreeSet};

use engine::{Mode, Report, RestoreId, Restored};
use model::{BackupState, DataType};
use repository::Snapshot;
use serde_json::{Map, Value};

use crate::bed::Bed;
use crate::properties::{Case, properties};
pub use making::{Maker, SINGLETONS, Specimen};
pub use side::{Held, Object, Side, key};
use side::{lines, without_stamps};

/// Who signs in.
#[derive(Debug, Clone)]
pub struct Login {
    /// Their address.
    pub name: String,
    /// Their password.
    pub password: String,
}

/// A server, an account that is backed up and one that has nothing. What both hold is destroyed.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Where the server answers.
    pub url: String,
    /// Whose account is backed up.
    pub source: Login,
    /// Who is given it.
    pub target: Login,
    /// Who backs up and restores in their place; `None`: they do.
    pub agent: Option<Login>,
}

/// What became of the table.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Cases whose objects were compared.
    pub compared: usize,
    /// By case: why the server does not take it.
    pub refused: BTreeMap<String, String>,
    /// What the server does not change as it was asked to.
    pub unchanged: Vec<String>,
    /// What did not come back and is named.
    pub named: BTreeSet<String>,
    /// What did not come back and is not named.
    pub lost: BTreeSet<String>,
}

impl Ends {
    fn bed(&self, login: &Login) -> Bed {
        match &self.agent {
            None => Bed::new(&login.name, &login.password),
            Some(agent) => Bed::new(&agent.name, &agent.password)
                .of_account(jmap::AccountRef::Named(login.name.clone()))
                .acting_as_owner(),
        }
    }

    /// The whole table: once for all types, then once more for each further value of what an account has only one of.
    pub async fn round_trip(&self) -> Outcome {
        let cases = properties();
        let mut outcome = Outcome::default();
        for round in 0.. {
            let cases = of_round(&cases, round);
            if cases.is_empty() {
                return outcome;
            }
            self.go_round(&cases, round, &mut outcome).await;
        }
        outcome
    }

    async fn go_round(&self, cases: &[Case], round: usize, outcome: &mut Outcome) {
        let [source, target] = [
            Side::of(&self.url, &self.source, &self.target).await,
            Side::of(&self.url, &self.target, &self.source).await,
        ];
        source.wipe().await;
        target.wipe().await;
        let mut maker = Maker::in_account(&source, &target).await;
        let specimens = maker.make(cases).await;
        outcome.refused.append(&mut maker.refused);
        let held = source.held().await;
        outcome.compared += specimens.len();

        let bed = self.bed(&self.source);
        let report = bed.backup(&self.url).await.expect("backs up");
        assert_eq!(report.state, BackupState::Good, "{report:#?}");
        let snapshot = bed.newest(&self.url).await.1;
        compare_snapshot(&held, &snapshot, &report, outcome).await;

        if round == 0 {
            exports::compare(&snapshot, &mut outcome.lost).await;
        }

        let id = RestoreId::random();
        let targets = self.bed(&self.target);
        let restored = bed.restore(&self.url, None, &targets, Mode::Missing, &id).await.expect("restores");
        compare(&format!("{round} missing"), &held, &target.held().await, &restored, outcome);

        outcome.unchanged.extend(maker.change(&specimens).await);
        let (number, id) = (snapshot.info().number, RestoreId::random());
        let restored = bed.restore(&self.url, Some(number), &bed, Mode::Exact, &id).await.expect("restores");
        compare(&format!("{round} exact"), &held, &source.held().await, &restored, outcome);
        source.wipe().await;
        target.wipe().await;
    }
}

/// The first round has everything; of what there is one of, each round has another value of each property.
fn of_round(cases: &[Case], round: usize) -> Vec<Case> {
    let mut seen: BTreeMap<(DataType, &str), usize> = BTreeMap::new();
    let is_meant = |case: &&Case| {
        if !SINGLETONS.contains(&case.data_type) {
            return round == 0;
        }
        let nth = seen.entry((case.data_type, case.property)).or_default();
        *nth += 1;
        *nth == round + 1
    };
    cases.iter().filter(is_meant).cloned().collect()
}

/// Whether a snapshot holds what the server did.
async fn compare_snapshot(held: &Held, snapshot: &Snapshot, report: &Report, outcome: &mut Outcome) {
    for data_type in DataType::ALL.into_iter().filter(|data_type| *data_type != DataType::Email) {
        let mut rows = BTreeMap::new();
        for row in snapshot.objects_of(data_type).await.expect("reads") {
            let json: Map<String, Value> = serde_json::from_slice(&row.json).expect("JSON");
            rows.insert(row.id.clone(), (json, row.blob));
        }
        let not_given =
            report.types.iter().find(|of| of.data_type == data_type).map(|of| of.not_given.clone());
        let not_given = not_given.unwrap_or_default();
        for ((_, key), object) in held.iter().filter(|((of, _), _)| *of == data_type) {
            let name = format!("snapshot: {data_type} {}", people_call(object, key));
            let Some((row, blob)) = rows.get(&object.id) else {
                outcome.lost.insert(format!("{name} is not there"));
                continue;
            };
            for (member, value) in &object.members {
                let is_reference = ["mailboxIds", "addressBookIds", "calendarIds", "parentId", "content"]
                    .contains(&member.as_str());
                let mut row_value = row.get(member).cloned();
                row_value.iter_mut().for_each(without_stamps);
                let is_of_address = value.as_str().is_some_and(|text| text.contains("{address}"));
                if is_reference || is_of_address || row_value.as_ref() == Some(value) {
                    continue;
                }
                let loss = format!("{name}: {member} is {:?} instead of {value}", row.get(member));
                match not_given.contains(member) {
                    true => outcome.named.insert(loss),
                    false => outcome.lost.insert(loss),
                };
            }
            if let Some(text) = &object.text {
                let kept = match blob {
                    Some(blob) => lines(&String::from_utf8_lossy(&snapshot.blob(blob).await.expect("reads"))),
                    None => Vec::new(),
                };
                if kept != *text {
                    outcome.lost.insert(format!("{name}: its text is {kept:?} instead of {text:?}"));
                }
            }
        }
    }
}

/// Whether an account holds what it should, or the report says what not.
fn compare(when: &str, expected: &Held, found: &Held, restored: &Restored, outcome: &mut Outcome) {
    for ((data_type, key), object) in expected {
        let name = people_call(object, key);
        for (what, loss) in differences(object, found.get(&(*data_type, key.clone()))) {
            let told = format!("{when}: {data_type} {name}: {loss}");
            match is_named(restored, *data_type, object, &name, &what) {
                true => outcome.named.insert(told),
                false => outcome.lost.insert(told),
            };
        }
    }
}

/// What differs: the member, or `its text`, or nothing for the whole; and how.
fn differences(expected: &Object, found: Option<&Object>) -> Vec<(String, String)> {
    let Some(found) = found else { return vec![(String::new(), "it is not there".to_owned())] };
    let names: BTreeSet<&String> = expected.members.keys().chain(found.members.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        let (expected, found) = (expected.members.get(name), found.members.get(name));
        if !is_same(expected, found) {
            let brief =
                |value: Option<&Value>| value.map_or("nothing".to_owned(), |value| format!("{value:.300}"));
            differences
                .push((name.clone(), format!("{name} is {} instead of {}", brief(found), brief(expected))));
        }
    }
    if expected.text != found.text {
        let of = |object: &Object| object.text.clone().unwrap_or_default();
        let (expected, found) = (of(expected), of(found));
        let lost: Vec<&String> = expected.iter().filter(|line| !found.contains(line)).collect();
        let added: Vec<&String> = found.iter().filter(|line| !expected.contains(line)).collect();
        differences.push(("its text".to_owned(), format!("its text lacks {lost:?} and has {added:?}")));
    }
    differences
}

/// Whether two values are the same, or one more says that the parts of a name stand in order, which Stalwart says of what it is sent.
fn is_same(expected: Option<&Value>, found: Option<&Value>) -> bool {
    match (expected, found) {
        (Some(Value::Object(expected)), Some(Value::Object(found))) => {
            let mut names = expected.keys().chain(found.keys());
            names.all(|name| match (expected.get(name), found.get(name)) {
                (None, Some(Value::Bool(true))) => name == "isOrdered",
                (expected, found) => is_same(expected, found),
            })
        }
        (expected, found) => expected == found,
    }
}

/// Whether the report of a restore says that an object, or this of it, did not come back.
fn is_named(restored: &Restored, data_type: DataType, object: &Object, name: &str, what: &str) -> bool {
    // Each has a default one already, of an address of its own (README of `engine`): another one does not become it.
    if data_type == DataType::ParticipantIdentity && what == "isDefault" && restored.safety.is_none() {
        return true;
    }
    if what == "shareWith" {
        let is_it = |share: &&engine::Share| share.r#type == data_type.name() && share.name == name;
        return restored.shares.iter().any(|share| is_it(&share));
    }
    let Some(of) = restored.objects.iter().find(|of| of.data_type == data_type) else {
        return restored.odd_folders.iter().any(|folder| folder.contains(name));
    };
    let is_note = |note: &&String| note.contains(name) && (what.is_empty() || note.contains(what));
    of.left_out.is_some()
        || of.refused.iter().any(|refused| refused.id == object.id)
        || of.notes.iter().any(|note| is_note(&note))
}

/// As the engine names it for people.
fn people_call(object: &Object, key: &str) -> String {
    let member =
        |name: &str| object.members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let full = object.members.get("name").and_then(|name| name.get("full")).and_then(Value::as_str);
    full.or_else(|| member("name")).or_else(|| member("title")).unwrap_or(key).to_owned()
}
