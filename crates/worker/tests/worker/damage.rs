//! Each kind of object × each damage, each in a mailbox of its own: verifications find what harms a backup, no backup is called
//! good that is not, and after three backups by hand everything that the mail server has can be read again.

use std::fs;
use std::path::{Path, PathBuf};

use catalog::Backup;
use model::{BackupState, JobId, JobKind, JobState, MailboxId};
use repository::Depth;
use serde_json::json;

use crate::house::{House, address, until};
use crate::room::Room;

const KINDS: [&str; 6] = ["keys", "copies/keys", "log", "copies/log", "packs", "segments"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Flip,
    Cut,
    Extend,
    Delete,
}

const DAMAGES: [Damage; 4] = [Damage::Flip, Damage::Cut, Damage::Extend, Damage::Delete];

/// One mailbox, and what is damaged of it: of each kind the first object and the last, by name.
struct Cell {
    mailbox: MailboxId,
    kind: &'static str,
    damage: Damage,
    is_last: bool,
}

impl Cell {
    fn name(&self) -> String {
        let which = if self.is_last { "last" } else { "first" };
        format!("{which} of {}, {:?}", self.kind, self.damage)
    }

    fn damage(&self, dir: &Path) {
        let mut all: Vec<PathBuf> = fs::read_dir(dir.join(self.kind))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name()))
            .map(|entry| entry.unwrap().path())
            .collect();
        all.sort();
        let path = if self.is_last { all.pop().unwrap() } else { all.remove(0) };
        let content = fs::read(&path).unwrap();
        let damaged = match self.damage {
            Damage::Flip => {
                let mut flipped = content.clone();
                flipped[content.len() / 2] ^= 4;
                flipped
            }
            Damage::Cut => content[..content.len() * 2 / 3].to_vec(),
            Damage::Extend => [&content[..], b"and more"].concat(),
            Damage::Delete => return fs::remove_file(path).unwrap(),
        };
        fs::write(path, damaged).unwrap();
    }

    /// The newest entry is not there: the log ends before what is remembered.
    fn rolls_back(&self) -> bool {
        self.kind == "log" && self.is_last && self.damage == Damage::Delete
    }
}

/// Jobs of one kind, one for each mailbox; each comes to an end.
async fn ended(room: &Room<'_>, kind: JobKind, cells: &[Cell], full: bool) -> Vec<(JobId, JobState)> {
    room.sql("UPDATE jobs SET request_key = NULL").await;
    let order = full.then(|| json!({"full": true}));
    let mut jobs = Vec::new();
    for cell in cells {
        jobs.push(room.request(kind, cell.mailbox, order.as_ref()).await);
    }
    let mut states = Vec::new();
    for (job, cell) in jobs.into_iter().zip(cells) {
        let what = format!("{kind} of {}", cell.name());
        let job =
            until(&what, async || Some(room.job(job).await).filter(|job| job.state.is_finished())).await;
        states.push((job.id, job.state));
    }
    states
}

/// Whether the newest backup cannot be read as a whole, and what is wrong with it.
async fn is_harmed(room: &Room<'_>, mailbox: MailboxId) -> (bool, String) {
    let backup = room.backups(mailbox).await.remove(0);
    let repository = room.repository(mailbox).await;
    match repository.check(Some(backup.facts.snapshot), Depth::Data).await {
        Ok(report) => {
            let is_of_it = report.problems.iter().any(|problem| problem.snapshot.is_some());
            (is_of_it || !report.damaged.is_empty(), format!("{report:?}"))
        }
        // Its log entry cannot be read.
        Err(error) => (true, error.to_string()),
    }
}

/// What the log knows to be damaged the catalogue does not call good, and the newest good backup is one that it calls so.
async fn assert_is_known(room: &Room<'_>, cell: &Cell) {
    // Of a log that went back nothing is known.
    let Ok(listing) = room.repository(cell.mailbox).await.listing().await else { return };
    let (damaged, backups) = (listing.not_whole(), room.backups(cell.mailbox).await);
    let is_good = |backup: &&Backup| backup.facts.state == BackupState::Good;
    let wrong = backups.iter().filter(is_good).find(|backup| damaged.contains(&backup.facts.snapshot));
    assert!(wrong.is_none(), "{}: {wrong:?} is damaged", cell.name());
    let known = room.catalog.mailbox(cell.mailbox).await.unwrap().unwrap().newest_good_at;
    let newest = backups.iter().filter(is_good).map(|backup| backup.facts.started_at).max();
    assert_eq!(known, newest, "{}", cell.name());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_backups_after_any_damage_all_is_good_again() {
    let count = u32::try_from(KINDS.len() * DAMAGES.len() * 2).unwrap();
    let house = House::new(count, 12).await;
    let room = Room::new(&house, "damage").await;
    let mailboxes = room.mailboxes(0..count).await;
    let worker = room.worker("w1");
    let mut cells = Vec::new();
    for kind in KINDS {
        for damage in DAMAGES {
            for is_last in [false, true] {
                cells.push(Cell { mailbox: mailboxes[cells.len()], kind, damage, is_last });
            }
        }
    }
    for night in 0..2 {
        for (_, state) in ended(&room, JobKind::Manual, &cells, false).await {
            assert_eq!(state, JobState::Done);
        }
        for n in 0..count {
            let email = format!("Subject: night {night}\r\n\r\nHello, {n}\r\n");
            house.sim.account(&address(n)).unwrap().deliver(email, &[], &[]);
        }
    }
    for cell in &cells {
        let dir = room.repository(cell.mailbox).await.dir().to_string();
        cell.damage(&room.dir.path().join("mailboxes").join(dir));
    }

    let verified = ended(&room, JobKind::Verify, &cells, false).await;
    let mut found = 0;
    for ((_, state), cell) in verified.iter().zip(&cells) {
        // A backup that can be read as a whole is not called damaged, whatever lies beside it.
        let is_sound = *state == JobState::Done;
        let expected = !is_harmed(&room, cell.mailbox).await.0;
        assert_eq!(is_sound, expected, "{}", cell.name());
        found += usize::from(!is_sound);
        let newest = room.backups(cell.mailbox).await.remove(0);
        assert_eq!(newest.facts.state == BackupState::Good, is_sound, "{}", cell.name());
        assert_is_known(&room, cell).await;
    }
    assert!(found >= 8, "only {found} were found");

    for round in 0..3 {
        let made = ended(&room, JobKind::Manual, &cells, round == 2).await;
        for ((_, state), cell) in made.iter().zip(&cells) {
            if round == 0 && cell.rolls_back() {
                assert_eq!(*state, JobState::Dead, "{}: nobody accepted it", cell.name());
                room.accept(cell.mailbox).await;
                continue;
            }
            assert_eq!(*state, JobState::Done, "round {round}, {}", cell.name());
            let backup = room.backups(cell.mailbox).await.remove(0);
            let (is_harmed, what) = is_harmed(&room, cell.mailbox).await;
            let is_good = backup.facts.state == BackupState::Good;
            assert!(!is_good || !is_harmed, "round {round}, {}: {what}", cell.name());
            assert!(is_good, "round {round}, {}: {:?}", cell.name(), backup.facts.state);
            assert_is_known(&room, cell).await;
        }
    }
    for (n, cell) in (0..count).zip(&cells) {
        let backup = room.backups(cell.mailbox).await.remove(0);
        let has = house.sim.account(&address(n)).unwrap().email_count() as u64;
        assert_eq!(backup.facts.emails, has, "{}", cell.name());
    }
    worker.drain().await;
}
