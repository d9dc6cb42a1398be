//! `malle list`: the snapshots of a mailbox, or the mailboxes of the store.

use anyhow::Result;
use serde::Serialize;

use crate::args::find::ListArgs;
use crate::mailboxes::mailbox::{self, Mailbox, Opened};
use crate::mailboxes::snapshot_row::SnapshotRow;
use crate::secrets;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::{explain, one_line};
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, Table, bytes, duration, minute, or_dash, remark};

/// Runs it.
pub(crate) async fn run(args: &ListArgs, out: &Out) -> Result<Exit> {
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let which = &args.which;
    if which.account.is_none() && which.mailbox.is_none() {
        let mut opened = mailbox::open_all(&store, &ring).await?;
        if let Some(server) = &which.server_name {
            opened.retain(|opened| is_of(opened, server));
        }
        return mailboxes(opened, out);
    }
    let mailbox = mailbox::find(&store, &ring, which).await?;
    snapshots(&mailbox, out)?;
    Ok(mailbox.name_unreadable())
}

fn is_of(opened: &Opened, server: &str) -> bool {
    let mailbox = opened.mailbox.as_ref().ok().and_then(Option::as_ref);
    mailbox.is_some_and(|mailbox| mailbox.identity.server.eq_ignore_ascii_case(server))
}

fn snapshots(mailbox: &Mailbox, out: &Out) -> Result<()> {
    let rows: Vec<SnapshotRow> = mailbox.snapshots.iter().map(|info| mailbox.row(info)).collect();
    if out.json() {
        return rows.iter().try_for_each(|row| out.object(row));
    }
    if rows.is_empty() {
        return out.line(format_args!("no snapshots of {} yet", one_line(mailbox.name(), 200)));
    }
    let mut table = Table::new([
        ">NUMBER",
        "TIME (UTC)",
        ">SIZE",
        ">STORED",
        ">EMAILS",
        ">DURATION",
        "LOCATION",
        "STATE",
    ]);
    for row in rows {
        table.push([
            row.name,
            minute(&row.time),
            bytes(row.size),
            bytes(row.stored),
            row.emails.to_string(),
            duration(row.duration),
            or_dash(&row.location).to_owned(),
            row.state.to_owned(),
        ]);
    }
    out.line(table)
}

#[derive(Serialize)]
struct MailboxRow {
    mailbox: String,
    account: String,
    account_id: String,
    server: String,
    snapshots: usize,
    last: Option<SnapshotRow>,
}

fn mailboxes(opened: Vec<Opened>, out: &Out) -> Result<Exit> {
    let mut exit = Exit::Good;
    let mut rows = Vec::new();
    for Opened { dir, mailbox } in opened {
        match mailbox {
            Ok(Some(mailbox)) => {
                if mailbox.name_unreadable() != Exit::Good {
                    exit = Exit::Damage;
                }
                rows.push(row(&mailbox));
            }
            Ok(None) => {}
            Err(error) => {
                let (code, line) = explain(&error.into(), Setup::OneShot);
                remark(format_args!("mailbox {dir}: {line}"));
                exit = code;
            }
        }
    }
    rows.sort_by(|a, b| (&a.account, &a.mailbox).cmp(&(&b.account, &b.mailbox)));
    if out.json() {
        rows.iter().try_for_each(|row| out.object(row))?;
    } else {
        out.line(table(rows))?;
    }
    Ok(exit)
}

fn row(mailbox: &Mailbox) -> MailboxRow {
    MailboxRow {
        mailbox: mailbox.repository.dir().to_string(),
        account: mailbox.name().to_owned(),
        account_id: mailbox.identity.account.as_str().to_owned(),
        server: mailbox.identity.server.clone(),
        snapshots: mailbox.snapshots.len(),
        last: mailbox.snapshots.last().map(|newest| mailbox.row(newest)),
    }
}

fn table(rows: Vec<MailboxRow>) -> Table<8> {
    let mut table =
        Table::new(["ACCOUNT", "ID", "SERVER", ">SNAPSHOTS", "LAST (UTC)", ">EMAILS", "STATE", "MAILBOX"]);
    for row in rows {
        let (time, emails, state) = match &row.last {
            Some(last) => (minute(&last.time), last.emails.to_string(), last.state),
            None => ("-".to_owned(), "-".to_owned(), "-"),
        };
        table.push([
            one_line(&row.account, 60),
            one_line(&row.account_id, 40),
            one_line(&row.server, 60),
            row.snapshots.to_string(),
            time,
            emails,
            state.to_owned(),
            row.mailbox,
        ]);
    }
    table
}
