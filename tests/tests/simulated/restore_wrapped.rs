//! What the server does not take for an email comes back as the attachment of one, once.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use engine::{Mode, RestoreId, Restored};
use model::{BackupState, SnapshotNumber};
use sim_stalwart::{AccountHandle, DataType as Kind, Effect, Fault, Limits, Target, Version};
use tests::Bed;

use crate::alice;
use crate::restore::Two;

const KEYWORD: &str = "malle-wrapped";
/// What has no header field to begin with, twins in two folders among it.
const NO_EMAILS: [(&[u8], &str, &[&str]); 6] = [
    (b"", "first", &[]),
    (b"", "second", &["$seen"]),
    (b"no header at all", "first", &["$seen", "work"]),
    (b"\0\xff\xfe", "second", &[]),
    (b"\r\n\r\n--malle-original--\r\n", "first", &["$flagged"]),
    (b"", "first", &["twin"]),
];

/// Emails without their ids: folders, keywords without ours, date, bytes of the original, whether another one stands for it.
type Picture = BTreeMap<(Vec<String>, Vec<String>, String, Vec<u8>, bool), usize>;

fn picture(account: &AccountHandle) -> Picture {
    let folders = account.content(Kind::Mailbox);
    let mut picture = Picture::new();
    for email in account.emails() {
        let mut names: Vec<String> =
            email.mailbox_ids.iter().map(|id| folders[id]["name"].to_string()).collect();
        names.sort_unstable();
        let raw = account.raw(&email.id).expect("it is there");
        let is_wrapped = email.keywords.contains(KEYWORD);
        let raw = if is_wrapped { original(&raw) } else { raw.to_vec() };
        let keywords = email.keywords.iter().filter(|keyword| *keyword != KEYWORD).cloned().collect();
        *picture.entry((names, keywords, email.received_at, raw, is_wrapped)).or_default() += 1;
    }
    picture
}

fn original(raw: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(raw).expect("ASCII");
    assert!(text.contains("filename=\"original.eml\"") && text.contains("invalidEmail"), "{text}");
    let (_, content) = text.split_once("Content-Transfer-Encoding: base64\r\n\r\n").expect("an attachment");
    let content: String = content.lines().take_while(|line| *line != "--malle-original--").collect();
    BASE64.decode(content).expect("Base64")
}

/// As it should be when all that is no email is wrapped.
fn wrapped(picture: Picture) -> Picture {
    let mut wrapped = Picture::new();
    for ((names, keywords, date, raw, _), count) in picture {
        let is_no_email = NO_EMAILS.iter().any(|(known, ..)| *known == raw);
        *wrapped.entry((names, keywords, date, raw, is_no_email)).or_default() += count;
    }
    wrapped
}

/// Alice holds what her server does not take; bob has nothing.
async fn odd() -> (Two, SnapshotNumber) {
    let mut two = Two::unsaved(alice(30), Limits::default(), Version::V0_16).await;
    two.bobs = two.bobs.clone().wrapping();
    let folders = ["first", "second"].map(|name| two.home.alice.create_folder(name, None));
    for (raw, folder, keywords) in NO_EMAILS {
        let folder = &folders[usize::from(folder == "second")];
        two.home.alice.deliver(raw, &[folder], keywords);
    }
    assert_eq!(two.home.backup().await.state, BackupState::Good);
    let number = two.home.bed.newest(&two.home.url).await.1.info().number;
    (two, number)
}

fn counts(restored: &Restored) -> (u64, u64, u64, u64) {
    assert_eq!(restored.wrapped.named.len() as u64, restored.wrapped.count);
    (restored.restored, restored.present, restored.wrapped.count, restored.refused.count)
}

async fn give(two: &Two, to: &Bed, number: SnapshotNumber, mode: Mode) -> Restored {
    let (bed, id) = (&two.home.bed, RestoreId::random());
    Box::pin(bed.restore(&two.home.url, Some(number), to, mode, &id)).await.expect("restores")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_missing_it_comes_into_its_folder_and_is_known_by_every_later_restore() {
    let (two, number) = odd().await;
    let plain = Bed::new("bob@example.org", crate::PASSWORD);
    let refused = give(&two, &plain, number, Mode::Missing).await;
    assert_eq!(counts(&refused), (30, 0, 0, 6));
    let restored = give(&two, &two.bobs, number, Mode::Missing).await;
    assert_eq!(counts(&restored), (0, 30, 6, 0));
    assert!(restored.is_whole(), "{restored:#?}");
    let named = &restored.wrapped.named;
    assert!(named.iter().all(|wrapped| wrapped.reason.starts_with("invalidEmail")), "{named:#?}");
    let expected = wrapped(picture(&two.home.alice));
    assert_eq!(picture(&two.bob), expected);
    for to in [&two.bobs, &plain] {
        let again = give(&two, to, number, Mode::Missing).await;
        assert_eq!(counts(&again), (0, 36, 0, 0));
        assert_eq!(picture(&two.bob), expected);
    }
    // Without our keyword nobody knows what it is.
    let one =
        two.bob.emails().into_iter().find(|email| email.keywords.contains(KEYWORD)).expect("there are six");
    assert!(two.bob.set_keywords(&one.id, &[]));
    assert_eq!(counts(&give(&two, &two.bobs, number, Mode::Missing).await), (0, 35, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_beside_each_restore_brings_its_own_and_a_finished_one_tells_the_same() {
    let (two, _) = odd().await;
    let id = RestoreId::random();
    let restored = two.give_bob(Mode::Beside, &id).await.expect("restores");
    assert_eq!(counts(&restored), (30, 0, 6, 0));
    assert_eq!(picture(&two.bob).keys().filter(|(.., is_wrapped)| *is_wrapped).count(), 6);
    let told = two.home.bed.resume(&two.home.url, &two.bobs, &id).await.expect("it is written down");
    let told = told.expect("it is told");
    let names = |restored: &Restored| {
        let named = restored.wrapped.named.iter();
        named.map(|wrapped| (wrapped.email.id.clone(), wrapped.reason.clone())).collect::<Vec<_>>()
    };
    assert_eq!((counts(&told), names(&told)), (counts(&restored), names(&restored)));
    assert_eq!(two.bob.email_count(), 36);
    assert_eq!(
        counts(&two.give_bob(Mode::Beside, &RestoreId::random()).await.expect("restores")),
        (30, 0, 6, 0)
    );
    assert_eq!(two.bob.email_count(), 72);
    // A request for something else under its id is refused.
    let plain = Bed::new("bob@example.org", crate::PASSWORD);
    let other = two.home.bed.restore(&two.home.url, None, &plain, Mode::Beside, &id).await;
    assert!(matches!(other, Err(engine::Error::OtherRestore { .. })), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_exact_it_stands_for_what_the_snapshot_has() {
    let (two, number) = odd().await;
    let expected = wrapped(picture(&two.home.alice));
    for (round, wrapped_now) in [(0, 6), (1, 0), (2, 0)] {
        if round == 2 {
            // Its owner moves and marks them.
            let folders = two.bob.content(Kind::Mailbox);
            let inbox = folders.keys().next().expect("there is one");
            for email in two.bob.emails().iter().filter(|email| email.keywords.contains(KEYWORD)) {
                assert!(two.bob.move_to(&email.id, &[inbox]));
                assert!(two.bob.set_keywords(&email.id, &["$answered", KEYWORD]));
            }
        }
        let restored = give(&two, &two.bobs, number, Mode::Exact).await;
        assert_eq!(
            (restored.wrapped.count, restored.removed, restored.refused.count),
            (wrapped_now, 0, 0),
            "{restored:#?}"
        );
        assert_eq!(restored.relabelled, if round == 2 { 6 } else { 0 });
        assert_eq!(picture(&two.bob), expected);
    }
}

/// In her own account the snapshot's ids are those of the account, and the safety backup lies beside the snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn in_her_own_account_it_is_what_was_lost_and_no_surplus() {
    let (mut two, number) = odd().await;
    two.home.bed = two.home.bed.clone().wrapping();
    let before = picture(&two.home.alice);
    let lost: Vec<_> = two.home.alice.emails().into_iter().filter(|email| email.size < 100).take(3).collect();
    for email in &lost {
        assert!(two.home.alice.destroy(&email.id));
    }
    let (bed, alice) = (two.home.bed.clone(), two.home.alice.clone());
    let restored = give(&two, &bed, number, Mode::Exact).await;
    assert_eq!((restored.wrapped.count, restored.removed), (3, 0), "{restored:#?}");
    let now = picture(&alice);
    let as_if_never_lost: Picture =
        now.iter().fold(Picture::new(), |mut all, ((names, keywords, date, raw, _), count)| {
            *all.entry((names.clone(), keywords.clone(), date.clone(), raw.clone(), false)).or_default() +=
                count;
            all
        });
    assert_eq!(as_if_never_lost, before);
    assert_eq!(now.keys().filter(|(.., is_wrapped)| *is_wrapped).count(), 3);
    // A snapshot of that holds them as emails; each of the two is what the account has.
    two.home.good_backup().await;
    let later = bed.newest(&two.home.url).await.1.info().number;
    for number in [number, later, number] {
        for mode in [Mode::Exact, Mode::Missing] {
            let again = give(&two, &bed, number, mode).await;
            assert_eq!(
                (again.restored, again.wrapped.count, again.removed, again.relabelled),
                (0, 0, 0, 0),
                "{again:#?}"
            );
            assert_eq!(picture(&alice), now);
        }
    }
    // Elsewhere the later one brings the emails that stand for others as what they are.
    let elsewhere = give(&two, &two.bobs, later, Mode::Missing).await;
    assert_eq!((elsewhere.restored, elsewhere.wrapped.count), (33, 3));
    assert_eq!(counts(&give(&two, &two.bobs, later, Mode::Missing).await), (0, 36, 0, 0));
}

/// Whichever import loses its answer, every email comes once.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_brings_nothing_twice() {
    for mode in [Mode::Missing, Mode::Beside, Mode::Exact] {
        for at in 0..4 {
            let (two, number) = odd().await;
            let fault = Fault::new(Target::method("Email/import"), Effect::Reset { after: 0 });
            two.home.simulator.faults().add(fault.after(at).times(1));
            let restored = give(&two, &two.bobs, number, mode).await;
            assert_eq!(restored.wrapped.count, 6, "{mode:?} {at}");
            let mut found = picture(&two.bob);
            let mut expected = wrapped(picture(&two.home.alice));
            if mode == Mode::Beside {
                // Folders are others there.
                let without_folders = |picture: Picture| {
                    let mut all = Picture::new();
                    for ((_, keywords, date, raw, is_wrapped), count) in picture {
                        *all.entry((Vec::new(), keywords, date, raw, is_wrapped)).or_default() += count;
                    }
                    all
                };
                (found, expected) = (without_folders(found), without_folders(expected));
            }
            assert_eq!(found, expected, "{mode:?} {at}");
        }
    }
}

/// An email and another one that stands for it, both in one snapshot: what comes for the first is just like the second, and no copy of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_for_an_email_is_no_copy_of_one_that_came_with_it() {
    let (two, number) = odd().await;
    let (home, wrapping) = (&two.home, two.home.bed.clone().wrapping());
    give(&two, &wrapping, number, Mode::Beside).await;
    assert_eq!(home.backup().await.state, BackupState::Good);
    let later = home.bed.newest(&home.url).await.1.info().number;
    let expected = wrapped(picture(&home.alice));
    for method in ["Email/import", "Email/set", "Mailbox/set"] {
        for at in 0..8 {
            let name = format!("{method}-{at}@example.org");
            let bob =
                home.simulator.add_account(&sim_stalwart::AccountSpec::new(&name, crate::PASSWORD).bare());
            let bobs = Bed::new(&name, crate::PASSWORD).wrapping();
            let fault = Fault::new(Target::method(method), Effect::Reset { after: 0 });
            let fault = home.simulator.faults().add(fault.after(at).times(1));
            let restored = give(&two, &bobs, later, Mode::Missing).await;
            home.simulator.faults().remove(fault);
            assert_eq!((restored.wrapped.count, restored.restored), (6, 66), "{method} {at}: {restored:#?}");
            assert!(picture(&bob) == expected, "{method} {at}");
        }
    }
}
