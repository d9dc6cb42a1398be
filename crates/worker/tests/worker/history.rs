//! A store that goes back, comes back as another one, or loses a mailbox: a number never means another snapshot, nothing of it is
//! called good, and what is still there comes back.

use std::path::{Path, PathBuf};
use std::process::Command;

use catalog::Backup;
use model::{BackupState, JobKind, JobState, MailboxId, SystemClock};
use serde_json::json;
use testkit::ManualClock;

use crate::house::{House, address};
use crate::room::Room;

const EMAILS: u64 = 8;

/// Two backups of one mailbox, and what its directory was between them.
struct Past<'a> {
    room: Room<'a>,
    mailbox: MailboxId,
    first: Backup,
    second: Backup,
    dir: PathBuf,
    old: PathBuf,
}

impl<'a> Past<'a> {
    async fn new(house: &'a House, name: &'static str, account: u32) -> Past<'a> {
        let room = Room::new(house, name).await;
        let mailbox = room.mailboxes([account]).await[0];
        let worker = room.worker("before");
        let first = room.backed_up(&[mailbox]).await.remove(0);
        let dir = room.repository(mailbox).await.dir().to_string();
        let dir = room.dir.path().join("mailboxes").join(dir);
        let old = room.dir.path().join("old");
        copy(&dir, &old);
        house.sim.account(&address(account)).unwrap().deliver("Subject: b\r\n\r\nHello".as_bytes(), &[], &[]);
        room.sql("UPDATE jobs SET request_key = NULL").await;
        let second = room.backed_up(&[mailbox]).await.remove(0);
        worker.drain().await;
        Past { room, mailbox, first, second, dir, old }
    }

    fn roll_back(&self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
        copy(&self.old, &self.dir);
    }

    /// A job that comes to this end; what its failure says, if it has one.
    async fn ends(&self, kind: JobKind, order: Option<serde_json::Value>, state: JobState) -> String {
        self.room.sql("UPDATE jobs SET request_key = NULL").await;
        let job = self.room.request(kind, self.mailbox, order.as_ref()).await;
        self.room.until_state(job, state).await.failure.map(|(_, text)| text).unwrap_or_default()
    }

    async fn restore(&self, backup: &Backup, state: JobState) -> String {
        let order = json!({"number": backup.number.0, "mode": "missing"});
        self.ends(JobKind::Restore, Some(order), state).await
    }

    /// States of all its backups, the newest first, and whether one counts as good.
    async fn states(&self) -> (Vec<BackupState>, bool) {
        let all = self.room.backups(self.mailbox).await;
        let known = self.room.catalog.mailbox(self.mailbox).await.unwrap().unwrap();
        (all.iter().map(|backup| backup.facts.state).collect(), known.newest_good_at.is_some())
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_never_means_another_snapshot() {
    use BackupState::{Damaged, Good};
    let house = House::new(3, EMAILS.try_into().unwrap()).await;
    went_back(&Past::new(&house, "back", 0).await, &house).await;
    came_back_as_another(&Past::new(&house, "another", 1).await, &house).await;

    // Nothing is left. A new history starts only after somebody accepted that.
    let past = Past::new(&house, "gone", 2).await;
    let worker = past.room.worker("w1");
    std::fs::remove_dir_all(&past.dir).unwrap();
    for kind in [JobKind::Manual, JobKind::Verify] {
        let said = past.ends(kind, None, JobState::Dead).await;
        assert!(said.contains("its repository is not there"), "{said}");
    }
    assert_eq!(past.states().await.0, [Good, Good], "a wrong key ring looks the same");
    // As `malle mailbox accept-history --new-history`.
    let all = [past.first.number, past.second.number];
    past.room.catalog.mark_damaged(past.mailbox, &all).await.unwrap();
    past.room.catalog.forget_log(past.mailbox, "main").await.unwrap();
    past.ends(JobKind::Manual, None, JobState::Done).await;
    assert_eq!(past.states().await, (vec![Good, Damaged, Damaged], true));
    past.ends(JobKind::Verify, None, JobState::Done).await;
    worker.drain().await;
}

/// The whole history behind the first backup is gone.
async fn went_back(past: &Past<'_>, house: &House) {
    use BackupState::{Damaged, Good};
    let account = house.sim.account(&address(0)).unwrap();
    let worker = past.room.worker("w1");
    past.roll_back();
    assert_eq!(past.states().await.0, [Good, Good]);
    let of_first = json!({"number": past.first.number.0});
    for attempt in 0..5 {
        // Whatever meets it first marks what is not there, and that alone.
        past.room.sql("UPDATE backups SET damaged_at = NULL").await;
        let said = match attempt {
            0 => past.ends(JobKind::Manual, None, JobState::Dead).await,
            1 => past.ends(JobKind::Verify, None, JobState::Dead).await,
            2 => past.ends(JobKind::Verify, Some(of_first.clone()), JobState::Dead).await,
            3 => past.restore(&past.second, JobState::Dead).await,
            _ => past.restore(&past.first, JobState::Dead).await,
        };
        assert!(said.contains("its log ends with"), "{said}");
        assert_eq!(past.states().await, (vec![Damaged, Good], true), "{attempt}");
    }
    assert_eq!(account.email_count() as u64, EMAILS + 1, "nothing was given back");

    past.room.accept(past.mailbox).await;
    account.destroy(&account.emails()[0].id);
    past.restore(&past.first, JobState::Done).await;
    let said = past.restore(&past.second, JobState::Dead).await;
    assert!(said.contains("find snapshot"), "{said}");
    past.ends(JobKind::Manual, None, JobState::Done).await;
    assert_eq!(past.states().await.0, [Good, Damaged, Good]);
    worker.drain().await;
}

/// Behind the first backup stands another second one, which says the same of itself as far as a row could tell before rows had
/// digests.
async fn came_back_as_another(past: &Past<'_>, house: &House) {
    use BackupState::{Damaged, Good};
    let account = house.sim.account(&address(1)).unwrap();
    let repository = past.room.repository(past.mailbox).await;
    let number = past.second.facts.snapshot;
    let mut summary = repository.snapshot(Some(number)).await.unwrap().info().summary.clone();
    past.roll_back();
    let clock = ManualClock::at(past.second.facts.finished_at);
    let forked = past.room.repository(past.mailbox).await;
    summary.new_emails += 1;
    let made = forked.begin_snapshot(&SystemClock).await.unwrap().commit(summary, &clock).await.unwrap();
    assert_eq!(made.number, number);
    let info = forked.snapshot(Some(number)).await.unwrap().info().clone();
    let origin = info.summary.origin.backup_number;
    assert_eq!((info.finished, origin), (past.second.facts.finished_at, Some(past.second.number)));

    let worker = past.room.worker("w1");
    let said = past.restore(&past.second, JobState::Dead).await;
    assert!(said.contains("stands there instead"), "{said}");
    past.room.catalog.accept_log(past.mailbox, "main", &made.at).await.unwrap();
    for said in [
        past.restore(&past.second, JobState::Dead).await,
        past.ends(JobKind::Verify, None, JobState::Dead).await,
    ] {
        assert!(said.contains("another snapshot in the place of this backup's"), "{said}");
    }
    assert_eq!(past.states().await, (vec![Damaged, Good], true));
    assert_eq!(account.email_count() as u64, EMAILS + 1, "nothing was given back");
    past.restore(&past.first, JobState::Done).await;
    worker.drain().await;
}
