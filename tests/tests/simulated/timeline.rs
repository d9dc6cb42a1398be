//! The server's history is cut off, goes back, or begins anew.

use engine::State;
use model::DataType;
use sim_stalwart::{AccountSpec, Kinds};
use tests::Bed;
use tests::truth::{mails_of, things_of};

use crate::{ALICE, Home, PASSWORD, alice};

/// The next backup holds what a first backup holds.
async fn same_as_from_scratch(home: &Home) {
    let report = home.backup().await;
    assert!(matches!(report.state, State::Good | State::Shrunk), "{report:?}");
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
