//! The server's history is cut off, goes back, or begins anew: the next backup holds what a first one holds.

use model::{BackupState, DataType};
use serde_json::json;
use tests::truth::{mails_of, things_of};
use tests::{Bed, Letter};

use crate::letters::{inbox, small_letters};
use crate::place::{ALICE, Change, Place, bed};
use crate::truth::{Truth, good_backup};

/// Alice's mailbox with some mail, backed up once.
struct Home {
    bed: Bed,
    inbox: String,
    emails: Vec<String>,
}

async fn home<P: Place>(place: &P) -> Home {
    let inbox = inbox(place).await;
    let emails = place.deliver(&small_letters(60, "first", &inbox)).await;
    let home = Home { bed: bed(), inbox, emails };
    good_backup(place, &home.bed).await;
    home
}

impl Home {
    /// Flags, moves, deletions, a folder, arrivals.
    async fn lives_on<P: Place>(&self, place: &P, what: &str) {
        let folder = place.create_folder(what, None).await.expect("makes a folder");
        let changes = self.emails[..30].iter().enumerate().map(|(i, id)| match i % 3 {
            0 => Change::Keywords(id.clone(), vec![what.to_owned()]),
            1 => Change::Move(id.clone(), folder.clone()),
            _ => Change::Destroy(id.clone()),
        });
        place.change(&changes.collect::<Vec<_>>()).await;
        place.deliver(&small_letters(15, what, &folder)).await;
    }

    /// A backup holds what the server holds and what a backup into an empty repository holds; the next one is good.
    async fn same_as_from_scratch<P: Place>(&self, place: &P) {
        let url = place.url();
        let report = self.bed.backup(&url).await.expect("backs up");
        assert!(matches!(report.state, BackupState::Good | BackupState::Shrunk), "{report:?}");
        let fresh = bed();
        fresh.backup(&url).await.expect("backs up");
        let (old, new) = (self.bed.newest(&url).await.1, fresh.newest(&url).await.1);
        let mails = Truth::of(place).await.assert_is(&old).await;
        assert_eq!(mails, mails_of(&new).await);
        for data_type in DataType::ALL.into_iter().filter(|t| *t != DataType::Email) {
            assert_eq!(things_of(&old, data_type).await, things_of(&new, data_type).await, "{data_type}");
        }
        self.bed.checked(&url).await;
        good_backup(place, &self.bed).await;
    }
}

pub(crate) async fn a_restarted_server_has_nothing_new<P: Place>(mut place: P) {
    let home = home(&place).await;
    place.restart().await;
    let report = good_backup(&place, &home.bed).await;
    assert_eq!((report.fetched_bytes, report.stored_bytes), (0, 0));
    home.lives_on(&place, "later").await;
    place.restart().await;
    let report = good_backup(&place, &home.bed).await;
    assert_eq!((report.new_emails, report.removed_emails), (15, 10), "{report:?}");
    assert_eq!(home.bed.checked(&place.url()).await, 3);
}

pub(crate) async fn a_truncated_history<P: Place>(place: P) {
    let home = home(&place).await;
    let plain = place.plain(ALICE).await;
    for what in ["second", "third"] {
        let state = plain.state(DataType::Email).await.expect("the server answers");
        if what == "second" {
            home.lives_on(&place, what).await;
        }
        place.deliver(&small_letters(5, "more", &home.inbox)).await;
        place.truncate_history().await;
        // A real server truncates in the background.
        let since = json!({ "sinceState": state });
        while plain.ask("Email/changes", since.clone()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        home.same_as_from_scratch(&place).await;
    }
}

pub(crate) async fn a_server_rolled_back_behind_the_last_backup<P: Place>(mut place: P) {
    let home = home(&place).await;
    let moment = place.moment().await;
    home.lives_on(&place, "lost").await;
    good_backup(&place, &home.bed).await;
    place.roll_back(&moment).await;
    home.same_as_from_scratch(&place).await;
}

/// What happens after a roll-back draws the same states and ids again, for other content.
pub(crate) async fn a_server_rolled_back_whose_states_repeat<P: Place>(mut place: P) {
    let home = home(&place).await;
    let moment = place.moment().await;
    let letters = |what| -> Vec<Letter> { small_letters(10, what, &home.inbox) };
    let one = place.deliver(&letters("the first life")).await;
    good_backup(&place, &home.bed).await;
    let state = place.plain(ALICE).await.state(DataType::Email).await.expect("the server answers");
    place.roll_back(&moment).await;
    let other = place.deliver(&letters("the other one!")).await;
    let again = place.plain(ALICE).await.state(DataType::Email).await.expect("the server answers");
    assert_eq!((again, other), (state, one), "states and ids repeat");
    home.same_as_from_scratch(&place).await;
}

pub(crate) async fn an_account_deleted_and_made_again<P: Place>(mut place: P) {
    let home = home(&place).await;
    let (repository, old) = home.bed.newest(&place.url()).await;
    let (number, before) = (old.info().number, mails_of(&old).await);
    place.make_again().await;
    let inbox = inbox(&place).await;
    place.deliver(&small_letters(40, "second life", &inbox)).await;
    home.same_as_from_scratch(&place).await;
    let old = repository.snapshot(Some(number)).await.expect("what was backed up before is still there");
    assert_eq!(mails_of(&old).await, before);
}
