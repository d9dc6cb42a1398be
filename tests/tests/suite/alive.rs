//! An account is restored exactly while it lives: mail arrives, is read, moved and deleted, by JMAP and by IMAP.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::Restored;
use model::SnapshotNumber;
use serde_json::{Value, json};
use tests::truth::{Digest, belongings_of};
use tests::{Belongings, Letter, Plain};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::exactly::Alice;
use crate::giving_back::belongings;
use crate::letters::{inbox, odd_folders, real_letters, small_letters};
use crate::place::{ALICE, Change, Place};

/// Emails in the beginning, and those of them that are deleted before the restore.
const EMAILS: usize = 500;
const DELETED: usize = 420;

/// SHA-256 of emails' bytes, in hexadecimal.
type Sums = BTreeSet<String>;

fn sums(held: &Belongings) -> Sums {
    held.emails.keys().map(|item| item.bytes.hex()).collect()
}

/// Somebody at work in the account.
struct Life {
    plain: Plain,
    inbox: String,
    /// A folder that the snapshot does not have, and another one that it has.
    fresh: String,
    other: String,
    /// Emails that were there before.
    old: Vec<(String, String)>,
    /// What arrived: ids by sums.
    arrived: BTreeMap<String, String>,
    /// What was deleted, or nearly.
    deleted: Sums,
    rounds: usize,
}

impl Life {
    /// Two emails arrive, an earlier one is read, one moved, one deleted; sometimes one that was there before.
    async fn round(&mut self) {
        let round = self.rounds;
        for (folder, what) in [(&self.inbox, "inbox"), (&self.fresh, "fresh")] {
            let letters: Vec<Letter> = small_letters(1, &format!("{what} {round}"), folder);
            // The folder that the snapshot does not have may be gone.
            if let Ok(ids) = self.plain.deliver(&letters).await {
                self.arrived.insert(Digest::of(&letters[0].raw).hex(), ids[0].clone());
            }
        }
        let earlier = |behind: usize| self.arrived.iter().nth(self.arrived.len().saturating_sub(behind));
        let mut set = json!({ "update": {}, "destroy": [] });
        for (behind, patch) in [
            (2, json!({ "keywords/$flagged": true })),
            (5, json!({ "mailboxIds": { self.other.as_str(): true } })),
        ] {
            if let Some((_, id)) = earlier(behind) {
                set["update"][id] = patch;
            }
        }
        let gone = match round % 3 {
            0 => earlier(9).map(|(sum, id)| (id.clone(), sum.clone())),
            1 => self.old.pop(),
            _ => None,
        };
        if let Some((id, sum)) = gone.filter(|(id, _)| set["update"][id].is_null()) {
            self.deleted.insert(sum);
            set["destroy"] = json!([id]);
        }
        // What the restore was faster with is refused here, one by one.
        self.plain.ask("Email/set", set).await.expect("the server answers");
        self.rounds += 1;
    }
}

/// The IMAP client that lives there too.
struct ImapLife {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    /// Its first words.
    first: String,
}

impl ImapLife {
    /// Begins, and waits for its first message.
    async fn begin(address: &str) -> ImapLife {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/imap_life.py");
        let mut command = Command::new("python3");
        command.args([script, address, ALICE.name]).env("IMAP_PASSWORD", ALICE.password);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("python3 runs");
        let mut said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let first = said.next_line().await.expect("it speaks").expect("it says something");
        ImapLife { child, said, first }
    }

    /// Sums of what it appended, and of what it deleted.
    async fn end(mut self) -> (Sums, Sums) {
        drop(self.child.stdin.take());
        let mut said = vec![self.first];
        while let Some(line) = self.said.next_line().await.expect("it speaks") {
            said.push(line);
        }
        assert!(self.child.wait().await.expect("it ends").success(), "the IMAP client failed");
        let lines: Vec<Value> =
            said.iter().map(|line| serde_json::from_str(line).expect("lines of JSON")).collect();
        let of = |what: &str| lines.iter().filter_map(|line| Some(line[what].as_str()?.to_owned())).collect();
        (of("appended"), of("expunged"))
    }
}

async fn begin<P: Place>(place: &P, folders: &[String]) -> Life {
    let fresh = place.create_folder("fresh", None).await.expect("makes a folder");
    place.deliver(&small_letters(20, "after the backup", &fresh)).await;
    let plain = place.plain(place.admin()).await;
    let mails = plain.mails().await.expect("the server answers");
    let sum = |mail: &tests::truth::Mail| mail.bytes.expect("it was read").hex();
    Life {
        plain,
        inbox: inbox(place).await,
        fresh,
        other: folders[4].clone(),
        old: mails.iter().step_by(4).map(|(id, mail)| (id.clone(), sum(mail))).collect(),
        arrived: BTreeMap::new(),
        deleted: Sums::new(),
        rounds: 0,
    }
}

/// A restore, and what happened meanwhile.
struct Lived {
    restored: Restored,
    arrived: Sums,
    deleted: Sums,
}

/// Alice becomes the snapshot while everybody is at work.
async fn live_on<P: Place>(place: &P, alice: &Alice, number: SnapshotNumber, mut life: Life) -> Lived {
    // At least these arrive before the safety backup.
    life.round().await;
    let imap = match place.imap() {
        Some(address) => Some(ImapLife::begin(&address).await),
        None => None,
    };
    let over = AtomicBool::new(false);
    let restore = async {
        let restored = alice.becomes(place, number).await;
        over.store(true, Ordering::Relaxed);
        restored
    };
    let living = async {
        while !over.load(Ordering::Relaxed) {
            life.round().await;
        }
    };
    let (restored, ()) = tokio::join!(restore, living);
    println!("{} rounds; {restored:#?}", life.rounds);
    let mut lived = Lived { restored, arrived: life.arrived.into_keys().collect(), deleted: life.deleted };
    if let Some(imap) = imap {
        let (appended, expunged) = imap.end().await;
        println!("by IMAP: {} arrived, {} were deleted", appended.len(), expunged.len());
        assert!(appended.len() > 1, "the IMAP client did nothing");
        lived.arrived.extend(appended);
        lived.deleted.extend(expunged);
    }
    lived
}

impl Lived {
    /// All of these are in one of the other sets, or somebody deleted them.
    #[track_caller]
    fn assert_kept(&self, sums: &Sums, among: &[&Sums], what: &str) {
        let is_lost =
            |sum: &&String| !self.deleted.contains(*sum) && among.iter().all(|sums| !sums.contains(*sum));
        assert_eq!(sums.iter().find(is_lost), None, "{what}");
    }
}

pub(crate) async fn an_exact_restore_loses_nothing_that_arrives<P: Place>(place: P) {
    let folders = odd_folders(&place).await;
    let letters = real_letters(&folders);
    let ids = place.deliver(&letters[..EMAILS.min(letters.len())]).await;
    let alice = Alice::of(&place);
    let number = alice.backed_up(&place).await;
    let snapshot = sums(&belongings_of(&alice.bed.newest(&place.url()).await.1).await);
    let gone: Vec<Change> = ids[..DELETED].iter().cloned().map(Change::Destroy).collect();
    place.change(&gone).await;
    let life = begin(&place, &folders).await;
    let before = sums(&belongings(&place.plain(ALICE).await).await);
    let lived = live_on(&place, &alice, number, life).await;

    let now = sums(&belongings(&place.plain(ALICE).await).await);
    let (repository, _) = alice.bed.newest(&place.url()).await;
    let number = lived.restored.safety.expect("it was backed up first");
    let safety = belongings_of(&repository.snapshot(Some(number)).await.expect("it is there")).await;
    let safe = sums(&safety);
    let stayed = lived.arrived.intersection(&now).count();
    println!("{} emails arrived, {} were deleted, {stayed} stayed", lived.arrived.len(), lived.deleted.len());
    assert!(stayed > 0, "nothing arrived after the safety backup");
    assert!(!lived.arrived.is_disjoint(&safe), "nothing arrived before the safety backup");
    lived.assert_kept(&lived.arrived, &[&now, &safe], "it arrived and is nowhere");
    lived.assert_kept(&before, &[&safe], "it was there and is not in the safety backup");
    lived.assert_kept(&snapshot, &[&now], "it is in the snapshot and did not come back");
    assert_undoes(&place, &alice, number, safety, &now).await;
}

/// The safety backup brings everything back; what came after it is in the safety backup of that.
async fn assert_undoes<P: Place>(
    place: &P,
    alice: &Alice,
    number: SnapshotNumber,
    mut safety: Belongings,
    now: &Sums,
) {
    let undone = alice.becomes(place, number).await;
    let mut found = belongings(&place.plain(ALICE).await).await;
    let undatable = safety.undatable();
    found.forget_dates(&undatable);
    safety.forget_dates(&undatable);
    // The folder of the restore, which was there when the backup was made.
    safety.folders.retain(|folder, _| !folder.path[0].starts_with("Malle restore"));
    found.assert_same(&safety, "undone");
    let (repository, _) = alice.bed.newest(&place.url()).await;
    let again = repository.snapshot(undone.safety).await.expect("it is there");
    assert!(sums(&belongings_of(&again).await).is_superset(now), "something is gone by the undoing");
}
