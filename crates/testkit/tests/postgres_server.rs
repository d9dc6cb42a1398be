//! Our Postgres stops, comes back on its port and ends with its value. What is in it, crate `catalog` tests.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::net::TcpStream;

use testkit::Postgres;

fn listens(postgres: &str) -> bool {
    let address = postgres.split(['@', '/']).nth(3).unwrap();
    TcpStream::connect(address).is_ok()
}

#[tokio::test]
async fn it_stops_comes_back_and_ends_and_another_stands_beside_it() {
    let (one, two) = tokio::join!(Postgres::start(), Postgres::start());
    let (mut one, two) = (one.unwrap(), two.unwrap());
    let url = one.url();
    assert_ne!(url, two.url());
    assert!(listens(&url));
    one.stop().unwrap();
    assert!(!listens(&url));
    one.start_again().await.unwrap();
    one.restart().await.unwrap();
    assert!(listens(&url), "on the same port");
    assert_eq!(one.url(), url);
    drop(one);
    assert!(!listens(&url));
    assert!(listens(&two.url()));
}
