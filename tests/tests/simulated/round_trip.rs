//! Each property that an account can hold is backed up and comes back, or is named.

use sim_stalwart::{AccountSpec, Simulator};
use tests::round_trip::{Ends, Login};

const BOB: &str = "bob@example.org";

#[tokio::test(flavor = "multi_thread")]
async fn no_property_is_silently_lost() {
    let builder = Simulator::builder().seed(7);
    let account = |name| AccountSpec::new(name, crate::PASSWORD).bare();
    let simulator = builder
        .account(account(crate::ALICE))
        .account(account(BOB).alias(crate::ALICE))
        .start()
        .await
        .expect("starts");
    let login = |name: &str| Login { name: name.to_owned(), password: crate::PASSWORD.to_owned() };
    let ends = Ends { url: simulator.url(), source: login(crate::ALICE), target: login(BOB), agent: None };
    let outcome = ends.round_trip().await;
    println!("{outcome:#?}");
    assert!(outcome.lost.is_empty(), "{} are lost silently", outcome.lost.len());
}
