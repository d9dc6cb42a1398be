//! Calendars with more in them than a server tells at once.

use engine::{Mode, RestoreId};
use model::{BackupState, DataType};
use sim_stalwart::{Limits, Version};
use tests::truth::assert_texts;

use crate::alice;
use crate::calendars::{MOVED, SERIES, events, held, text};
use crate::restore::Two;

/// UIDs as programs make them, of each kind of entry.
fn uids(count: usize) -> Vec<(&'static str, String)> {
    let uid = |number: usize| match number % 5 {
        0 => ("VEVENT", format!("{:08X}-{number}@example.org", number * 2_654_435_761)),
        1 => ("VEVENT", format!("040000008200E00074C5B7101A82E008{number:032x}")),
        2 => ("VEVENT", format!("{number}@Google.com")),
        3 => ("VTODO", format!("t\u{e4}sk {number}")),
        _ => ("VJOURNAL", format!("journal-{number}")),
    };
    (0..count).map(uid).collect()
}

async fn two_with(dav_results: usize, uids: &[(&str, String)]) -> Two {
    let limits = Limits { dav_results, ..Limits::default() };
    let two = Two::unsaved(alice(0).objects(1, 0, 0), limits, Version::V0_16).await;
    for (number, (kind, uid)) in uids.iter().enumerate() {
        let text = match *kind {
            "VJOURNAL" => text(uid, "", kind, &["DTSTART;VALUE=DATE:20260105\nSUMMARY:Diary"]),
            kind => text(uid, "", kind, &[SERIES, MOVED]),
        };
        two.home.alice.put_calendar_resource("Calendar 0", &format!("{number}.ics"), &text);
    }
    two
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_a_long_calendar_comes_back() {
    for (dav_results, count) in [(10, 230), (20, 20), (20, 21), (3, 60)] {
        let two = two_with(dav_results, &uids(count)).await;
        let report = two.home.backup().await;
        assert_eq!(report.state, BackupState::Good, "{report:#?}");
        let (_, snapshot) = two.home.bed.newest(&two.home.url).await;
        let lacks =
            snapshot.info().type_state(DataType::CalendarEvent).expect("it is there").not_given.clone();
        assert_eq!(lacks, Vec::<String>::new(), "{dav_results} of {count}");
        assert_texts(&snapshot, &two.home.alice).await;
        let expected = held(&two.home.alice);
        assert_eq!(expected.len(), count);
        let restored = two.give_bob(Mode::Missing, &RestoreId::random()).await.expect("restores");
        assert_eq!(held(&two.bob), expected, "{restored:#?}");
        let again = two.give_bob(Mode::Exact, &RestoreId::random()).await.expect("restores");
        assert_eq!((events(&again).restored, events(&again).changed), (0, 0), "{again:#?}");
    }
}

/// Where UIDs cannot be told apart by pieces the events are named, and keep what JMAP shows.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_never_tells_is_named() {
    let uids: Vec<(&str, String)> =
        ["\u{e9}", "\u{fc}", "\u{f6}", "\u{e4}", "\u{e5}"].map(|uid| ("VEVENT", uid.to_owned())).into();
    let two = two_with(4, &uids).await;
    let report = two.home.backup().await;
    assert_eq!(report.state, BackupState::Good, "{report:#?}");
    let (_, snapshot) = two.home.bed.newest(&two.home.url).await;
    let lacks = &snapshot.info().type_state(DataType::CalendarEvent).expect("it is there").not_given;
    assert_eq!(lacks, &["text of events that CalDAV does not list"]);
    let events = snapshot.objects_of(DataType::CalendarEvent).await.expect("they are read");
    // All but what the server did not tell have theirs.
    assert_eq!(events.iter().filter(|event| event.blob.is_some()).count(), 4);
}
