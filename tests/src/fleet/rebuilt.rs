use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use catalog::{Address, Backup, Catalog, Settings};
use serde_json::{Value, json};
use testkit::seaweedfs::BUCKET;

use super::{AGENT, AGENT_PASSWORD, Fleet, address};

/// Another schema is a catalogue that knows nothing.
const ANEW: &str = "anew";
/// Of a night.
const MOST: u32 = 20;

/// The catalogue is lost and made anew from the store: every backup has the row it had, a snapshot that was made without a
/// catalogue has a number above all, and doing it again changes nothing. How many backups there were.
pub(super) async fn rebuilt(fleet: &Fleet, mailboxes: u32) -> Result<u64> {
    let known = Catalog::connect(&Settings::new(fleet.postgres.url(), "night")).await?;
    let before = rows(&known, mailboxes).await?;
    by_hand(fleet).await?;
    let tried = rebuild(fleet, &["--dry-run"]).await?;
    run(fleet, &["migrate"]).await?;
    let first = rebuild(fleet, &[]).await?;
    for key in ["mailboxes", "backups", "unnumbered", "highest", "unreadable"] {
        ensure!(tried[key] == first[key], "{key}: {tried} {first}");
    }
    let again = rebuild(fleet, &[]).await?;
    let settings = Settings { schema: ANEW.to_owned(), ..Settings::new(fleet.postgres.url(), "night") };
    let anew = Catalog::connect(&settings).await?;
    let mut after = rows(&anew, mailboxes).await?;
    ensure!(again["new"] == 0 && again["taken"] == json!([]), "again: {again}");

    let highest = before.iter().map(|backup| backup.number).max().context("there were some")?;
    ensure!(first["highest"] == highest.0 && first["unreadable"] == 0, "{first}");
    let drawn: Vec<Backup> = after.extract_if(.., |backup| backup.number > highest).collect();
    ensure!(drawn.len() == 1 && drawn[0].kind.is_none(), "one was made at a terminal: {drawn:?}");
    ensure!(after == before, "{after:?} is not {before:?}");
    Ok(first["new"].as_u64().unwrap_or_default())
}

/// All backups by number. What a catalogue gives out anew, ids of mailboxes and jobs, is left out.
async fn rows(catalog: &Catalog, mailboxes: u32) -> Result<Vec<Backup>> {
    let mut all = Vec::new();
    for number in 0..mailboxes {
        for mailbox in catalog.mailboxes_at(&Address::from(address(number).as_str())).await? {
            let same =
                |backup: Backup| Backup { mailbox: model::MailboxId(number.into()), job: None, ..backup };
            all.extend(catalog.backups_of(mailbox.id, None, MOST).await?.into_iter().map(same));
        }
    }
    all.sort_by_key(|backup| backup.number);
    Ok(all)
}

/// Somebody backs a mailbox up without the fleet.
async fn by_hand(fleet: &Fleet) -> Result<()> {
    // By its id: an impersonator may not look into the server's directory.
    let account = fleet.simulator.account(&address(1)).context("it was made")?.id();
    let backup = ["backup", "--account-id", &account, "--server-name", "simulated", "--zone", "there"];
    let mut command = fleet.malle(&backup);
    command
        .env("MALLE_SERVER", fleet.simulator.url())
        .env("MALLE_USER", AGENT)
        .env("MALLE_PASSWORD", AGENT_PASSWORD)
        .env("MALLE_STORE", format!("s3://{BUCKET}/fleet"))
        .env("MALLE_KEY_FILE", fleet.launcher.dir().join("ring.key"))
        .stdin(Stdio::null());
    let ended = command.output().await?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}

async fn rebuild(fleet: &Fleet, arguments: &[&str]) -> Result<Value> {
    let said = run(fleet, &[&["catalog", "rebuild", "--json"], arguments].concat()).await?;
    Ok(serde_json::from_str(&said)?)
}

async fn run(fleet: &Fleet, arguments: &[&str]) -> Result<String> {
    let mut command = fleet.malle(arguments);
    let ended = command.env("MALLE__POSTGRES__SCHEMA", ANEW).stdin(Stdio::null()).output().await?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    Ok(String::from_utf8(ended.stdout)?)
}
