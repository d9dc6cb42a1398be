//! Every type the server offers, and what happens when it offers or gives less.

use bytes::Bytes;
use engine::{Mode, Report, RestoreId};
use model::{BackupState, DataType};
use repository::TypeStatus;
use serde_json::json;
use sim_stalwart::{
    BlobIds, Capabilities, Capability, DataType as Kind, Effect, Fault, Kinds, Named, Simulator, Target,
    Version,
};
use tests::truth::{kind_of, mails_of, things_of};
use tests::{assert_emails_equal, assert_objects_equal, attachment};

use crate::{Home, alice};

fn count(report: &Report) -> usize {
    usize::try_from(report.emails).expect("few")
}

fn status(report: &Report, data_type: DataType) -> TypeStatus {
    report.types.iter().find(|t| t.data_type == data_type).expect("every type is accounted for").status
}

#[tokio::test(flavor = "multi_thread")]
async fn all_types_of_the_newest_server() {
    let home = Home::of(alice(200).objects(700, 600, 40).scripts(5)).await;
    let report = home.good_backup().await;
    assert!(report.types.iter().all(|t| t.status == TypeStatus::Complete && t.count > 0), "{report:#?}");
    let script = home.alice.put_blob("require \"fileinto\";\r\n# \u{e9}t\u{e9}\r\n");
    home.alice.insert(Kind::SieveScript, json!({"name": "new", "blobId": script, "isActive": false}));
    let picture: Vec<u8> =
        (0..700_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let picture = home.alice.put_blob(Bytes::from(picture));
    home.alice.insert(Kind::FileNode, json!({"name": "a/b \u{1f4f7}", "parentId": null, "blobId": picture, "size": 2_800_000, "type": "image/x"}));
    home.alice.edit(Kind::VacationResponse, "singleton", |it| it["textBody"] = "away again".into());
    home.good_backup().await;
    assert_eq!(home.bed.checked(&home.url).await, 2);
}

/// Each type with a property that comes only to those who name it, and another value than the usual one.
fn named() -> [(Kind, &'static str, serde_json::Value); 10] {
    let alerts =
        json!({ "a": { "@type": "Alert", "trigger": { "@type": "OffsetTrigger", "offset": "-PT5M" } } });
    [
        (Kind::Mailbox, "shareWith", json!({ "bob": { "mayReadItems": true } })),
        (Kind::AddressBook, "shareWith", json!({ "bob": { "mayRead": true } })),
        (Kind::Calendar, "shareWith", json!({ "bob": { "mayReadItems": true } })),
        (Kind::Calendar, "isVisible", json!(false)),
        (Kind::Calendar, "includeInAvailability", json!("none")),
        (Kind::Calendar, "defaultAlertsWithTime", alerts),
        (Kind::ContactCard, "vCard", json!({ "properties": [["gender", {}, "unknown", ["M", "fine"]]] })),
        (Kind::CalendarEvent, "iCalendar", json!({ "properties": [["x-a", {}, "unknown", "b"]] })),
        (
            Kind::CalendarEvent,
            "alerts",
            json!({ "k1": { "iCalendar": { "name": "valarm" }, "trigger": {} } }),
        ),
        (
            Kind::CalendarEvent,
            "recurrenceOverrides",
            json!({ "2024-06-08T10:00:00": { "title": "moved", "iCalendar": { "name": "vevent" } } }),
        ),
    ]
}

fn lacks(report: &Report) -> Vec<String> {
    report.types.iter().flat_map(|state| state.not_given.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_gives_only_by_name_is_in_the_backup() {
    let home = Home::of(alice(10).objects(4, 4, 1)).await;
    assert_eq!(lacks(&home.good_backup().await), [""; 0]);
    for (kind, name, value) in named() {
        let id = home.alice.content(kind).keys().next().expect("there is one").clone();
        home.alice.edit(kind, &id, |object| object[name] = value.clone());
        home.good_backup().await;
        let snapshot = home.bed.newest(&home.url).await.1;
        let data_type = DataType::ALL.into_iter().find(|t| kind_of(*t) == kind).expect("all are known");
        let object = snapshot.find_object(data_type, &id).await.expect("reads").expect("there");
        let object: serde_json::Value = serde_json::from_slice(&object.json).expect("JSON");
        assert_eq!(object[name], value, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_does_not_give_by_name_either_is_named_and_all_else_is_there() {
    for named in [Named::LeftOut, Named::Refused] {
        let home = Home::of(alice(10).objects(4, 4, 1)).await;
        home.simulator.set_named(named);
        let report = home.backup().await;
        assert_eq!(report.state, BackupState::Good, "{report:?}");
        let lacks = |report: &Report, data_type| {
            report.types.iter().find(|state| state.data_type == data_type).expect("it is").not_given.clone()
        };
        assert_eq!(lacks(&report, DataType::AddressBook), ["shareWith"]);
        assert_eq!(lacks(&report, DataType::Calendar).len(), 5, "{report:?}");
        assert_eq!(
            lacks(&home.backup().await, DataType::Calendar).len(),
            5,
            "a night without changes keeps it"
        );
        // The server learns to give them, and the next full listing brings them.
        home.simulator.set_named(Named::Given);
        let report = home.bed.backup_as(&home.url, "test", true).await.expect("backs up");
        assert_eq!(lacks(&report, DataType::Calendar), [""; 0]);
        home.good_backup().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_of_any_length_takes_no_other_along() {
    let home = Home::of(alice(10).objects(4, 20, 1)).await;
    let calendar = home.alice.content(Kind::Calendar).keys().next().expect("there is one").clone();
    let event = |length: usize| {
        let attached = format!("data:application/pdf;base64,{}", "A".repeat(length));
        json!({
            "@type": "Event", "uid": format!("long-{length}"), "calendarIds": { &calendar: true }, "title": "long",
            "start": "2024-01-01T00:00:00", "isDraft": false, "links": { "a": { "@type": "Link", "href": attached } },
        })
    };
    home.alice.insert(Kind::CalendarEvent, event(17_000_000));
    home.good_backup().await;
    let longest = home.alice.insert(Kind::CalendarEvent, event(45_000_000));
    for _ in 0..2 {
        let report = home.backup().await;
        assert_eq!(report.state, BackupState::Partial, "{report:?}");
        let named: Vec<_> = report.failures.iter().map(|failure| failure.id.as_str()).collect();
        assert_eq!(named, [longest.as_str()]);
        assert_eq!(status(&report, DataType::CalendarEvent), TypeStatus::Complete);
        let snapshot = home.bed.newest(&home.url).await.1;
        assert_eq!(snapshot.objects_of(DataType::CalendarEvent).await.expect("reads").len(), 21);
        home.alice.mutate(5, 1, Kinds::Emails);
    }
    home.alice.edit(Kind::CalendarEvent, &longest, |event| event["links"] = json!({}));
    home.good_backup().await;
    home.alice.edit(Kind::CalendarEvent, &longest, |event| event["title"] = "x".repeat(45_000_000).into());
    assert_eq!(home.backup().await.state, BackupState::Partial);
    let snapshot = home.bed.newest(&home.url).await.1;
    let kept = snapshot.find_object(DataType::CalendarEvent, &longest).await.expect("reads");
    assert!(kept.is_some_and(|kept| kept.json.len() < 1_000), "as it was before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_contacts_calendars_and_files_and_its_upgrade() {
    let home = Home::with(Simulator::builder().version(Version::V0_15), alice(50)).await;
    let report = home.backup().await;
    assert_eq!(report.state, BackupState::Good);
    assert_eq!(status(&report, DataType::ContactCard), TypeStatus::NotOffered);
    home.simulator.set_version(Version::V0_16);
    home.good_backup().await;
    home.good_backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_is_offered_no_more_is_a_failure_and_its_objects_stay() {
    let home = Home::of(alice(50)).await;
    home.good_backup().await;
    let without = Capabilities::v0_16().without(Capability::Contacts).without(Capability::Sieve);
    home.simulator.set_capabilities(without);
    for _ in 0..2 {
        let report = home.backup().await;
        assert_eq!(report.state, BackupState::Partial, "{report:?}");
        for data_type in [DataType::AddressBook, DataType::ContactCard, DataType::SieveScript] {
            let known = report.types.iter().find(|t| t.data_type == data_type).expect("it is there");
            assert_eq!(known.status, TypeStatus::Stale);
            assert!(known.reason.contains("offered"), "{known:?}");
            assert_objects_equal(&home.bed.newest(&home.url).await.1, &home.alice, data_type).await;
        }
    }
    home.simulator.set_capabilities(Capabilities::v0_16());
    home.good_backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_fails_makes_the_backup_partial_and_heals() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Email) {
        let home = Home::of(alice(30)).await;
        home.good_backup().await;
        let data_type = DataType::ALL[kind as usize];
        let before = things_of(&home.bed.newest(&home.url).await.1, data_type).await;
        home.alice.mutate(60, 1, Kinds::All);
        home.alice.set_failing(kind, true);
        let report = home.backup().await;
        assert_eq!(report.state, BackupState::Partial, "{kind:?} {report:?}");
        assert_eq!(status(&report, data_type), TypeStatus::Stale, "{kind:?}");
        let (_, snapshot) = home.bed.newest(&home.url).await;
        assert_eq!(things_of(&snapshot, data_type).await, before, "{kind:?} stays");
        assert_emails_equal(&snapshot, &home.alice).await;
        home.alice.set_failing(kind, false);
        home.good_backup().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_emails_keep_the_table_as_it_was() {
    let home = Home::of(alice(30)).await;
    home.good_backup().await;
    let before = mails_of(&home.bed.newest(&home.url).await.1).await;
    home.alice.mutate(20, 1, Kinds::Emails);
    home.alice.set_failing(Kind::Email, true);
    let report = home.backup().await;
    assert_eq!((report.state, status(&report, DataType::Email)), (BackupState::Partial, TypeStatus::Stale));
    assert_eq!(mails_of(&home.bed.newest(&home.url).await.1).await, before);
    home.alice.set_failing(Kind::Email, false);
    home.good_backup().await;
}

/// Named, tried again each time, healed at last; for new emails and for emails of the first backup.
#[tokio::test(flavor = "multi_thread")]
async fn emails_that_cannot_be_fetched() {
    // More of them than any run of bad luck would explain.
    for (many, nights) in [(1, 2), (30, 9)] {
        let home = Home::of(alice(60)).await;
        let lost = |count: usize| home.alice.emails().into_iter().rev().take(count).collect::<Vec<_>>();
        lost(many).iter().for_each(|email| home.alice.vanish_blob(&email.blob_id));
        let named = |report: &Report| report.failures.iter().map(|f| f.id.clone()).collect::<Vec<_>>();
        let mut ids: Vec<String> = lost(many).into_iter().map(|email| email.id).collect();
        ids.sort();
        for night in 0..nights {
            let report = home.backup().await;
            assert_eq!(report.state, BackupState::Partial);
            assert_eq!(named(&report), ids);
            assert!(report.failures.iter().all(|f| f.attempts == night + 1), "{:?}", report.failures);
            assert_eq!(count(&report), home.alice.email_count() - many);
        }
        lost(many / 2).iter().for_each(|email| assert!(home.alice.destroy(&email.id)));
        home.alice.emails().iter().for_each(|email| home.alice.unvanish_blob(&email.blob_id));
        home.good_backup().await;
        home.bed.checked(&home.url).await;
    }
}

/// A server that answers 500 whenever it comes to these emails.
#[tokio::test(flavor = "multi_thread")]
async fn emails_that_the_server_cannot_read_itself() {
    let home = Home::of(alice(60)).await;
    let bed = home.bed.clone().impatient();
    let blobs: Vec<String> =
        home.alice.emails().into_iter().rev().take(12).map(|email| email.blob_id).collect();
    let faults = || {
        for blob in &blobs {
            let path = format!("/jmap/download/{}/{blob}", home.alice.id());
            home.simulator
                .faults()
                .add(Fault::new(Target::Path(path), Effect::Status { code: 500, retry_after: None }));
        }
        let blobs = blobs.clone();
        let lose = Effect::distort(move |answer| {
            let Some(list) = answer["list"].as_array_mut() else { return };
            for blob in list.iter_mut().filter(|blob| blobs.iter().any(|lost| blob["id"] == *lost.as_str())) {
                *blob = json!({"id": blob["id"], "size": blob["size"]});
            }
        });
        home.simulator.faults().add(Fault::new(Target::method("Blob/get"), lose));
    };
    faults();
    for night in 0..9 {
        home.alice.deliver(format!("Subject: night {night}\r\n\r\nHello\r\n"), &[], &[]);
        let report = bed.backup(&home.url).await.expect("backs up");
        assert_eq!((report.state, report.failures.len()), (BackupState::Partial, 12), "night {night}");
        assert_eq!(count(&report), home.alice.email_count() - 12);
    }
    home.simulator.faults().clear();
    home.good_backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_emails_that_are_gone_since_are_forgotten_by_a_listing_too() {
    let home = Home::of(alice(40)).await;
    let lost = home.alice.emails().swap_remove(7);
    home.alice.vanish_blob(&lost.blob_id);
    assert_eq!(home.backup().await.state, BackupState::Partial);
    home.alice.destroy(&lost.id);
    home.alice.truncate_history();
    home.good_backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_cannot_be_read_heals_without_a_change_of_the_email() {
    for with_history in [true, false] {
        let home = Home::of(alice(40)).await;
        home.good_backup().await;
        home.alice.deliver("Subject: x\r\n\r\nx\r\n", &[], &[]);
        home.alice.truncate_history();
        let odd = home.alice.emails().swap_remove(5).id;
        let id = odd.clone();
        let fault = home.simulator.faults().add(Fault::new(
            Target::method("Email/get"),
            Effect::distort(move |answer| {
                let Some(list) = answer["list"].as_array_mut() else { return };
                for email in list.iter_mut().filter(|email| email["id"] == *id.as_str()) {
                    email["mailboxIds"] = "none".into();
                }
            }),
        ));
        let report = home.backup().await;
        assert!(home.simulator.faults().struck(fault) > 0);
        assert_eq!((report.state, report.failures.len()), (BackupState::Partial, 1), "{report:?}");
        assert_eq!(report.failures[0].id, odd);
        home.simulator.faults().clear();
        if !with_history {
            home.alice.truncate_history();
        }
        home.good_backup().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_a_script_that_is_gone_is_named_and_comes_back() {
    let home = Home::of(alice(10)).await;
    let scripts = home.alice.content(Kind::SieveScript);
    let (id, script) = scripts.iter().next().expect("there are scripts");
    let blob = script["blobId"].as_str().expect("it has a blob");
    home.alice.vanish_blob(blob);
    for _ in 0..2 {
        let report = home.backup().await;
        assert_eq!(report.state, BackupState::Partial, "{report:?}");
        assert_eq!((report.failures[0].data_type, &report.failures[0].id), (DataType::SieveScript, id));
        let known = report.types.iter().find(|t| t.data_type == DataType::SieveScript).expect("it is there");
        let (_, snapshot) = home.bed.newest(&home.url).await;
        assert_eq!(known.count, things_of(&snapshot, DataType::SieveScript).await.len() as u64);
    }
    home.alice.unvanish_blob(blob);
    home.good_backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_lost_more_than_half_is_shrunk() {
    let home = Home::of(alice(100)).await;
    home.good_backup().await;
    home.alice.emails().iter().take(50).for_each(|email| assert!(home.alice.destroy(&email.id)));
    home.good_backup().await;
    home.alice.emails().iter().take(26).for_each(|email| assert!(home.alice.destroy(&email.id)));
    assert_eq!(home.backup().await.state, BackupState::Shrunk);
    assert_emails_equal(&home.bed.newest(&home.url).await.1, &home.alice).await;
    home.good_backup().await;
}

/// It is not moving: it stays so until somebody moves it.
#[tokio::test(flavor = "multi_thread")]
async fn an_email_in_a_folder_that_does_not_exist_is_backed_up_as_it_is_and_comes_back() {
    let home = Home::of(alice(20)).await;
    home.good_backup().await;
    let gone = home.alice.create_folder("gone", None);
    home.alice.destroy_folder(&gone);
    let inbox = home.alice.content(Kind::Mailbox).into_keys().next().expect("a folder");
    home.alice.deliver_astray("Subject: astray\r\n\r\nhello\r\n", &[&inbox, &gone], "2026-01-01T00:00:00Z");
    for _ in 0..2 {
        let report = home.good_backup().await;
        assert_eq!(report.emails, 21);
    }
    assert_emails_equal(&home.bed.newest(&home.url).await.1, &home.alice).await;
    let number = home.bed.newest(&home.url).await.1.info().number;
    home.alice.emails().iter().for_each(|email| assert!(home.alice.destroy(&email.id)));
    let (bed, id) = (&home.bed, RestoreId::random());
    let restored = bed.restore(&home.url, Some(number), bed, Mode::Missing, &id).await.expect("restores");
    assert_eq!((restored.restored, home.alice.email_count()), (21, 21), "{restored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_stored_once() {
    for blob_ids in [BlobIds::OfEmail, BlobIds::OfBytes] {
        let home = Home::of(alice(20).blob_ids(blob_ids)).await;
        home.good_backup().await;
        let letter = attachment(1, 3_000_000);
        home.alice.deliver(letter.clone(), &[], &[]);
        let first = home.good_backup().await;
        for _ in 0..4 {
            home.alice.deliver(letter.clone(), &[], &["$seen"]);
        }
        // The same attachment below other headers.
        home.alice.deliver([b"X-List: yes\r\n".as_slice(), &letter].concat(), &[], &[]);
        let more = home.good_backup().await;
        assert_eq!(more.new_emails, 5);
        assert!(more.stored_bytes < first.stored_bytes / 4, "{first:?} {more:?}");
        home.bed.checked(&home.url).await;
    }
}

/// Stalwart's states do not move when another script is activated.
#[tokio::test(flavor = "multi_thread")]
async fn another_script_is_active_and_no_state_says_so() {
    let home = Home::of(alice(50).scripts(2).without_vacation()).await;
    home.good_backup().await;
    let client = home.bed.client(&home.url).await.expect("the server answers");
    let account = home.bed.account(&client).await.expect("the account exists");
    let scripts = home.alice.content(Kind::SieveScript);
    let other = scripts.iter().find(|(_, script)| script["isActive"] == false).expect("one is not active").0;
    let set = jmap::Set::new().with("onSuccessActivateScript", other.as_str());
    let mut batch = jmap::Batch::new(&account.id);
    batch.set(jmap::DataType::SieveScript, set);
    client.change(&batch).await.expect("it is activated");
    assert_eq!(home.alice.content(Kind::SieveScript)[other]["isActive"], true);
    home.good_backup().await;
    let report = home.backup().await;
    assert_eq!((report.fetched_bytes, report.stored_bytes), (0, 0));
}
