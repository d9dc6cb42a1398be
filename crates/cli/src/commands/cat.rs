//! `malle cat`: the raw bytes of one email.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use engine::{Found, Selection, Test};
use model::{EmailId, EmailRecord};
use repository::Snapshot;

use crate::args::find::CatArgs;
use crate::mailboxes::mailbox::{self, Mailbox};
use crate::secrets;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::{Failure, one_line};
use crate::terminal::output::Out;

/// Emails of one Message-ID that are looked at.
const SAME_ID: usize = 10;

/// Runs it.
pub(crate) async fn run(args: &CatArgs, out: &Out) -> Result<Exit> {
    if io::stdout().is_terminal() && !args.force {
        let hint = "redirect it to a file (`malle cat … > email.eml`), or give --force";
        return Err(Failure::usage("print the email: its bytes may disturb the terminal", hint).into());
    }
    let ring = secrets::ring(&args.store.key, out)?;
    let store = from_url::open(&args.store).await?;
    let mailbox = mailbox::find(&store, &ring, &args.which).await?;
    mailbox::noting(&mailbox.repository, Box::pin(print(args, &mailbox))).await?;
    Ok(Exit::Good)
}

async fn print(args: &CatArgs, mailbox: &Mailbox) -> Result<()> {
    let snapshot = mailbox.snapshot(args.snapshot).await?;
    let email = match (&args.email, &args.message_id) {
        (Some(id), _) => by_id(mailbox, &snapshot, id).await?,
        (None, message_id) => {
            by_message_id(mailbox, &snapshot, message_id.as_deref().unwrap_or_default()).await?
        }
    };
    let mut pieces = snapshot.blob_reader(&email.blob).await?;
    while let Some(piece) = pieces.next().await? {
        // On a thread of its own: whoever reads may stop reading, and signals must still be heard.
        tokio::task::spawn_blocking(move || io::stdout().write_all(&piece)).await??;
    }
    tokio::task::spawn_blocking(|| io::stdout().flush()).await??;
    Ok(())
}

async fn by_id(mailbox: &Mailbox, snapshot: &Snapshot, id: &str) -> Result<EmailRecord> {
    let found = snapshot.find_emails(&[EmailId::from(id)]).await?.pop();
    Ok(found.ok_or_else(|| none(mailbox, snapshot, &format!("email {}", one_line(id, 60))))?)
}

/// Copies of one email (in Sent and on a list, say) have one Message-ID; they will do for each other if they are the same.
async fn by_message_id(mailbox: &Mailbox, snapshot: &Snapshot, id: &str) -> Result<EmailRecord> {
    let selection = Selection::default().and(Test::MessageId(id.to_owned()));
    let snapshots = std::slice::from_ref(snapshot.info());
    let Found { hits, total } = engine::find(&mailbox.repository, snapshots, &selection, SAME_ID).await?;
    let mut emails = hits.into_iter().map(|hit| hit.email);
    let named = format!("an email with Message-ID {}", one_line(id, 100));
    let first = emails.next().ok_or_else(|| none(mailbox, snapshot, &named))?;
    let others: Vec<String> =
        emails.filter(|one| one.blob != first.blob).map(|one| one.id.to_string()).collect();
    if others.is_empty() {
        return Ok(first);
    }
    let ids = one_line(&format!("{}, {}", first.id, others.join(", ")), 200);
    let what = format!("choose {named}: {total} have it and are not alike, among them {ids}");
    Err(Failure::new(Exit::NotFound, what, "give one of these ids instead of --message-id").into())
}

fn none(mailbox: &Mailbox, snapshot: &Snapshot, what: &str) -> Failure {
    let what = format!("find {what}: snapshot {} has none", mailbox.numbers.name(snapshot.info().number));
    Failure::new(Exit::NotFound, what, "`malle find` shows the ids of emails and which snapshots have them")
}
