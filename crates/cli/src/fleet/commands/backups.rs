use anyhow::Result;
use catalog::Backup;
use model::JobKind;
use serde_json::{Value, json};

use super::named::find;
use crate::args::fleet::MailboxBackups;
use crate::fleet::settings::config::Config;
use crate::terminal::exit::Exit;
use crate::terminal::output::{Out, Table, bytes, duration, minute};

/// `malle mailbox backups`: by the numbers that restores are asked for with.
pub(crate) async fn backups(args: &MailboxBackups, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    let catalog = config.catalog("backups").await?;
    catalog.require_migrated().await?;
    let mailbox = find(&catalog, &args.mailbox, "list the backups").await?;
    let backups = catalog.backups_of(mailbox.id, None, args.limit).await?;
    if out.json() {
        backups.iter().try_for_each(|backup| out.object(&shown(backup)))?;
    } else if backups.is_empty() {
        out.line(format_args!("mailbox {} has no backups yet", mailbox.id))?;
    } else {
        out.line(table(&backups))?;
    }
    Ok(Exit::Good)
}

fn table(backups: &[Backup]) -> Table<9> {
    let columns =
        [">NUMBER", "TIME (UTC)", ">SIZE", ">STORED", ">EMAILS", ">DURATION", "LOCATION", "KIND", "STATE"];
    let mut table = Table::new(columns);
    for backup in backups {
        let facts = &backup.facts;
        table.push([
            backup.number.to_string(),
            minute(&format!("{:.0}", facts.finished_at)),
            bytes(facts.bytes),
            bytes(facts.stored_bytes),
            facts.emails.to_string(),
            duration(seconds(backup)),
            facts.zone.clone(),
            backup.kind.map_or("-", JobKind::as_str).to_owned(),
            facts.state.to_string(),
        ]);
    }
    table
}

fn seconds(backup: &Backup) -> f64 {
    backup.facts.finished_at.duration_since(backup.facts.started_at).as_secs_f64().max(0.0)
}

fn shown(backup: &Backup) -> Value {
    let facts = &backup.facts;
    json!({
        "number": backup.number.0, "mailbox": backup.mailbox.0, "time": facts.finished_at.to_string(),
        "started": facts.started_at.to_string(), "duration": seconds(backup), "size": facts.bytes,
        "stored": facts.stored_bytes, "emails": facts.emails, "location": facts.zone, "store": facts.store,
        "kind": backup.kind.map(JobKind::as_str), "state": facts.state.as_str(),
    })
}
