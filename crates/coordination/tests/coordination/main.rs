//! One suite for every implementation, and what Redis alone can suffer.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod budget;
mod faults;
mod leases;
mod progress;
mod sign_ins;

use std::time::Duration;

use coordination::{LeaseTerms, Memory, Redis, Settings};
use tokio::time::{Instant, sleep};

const TERMS: LeaseTerms = LeaseTerms { ttl: Duration::from_millis(400), margin: Duration::from_millis(100) };
const PROGRESS_TTL: Duration = Duration::from_millis(300);
/// Far above what a busy machine needs.
const LIMIT: Duration = Duration::from_secs(30);

fn memory() -> Memory {
    Memory::new(TERMS, PROGRESS_TTL)
}

/// A client of its own, as another worker has.
fn client(server: &testkit::redis::Redis, prefix: &str) -> Redis {
    let mut settings = Settings::new(&server.url(), prefix).unwrap();
    settings.lease = TERMS;
    settings.progress_ttl = PROGRESS_TTL;
    Redis::new(settings).unwrap()
}

/// Tries until it is so.
async fn until<T>(what: &str, mut trial: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = trial().await {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "never came about: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
