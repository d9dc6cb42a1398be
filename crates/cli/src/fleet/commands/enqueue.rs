use std::sync::Arc;

use anyhow::Result;
use catalog::Requested;
use model::{BackupNumber, BackupParameters, Clock, MailboxId, RestoreMode, SystemClock};
use producer::{Asker, Asking, BackupName, Refusal, RestoreRequest};
use queue::MailboxName;
use serde_json::json;

use crate::args::fleet::EnqueueArgs;
use crate::fleet::roles::parts::read_selection;
use crate::fleet::settings::config::Config;
use crate::store::from_url;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::Out;

/// `malle enqueue`: a job for one mailbox, by the rules of the HTTP API. A producer publishes its ticket within a second.
pub(crate) async fn enqueue(args: &EnqueueArgs, out: &Out) -> Result<Exit> {
    if args.mode == Some(RestoreMode::Exact) && !args.yes {
        let what = "enqueue an exact restore: what the mailbox has and the backup has not would be removed";
        return Err(Failure::usage(what, "say --yes if that is meant").into());
    }
    let config = Config::load(args.config.config.as_deref())?;
    let catalog = config.catalog("enqueue").await?;
    catalog.require_migrated().await?;
    let asking = Asking::new(catalog, Arc::new(SystemClock), config.producer()?.requests, read_selection);
    let actor = format!("cli {}", from_url::writer());
    let key = match &args.key {
        Some(key) => format!("cli {key}"),
        None => format!("{actor} {}", SystemClock.now()),
    };
    let asker = Asker {
        actor: &actor,
        key: &key,
        traceparent: None,
        tenants: None,
        crosses_tenants: args.any_customer,
    };
    let requested = ask(&asking, &asker, args).await;
    let requested = requested.map_err(|refusal| refused(what(args), &args.mailbox, refusal))?;
    match (out.json(), requested.new) {
        (true, new) => out.object(&json!({ "job": requested.job.0, "new": new }))?,
        (false, true) => out.line(format_args!("job {}", requested.job))?,
        (false, false) => out.line(format_args!("job {} (asked for before)", requested.job))?,
    }
    Ok(Exit::Good)
}

async fn ask(asking: &Asking, asker: &Asker<'_>, args: &EnqueueArgs) -> Result<Requested, Refusal> {
    let name = |text: &String| match text.parse() {
        Ok(number) => MailboxName::Id(MailboxId(number)),
        Err(_) => MailboxName::Address(text.clone()),
    };
    let mailbox = name(&args.mailbox);
    let of = |number| BackupName { mailbox: mailbox.clone(), number: BackupNumber(number) };
    match (args.restore, args.verify) {
        (Some(number), _) => {
            let how = RestoreRequest {
                mode: args.mode.unwrap_or_default(),
                select: args.select.clone(),
                wrap_refused: args.wrap_refused,
                to: args.to_account.as_ref().map(name),
            };
            asking.restore(asker, &of(number), &how).await
        }
        (None, Some(number)) => asking.verify(asker, &of(number)).await,
        (None, None) => asking.backup(asker, &mailbox, BackupParameters { full: args.full }).await,
    }
}

fn what(args: &EnqueueArgs) -> &'static str {
    match (args.restore, args.verify) {
        (Some(_), _) => "a restore",
        (None, Some(_)) => "a verification",
        (None, None) => "a backup",
    }
}

/// A refused request as people read it.
pub(crate) fn refused(what: &str, mailbox: &str, refusal: Refusal) -> anyhow::Error {
    match refusal {
        Refusal::Catalog(error) => anyhow::Error::from(error),
        refusal => {
            let what = format!("enqueue {what} of {mailbox}: {refusal}");
            Failure::new(exit(&refusal), what, hint(&refusal)).into()
        }
    }
}

fn exit(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::Recipient(refusal) => exit(refusal),
        Refusal::UnknownMailbox | Refusal::UnknownBackup | Refusal::Gone | Refusal::GoneFromServer => {
            Exit::NotFound
        }
        Refusal::ExactSelection | Refusal::Selection(_) | Refusal::KeyReused | Refusal::Ambiguous { .. } => {
            Exit::Usage
        }
        Refusal::PersonalPlan
        | Refusal::NoPlan
        | Refusal::TooMany { .. }
        | Refusal::Underway
        | Refusal::OtherCustomer => Exit::Rules,
        Refusal::Catalog(_) => Exit::Service,
    }
}

fn hint(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownMailbox => {
            "name an address that `malle mailbox import` listed, or the mailbox's number"
        }
        Refusal::UnknownBackup => "`malle mailbox backups` lists them",
        Refusal::Recipient(refusal) => hint(refusal),
        Refusal::PersonalPlan => "give the mailbox another plan, or wait for the weekend",
        Refusal::TooMany { .. } => "ask again then",
        Refusal::Selection(_) => "`malle find --help` explains selections with examples",
        Refusal::ExactSelection => "leave the selection out, or restore in the mode missing or beside",
        // They say what to do themselves.
        Refusal::Ambiguous { .. }
        | Refusal::Gone
        | Refusal::GoneFromServer
        | Refusal::OtherCustomer
        | Refusal::NoPlan
        | Refusal::Underway
        | Refusal::KeyReused
        | Refusal::Catalog(_) => "",
    }
}
