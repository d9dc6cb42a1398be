//! The server's history is cut off, goes back, or begins anew.

use model::{BackupState, DataType};
use sim_stalwart::{AccountHandle, AccountSpec, Kinds, Sizes};
use tests::Bed;
use tests::truth::{mails_of, things_of};

use crate::{ALICE, Home, PASSWORD, alice};

/// The next backup holds what a first backup holds.
async fn same_as_from_scratch(home: &Home) {
    let report = home.backup().await;
    assert!(matches!(report.state, BackupState::Good | BackupState::Shrunk), "{report:?}");
    let fresh = Bed::new(ALICE, PASSWORD);
    fresh.backup(&home.url).await.expect("backs up");
    let (old, new) = (home.bed.newest(&home.url).await.1, fresh.newest(&home.url).await.1);
    assert_eq!(mails_of(&old).await, mails_of(&new).await);
    for data_type in DataType::ALL.into_iter().filter(|t| *t != DataType::Email) {
        assert_eq!(things_of(&old, data_type).await, things_of(&new, data_type).await, "{data_type}");
    }
    tests::assert_is_now(&new, &home.alice).await;
    home.bed.checked(&home.url).await;
    home.good_backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_history() {
    let home = Home::of(alice(400)).await;
    home.good_backup().await;
    home.alice.mutate(100, 1, Kinds::All);
    home.alice.truncate_history();
    same_as_from_scratch(&home).await;
    home.alice.truncate_history();
    same_as_from_scratch(&home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_rolled_back_behind_the_last_backup() {
    let home = Home::of(alice(400)).await;
    let checkpoint = home.alice.checkpoint();
    home.alice.mutate(100, 1, Kinds::All);
    home.good_backup().await;
    home.alice.roll_back(&checkpoint);
    same_as_from_scratch(&home).await;
}

/// What happens after a roll-back draws the same states and ids again, for other content.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_rolled_back_whose_states_repeat() {
    for after in [0, 1, 20] {
        let home = Home::of(alice(400)).await;
        let checkpoint = home.alice.checkpoint();
        for letter in 0..10 {
            home.alice.deliver(format!("Subject: the first life {letter}\r\n\r\nHello\r\n"), &[], &[]);
        }
        home.good_backup().await;
        let state = home.alice.state(sim_stalwart::DataType::Email);
        home.alice.roll_back(&checkpoint);
        for letter in 0..10 {
            home.alice.deliver(format!("Subject: the second life {letter}\r\n\r\nHello\r\n"), &[], &[]);
        }
        assert_eq!(home.alice.state(sim_stalwart::DataType::Email), state, "the states repeat");
        home.alice.mutate(after, 3, Kinds::All);
        same_as_from_scratch(&home).await;
    }
}

/// Deleted and made again under the same id, the states begin anew as well.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_made_again_under_the_same_id() {
    for (emails, changes) in [(400, 0), (400, 30), (399, 0), (0, 0)] {
        let spec = |emails, seed| -> AccountSpec { alice(emails).account_id("x").seed(seed) };
        let mut home = Home::of(spec(400, 1)).await;
        home.good_backup().await;
        home.simulator.remove_account(ALICE);
        home.alice = home.simulator.add_account(&spec(emails, 2));
        home.alice.mutate(changes, 1, Kinds::All);
        same_as_from_scratch(&home).await;
    }
}

/// What happens to a mailbox between two moments.
#[derive(Debug, Clone, Copy)]
enum Life {
    Nothing,
    /// So many emails come.
    Comes(u32),
    /// So many are flagged, from this one of the server's order on.
    Flagged(usize, usize),
    /// So many are moved into a new folder.
    Moved(usize),
    /// So many are destroyed, the newest ones.
    Goes(usize),
    /// Anything, so often.
    Anything(u32),
    /// Emails come, and more of the older ones are flagged than are kept as witnesses.
    ComesThenFlagged(u32, usize),
}

impl Life {
    /// `word` makes it differ from others of the same kind.
    fn pass(self, alice: &AccountHandle, word: &str) {
        let ids = || alice.emails().into_iter().map(|email| email.id).collect::<Vec<_>>();
        match self {
            Life::Nothing => {}
            Life::Comes(count) => {
                for number in 0..count {
                    alice.deliver(format!("Subject: {word} {number}\r\n\r\nHello\r\n"), &[], &[]);
                }
            }
            Life::Flagged(start, count) => {
                for id in ids().iter().skip(start).take(count) {
                    alice.set_keywords(id, &[word]);
                }
            }
            Life::Moved(count) => {
                let folder = alice.create_folder(word, None);
                for id in ids().iter().rev().take(count) {
                    alice.move_to(id, &[&folder]);
                }
            }
            Life::Goes(count) => ids().iter().rev().take(count).for_each(|id| assert!(alice.destroy(id))),
            Life::Anything(count) => alice.mutate(count, word.len() as u64, Kinds::All),
            Life::ComesThenFlagged(count, flagged) => {
                Life::Comes(count).pass(alice, word);
                Life::Flagged(0, flagged).pass(alice, word);
            }
        }
    }
}

/// Before the copy, lost with it, and after the server was put back to it.
async fn put_back(before: Life, lost: Life, after: Life) {
    let home = Home::of(alice(90).sizes(Sizes::tiny())).await;
    home.good_backup().await;
    before.pass(&home.alice, "before");
    home.good_backup().await;
    let copy = home.alice.checkpoint();
    lost.pass(&home.alice, "lost");
    home.good_backup().await;
    home.alice.roll_back(&copy);
    after.pass(&home.alice, "afterwards");
    println!("{before:?}, then {lost:?} is lost, then {after:?}");
    let report = home.backup().await;
    assert!(matches!(report.state, BackupState::Good | BackupState::Shrunk), "{report:?}");
    tests::assert_is_now(&home.bed.newest(&home.url).await.1, &home.alice).await;
    // Seen once, it costs nothing more.
    let unchanged = home.simulator.counters();
    home.backup().await;
    let requests = home.simulator.counters().since(&unchanged).requests;
    assert!(requests <= 3, "{requests}: it lists everything again");
}

/// An older copy of the database comes back, and life goes on: the states of before come again, or never, or are passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_put_back_to_an_older_copy_is_noticed_by_the_next_backup() {
    let before = [Life::Nothing, Life::Anything(12)];
    let lost = [
        Life::Comes(1),
        Life::Comes(5),
        Life::Comes(60),
        Life::Flagged(3, 1),
        Life::Flagged(0, 50),
        Life::Moved(4),
        Life::Goes(3),
        Life::ComesThenFlagged(5, 20),
        Life::Anything(25),
    ];
    let after = [
        Life::Nothing,
        Life::Comes(5),
        Life::Comes(130),
        Life::Flagged(60, 8),
        Life::Goes(2),
        Life::Anything(60),
    ];
    for before in before {
        for lost in lost {
            for after in after {
                Box::pin(put_back(before, lost, after)).await;
            }
        }
    }
}

/// As it was seen: five ids hold other emails, then 700 new ones come.
#[tokio::test(flavor = "multi_thread")]
async fn five_ids_that_hold_other_emails_are_found_behind_seven_hundred_new_ones() {
    let home = Home::of(alice(300)).await;
    home.good_backup().await;
    let copy = home.alice.checkpoint();
    Life::Comes(5).pass(&home.alice, "lost");
    home.good_backup().await;
    let newest =
        || -> Vec<String> { home.alice.emails().into_iter().rev().take(5).map(|email| email.id).collect() };
    let lost = newest();
    home.alice.roll_back(&copy);
    Life::Comes(5).pass(&home.alice, "real");
    assert_eq!(lost, newest(), "the ids come again");
    Life::Comes(700).pass(&home.alice, "new");
    home.good_backup().await;
}

/// Legitimate changes of the very rows that are kept as witnesses cost no listing.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_the_witnesses_themselves_are_no_other_past() {
    let home = Home::of(alice(2_000).sizes(Sizes::tiny())).await;
    home.good_backup().await;
    for (night, life) in
        [Life::Comes(3), Life::Flagged(1_990, 20), Life::Moved(12), Life::Goes(7), Life::Flagged(1_980, 40)]
            .into_iter()
            .enumerate()
    {
        life.pass(&home.alice, &format!("night {night}"));
        let before = home.simulator.counters();
        home.good_backup().await;
        let sent = home.simulator.counters().since(&before).bytes_out;
        assert!(sent < 100_000, "{life:?}: {sent} bytes, as if everything had been listed");
    }
}

/// The limit of what is seen: the rows that are kept were all touched again after the copy came back, so the server's changes name
/// them. Rows that are not kept stay as they were in the lost time, until everything is listed.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_witnesses_do_not_show_is_found_by_the_seventh_backup() {
    let home = Home::of(alice(90).sizes(Sizes::tiny())).await;
    home.good_backup().await;
    let copy = home.alice.checkpoint();
    Life::Flagged(0, 30).pass(&home.alice, "lost");
    home.good_backup().await;
    home.alice.roll_back(&copy);
    // As many changes as were lost, then more: the states of the lost time are passed.
    Life::Flagged(31, 40).pass(&home.alice, "before");
    let snapshot = home.bed.newest(&home.url).await.1;
    let witnesses = &snapshot.info().type_state(DataType::Email).expect("emails are known").recent;
    assert!((16..=32).contains(&witnesses.len()), "{}", witnesses.len());
    for witness in witnesses {
        assert!(home.alice.set_keywords(&witness.id, &["after"]));
    }
    Life::Flagged(70, 20).pass(&home.alice, "after");
    let mut backups = 0;
    loop {
        home.backup().await;
        backups += 1;
        let snapshot = home.bed.newest(&home.url).await.1;
        assert!(mails_of_keyword(&snapshot, "after").await >= 20);
        if mails_of_keyword(&snapshot, "lost").await == 0 {
            break;
        }
        assert!(backups < 7, "nothing was listed in seven backups");
    }
    assert!(backups > 1, "it was seen at once: the limit that the README names is gone");
    home.good_backup().await;
}

async fn mails_of_keyword(snapshot: &repository::Snapshot, keyword: &str) -> usize {
    let mut emails = snapshot.emails().await.expect("reads");
    let mut count = 0;
    while let Some(email) = emails.next().await.expect("reads") {
        count += usize::from(email.keywords.iter().any(|k| k == keyword));
    }
    count
}
