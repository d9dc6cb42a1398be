//! Somebody else reads the mailbox.

use jmap::{AccountId, AccountRef};
use model::ErrorClass;

use crate::letters::{inbox, odd_folders, real_letters, small_letters};
use crate::place::{ALICE, IMPERSONATOR, NEIGHBOUR, Place, User, bed};
use crate::truth::Truth;

/// Two backups by this user, with mail arriving in between.
async fn reads<P: Place>(place: &P, user: User, account: AccountRef, inbox: &str) {
    let bed = bed().signed_in_as(user.name, user.password).of_account(account);
    for fresh in [0, 3] {
        place.deliver(&small_letters(fresh, user.name, inbox)).await;
        let report = bed.backup(&place.url()).await.expect("backs up");
        assert_eq!(report.state, model::BackupState::Good, "{report:?}");
        let (_, snapshot) = bed.newest(&place.url()).await;
        let read = Truth::seen_by(place, user).await.assert_is(&snapshot).await;
        let own = place.plain(ALICE).await.mails().await.expect("the server answers");
        assert_eq!(read, own, "what {} reads and what Alice reads", user.name);
        assert!(own.len() > 20, "nothing was compared");
    }
    assert_eq!(bed.checked(&place.url()).await, 2);
}

pub(crate) async fn an_administrator_reads_what_the_owner_reads_and_a_neighbour_nothing<P: Place>(place: P) {
    let folders = odd_folders(&place).await;
    let letters = real_letters(&folders);
    place.deliver(&letters[..letters.len().min(150)]).await;
    let inbox = inbox(&place).await;
    let by_id = AccountRef::Id(AccountId::new(&place.account()).expect("an id"));
    reads(&place, IMPERSONATOR, by_id.clone(), &inbox).await;
    reads(&place, place.admin(), AccountRef::Named(ALICE.name.to_owned()), &inbox).await;

    let nosy = bed().signed_in_as(NEIGHBOUR.name, NEIGHBOUR.password).of_account(by_id);
    let refusal = nosy.backup(&place.url()).await.expect_err("is refused");
    assert_eq!(refusal.class(), ErrorClass::Auth, "{refusal}");
}
