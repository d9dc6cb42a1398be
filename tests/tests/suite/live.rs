//! The mailbox lives while it is backed up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::Report;
use model::{BackupState, DataType};
use repository::Snapshot;
use serde_json::json;
use tests::truth::{Digest, mails_of};
use tests::{Bed, Letter, Plain};

use crate::letters::{odd_folders, real_letters, small_letters};
use crate::place::{Change, Place, bed};
use crate::truth::good_backup;

const BACKUPS: usize = 5;
/// At most so many in the beginning.
const EMAILS: usize = 600;

/// Digests of everything that was ever delivered, by email id.
type Delivered = BTreeMap<String, Digest>;

/// A mailbox and what happens in it.
struct Life<'a, P> {
    place: &'a P,
    plain: Plain,
    folders: Vec<String>,
    delivered: Delivered,
    /// Emails that are there.
    ids: Vec<String>,
    rounds: usize,
}

impl<'a, P: Place> Life<'a, P> {
    async fn begin(place: &'a P) -> Life<'a, P> {
        let folders = odd_folders(place).await;
        let letters = real_letters(&folders);
        let (plain, delivered) = (place.plain(place.admin()).await, Delivered::new());
        let mut life = Life { place, plain, folders, delivered, ids: Vec::new(), rounds: 0 };
        life.deliver(&letters[..letters.len().min(EMAILS)]).await;
        life.look().await;
        life
    }

    async fn deliver(&mut self, letters: &[Letter]) {
        let ids = self.place.deliver(letters).await;
        self.delivered.extend(ids.into_iter().zip(letters.iter().map(|letter| Digest::of(&letter.raw))));
    }

    async fn look(&mut self) {
        self.ids = self.plain.email_ids().await.expect("the server answers");
    }

    /// One email read, one moved, one gone, two new, a folder renamed.
    async fn round(&mut self) {
        let round = self.rounds;
        let pick =
            |third: usize| self.ids[(round * 37 + third * self.ids.len() / 3) % self.ids.len()].clone();
        let folder = |at: usize| &self.folders[at % self.folders.len()];
        let changes = [
            Change::Keywords(pick(0), vec![format!("round-{round}")]),
            Change::Move(pick(1), folder(round).clone()),
            Change::Destroy(pick(2)),
        ];
        let letters = small_letters(2, &format!("during-{round}"), folder(round + 3));
        self.place.change(&changes).await;
        self.deliver(&letters).await;
        let name = json!({ "name": format!("renamed {round}") });
        self.place.edit(DataType::Mailbox, &self.folders[0], name).await;
        self.look().await;
        self.rounds += 1;
    }

    /// A backup, rounds one after the other as long as it runs; how many. Every other backup lists everything.
    async fn during_backup(&mut self, bed: &Bed, number: usize) -> (Report, usize) {
        let (over, before) = (AtomicBool::new(false), self.rounds);
        let url = self.place.url();
        let backup = async {
            let report = bed.backup_as(&url, "test", number % 2 == 1).await;
            over.store(true, Ordering::Relaxed);
            report.expect("backs up")
        };
        let rounds = async {
            while !over.load(Ordering::Relaxed) {
                self.round().await;
            }
        };
        let (report, ()) = tokio::join!(backup, rounds);
        (report, self.rounds - before)
    }
}

/// Whatever state it caught, each email has the bytes that were delivered under its id.
async fn assert_bytes(snapshot: &Snapshot, delivered: &Delivered) {
    let mails = mails_of(snapshot).await;
    let known = mails.iter().filter(|(id, _)| delivered.contains_key(*id)).inspect(|(id, mail)| {
        assert_eq!(mail.bytes.as_ref(), delivered.get(*id), "bytes of {id}");
    });
    assert!(known.count() > 300, "nothing was compared");
}

pub(crate) async fn mail_arrives_moves_and_vanishes_while_it_is_backed_up<P: Place>(place: P) {
    let bed = bed();
    let mut life = Life::begin(&place).await;
    let mut went = Vec::new();
    for number in 0..BACKUPS {
        let (report, rounds) = life.during_backup(&bed, number).await;
        assert!(matches!(report.state, BackupState::Good | BackupState::Moving), "{report:?}");
        assert_bytes(&bed.newest(&place.url()).await.1, &life.delivered).await;
        went.push((report.state, rounds));
    }
    println!("states, and rounds of changes during each backup: {went:?}");
    // How the two are scheduled is the machine's affair: one backup may be over before the first change is made.
    let disturbed = went.iter().filter(|(_, rounds)| *rounds > 0).count();
    assert!(disturbed > BACKUPS / 2, "{went:?}");
    good_backup(&place, &bed).await;
    assert_eq!(bed.checked(&place.url()).await, BACKUPS as u64 + 1);
}
