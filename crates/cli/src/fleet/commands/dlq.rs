use std::collections::BTreeSet;

use anyhow::Result;
use queue::{DeadLetter, DeadLetters, Pick, Ticket};
use serde_json::{Value, json};

use crate::args::fleet::{ConfigFile, DlqCommand, DlqPicks};
use crate::fleet::settings::config::Config;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::{Out, remark};

/// All that are looked through for one.
const MOST: usize = 10_000;

/// `malle dlq list|show|redrive|drop`.
pub(crate) async fn dlq(command: &DlqCommand, out: &Out) -> Result<Exit> {
    match command {
        DlqCommand::List(args) => {
            for letter in letters(&args.config)?.list(args.limit).await? {
                match out.json() {
                    true => out.object(&shown(&letter))?,
                    false => out.line(line(&letter))?,
                }
            }
        }
        DlqCommand::Show(args) => {
            let all = letters(&args.config)?.list(MOST).await?;
            let letter = all.iter().find(|letter| letter.id == args.id).ok_or_else(|| {
                let what = format!("show the dead letter {}: there is none", args.id);
                Failure::new(Exit::NotFound, what, "`malle dlq list` shows their ids")
            })?;
            match out.json() {
                true => out.object(&shown(letter))?,
                false => {
                    out.line(line(letter))?;
                    out.line(body(letter))?;
                }
            }
        }
        DlqCommand::Redrive(args) => {
            let redriven = letters(&args.config)?.redrive(&pick(args)).await?;
            for (id, error) in &redriven.failed {
                remark(format_args!("{id} is still dead: {error}"));
            }
            say(out, "redriven", redriven.moved)?;
            let ended = exit_for_found(args, redriven.moved + redriven.failed.len());
            return Ok(if redriven.failed.is_empty() { ended } else { Exit::Incomplete });
        }
        DlqCommand::Drop(args) => {
            let dropped = letters(&args.config)?.remove(&pick(args)).await?;
            say(out, "dropped", dropped)?;
            return Ok(exit_for_found(args, dropped));
        }
    }
    Ok(Exit::Good)
}

/// Says how many of those that were named are not there.
fn exit_for_found(args: &DlqPicks, found: usize) -> Exit {
    let named = if args.all { 0 } else { args.ids.iter().collect::<BTreeSet<_>>().len() };
    match named.saturating_sub(found) {
        0 => Exit::Good,
        missing => {
            remark(format_args!(
                "{missing} of the {named} that were named are not there; `malle dlq list` shows their ids"
            ));
            if found == 0 { Exit::NotFound } else { Exit::Incomplete }
        }
    }
}

fn letters(config: &ConfigFile) -> Result<DeadLetters> {
    Ok(Config::load(config.config.as_deref())?.broker("dlq")?.dead_letters())
}

fn pick(args: &DlqPicks) -> Pick {
    match args.all {
        true => Pick::All,
        false => Pick::Only(args.ids.iter().cloned().collect::<BTreeSet<_>>()),
    }
}

fn say(out: &Out, what: &str, count: usize) -> Result<()> {
    match out.json() {
        true => out.object(&json!({ what: count })),
        false => out.line(format_args!("{count} {what}")),
    }
}

fn line(letter: &DeadLetter) -> String {
    let at = letter.at.map(|at| at.to_string()).unwrap_or_default();
    format!("{}  {at:<20}  {:<22}  {}", letter.id, letter.queue.as_deref().unwrap_or("-"), letter.reason)
}

/// A ticket in words; of anything else only its length, for nobody knows what it holds.
fn body(letter: &DeadLetter) -> String {
    match Ticket::parse(&letter.body) {
        Ok(ticket) => format!("ticket of {} job {}", ticket.kind, ticket.job),
        Err(_) => format!("{} bytes that are no ticket", letter.body.len()),
    }
}

fn shown(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id, "queue": letter.queue, "reason": letter.reason, "at": letter.at.map(|at| at.to_string()),
        "body": body(letter),
    })
}
