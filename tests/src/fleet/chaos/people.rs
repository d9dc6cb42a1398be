//! What people do meanwhile: mail comes, mailboxes are listed anew, backups are asked for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sim_stalwart::{Kinds, Simulator};
use tokio::time::{Instant, sleep, sleep_until};

use super::ends::Catalogue;
use super::history::Database;
use super::schedule::MAILBOXES;
use crate::fleet::{Launcher, TOKEN, address};

/// Between two tries of what a broken service refused.
const AGAIN: Duration = Duration::from_millis(300);
/// Longer nothing is refused after the last fault.
const LIMIT: Duration = Duration::from_secs(90);
/// Changes of each mailbox before the second night.
const CHANGES: u32 = 6;

/// All mailboxes, as a list that says in which time zone they are.
pub(super) fn list(server: &Simulator, zone: &str) -> Result<String> {
    let mut list = "address,account,plan,time_zone\n".to_owned();
    for number in 0..MAILBOXES {
        let address = address(number);
        let id = server.account(&address).context("it was made")?.id();
        list += &format!("{address},{id},professional,{zone}\n");
    }
    Ok(list)
}

/// When the second night begins, and after which.
pub(super) struct Dusk {
    pub(super) database: String,
    pub(super) seed: u64,
    pub(super) at: Instant,
    /// The first night's date.
    pub(super) first: String,
    /// Where everybody moves.
    pub(super) zone: &'static str,
}

/// Mail changes, then everybody moves to where it is the next day already: another night is due. No mail changes after that.
/// The first night must have been planned: what is over is not caught up.
pub(super) async fn second_night(launcher: Launcher, server: Arc<Simulator>, dusk: Dusk) -> Result<()> {
    let Dusk { database, seed, at, first, zone } = dusk;
    sleep_until(at).await;
    while planned(&database, &first).await.unwrap_or_default() < MAILBOXES as usize {
        ensure!(at.elapsed() < LIMIT, "the first night was not planned");
        sleep(AGAIN).await;
    }
    for number in 0..MAILBOXES {
        let account = server.account(&address(number)).context("it was made")?;
        account.mutate(CHANGES, seed.wrapping_add(number.into()), Kinds::Emails);
    }
    let list = list(&server, zone)?;
    loop {
        match launcher.import(&list).await {
            Ok(()) => return Ok(()),
            Err(error) => ensure!(at.elapsed() < LIMIT, "the list was not taken: {error:#}"),
        }
        sleep(AGAIN).await;
    }
}

async fn planned(database: &str, slot: &str) -> Result<usize> {
    Ok(Catalogue::read(&Database::connect(database).await?).await?.planned(slot))
}

/// Asks for a backup until it is granted, with one key; the job.
pub(super) async fn request(api: u16, mailbox: u32, at: Instant) -> Result<i64> {
    sleep_until(at).await;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    loop {
        match ask(&client, api, mailbox).await {
            Ok(job) => return Ok(job),
            Err(error) => ensure!(at.elapsed() < LIMIT, "a backup by hand was not granted: {error:#}"),
        }
        sleep(AGAIN).await;
    }
}

async fn ask(client: &reqwest::Client, api: u16, mailbox: u32) -> Result<i64> {
    let request = client
        .post(format!("http://127.0.0.1:{api}/v1/backups"))
        .bearer_auth(TOKEN)
        .header("Idempotency-Key", format!("request of mailbox {mailbox}"))
        .header("Content-Type", "application/json")
        .body(json!({ "address": address(mailbox) }).to_string());
    let answer = request.send().await?;
    let (status, body) = (answer.status(), answer.bytes().await?);
    ensure!(status == 202, "{status}: {}", String::from_utf8_lossy(&body));
    let granted: Value = serde_json::from_slice(&body)?;
    granted["job"].as_i64().context("a granted request names its job")
}
