//! Backups of simulated mailboxes, compared with what the simulator holds.

use sim_stalwart::{AccountSpec, Simulator, Sizes};
use tests::{Bed, assert_emails_equal};

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_backed_up_in_full_and_then_by_its_changes() {
    let simulator = Simulator::builder()
        .seed(7)
        .account(AccountSpec::new("alice@example.org", "secret").emails(2_000).sizes(Sizes::light()))
        .start()
        .await
        .expect("the simulator starts");
    let alice = simulator.account("alice@example.org").expect("it was added");
    let bed = Bed::new("alice@example.org", "secret");
    let url = simulator.url();
    let report = bed.backup(&url).await.expect("backs up");
    assert_eq!(report.state, engine::State::Good, "{report:?}");
    assert_emails_equal(&bed.newest(&url).await.1, &alice).await;
    for seed in 0..5 {
        alice.mutate(200, seed, sim_stalwart::Kinds::All);
        let report = bed.backup(&url).await.expect("backs up");
        assert_eq!(report.state, engine::State::Good, "{report:?}");
        let (repository, snapshot) = bed.newest(&url).await;
        assert_emails_equal(&snapshot, &alice).await;
        let checked = repository.check(None, repository::Depth::Data).await.expect("checks");
        assert_eq!(checked.problems, vec![]);
    }
    let before = simulator.counters();
    let report = bed.backup(&url).await.expect("backs up");
    assert_eq!((report.fetched_bytes, report.stored_bytes), (0, 0));
    assert!(simulator.counters().since(&before).requests <= 3, "{:?}", simulator.counters().since(&before));
}
