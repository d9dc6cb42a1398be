//! Real mail in nested folders with odd names, on a local directory and on S3.

use model::BackupState;
use std::sync::Arc;

use engine::Report;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use serde_json::json;
use tempfile::TempDir;
use testkit::seaweedfs::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SeaweedFs};
use tests::{Bed, Letter, attachment};

use crate::imap::{self, Folders};
use crate::letters::{is_full, odd_folders, real_letters, small_letters};
use crate::place::{ALICE, Change, Place, bed};
use crate::truth::Truth;

/// Emails of the part and of the whole whose date IMAP cannot say: years such as 30681, which Stalwart makes of dates before
/// 1970. The corpus has 65 of them, of which half are given another date here; one is of our own.
const DATES_BEYOND_IMAP: [usize; 2] = [5, 30];

/// The stores of this machine.
struct Stores {
    beds: [Bed; 2],
    _dir: TempDir,
    _seaweed: SeaweedFs,
}

impl Stores {
    async fn start() -> Stores {
        let bed = bed();
        let dir = TempDir::new().expect("a directory");
        let local = LocalFileSystem::new_with_prefix(dir.path()).expect("a store");
        let seaweed = SeaweedFs::start().await.expect("S3 starts");
        let s3 = AmazonS3Builder::new()
            .with_endpoint(seaweed.endpoint())
            .with_allow_http(true)
            .with_region(REGION)
            .with_bucket_name(BUCKET)
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(SECRET_KEY)
            .build()
            .expect("a store");
        let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(local), Arc::new(s3)];
        Stores { beds: stores.map(|store| bed.moved_to(store)), _dir: dir, _seaweed: seaweed }
    }
}

/// What the server holds, by both protocols.
async fn held<P: Place>(place: &P) -> (Truth, Option<Folders>) {
    let folders = match place.imap() {
        Some(address) => Some(imap::folders(&address, ALICE).await),
        None => None,
    };
    (Truth::of(place).await, folders)
}

/// A backup, and how many emails of it have a date that IMAP cannot say.
struct Compared {
    report: Report,
    beyond_imap: Option<usize>,
}

/// One backup on each store, each of them good and equal to what the server holds.
async fn good_backups<P: Place>(place: &P, stores: &Stores) -> Vec<Compared> {
    let (truth, folders) = held(place).await;
    let mut compared = Vec::new();
    for bed in &stores.beds {
        let report = bed.backup(&place.url()).await.expect("backs up");
        assert_eq!(report.state, BackupState::Good, "{report:?}");
        let (_, snapshot) = bed.newest(&place.url()).await;
        let mails = truth.assert_is(&snapshot).await;
        let beyond_imap = match &folders {
            Some(folders) => Some(imap::assert_same(&snapshot, &mails, folders).await),
            None => None,
        };
        compared.push(Compared { report, beyond_imap });
    }
    compared
}

/// Flags, moves, deletions, a folder renamed and put into another, arrivals; the arrivals.
async fn change_everything<P: Place>(place: &P, ids: &[String], folders: &[String]) -> Vec<Letter> {
    let mut changes = Vec::new();
    for (i, id) in ids.iter().enumerate().skip(5).step_by(7).take(60) {
        changes.push(match i % 3 {
            0 => Change::Keywords(id.clone(), vec!["$flagged".to_owned(), "later".to_owned()]),
            1 => Change::Move(id.clone(), folders[(i + 1) % folders.len()].clone()),
            _ => Change::Destroy(id.clone()),
        });
    }
    place.change(&changes).await;
    let (moved, around) = (&folders[0], &folders[19]);
    let members = json!({ "name": "Größer \u{1f69a}", "parentId": around });
    place.edit(model::DataType::Mailbox, moved, members).await;
    let fresh = place.create_folder("fresh", Some(moved)).await.expect("makes a folder");
    let mut arrivals = small_letters(10, "arrival", &fresh);
    arrivals[0].raw = attachment(9, 500_000);
    place.deliver(&arrivals).await;
    arrivals
}

pub(crate) async fn real_mail_in_odd_folders_comes_back_byte_for_byte<P: Place>(place: P) {
    let folders = odd_folders(&place).await;
    let letters = real_letters(&folders);
    let (stores, ids) = tokio::join!(Stores::start(), place.deliver(&letters));
    for Compared { report, beyond_imap } in good_backups(&place, &stores).await {
        let expected = DATES_BEYOND_IMAP[usize::from(is_full())];
        assert!(beyond_imap.is_none_or(|beyond| beyond == expected), "{beyond_imap:?} and {expected}");
        assert!(report.emails >= letters.len() as u64, "{report:?}");
        println!("{} emails, {} bytes, {} stored", report.emails, report.email_bytes, report.stored_bytes);
    }
    for bed in &stores.beds {
        let report = bed.backup(&place.url()).await.expect("backs up");
        let cost = (report.state, report.fetched_bytes, report.stored_bytes);
        assert_eq!(cost, (BackupState::Good, 0, 0), "nothing changed");
    }

    let arrivals = change_everything(&place, &ids, &folders).await;
    let new_bytes: usize = arrivals.iter().map(|letter| letter.raw.len()).sum();
    for Compared { report, .. } in good_backups(&place, &stores).await {
        assert_eq!((report.new_emails, report.removed_emails), (arrivals.len() as u64, 20), "{report:?}");
        assert_eq!(report.fetched_bytes, new_bytes as u64, "only what is new is fetched");
    }
    for bed in &stores.beds {
        assert_eq!(bed.checked(&place.url()).await, 3);
    }
}
