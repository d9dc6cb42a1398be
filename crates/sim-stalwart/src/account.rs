//! One account: its emails, its other objects, and the log of what happened to them.
//!
//! Emails of the beginning are not stored: a row is worked out from the seed unless the overlay holds another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::blobs::Blobs;
use crate::email::{Content, Email};
use crate::email_query::Listings;
use crate::ids::{self, Ids};
use crate::kind::DataType;
use crate::log::{Entry, Log};
use crate::mail::Mails;
use crate::own::Own;
use crate::quota::Quota;
use crate::resources::{Shown, Texts};
use crate::spec::{AccountSpec, BlobIds};
use crate::stock::Stock;

/// Numbers the server keeps with a folder.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) total: u32,
    pub(crate) unread: u32,
}

/// The objects of one type other than Email.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) present: BTreeMap<String, Arc<Value>>,
    pub(crate) log: Log<String, Value>,
    pub(crate) next: u64,
}

/// A point in time that the account can be rolled back to.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub(crate) modseq: u64,
    pub(crate) next_email: u32,
    pub(crate) next: BTreeMap<DataType, u64>,
}

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) ids: Ids,
    pub(crate) mails: Arc<Mails>,
    /// What other accounts of the server generate.
    pub(crate) stock: Arc<Stock>,
    /// Other names that its identities may have.
    pub(crate) aliases: Vec<String>,
    /// Numbers of the folders that the emails of the beginning lie in.
    pub(crate) first_folders: Vec<u32>,
    pub(crate) next_email: u32,
    pub(crate) overlay: HashMap<u32, Option<Arc<Email>>>,
    pub(crate) emails: Log<u32, Email>,
    pub(crate) objects: BTreeMap<DataType, Objects>,
    pub(crate) counts: HashMap<u32, Counts>,
    pub(crate) modseq: u64,
    /// Entries of each type's log that `/changes` can see.
    pub(crate) keep_history: Option<usize>,
    pub(crate) vacation_script: bool,
    pub(crate) blob_ids: BlobIds,
    /// Blobs of destroyed emails are gone at once.
    purges: bool,
    pub(crate) blobs: Blobs,
    /// Bytes that are imported are not kept.
    pub(crate) forgets: bool,
    pub(crate) quota: Option<Quota>,
    /// What others than the owner have of their own.
    pub(crate) own: Own,
    /// What clients have put by CalDAV and CardDAV.
    pub(crate) texts: Texts,
    /// What they have set of properties.
    pub(crate) shown: Shown,
    pub(crate) listings: Listings,
    /// Types whose `get` and `changes` always fail, until told otherwise.
    pub(crate) failing: BTreeSet<DataType>,
    /// Types of which somebody chose the default one.
    pub(crate) has_chosen_default: BTreeSet<DataType>,
}

impl Account {
    pub(crate) fn new(id: String, seed: u64, spec: &AccountSpec) -> Self {
        let mails = Mails { seed, sizes: spec.sizes.clone(), count: spec.emails, owner: spec.name.clone() };
        let first = spec.first_state;
        let objects = |kind: DataType| {
            let log = Log::new(first + kind as u64);
            (kind, Objects { present: BTreeMap::new(), log, next: 0 })
        };
        let mut account = Self {
            id,
            name: spec.name.clone(),
            ids: Ids::new(seed),
            mails: Arc::new(mails),
            stock: Arc::default(),
            aliases: spec.aliases.clone(),
            first_folders: Vec::new(),
            next_email: spec.emails,
            overlay: HashMap::new(),
            emails: Log::new(first + DataType::Email as u64),
            objects: DataType::ALL.into_iter().filter(|kind| *kind != DataType::Email).map(objects).collect(),
            counts: HashMap::new(),
            modseq: first + 31,
            keep_history: spec.keep_history,
            vacation_script: spec.vacation_script,
            blob_ids: spec.blob_ids,
            purges: spec.purges,
            blobs: Blobs::default(),
            forgets: spec.forgets,
            quota: None,
            own: Own::new(),
            texts: Texts::new(),
            shown: Shown::new(),
            listings: Listings::default(),
            failing: BTreeSet::new(),
            has_chosen_default: BTreeSet::from([DataType::Calendar]),
        };
        crate::furniture::furnish(&mut account, spec);
        account.count_first_emails();
        account.begin_untouched_types();
        account.set_quota(spec.quota);
        account
    }

    fn count_first_emails(&mut self) {
        self.first_folders = self.folders();
        for index in 0..self.mails.count {
            if let Some(email) = self.email(index) {
                email.folders.iter().for_each(|folder| self.count(*folder, &email, 1));
            }
        }
    }

    /// Types in which nothing has happened yet are in the initial state.
    fn begin_untouched_types(&mut self) {
        for (kind, objects) in &mut self.objects {
            if *kind == DataType::Identity || objects.present.is_empty() {
                objects.log = Log::new(0);
            }
        }
    }

    /// Numbers of the folders there are, oldest first: Inbox leads.
    pub(crate) fn folders(&self) -> Vec<u32> {
        let present = self.objects[&DataType::Mailbox].present.keys();
        let mut folders: Vec<u32> = present.filter_map(|id| folder(id)).collect();
        folders.sort_unstable();
        folders
    }

    /// The row of email `index`, if it exists.
    pub(crate) fn email(&self, index: u32) -> Option<Arc<Email>> {
        match self.overlay.get(&index) {
            Some(row) => row.clone(),
            None => (index < self.mails.count).then(|| Arc::new(self.first_email(index))),
        }
    }

    fn first_email(&self, index: u32) -> Email {
        let positions = self.mails.folders(index, self.first_folders.len());
        Email {
            content: Content::Generated(self.mails.content_of(index)),
            folders: positions.into_iter().map(|position| self.first_folders[position]).collect(),
            keywords: self.mails.keywords(index),
            received_at: self.mails.received_at(index),
            thread: self.mails.thread(index),
        }
    }

    pub(crate) fn emails(&self) -> impl Iterator<Item = (u32, Arc<Email>)> + '_ {
        (0..self.next_email).filter_map(|index| self.email(index).map(|email| (index, email)))
    }

    pub(crate) fn object(&self, kind: DataType, id: &str) -> Option<&Arc<Value>> {
        self.objects.get(&kind)?.present.get(id)
    }

    /// The state of a type, as a number. Scripts and vacation response share theirs.
    pub(crate) fn state(&self, kind: DataType) -> u64 {
        let of = |kind| self.objects.get(&kind).map_or(0, |objects: &Objects| objects.log.state());
        match kind {
            DataType::Email => self.emails.state(),
            DataType::SieveScript | DataType::VacationResponse => {
                of(DataType::SieveScript).max(of(DataType::VacationResponse))
            }
            _ => of(kind),
        }
    }

    fn tick(&mut self) -> u64 {
        self.modseq += 1;
        self.modseq
    }

    /// Puts, replaces (`Some`) or removes (`None`) an email's row, and logs it with what it does to folders.
    pub(crate) fn put_email(&mut self, index: u32, after: Option<Email>) {
        let (before, after) = (self.email(index), after.map(Arc::new));
        let touched: BTreeSet<u32> =
            before.iter().chain(&after).flat_map(|email| email.folders.iter().copied()).collect();
        self.next_email = self.next_email.max(index + 1);
        self.replace_email(index, before.as_ref(), after.clone());
        let modseq = self.tick();
        self.emails.push(Entry { modseq, key: index, before, after });
        touched.into_iter().for_each(|folder| self.log_counts(folder));
    }

    /// The row changes place without a trace in the log; serves roll-back too.
    fn replace_email(&mut self, index: u32, before: Option<&Arc<Email>>, after: Option<Arc<Email>>) {
        if let Some(email) = before {
            email.folders.iter().for_each(|folder| self.count(*folder, email, -1));
            self.use_quota(&email.content, Quota::give_back);
            if self.blob_ids == BlobIds::OfBytes {
                self.blobs.release(index, &email.content);
            }
            if after.is_none() && !self.purges {
                let id = self.blob_id(index, &email.content);
                self.blobs.unpurged.insert(id, email.content.clone());
            }
        }
        if let Some(email) = &after {
            email.folders.iter().for_each(|folder| self.count(*folder, email, 1));
            self.use_quota(&email.content, Quota::take);
            if self.blob_ids == BlobIds::OfBytes {
                self.blobs.claim(index, &email.content);
            }
        }
        self.overlay.insert(index, after);
    }

    fn count(&mut self, folder: u32, email: &Email, by: i32) {
        let counts = self.counts.entry(folder).or_default();
        counts.total = counts.total.saturating_add_signed(by);
        counts.unread = counts.unread.saturating_add_signed(if email.is_unread() { by } else { 0 });
    }

    fn log_counts(&mut self, number: u32) {
        let id = ids::short(u64::from(number));
        if let Some(object) = self.object(DataType::Mailbox, &id).cloned() {
            let modseq = self.tick();
            let entry = Entry { modseq, key: id, before: Some(Arc::clone(&object)), after: Some(object) };
            self.log_object(DataType::Mailbox, entry);
        }
    }

    fn log_object(&mut self, kind: DataType, entry: Entry<String, Value>) {
        if let Some(objects) = self.objects.get_mut(&kind) {
            objects.log.push(entry);
        }
    }

    /// The next free id of a type; drawn again after a roll-back, as a restored database would.
    pub(crate) fn draw_id(&mut self, kind: DataType) -> String {
        let next = self.objects.get_mut(&kind).map(|objects| {
            objects.next += 1;
            objects.next - 1
        });
        ids::short(next.unwrap_or(0))
    }

    /// Puts an object that was there from the beginning: no log entry.
    pub(crate) fn furnish(&mut self, kind: DataType, id: &str, object: Value) {
        if let Some(objects) = self.objects.get_mut(&kind) {
            objects.present.insert(id.to_owned(), Arc::new(object));
        }
    }

    /// Puts, replaces or removes an object and logs it; removing what is not there does nothing.
    pub(crate) fn put_object(&mut self, kind: DataType, id: &str, after: Option<Value>) {
        let after = after.map(Arc::new);
        let Some(objects) = self.objects.get_mut(&kind) else {
            return;
        };
        let before = match &after {
            Some(object) => objects.present.insert(id.to_owned(), Arc::clone(object)),
            None => objects.present.remove(id),
        };
        if before.is_none() && after.is_none() {
            return;
        }
        let modseq = self.tick();
        let is_new = before.is_none();
        let was_default = after.is_none() && before.as_ref().is_some_and(|gone| gone["isDefault"] == true);
        self.log_object(kind, Entry { modseq, key: id.to_owned(), before, after });
        if matches!(kind, DataType::AddressBook | DataType::Calendar) && (is_new || was_default) {
            self.settle_default(kind, was_default);
        }
    }

    /// As Stalwart 0.16 tells the default one: what somebody chose, else the only one. The calendar that it makes by itself is chosen.
    fn settle_default(&mut self, kind: DataType, was_default: bool) {
        if was_default {
            self.has_chosen_default.remove(&kind);
        }
        if !self.has_chosen_default.contains(&kind) {
            let mut ids = self.objects[&kind].present.keys();
            let only = ids.next().filter(|_| ids.next().is_none()).cloned();
            self.mark(kind, "isDefault", only.as_deref());
        }
    }

    /// Removes a folder with those of its emails that lie nowhere else.
    pub(crate) fn destroy_folder(&mut self, id: &str) {
        let Some(number) = folder(id) else { return };
        self.take_emails_out(number);
        self.put_object(DataType::Mailbox, id, None);
    }

    /// Empties a folder: emails that lie nowhere else are destroyed.
    pub(crate) fn take_emails_out(&mut self, number: u32) {
        let inside: Vec<_> = self.emails().filter(|(_, email)| email.folders.contains(&number)).collect();
        for (index, email) in inside {
            let mut folders = email.folders.clone();
            folders.retain(|other| *other != number);
            let after = (!folders.is_empty()).then(|| Email { folders, ..Email::clone(&email) });
            self.put_email(index, after);
        }
    }

    /// The time on the server's clock, which moves with what happens.
    pub(crate) const fn now(&self) -> u64 {
        1_790_000_000 + self.modseq
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let next = self.objects.iter().map(|(kind, objects)| (*kind, objects.next)).collect();
        Checkpoint { modseq: self.modseq, next_email: self.next_email, next }
    }

    /// Back to how it was: contents, states and ids to be drawn, as if an old database had been put back.
    pub(crate) fn roll_back(&mut self, to: &Checkpoint) {
        for entry in self.emails.roll_back(to.modseq) {
            self.replace_email(entry.key, entry.after.as_ref(), entry.before);
        }
        for (kind, objects) in &mut self.objects {
            for entry in objects.log.roll_back(to.modseq) {
                match entry.before {
                    Some(object) => objects.present.insert(entry.key, object),
                    None => objects.present.remove(&entry.key),
                };
            }
            objects.next = to.next.get(kind).copied().unwrap_or(objects.next);
        }
        self.roll_back_texts(to.modseq);
        (self.modseq, self.next_email) = (to.modseq, to.next_email);
        self.listings = Listings::default();
        self.blobs.unpurged.clear();
    }

    /// Every email lies in folders that exist, and a removed row is nowhere: what tests of the simulator check.
    #[cfg(test)]
    pub(crate) fn is_consistent(&self) -> bool {
        let folders = self.folders();
        let mut totals: HashMap<u32, u32> = HashMap::new();
        for (_, email) in self.emails() {
            email.folders.iter().for_each(|folder| *totals.entry(*folder).or_default() += 1);
        }
        let counted = |folder: &u32| self.counts.get(folder).map_or(0, |counts| counts.total);
        totals.keys().all(|folder| folders.contains(folder))
            && folders.iter().all(|folder| totals.get(folder).copied().unwrap_or(0) == counted(folder))
    }
}

/// The number of the folder with this id.
pub(crate) fn folder(id: &str) -> Option<u32> {
    u32::try_from(ids::number(id)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::Kinds;
    use crate::rng::Rng;

    #[test]
    fn counts_stay_right_through_changes_and_roll_backs() {
        let spec = AccountSpec::new("alice", "secret").emails(300);
        let mut account = Account::new("b".to_owned(), 5, &spec);
        let mut rng = Rng::new(1);
        assert!(account.is_consistent());
        for _ in 0..5 {
            let point = account.checkpoint();
            (0..100).for_each(|_| account.mutate(&mut rng, Kinds::All));
            assert!(account.is_consistent());
            account.roll_back(&point);
            assert!(account.is_consistent());
            (0..30).for_each(|_| account.mutate(&mut rng, Kinds::All));
        }
    }
}
