//! A mail server and a store that hang are told apart from a program that does.

use std::process::Stdio;
use std::time::Duration;

use testkit::is_soak;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::home::{ALICE, Home};

/// The line on standard error that says it.
async fn told(mut command: Command) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("malle runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let told = async {
        while let Some(line) = lines.next_line().await.expect("UTF-8") {
            if line.contains("has not answered") {
                return line;
            }
        }
        panic!("it ended before it said so");
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("it says so after half a minute")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_is_said_after_half_a_minute() {
    if !is_soak() {
        println!("SKIPPED: it takes 30 s; `make soak` runs it");
        return;
    }
    let home = Home::new().await;
    // The kernel takes connections that nobody accepts.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hung = format!("http://{}", listener.local_addr().expect("bound"));
    let mut backup = home.malle(&["backup", "--account", ALICE]);
    backup.env("MALLE_SERVER", &hung);
    let mut list = home.malle(&["list"]);
    list.env("MALLE_STORE", "s3://bucket").env("AWS_ENDPOINT_URL", &hung).env("AWS_REGION", "x");
    list.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "secret");
    let (of_server, of_store) = tokio::join!(told(backup), told(list));
    assert!(of_server.contains("mail server") && of_server.contains("session"), "{of_server}");
    assert!(of_store.contains("store") && of_store.contains("object"), "{of_store}");
}
