//! Nothing that people or programs look at tells an address, a secret or what stands in an email.

use std::fs;

use anyhow::{Context, Result, ensure};
use sim_stalwart::Simulator;
use testkit::leaks;

use super::{AGENT_PASSWORD, Collector, Fleet, Launcher, TOKEN, address};

/// What every address ends with.
const DOMAIN: &str = "example.org";
/// Mailboxes whose emails are looked for, and emails of each.
const MAILBOXES: u32 = 3;
const EMAILS: usize = 5;
/// Shorter subjects and lines are words that may stand anywhere.
const TELLING: usize = 12;

impl Fleet {
    /// Searches all logs, all traces that came to the collector, and the metrics and health of the roles that run at present: an
    /// error if any of it holds an address, a password, a token, a key, a subject or a line of an email. Call it while roles run,
    /// for their metrics, and when they have ended, for their last words.
    pub async fn check_silent(&self) -> Result<()> {
        let mut said = written(&self.launcher, &self.traces)?;
        for port in &self.metrics {
            for path in ["/metrics", "/health/ready", "/health/live"] {
                // A role that does not run says nothing.
                if let Ok((_, body)) = self.get(*port, path).await {
                    said.push((format!("{path} at port {port}"), body));
                }
            }
        }
        search(said, &self.launcher, &self.simulator)
    }

    /// What a role answers on its own port: status and body.
    pub async fn get(&self, port: u16, path: &str) -> Result<(u16, Vec<u8>)> {
        Ok(testkit::http(&format!("127.0.0.1:{port}"), &format!("GET {path} HTTP/1.1"), b"").await?)
    }
}

/// The same for logs and traces alone.
pub(super) fn check_written(launcher: &Launcher, traces: &Collector, simulator: &Simulator) -> Result<()> {
    search(written(launcher, traces)?, launcher, simulator)
}

fn search(said: Vec<(String, Vec<u8>)>, launcher: &Launcher, simulator: &Simulator) -> Result<()> {
    let secrets = secrets(launcher, simulator)?;
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    for (place, said) in said {
        let found = leaks(&said, &secrets);
        ensure!(found.is_empty(), "{place} holds {found:?}");
    }
    Ok(())
}

/// What logs and traces hold, and where.
fn written(launcher: &Launcher, traces: &Collector) -> Result<Vec<(String, Vec<u8>)>> {
    let mut said = Vec::new();
    for (name, log) in launcher.logs()? {
        said.push((format!("the log of {name}"), log.into_bytes()));
    }
    ensure!(!said.is_empty(), "there are no logs");
    said.extend(traces.received().into_iter().map(|body| ("a trace".to_owned(), body.to_vec())));
    Ok(said)
}

fn secrets(launcher: &Launcher, simulator: &Simulator) -> Result<Vec<String>> {
    let of_services = [
        testkit::postgres::PASSWORD,
        testkit::rabbitmq::PASSWORD,
        testkit::redis::PASSWORD,
        testkit::seaweedfs::SECRET_KEY,
    ];
    let ours = [DOMAIN, AGENT_PASSWORD, TOKEN];
    let mut secrets: Vec<String> = of_services.into_iter().chain(ours).map(str::to_owned).collect();
    let ring = fs::read_to_string(launcher.dir().join("ring.key"))?;
    let keys = ring.lines().filter_map(|line| line.rsplit_once(' ')).map(|(_, key)| key.to_owned());
    secrets.extend(keys.filter(|key| key.len() == 64));
    ensure!(secrets.len() > of_services.len() + ours.len(), "the ring holds keys");
    for number in 0..MAILBOXES {
        secrets.extend(telling_lines(simulator, number)?);
    }
    Ok(secrets)
}

/// Subjects, and lines of the text, of some emails.
fn telling_lines(simulator: &Simulator, mailbox: u32) -> Result<Vec<String>> {
    let account = simulator.account(&address(mailbox)).context("it was made")?;
    let mut telling = Vec::new();
    for email in account.emails().iter().take(EMAILS) {
        let raw = account.raw(&email.id).context("it is there")?;
        let text = String::from_utf8_lossy(&raw);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let subject = head.lines().find_map(|line| line.strip_prefix("Subject: "));
        let line = body.lines().find(|line| line.len() >= TELLING && !line.starts_with("--"));
        telling
            .extend(subject.into_iter().chain(line).filter(|text| text.len() >= TELLING).map(str::to_owned));
    }
    ensure!(!telling.is_empty(), "emails have subjects and lines");
    Ok(telling)
}
