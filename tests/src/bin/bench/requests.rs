//! Requests to the store, of a simulated mailbox: they do not depend on the server.

use tests::store_requests;

const EMAILS: u32 = 5_000;

pub(crate) async fn requests() {
    println!("\n| Requests to the store, {EMAILS} emails | PUT | GET | LIST | kB written | kB read |");
    println!("|---|---|---|---|---|---|");
    for of in store_requests(EMAILS).await {
        let (written, read) = (of.calls.sent().div_ceil(1000), of.calls.received().div_ceil(1000));
        println!("| {} | {} | {} | {} | {written} | {read} |", of.what, of.puts(), of.gets(), of.lists());
    }
}
