//! Each property that an account can hold, on a real Stalwart 0.16 that runs already.
//!
//! `MALLE_TEST_STALWART_016` is its URL. `MALLE_TEST_STALWART_016_USERS` names an administrator who may act as others, the account that is
//! backed up and the one that is given it, each as `name:password`, with a blank between them. **What both accounts hold is destroyed.**

use std::env;

use tests::round_trip::{Ends, Login};

const SERVER: &str = "MALLE_TEST_STALWART_016";
const USERS: &str = "MALLE_TEST_STALWART_016_USERS";

fn ends() -> Option<Ends> {
    let url = env::var(SERVER).ok()?;
    let users = env::var(USERS).unwrap_or_else(|_| panic!("{SERVER} is set, and {USERS} is not"));
    let login = |user: &str| {
        let (name, password) = user.split_once(':').expect("each is `name:password`");
        Login { name: name.to_owned(), password: password.to_owned() }
    };
    let users: Vec<Login> = users.split_whitespace().map(login).collect();
    let [agent, source, target] = <[Login; 3]>::try_from(users).expect("three of them");
    Some(Ends { url: url.trim_end_matches('/').to_owned(), source, target, agent: Some(agent) })
}

#[tokio::test(flavor = "multi_thread")]
async fn no_property_is_silently_lost_on_a_real_stalwart_016() {
    let Some(ends) = ends() else {
        println!("skipped: {SERVER} names no Stalwart 0.16");
        return;
    };
    let outcome = ends.round_trip().await;
    println!("{outcome:#?}");
    assert!(outcome.lost.is_empty(), "{} are lost silently", outcome.lost.len());
}
