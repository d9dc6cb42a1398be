//! The mailbox lives while it is backed up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Report, State};
use model::DataType;
use repository::Snapshot;
use serde_json::json;
use tests::truth::{Digest, mails_of};
use tests::{Bed, Letter};

use crate::letters::{odd_folders, real_letters, small_letters};
use crate::place::{ADMIN, Change, Place, bed};
use crate::truth::good_backup;

/// At most so many in the beginning.
const EMAILS: usize = 600;

/// Digests of everything that was ever delivered, by email id.
type Delivered = BTreeMap<String, Digest>;

async fn deliver<P: Place>(place: &P, letters: &[Letter], delivered: &mut Delivered) {
    let ids = place.deliver(letters).await;
    delivered.extend(ids.into_iter().zip(letters.iter().map(|letter| Digest::of(&letter.raw))));
}

/// One email read, one moved, one gone, two new, a folder renamed, again and again until it is over; how often.
async fn life<P: Place>(
    place: &P,
    backup: usize,
    folders: &[String],
    over: &AtomicBool,
    delivered: &mut Delivered,
) -> usize {
    let plain = place.plain(ADMIN).await;
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        let ids = plain.email_ids().await.expect("the server answers");
        let pick = |third: usize| ids[(round * 37 + third * ids.len() / 3) % ids.len()].clone();
        let changes = [
            Change::Keywords(pick(0), vec![format!("round-{round}")]),
            Change::Move(pick(1), folders[round % folders.len()].clone()),
            Change::Destroy(pick(2)),
        ];
        place.change(&changes).await;
        let folder = &folders[(round + 3) % folders.len()];
        let letters = small_letters(2, &format!("during-{backup}-{round}"), folder);
        deliver(place, &letters, delivered).await;
        let name = json!({ "name": format!("renamed {backup} {round}") });
        place.edit(DataType::Mailbox, &folders[0], name).await;
        round += 1;
    }
    round
}

/// A backup of a mailbox that lives; how often it changed meanwhile.
async fn backup_of_life<P: Place>(
    place: &P,
    bed: &Bed,
    number: usize,
    folders: &[String],
    delivered: &mut Delivered,
) -> (Report, usize) {
    let over = AtomicBool::new(false);
    let url = place.url();
    let backup = async {
        let report = bed.backup(&url).await;
        over.store(true, Ordering::Relaxed);
        report.expect("backs up")
    };
    tokio::join!(backup, life(place, number, folders, &over, delivered))
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
    let folders = odd_folders(&place).await;
    let mut delivered = Delivered::new();
    let letters = real_letters(&folders);
    deliver(&place, &letters[..letters.len().min(EMAILS)], &mut delivered).await;
    let mut rounds = Vec::new();
    for number in 0..4 {
        let (report, changes) = backup_of_life(&place, &bed, number, &folders, &mut delivered).await;
        assert!(matches!(report.state, State::Good | State::Moving), "{report:?}");
        assert_bytes(&bed.newest(&place.url()).await.1, &delivered).await;
        rounds.push((report.state, changes));
    }
    println!("states, and rounds of changes during each backup: {rounds:?}");
    assert!(rounds.iter().map(|(_, changes)| changes).sum::<usize>() > 4, "{rounds:?}");
    good_backup(&place, &bed).await;
    assert_eq!(bed.checked(&place.url()).await, 5);
}
