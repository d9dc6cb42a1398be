use coordination::{Redis, SignIns};
use testkit::redis::Redis as Server;

use crate::{client, memory};

/// The rules that each implementation keeps; `others` is another process, or the same one.
async fn keeps_the_rules(here: &dyn SignIns, others: &dyn SignIns) {
    assert_eq!(here.refusal("s").await, None);
    let first = here.refused("s", "old").await;
    assert!((8..=10).contains(&first.left.as_secs()), "{first:?}");
    for side in [here, others] {
        let standing = side.refusal("s").await.expect("it is in force");
        assert!(standing.names("old") && !standing.names("new"), "{standing:?}");
        assert_eq!(side.refusal("t").await, None, "another server");
    }
    // Mended wrongly: both are kept back, and no longer than before.
    let second = others.refused("s", "new").await;
    assert!(second.names("old") && second.names("new") && second.left <= first.left, "{second:?}");
    assert_eq!(here.refused("s", "new").await.fingerprints.len(), 2, "each is named once");
    // A worker that has other credentials lets nobody show these again.
    others.accepted("s", &["new".to_owned()]).await;
    for side in [here, others] {
        let standing = side.refusal("s").await.expect("it is in force");
        assert!(standing.names("old") && !standing.names("new"), "{standing:?}");
    }
    others.accepted("s", &["old".to_owned()]).await;
    assert_eq!((here.refusal("s").await, others.refusal("s").await), (None, None));
    let again = here.refused("s", "old").await;
    assert!((8..=10).contains(&again.left.as_secs()), "counted from the beginning: {again:?}");
    assert!(!again.names("new"), "{again:?}");
}

#[tokio::test]
async fn refused_credentials_are_kept_back_in_one_process() {
    let memory = memory();
    keeps_the_rules(&memory, &memory.clone()).await;
}

#[tokio::test]
async fn refused_credentials_are_kept_back_from_every_process() {
    let server = Server::start().await.expect("redis starts");
    let clients: [Redis; 2] = [(); 2].map(|()| client(&server, "sign-ins"));
    keeps_the_rules(&clients[0], &clients[1]).await;
}
