//! How long it takes to give everything back to an empty account, beside the plain way: one upload and one import for each
//! email, one after the other on one connection.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use model::DataType;
use serde_json::{Value, json};
use testkit::stalwart::{ADMIN, ADMIN_PASSWORD};
use tests::{Message, Plain};

use crate::cost::{Cost, median, run};
use crate::{Bench, PASSWORD, USER, mb};

/// The median counts, on both sides.
const TRIES: usize = 3;
/// Emails/s of `stalwart-cli import account`, measured once with Stalwart 0.16 on two cores and the same messages.
const STALWART_CLI: f64 = 90.0;

impl Bench {
    pub(crate) async fn giving_back(&self, messages: &[Message], bytes: u64) -> Result<()> {
        let before = self.server.memory_peak()?;
        let (mut restores, mut singles, mut after) = (Vec::new(), Vec::new(), 0);
        for number in 0..TRIES {
            let restore = self.restore(&self.empty_account(&format!("restored-{number}")).await?).await?;
            ensure!(restore.number("restored") == Some(messages.len() as u64), "{}", restore.output);
            restores.push(restore);
            if number == 0 {
                after = self.server.memory_peak()?;
            }
            let account = self.empty_account(&format!("one-by-one-{number}")).await?;
            singles.push(self.one_by_one(&account, messages).await?);
        }
        println!("\nrestores, s: {:.1?}; one by one, s: {singles:.1?}", seconds(&restores));
        let restore = median(restores, |cost| cost.seconds).context("it ran")?;
        let single = median(singles, |seconds| *seconds).context("it ran")?;
        let emails = messages.len() as f64;
        println!(
            "\n| What | s | MB/s | emails/s | requests | peak MiB | server's peak MiB |\n|---|---|---|---|---|---|---|"
        );
        println!(
            "| `malle restore --mode missing` into an empty account | {:.1} | {:.1} | {:.0} | {} | {} | {} |",
            restore.seconds,
            mb(bytes) / restore.seconds,
            emails / restore.seconds,
            restore.number("requests").unwrap_or(0),
            restore.peak >> 20,
            after >> 20,
        );
        println!(
            "| one upload and one `Email/import` for each email, one connection | {single:.1} | {:.1} | {:.0} | {} | | |",
            mb(bytes) / single,
            emails / single,
            messages.len() * 2,
        );
        println!("| `stalwart-cli import account`, measured elsewhere | | | {STALWART_CLI:.0} | | | |");
        println!("\nserver's peak memory before: {} MiB, it had just been started", before >> 20);
        println!("\n| Ratio | measured | goal |\n|---|---|---|");
        println!("| one by one ÷ restore | {:.2} | ≥ 2.5 |", single / restore.seconds);
        Ok(())
    }

    async fn empty_account(&self, name: &str) -> Result<String> {
        Ok(self.server.create_account(&format!("{name}@example.org"), PASSWORD).await?)
    }

    /// The second full backup, which no night has changed. By the administrator, whom no upload quota stops.
    async fn restore(&self, account: &str) -> Result<Cost> {
        let mut command = Command::new(&self.malle);
        command.args([
            "restore",
            "--account",
            USER,
            "--to-account-id",
            account,
            "--server",
            self.server.url(),
        ]);
        command.args(["--mode", "missing", "--only", "emails", "--json", "--user", ADMIN]);
        command.env("MALLE_STORE", format!("file://{}", self.dir.join("store-1").display()));
        command.env("MALLE_KEY_FILE", self.dir.join("ring")).env("MALLE_PASSWORD", ADMIN_PASSWORD);
        run(command.stdout(Stdio::piped())).await
    }

    /// Seconds.
    async fn one_by_one(&self, account: &str, messages: &[Message]) -> Result<f64> {
        let folders =
            Plain::new(self.server.url(), ADMIN, ADMIN_PASSWORD, account).things(DataType::Mailbox).await?;
        let inbox = folders.into_iter().find(|(_, (folder, _))| folder["role"] == "inbox");
        let (inbox, _) = inbox.context("every account has an inbox")?;
        let (client, url) = (reqwest::Client::new(), self.server.url());
        let started = Instant::now();
        for message in messages {
            let upload = client.post(format!("{url}/jmap/upload/{account}/")).body(message.raw.clone());
            let uploaded = answer(upload).await?;
            let email = json!({
                "blobId": uploaded["blobId"], "mailboxIds": { &inbox: true }, "keywords": { "$seen": true },
                "receivedAt": "2026-01-01T00:00:00Z",
            });
            let request = json!({
                "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
                "methodCalls": [["Email/import", { "accountId": account, "emails": { "e": email } }, "0"]],
            });
            let imported = answer(client.post(format!("{url}/jmap/")).body(request.to_string())).await?;
            ensure!(imported["methodResponses"][0][1]["created"]["e"]["id"].is_string(), "{imported}");
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

/// Of one request on a connection that is kept.
async fn answer(request: reqwest::RequestBuilder) -> Result<Value> {
    let answer = request.basic_auth(ADMIN, Some(ADMIN_PASSWORD)).send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&answer.bytes().await?)?)
}

fn seconds(costs: &[Cost]) -> Vec<f64> {
    costs.iter().map(|cost| cost.seconds).collect()
}
