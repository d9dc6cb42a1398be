//! An account becomes what a snapshot holds, and by the safety backup again what it was.

use std::collections::BTreeMap;

use engine::{Mode, RestoreId, Restored};
use jmap::{AccountId, AccountRef};
use model::{DataType, SnapshotNumber};
use serde_json::{Value, json};
use tests::truth::{Digest, Things};
use tests::{Bed, Belongings, Plain, seeds};

use crate::giving_back::{Dave, belongings};
use crate::letters::{is_full, odd_folders, real_letters, small_letters};
use crate::place::{ALICE, Change, Place, bed};
use crate::{truth, types};

/// At most so many emails in the usual run, attachments besides.
const EMAILS: usize = 300;
/// Random edits of emails.
const EDITS: usize = 120;

/// What an account holds besides folders and emails. Ids and blob ids are each server's own.
#[derive(Debug, PartialEq)]
pub(crate) struct Others {
    /// By name: the text, and whether it is the active one.
    pub(crate) scripts: BTreeMap<String, (Option<Digest>, Value)>,
    pub(crate) vacation: Vec<Value>,
    pub(crate) identities: Vec<Value>,
    /// Of the types that Stalwart 0.15 does not have.
    more: BTreeMap<DataType, Vec<Value>>,
}

impl Others {
    pub(crate) async fn of<P: Place>(plain: &Plain) -> Others {
        let scripts = things(plain, DataType::SieveScript).await;
        // The absence as a script belongs to the absence.
        let scripts = scripts.into_values().filter(|(script, _)| script["name"] != "vacation");
        let scripts = scripts.map(|(script, text)| {
            (script["name"].as_str().unwrap_or_default().to_owned(), (text, script["isActive"].clone()))
        });
        let mut more = BTreeMap::new();
        for data_type in P::TYPES.iter().filter(|t| !types::KNOWN.contains(t)) {
            more.insert(*data_type, nameless(things(plain, *data_type).await));
        }
        Others {
            more,
            scripts: scripts.collect(),
            vacation: nameless(things(plain, DataType::VacationResponse).await),
            identities: nameless(things(plain, DataType::Identity).await),
        }
    }
}

async fn things(plain: &Plain, data_type: DataType) -> Things {
    plain.things(data_type).await.expect("the server answers")
}

/// Objects without what is the server's own, in an order that does not depend on them.
fn nameless(things: Things) -> Vec<Value> {
    let mut objects: Vec<Value> = things.into_values().map(|(object, _)| object).collect();
    for object in objects.iter_mut().filter_map(Value::as_object_mut) {
        object.retain(|member, _| !["id", "updated"].contains(&member.as_str()));
    }
    objects.sort_by_key(Value::to_string);
    objects
}

/// What Alice has at a moment.
struct Moment {
    held: Belongings,
    others: Others,
}

impl Moment {
    async fn of<P: Place>(place: &P) -> Moment {
        let plain = place.plain(ALICE).await;
        Moment { held: belongings(&plain).await, others: Others::of::<P>(&plain).await }
    }

    /// The account is again what it was at this moment: folders with their roles and order, emails, everything else.
    async fn assert_is_now<P: Place>(mut self, place: &P, when: &str) {
        let mut now = Moment::of(place).await;
        let undatable = self.held.undatable();
        now.held.forget_dates(&undatable);
        self.held.forget_dates(&undatable);
        now.held.assert_same(&self.held, when);
        assert_eq!(now.held.folders, self.held.folders, "roles and order {when}");
        assert_eq!(now.others, self.others, "{when}");
    }
}

/// Alice, whom the administrator gives her own backups back.
pub(crate) struct Alice {
    pub(crate) bed: Bed,
    to: Bed,
}

impl Alice {
    pub(crate) fn of<P: Place>(place: &P) -> Alice {
        let bed = bed();
        let account = AccountRef::Id(AccountId::new(&place.account()).expect("an id"));
        let to = bed.clone().signed_in_as(place.admin().name, place.admin().password).of_account(account);
        Alice { bed, to: to.acting_as_owner() }
    }

    /// Backs her up well; the snapshot's number.
    pub(crate) async fn backed_up<P: Place>(&self, place: &P) -> SnapshotNumber {
        truth::good_backup(place, &self.bed).await.number
    }

    pub(crate) async fn becomes<P: Place>(&self, place: &P, number: SnapshotNumber) -> Restored {
        let (url, id) = (place.url(), RestoreId::random());
        let restored = self.bed.restore(&url, Some(number), &self.to, Mode::Exact, &id).await;
        let restored = restored.expect("restores");
        assert_eq!((restored.refused.count, &restored.odd_folders), (0, &Vec::new()), "{restored:#?}");
        restored
    }
}

/// Numbers that one seed repeats (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("less than the sides")
    }
}

/// Emails read, moved and deleted at random, new ones, folders renamed, swapped, moved, deleted and made.
async fn edit<P: Place>(place: &P, seed: u64, folders: &[String]) {
    let mut dice = Dice(seed * 2 + 1);
    let plain = place.plain(place.admin()).await;
    let mut ids = plain.email_ids().await.expect("the server answers");
    let mut changes = Vec::new();
    for _ in 0..EDITS {
        let id = ids.swap_remove(dice.roll(ids.len()));
        changes.push(match dice.roll(4) {
            0 => Change::Keywords(id, vec!["$flagged".to_owned(), "Later".to_owned()]),
            1 => Change::Keywords(id, Vec::new()),
            2 => Change::Move(id, folders[dice.roll(folders.len())].clone()),
            _ => Change::Destroy(id),
        });
    }
    place.change(&changes).await;
    let fresh = place.create_folder("fresh", Some(&folders[2])).await.expect("makes a folder");
    place.deliver(&small_letters(12, "after the backup", &fresh)).await;
    place.deliver(&small_letters(12, "also after", &folders[dice.roll(24)])).await;
    // Two change names, which no server takes in one step.
    for (at, name) in [(9, "between"), (16, "%2e%2e"), (9, "\u{e9}t\u{e9}"), (19, "2025")] {
        place.edit(DataType::Mailbox, &folders[at], json!({ "name": name })).await;
    }
    place.edit(DataType::Mailbox, &folders[21], json!({ "parentId": folders[0], "sortOrder": 7 })).await;
    for at in [23, 7] {
        let gone = json!({ "destroy": [folders[at]], "onDestroyRemoveEmails": true });
        plain.set(DataType::Mailbox, gone).await.expect("the server does it");
    }
}

/// Identities are those of an account's own addresses.
pub(crate) async fn filters_come_back_into_another_account<P: Place>(place: P) {
    let made = types::make(&place).await;
    for active in [None, Some(made.script(1)), Some(made.script(2))] {
        if let Some(active) = active {
            place.activate(active).await;
        }
        let alice = Alice::of(&place);
        alice.backed_up(&place).await;
        let dave = Dave::of(&place).await;
        let id = RestoreId::random();
        let restored = alice.bed.restore(&place.url(), None, &dave.bed, Mode::Exact, &id).await;
        let restored = restored.expect("restores");
        let of =
            |data_type| restored.objects.iter().find(|of| of.data_type == data_type).expect("it is told");
        assert!(of(DataType::SieveScript).is_whole() && of(DataType::VacationResponse).is_whole());
        let identities = of(DataType::Identity);
        assert_eq!(identities.refused_count, identities.wanted, "{identities:#?}");
        let (found, expected) =
            (Others::of::<P>(&dave.plain).await, Others::of::<P>(&place.plain(ALICE).await).await);
        assert_eq!((found.scripts, found.vacation), (expected.scripts, expected.vacation));
    }
}

pub(crate) async fn random_edits_are_undone_and_the_undoing_too<P: Place>(place: P) {
    let seed = seeds().into_iter().next().unwrap_or_default();
    println!("MALLE_SEED={seed}");
    let folders = odd_folders(&place).await;
    let letters = real_letters(&folders);
    let few = if is_full() { 0 } else { letters.len().saturating_sub(EMAILS) };
    place.deliver(&letters[few..]).await;
    let made = types::make(&place).await;
    let alice = Alice::of(&place);
    let number = alice.backed_up(&place).await;
    let before = Moment::of(&place).await;

    edit(&place, seed, &folders).await;
    types::change(&place, &made).await;
    let edited = Moment::of(&place).await;
    let restored = alice.becomes(&place, number).await;
    println!("{restored:#?}");
    assert!(restored.restored > 10 && restored.relabelled > 30 && restored.removed >= 24, "{restored:#?}");
    assert_eq!(restored.removed_folders, 1, "{restored:#?}");
    before.assert_is_now(&place, "restored").await;

    let undone = alice.becomes(&place, restored.safety.expect("it was backed up first")).await;
    assert_eq!(undone.removed, restored.restored, "{undone:#?}");
    edited.assert_is_now(&place, "undone").await;
}
