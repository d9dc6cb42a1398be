//! Real mail is given back to an empty account, byte for byte: read by plain JMAP, and from the real server by IMAP.

use std::collections::BTreeSet;

use engine::{Mode, RestoreId, Restored};
use jmap::{AccountId, AccountRef};
use model::{BackupState, DataType};
use serde_json::json;
use tests::truth::{Digest, Mails};
use tests::{Bed, Belongings, Plain};

use crate::imap;
use crate::letters::{is_full, odd_folders, real_letters};
use crate::place::{ALICE, NEIGHBOUR, Place, bed};

/// What an account holds.
pub(crate) async fn belongings(plain: &Plain) -> Belongings {
    let mails = plain.mails().await.expect("the server answers");
    let folders = plain.things(DataType::Mailbox).await.expect("the server answers");
    let found = Belongings::of(&mails, &folders);
    let own = |path: &&Vec<String>| path[0].starts_with("Malle restore");
    assert_eq!(found.paths().into_keys().find(own), None, "a restore leaves no folder of its own");
    found
}

/// Dave, who has nothing.
pub(crate) struct Dave {
    /// His own calls.
    pub(crate) plain: Plain,
    /// Restores by the administrator, whom no upload quota stops.
    pub(crate) bed: Bed,
}

impl Dave {
    pub(crate) async fn of<P: Place>(place: &P) -> Dave {
        let (name, password) = (NEIGHBOUR.name, NEIGHBOUR.password);
        let plain = Plain::sign_in(&place.url(), name, password).await.expect("signs in");
        let account = AccountRef::Id(AccountId::new(&plain.account).expect("an id"));
        let admin = place.admin();
        let bed = Bed::new(name, password).signed_in_as(admin.name, admin.password).of_account(account);
        Dave { plain, bed }
    }

    /// Removes all emails, and all folders but those with a role.
    async fn empty(&self) {
        for ids in self.plain.email_ids().await.expect("the server answers").chunks(500) {
            self.destroy(DataType::Email, ids).await;
        }
        let mut folders = self.plain.things(DataType::Mailbox).await.expect("the server answers");
        folders.retain(|_, (folder, _)| folder["role"].is_null());
        while !folders.is_empty() {
            let parents: BTreeSet<&str> =
                folders.values().filter_map(|(folder, _)| folder["parentId"].as_str()).collect();
            let leaves: Vec<String> =
                folders.keys().filter(|id| !parents.contains(id.as_str())).cloned().collect();
            self.destroy(DataType::Mailbox, &leaves).await;
            folders.retain(|id, _| !leaves.contains(id));
        }
        assert_eq!(belongings(&self.plain).await.count(), 0);
    }

    async fn destroy(&self, data_type: DataType, ids: &[String]) {
        self.plain.set(data_type, json!({ "destroy": ids })).await.expect("the server does it");
    }
}

/// Alice's mail, which was backed up.
struct Source {
    bed: Bed,
    mails: Mails,
    held: Belongings,
    by_imap: Option<imap::Folders>,
    undatable: BTreeSet<Digest>,
}

impl Source {
    async fn of<P: Place>(place: &P) -> Source {
        let folders = odd_folders(place).await;
        place.deliver(&real_letters(&folders)).await;
        let bed = bed();
        let report = bed.backup(&place.url()).await.expect("backs up");
        assert_eq!(report.state, BackupState::Good, "{report:?}");
        let plain = place.plain(ALICE).await;
        let mails = plain.mails().await.expect("the server answers");
        let mut held = belongings(&plain).await;
        let undatable = held.undatable();
        let forgotten = held.forget_dates(&undatable);
        let by_imap = match place.imap() {
            Some(address) => Some(imap::folders(&address, ALICE).await),
            None => None,
        };
        println!("{} emails, {forgotten} of them without a date that can be told", held.count());
        assert_eq!(forgotten, P::UNDATABLE[usize::from(is_full())]);
        Source { bed, mails, held, by_imap, undatable }
    }

    async fn give<P: Place>(&self, place: &P, dave: &Dave, mode: Mode) -> Restored {
        let id = RestoreId::random();
        let restored = self.bed.restore(&place.url(), None, &dave.bed, mode, &id).await.expect("restores");
        assert_eq!(restored.odd_folders, Vec::<String>::new());
        // The simulator is a Stalwart 0.16 here, which refuses what is no email; the real one takes everything.
        let odd = restored.refused.named.iter().find(|refusal| !refusal.reason.starts_with("invalidEmail"));
        let most = if P::TAKES_ANY_BYTES { 0 } else { 5 };
        assert!(odd.is_none() && restored.refused.count <= most, "{restored:#?}");
        restored
    }

    /// Dave has just what Alice has, at the top or below this folder, by both protocols.
    async fn assert_given<P: Place>(&self, place: &P, dave: &Dave, done: &Restored, when: &str) {
        let (mut found, mut expected) = (belongings(&dave.plain).await, self.held.clone());
        found.forget_dates(&self.undatable);
        let refused =
            done.refused.named.iter().filter_map(|refusal| self.mails[refusal.email.id.as_str()].bytes);
        let refused: BTreeSet<Digest> = refused.collect();
        expected.emails.retain(|item, _| !refused.contains(&item.bytes));
        let below = done.folder.as_deref();
        match below {
            Some(top) => found.below(top).assert_same(&expected, when),
            None => found.assert_same(&expected, when),
        }
        if let (Some(address), Some(expected)) = (place.imap(), &self.by_imap) {
            let found = imap::folders(&address, NEIGHBOUR).await;
            imap::assert_given(&found, expected, below, &self.undatable);
        }
    }
}

pub(crate) async fn everything_comes_back_into_an_empty_account<P: Place>(place: P) {
    let source = Source::of(&place).await;
    let dave = Dave::of(&place).await;
    dave.empty().await;
    let all = source.held.count() as u64;

    let beside = source.give(&place, &dave, Mode::Beside).await;
    assert!(beside.folder.is_some(), "{beside:#?}");
    let comes_back = all - beside.refused.count;
    assert_eq!((beside.restored, beside.present), (comes_back, 0), "{beside:#?}");
    source.assert_given(&place, &dave, &beside, "beside").await;

    dave.empty().await;
    let missing = source.give(&place, &dave, Mode::Missing).await;
    assert_eq!((missing.restored, missing.present), (comes_back, 0), "{missing:#?}");
    source.assert_given(&place, &dave, &missing, "missing").await;

    let again = source.give(&place, &dave, Mode::Missing).await;
    source.assert_given(&place, &dave, &again, "missing, again").await;
    assert_eq!((again.restored, again.present, again.folders), (0, comes_back, 0), "{again:#?}");
}
