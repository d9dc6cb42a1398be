//! Objects that stay where they are when a snapshot comes back, and objects that cannot: each is named.

use engine::{Mode, RestoreId};
use model::{BackupState, DataType};
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, CalDav, DataType as Kind, Effect, Fault, Limits, Target, Version};

use crate::restore::Two;
use crate::restore_objects::{Active, activate, assert_whole, furnished, two};

/// Its owner changes a contact, adds one and deletes one after the account was backed up, before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn what_its_owner_does_meanwhile_stays() {
    let two = two(5, Limits::default()).await;
    let number = two.home.bed.newest(&two.home.url).await.1.info().number;
    let alice = &two.home.alice;
    let ids: Vec<String> = alice.content(Kind::ContactCard).keys().cloned().collect();
    let book = alice.content(Kind::AddressBook).keys().next().expect("one").clone();
    let surplus = |uid: &str| json!({ "@type": "Card", "uid": uid, "addressBookIds": { &book: true } });
    let (doomed, saved) =
        (alice.insert(Kind::ContactCard, surplus("x")), alice.insert(Kind::ContactCard, surplus("y")));
    for id in &ids {
        alice.edit(Kind::ContactCard, id, |card| card["notes"] = json!({ "n": { "note": "before" } }));
    }
    let owner = two.home.alice.clone();
    let (changed, arrival, kept) = (ids[0].clone(), surplus("z"), saved.clone());
    let live = move || {
        owner.edit(Kind::ContactCard, &changed, |card| {
            card["notes"] = json!({ "n": { "note": "meanwhile" } })
        });
        owner.edit(Kind::ContactCard, &kept, |card| card["notes"] = json!({ "n": { "note": "meanwhile" } }));
        owner.insert(Kind::ContactCard, arrival.clone());
    };
    let fault = Fault::new(Target::method("SieveScript/set"), Effect::before(live)).times(1);
    let script = alice.put_blob("discard;");
    alice.insert(Kind::SieveScript, json!({ "name": "too much", "blobId": script, "isActive": false }));
    activate(alice, Active::Script("too much"));
    two.home.simulator.faults().add(fault);
    let (bed, url) = (&two.home.bed, &two.home.url);
    let restored =
        bed.restore(url, Some(number), bed, Mode::Exact, &RestoreId::random()).await.expect("restores");
    let cards = restored.objects.iter().find(|of| of.data_type == DataType::ContactCard).expect("told");
    let named = cards.notes.iter().filter(|note| note.contains("was changed meanwhile")).count();
    assert_eq!((named, restored.is_whole()), (2, false), "{cards:#?}");
    let note =
        |id: &str| alice.content(Kind::ContactCard).get(id).map(|card| card["notes"]["n"]["note"].clone());
    assert_eq!(note(&ids[0]), Some(json!("meanwhile")));
    assert_eq!(note(&ids[1]), Some(Value::Null));
    assert_eq!((note(&doomed), note(&saved)), (None, Some(json!("meanwhile"))));
    assert!(alice.content(Kind::ContactCard).values().any(|card| card["uid"] == "z"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_does_not_take_is_named_and_the_rest_comes() {
    let two = two(6, Limits::default()).await;
    let refuse = Effect::refuse("tooLarge", |_, card| card["uid"] == "more-1");
    two.home.simulator.faults().add(Fault::new(Target::method("ContactCard/set"), refuse));
    two.home.alice.set_failing(Kind::CalendarEvent, false);
    two.bob.set_failing(Kind::Calendar, true);
    let restored = two.give_bob(Mode::Missing, &RestoreId::random()).await.expect("restores");
    let of = |data_type| restored.objects.iter().find(|of| of.data_type == data_type).expect("it is told");
    let cards = of(DataType::ContactCard);
    assert_eq!((cards.restored, cards.refused_count), (cards.wanted - 1, 1), "{cards:#?}");
    assert_eq!(
        (cards.refused[0].name.as_str(), cards.refused[0].json["uid"].as_str()),
        ("Zoë", Some("more-1"))
    );
    assert!(cards.refused[0].reason.contains("tooLarge"), "{cards:#?}");
    assert!(of(DataType::Calendar).left_out.is_some(), "{restored:#?}");
    assert_eq!(of(DataType::CalendarEvent).refused_count, of(DataType::CalendarEvent).wanted);
    assert!(of(DataType::FileNode).is_whole());
}

/// What is too much may be what the server takes the refused one for: it would be gone, and nothing in its place.
#[tokio::test(flavor = "multi_thread")]
async fn exact_removes_nothing_of_a_type_of_which_something_is_refused() {
    let two = two(6, Limits::default()).await;
    let alice = &two.home.alice;
    let (bed, url) = (&two.home.bed, &two.home.url);
    let number = bed.newest(url).await.1.info().number;
    let card = |uid: &str| {
        let cards = alice.content(Kind::ContactCard);
        cards.into_iter().find(|(_, card)| card["uid"] == uid)
    };
    let (id, mut twin) = card("more-1").map(|(id, card)| (id, Value::clone(&card))).expect("it is there");
    alice.remove(Kind::ContactCard, &id);
    twin["uid"] = "as the server made it again".into();
    alice.insert(Kind::ContactCard, twin);
    let refuse = Effect::refuse("alreadyExists", |_, card| card["uid"] == "more-1");
    let fault = two.home.simulator.faults().add(Fault::new(Target::method("ContactCard/set"), refuse));
    let (mode, restore) = (Mode::Exact, RestoreId::random());
    let restored = bed.restore(url, Some(number), bed, mode, &restore).await.expect("restores");
    let cards = restored.objects.iter().find(|of| of.data_type == DataType::ContactCard).expect("told");
    assert_eq!((cards.refused_count, cards.removed), (1, 0), "{cards:#?}");
    assert!(cards.notes.iter().any(|note| note.contains("are still there")), "{cards:#?}");
    assert!(card("as the server made it again").is_some() && !restored.is_whole());
    two.home.simulator.faults().remove(fault);
    two.give_alice(number, Mode::Exact).await;
    assert!(card("as the server made it again").is_none() && card("more-1").is_some());
}

/// As Stalwart 0.16 gives a VJOURNAL, and as it makes a calendar within a calendar of it where it is sent one.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_known_where_it_is_and_named_where_it_cannot_come_back() {
    let two = Two::unsaved(furnished(4), Limits::default(), Version::V0_16).await;
    two.home.simulator.set_caldav(CalDav::Missing);
    let alice = &two.home.alice;
    let calendar = alice.content(Kind::Calendar).keys().next().expect("there is one").clone();
    let properties = json!([["uid", {}, "unknown", "journal-1"], ["summary", {}, "unknown", "Diary"]]);
    let jcal = json!({ "name": "vcalendar", "components": [["vjournal", properties, []]] });
    let journal =
        json!({ "@type": "Group", "prodId": "x", "calendarIds": { calendar: true }, "iCalendar": jcal });
    let id = alice.insert(Kind::CalendarEvent, journal.clone());
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    let number = two.home.bed.newest(&two.home.url).await.1.info().number;
    // The server made it again: another id, another maker.
    alice.remove(Kind::CalendarEvent, &id);
    let mut again = journal;
    again["prodId"] = "y".into();
    alice.insert(Kind::CalendarEvent, again);
    let (bed, url) = (&two.home.bed, &two.home.url);
    let missing = bed.restore(url, Some(number), bed, Mode::Missing, &RestoreId::random()).await;
    assert_whole(&missing.expect("restores"));
    let journals = |account: &AccountHandle| {
        let events = account.content(Kind::CalendarEvent);
        events.values().filter(|event| event["@type"] == "Group").count()
    };
    assert_eq!(journals(alice), 1);
    for mode in [Mode::Missing, Mode::Beside] {
        let restored = two.give_bob(mode, &RestoreId::random()).await.expect("restores");
        let events = restored.objects.iter().find(|of| of.data_type == DataType::CalendarEvent);
        let events = events.expect("told");
        assert_eq!((events.refused_count, events.refused[0].name.as_str()), (1, "Diary"), "{events:#?}");
        assert!(events.refused[0].reason.contains("VJOURNAL"), "{events:#?}");
    }
    assert_eq!(journals(&two.bob), 0);
}
