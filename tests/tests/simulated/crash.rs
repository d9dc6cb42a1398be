//! A backup that ends before or after any of its calls on the store.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use repository::Sizes;
use sim_stalwart::Kinds;
use testkit::failing::{Fault, Moment, Span};
use testkit::{Decorated, Failing, stride};
use tests::{Bed, assert_is_now};

use crate::{Home, alice};

/// Many packs and segments of few bytes, and checkpoints soon.
pub(crate) const SMALL: Sizes = Sizes {
    frame: 20_000,
    pack: 60_000,
    block: 2_000,
    segment: 6_000,
    full_segment: 4_000,
    spill: 8_000,
    checkpoint: 2,
};

pub(crate) async fn copy(of: &Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
    use futures::TryStreamExt;
    let copy = InMemory::new();
    let all: Vec<_> = of.list(None).try_collect().await.expect("the store lists");
    for object in all {
        let bytes = of.get(&object.location).await.expect("it is there").bytes().await.expect("it is read");
        copy.put(&object.location, bytes.into()).await.expect("it is written");
    }
    Arc::new(copy)
}

/// One backup that is cut off as `failing` says, and what comes after. False when it was over before.
async fn cut_off(home: &Home, before: &Arc<dyn ObjectStore>, failing: Failing) -> bool {
    let objects = copy(before).await;
    let bed = home.bed.moved_to(objects.clone()).with_sizes(SMALL);
    let snapshots = bed.checked(&home.url).await;
    let failing = Arc::new(failing);
    let cut = bed.moved_to(Decorated::new(objects, failing.clone()));
    let announced = tokio::select! {
        report = cut.backup(&home.url) => report.is_ok(),
        () = failing.hung() => false,
    };
    if !failing.struck() {
        return false;
    }
    let now = bed.checked(&home.url).await;
    assert!(now >= snapshots + u64::from(announced), "{failing:?}: {snapshots} snapshots before, {now} now");
    let report = bed.backup(&home.url).await.unwrap_or_else(|error| panic!("after {failing:?}: {error}"));
    assert_eq!(report.state, model::BackupState::Good, "after {failing:?}");
    assert_is_now(&bed.newest(&home.url).await.1, &home.alice).await;
    assert!(bed.checked(&home.url).await > snapshots, "{failing:?}");
    true
}

/// Each second call in turn, in the long run every one, until the backup is over before its turn comes.
async fn at_every_call(
    home: &Home,
    before: &Arc<dyn ObjectStore>,
    moment: Moment,
    fault: Fault,
    span: Span,
) -> u64 {
    // Kinds of faults begin at different calls.
    let mut at = 1 + fault as u64 % 2;
    while cut_off(home, before, Failing::at(at, moment, fault, span)).await {
        at += stride(3) as u64;
    }
    at - 1
}

async fn everywhere(home: &Home, before: &Arc<dyn ObjectStore>, least: u64) {
    for moment in [Moment::Before, Moment::AfterSuccess] {
        let calls = at_every_call(home, before, moment, Fault::Hang, Span::Once).await;
        println!("killed {moment:?} each of {calls} calls");
        assert!(calls >= least, "only {calls}");
        for fault in [Fault::ServerError, Fault::Timeout] {
            at_every_call(home, before, moment, fault, Span::Once).await;
        }
        at_every_call(home, before, moment, Fault::StorageFull, Span::Forever).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_backup_killed_at_every_call_on_the_store() {
    let home = Home::of(alice(40)).await;
    everywhere(&home, &home.bed.objects, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_backup_killed_at_every_call_on_the_store() {
    let home = Home::of(alice(40)).await;
    let bed: Bed = home.bed.clone().with_sizes(SMALL);
    for seed in 0..3 {
        bed.backup(&home.url).await.expect("backs up");
        home.alice.mutate(25, seed, Kinds::All);
    }
    everywhere(&home, &bed.objects, 10).await;
}
