//! Backups of simulated mailboxes and what is given back of them, compared with what the simulator held.

#![expect(clippy::print_stdout, reason = "what a simulation went through is shown when it fails")]

mod calendars;
mod churn;
mod crash;
mod diff;
mod exports;
mod find;
mod heal;
mod hostile;
mod incremental;
mod long_calendars;
mod owner;
mod race;
mod reindex;
mod reindex_damaged;
mod restore;
mod restore_objects;
mod restore_pairs;
mod restore_refused;
mod restore_resumed;
mod restore_taken_over;
mod restore_texts;
mod restore_wrapped;
mod round_trip;
mod slices;
mod timeline;
mod types;

use engine::Report;
use model::BackupState;
use sim_stalwart::{AccountHandle, AccountSpec, Builder, Simulator, Sizes};
use tests::{Bed, assert_is_now};

const ALICE: &str = "alice@example.org";
const PASSWORD: &str = "secret";

/// A server with one mailbox, and a repository for it.
struct Home {
    simulator: Simulator,
    alice: AccountHandle,
    bed: Bed,
    url: String,
}

fn alice(emails: u32) -> AccountSpec {
    AccountSpec::new(ALICE, PASSWORD).emails(emails).sizes(Sizes::light())
}

impl Home {
    async fn of(spec: AccountSpec) -> Home {
        Home::with(Simulator::builder().seed(7), spec).await
    }

    async fn with(builder: Builder, spec: AccountSpec) -> Home {
        let simulator = builder.account(spec).start().await.expect("the simulator starts");
        let alice = simulator.account(ALICE).expect("it was added");
        let url = simulator.url();
        Home { simulator, alice, bed: Bed::new(ALICE, PASSWORD), url }
    }

    async fn backup(&self) -> Report {
        self.bed.backup(&self.url).await.expect("backs up")
    }

    /// A backup that must be good and equal what the server has now.
    async fn good_backup(&self) -> Report {
        let report = self.backup().await;
        assert_eq!(report.state, BackupState::Good, "{report:?}");
        assert_is_now(&self.bed.newest(&self.url).await.1, &self.alice).await;
        report
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_backed_up_in_full_and_then_by_its_changes() {
    let home = Home::of(alice(2_000)).await;
    home.good_backup().await;
    for seed in 0..5 {
        home.alice.mutate(200, seed, sim_stalwart::Kinds::All);
        let report = home.good_backup().await;
        assert!(report.new_emails < 200, "{report:?}");
    }
    assert_eq!(home.bed.checked(&home.url).await, 6);
    let before = home.simulator.counters();
    let report = home.backup().await;
    assert_eq!((report.fetched_bytes, report.stored_bytes), (0, 0));
    assert!(home.simulator.counters().since(&before).requests <= 3);
}
