//! The account that bytes are uploaded to before they are imported.
//!
//! For each upload Stalwart 0.15 goes through all that its account was sent since the last purge, a day's at most: 0.3 ms for
//! every thousand, which after ten thousand emails is ten times what the upload itself costs. They also use up the quota of
//! uploads that the account's owner has for attachments. Who may name any account may upload to an id that nobody has, and
//! import from there; what is there is purged like other uploads. So every few hundred emails go to an id of their own.

use std::sync::{Mutex, PoisonError};

use jmap::{Account, AccountId};

/// As many go to one id: half of what an account may be sent in an hour by default.
const MOST_FILES: usize = 500;
const MOST_BYTES: u64 = 25_000_000;
/// StoredEmails are digits of 5 bits to Stalwart, and `z` is the 26th: ids are numbers from 838,860,800 on, far above those given out.
const FIRST: char = 'z';
const FURTHER: usize = 5;

/// Where uploads go. Once it was refused, to the account itself.
pub(in crate::restore) struct UploadTarget {
    own: AccountId,
    elsewhere: Mutex<Option<Elsewhere>>,
}

struct Elsewhere {
    id: AccountId,
    files: usize,
    bytes: u64,
}

impl UploadTarget {
    /// The account itself.
    pub(in crate::restore) fn own(account: &Account) -> UploadTarget {
        UploadTarget { own: account.id.clone(), elsewhere: Mutex::new(None) }
    }

    /// Ids that nobody has, unless the account is the user's own.
    pub(in crate::restore) fn of(account: &Account) -> UploadTarget {
        let elsewhere = (!account.is_personal).then(Elsewhere::new);
        UploadTarget { own: account.id.clone(), elsewhere: Mutex::new(elsewhere) }
    }

    /// The id for so much more.
    pub(in crate::restore) fn account(&self, files: usize, bytes: u64) -> AccountId {
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(current) = &mut *elsewhere else { return self.own.clone() };
        if current.files > 0 && (current.files + files > MOST_FILES || current.bytes + bytes > MOST_BYTES) {
            *current = Elsewhere::new();
        }
        current.files += files;
        current.bytes += bytes;
        current.id.clone()
    }

    /// Uploads go to the account itself from now on.
    pub(in crate::restore) fn give_up(&self) {
        *self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An upload to this id is refused. Whether it makes sense to send it again, to the account itself.
    pub(in crate::restore) fn is_refused(&self, id: &AccountId) -> bool {
        let is_elsewhere = *id != self.own;
        if is_elsewhere {
            self.give_up();
        }
        is_elsewhere
    }
}

impl Elsewhere {
    fn new() -> Elsewhere {
        let mut bytes = [0; FURTHER];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        let letters = bytes.iter().map(|byte| char::from(b'a' + byte % 26));
        let id: String = std::iter::once(FIRST).chain(letters).collect();
        Elsewhere { id: AccountId::new(&id).expect("letters"), files: 0, bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(is_personal: bool) -> Account {
        let id = AccountId::new("b").unwrap();
        Account { id, name: "bob".into(), is_personal, is_read_only: false, capabilities: Vec::new() }
    }

    #[test]
    fn ids_change_when_they_have_taken_their_share() {
        let upload_target = UploadTarget::of(&account(false));
        let first = upload_target.account(MOST_FILES - 1, 1);
        assert_eq!(upload_target.account(1, 1), first);
        let second = upload_target.account(1, 1);
        assert_ne!(second, first);
        let third = upload_target.account(1, MOST_BYTES);
        assert_ne!(third, second, "even if it is too much by itself");
        assert_ne!(upload_target.account(1, 1), third);
        assert!(first.as_str().starts_with('z') && first.as_str().len() == 6);
    }

    #[test]
    fn the_account_itself_after_a_refusal_and_for_its_owner() {
        let upload_target = UploadTarget::of(&account(false));
        let elsewhere = upload_target.account(1, 1);
        assert_ne!(elsewhere.as_str(), "b");
        // Of several in flight each is told.
        assert!(upload_target.is_refused(&elsewhere) && upload_target.is_refused(&elsewhere));
        assert!(!upload_target.is_refused(&upload_target.account(1, 1)));
        for upload_target in
            [upload_target, UploadTarget::of(&account(true)), UploadTarget::own(&account(false))]
        {
            assert_eq!(upload_target.account(1, 1).as_str(), "b");
        }
    }
}
