use std::collections::BTreeMap;

use model::DataType;
use repository::Snapshot;
use serde_json::Value;
use sim_stalwart::AccountHandle;

/// Every email of the snapshot is one the simulator holds, with the same bytes and labels, and the other way round.
pub async fn assert_emails_equal(snapshot: &Snapshot, truth: &AccountHandle) {
    let mut expected: BTreeMap<String, _> = truth.emails().into_iter().map(|e| (e.id.clone(), e)).collect();
    let mut emails = snapshot.emails().await.expect("emails are read");
    let mut count = 0;
    while let Some(email) = emails.next().await.expect("emails are read") {
        count += 1;
        let id = email.id.as_str();
        let held = expected.remove(id).unwrap_or_else(|| panic!("{id} is not on the server"));
        let folders: Vec<String> = email.folders.iter().map(ToString::to_string).collect();
        let mut held_folders: Vec<String> = held.mailbox_ids.iter().cloned().collect();
        held_folders.sort();
        let mut held_keywords: Vec<String> = held.keywords.iter().cloned().collect();
        held_keywords.sort();
        assert_eq!((folders, email.keywords), (held_folders, held_keywords), "labels of {id}");
        let bytes = snapshot.blob(&email.blob).await.expect("the blob is read");
        assert_eq!(Some(bytes), truth.raw(id), "bytes of {id}");
    }
    assert_eq!(expected.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "emails missing from the snapshot");
    assert_eq!(count, snapshot.info().summary.emails, "the count in the log");
}

/// Every object of a type equals the simulator's, member by member.
pub async fn assert_objects_equal(snapshot: &Snapshot, truth: &AccountHandle, data_type: DataType) {
    let objects = snapshot.objects_of(data_type).await.expect("objects are read");
    let found: BTreeMap<String, Value> = objects
        .into_iter()
        .map(|o| (o.id, serde_json::from_slice(&o.json).expect("what was stored is JSON")))
        .collect();
    let kind = sim_stalwart::DataType::ALL[usize::from(data_type.number()) - 1];
    assert_eq!(format!("{kind:?}"), data_type.name());
    let expected: BTreeMap<String, Value> = truth.content(kind).into_iter().collect();
    assert_eq!(found, expected, "{data_type}");
}
