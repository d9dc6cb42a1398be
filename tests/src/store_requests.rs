//! What everyday operations ask of the store: printed by `make bench`, held by a test.

use model::BackupState;
use std::sync::Arc;

use engine::{Mode, RestoreId};
use sim_stalwart::{AccountSpec, Kinds, Simulator};
use testkit::recording::{Recorder, Recording};
use testkit::{CallKind, Decorated};

use crate::Bed;

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";
const PASSWORD: &str = "correct horse";

/// One operation and its requests.
pub struct StoreRequests {
    /// The operation.
    pub what: &'static str,
    /// Its requests.
    pub calls: Recorder,
}

impl StoreRequests {
    /// Requests that write.
    pub fn puts(&self) -> usize {
        self.calls.count(CallKind::Put) + self.calls.count(CallKind::Create)
    }

    /// Requests that read an object or a part of one.
    pub fn gets(&self) -> usize {
        [CallKind::Get, CallKind::Range, CallKind::Head].iter().map(|kind| self.calls.count(*kind)).sum()
    }

    /// Listings.
    pub fn lists(&self) -> usize {
        self.calls.count(CallKind::List)
    }
}

/// Backs up a mailbox of so many emails: first, unchanged, after 20 changes, with a full listing; then gives all of it to another
/// account. Each operation opens the store by itself and remembers nothing of the one before.
///
/// # Panics
/// If an operation fails.
pub async fn store_requests(emails: u32) -> Vec<StoreRequests> {
    let alice = AccountSpec::new(ALICE, PASSWORD).emails(emails);
    let simulator = Simulator::builder().seed(7).account(alice).start().await.expect("it starts");
    let url = simulator.url();
    simulator.add_account(&AccountSpec::new(BOB, PASSWORD).alias(ALICE).bare());
    let (bed, recording) = (Bed::new(ALICE, PASSWORD), Arc::new(Recording::default()));
    let bed = bed.moved_to(Decorated::new(bed.objects.clone(), recording.clone()));
    let mut all = Vec::new();
    for (what, changes, is_full) in [
        ("first backup", 0, false),
        ("unchanged", 0, false),
        ("20 changes", 20, false),
        ("full listing", 0, true),
    ] {
        if changes > 0 {
            simulator.account(ALICE).expect("she is there").mutate(changes, 1, Kinds::Emails);
        }
        recording.take();
        let report = bed.backup_as(&url, "test", is_full).await.expect("it is backed up");
        assert_eq!(report.state, BackupState::Good, "{report:?}");
        all.push(StoreRequests { what, calls: recording.take() });
    }
    let to = Bed::new(BOB, PASSWORD);
    bed.restore(&url, None, &to, Mode::Missing, &RestoreId::random()).await.expect("it is restored");
    all.push(StoreRequests { what: "restore", calls: recording.take() });
    all
}
