use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use model::{Clock, SignedDuration, SystemClock};
use producer::{DirectoryError, Disappeared, OnBadLines, read_csv, read_json_lines};
use serde_json::json;

use super::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet_args::{ImportArgs, ListFormat};
use crate::output::{Out, remark};

/// Bad lines that are shown.
const SHOWN: usize = 20;
/// A whole list drops only mailboxes that none has named for so long: two lists that cross each other drop nobody.
const MISSING_FOR: SignedDuration = SignedDuration::from_hours(1);

/// `malle mailbox import`.
pub(crate) async fn import(args: &ImportArgs, out: &Out) -> Result<Exit> {
    let config = Config::load(args.config.config.as_deref())?;
    if !config.servers.iter().any(|server| server.name == args.server) {
        let what = format!("import mailboxes: the configuration has no server {}", args.server);
        return Err(Failure::usage(what, "name one of its [[servers]]").into());
    }
    let list = match format(args) {
        ListFormat::Csv => read_csv(open(&args.file)?),
        ListFormat::JsonLines => read_json_lines(open(&args.file)?),
    };
    let list = list.with_context(|| format!("read the list {}", args.file.display()))?;
    let list = list.within_zones(&config.zones());
    let gone = Disappeared::Gone { missing_for: MISSING_FOR, at_most_percent: args.drop_at_most };
    let disappeared = if args.whole { gone } else { Disappeared::Stay };
    let on_bad_lines = if args.skip_bad_lines { OnBadLines::WriteOthers } else { OnBadLines::Refuse };
    let catalog = config.catalog("import").await?;
    catalog.require_migrated().await?;
    let (rules, now) = (config.rules(), SystemClock.now());
    let imported = producer::import(&catalog, &args.server, list, &rules, on_bad_lines, disappeared, now);
    let imported = match imported.await {
        Ok(imported) => imported,
        Err(DirectoryError::BadLines(bad)) => {
            show(&bad);
            let what = format!("import mailboxes: {} lines are of no use; nothing was written", bad.len());
            return Err(Failure::usage(what, "mend them, or give --skip-bad-lines").into());
        }
        Err(error) => return Err(error.into()),
    };
    show(&imported.bad);
    match out.json() {
        true => out.object(&json!({
            "listed": imported.listed, "new": imported.new, "unplanned": imported.unplanned, "gone": imported.gone,
            "bad_lines": imported.bad.len(),
        }))?,
        false => out.line(format_args!(
            "{} mailboxes listed, {} of them new, {} without a plan (not backed up), {} gone, {} lines left out",
            imported.listed,
            imported.new,
            imported.unplanned,
            imported.gone,
            imported.bad.len(),
        ))?,
    }
    Ok(if imported.bad.is_empty() { Exit::Good } else { Exit::Incomplete })
}

fn show(bad: &[producer::BadLine]) {
    for line in bad.iter().take(SHOWN) {
        remark(format_args!("line {}: {}", line.line, line.reason));
    }
    if bad.len() > SHOWN {
        remark(format_args!("and {} more lines", bad.len() - SHOWN));
    }
}

fn format(args: &ImportArgs) -> ListFormat {
    let is_json =
        || args.file.extension().is_some_and(|end| end == "jsonl" || end == "ndjson" || end == "json");
    args.format.unwrap_or_else(|| if is_json() { ListFormat::JsonLines } else { ListFormat::Csv })
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|error| {
        Failure::usage(
            format!("open the list {}: {error}", path.display()),
            "check the path and who may read it",
        )
    })?;
    Ok(Box::new(BufReader::new(file)))
}
