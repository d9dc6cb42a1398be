use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use model::{Clock, SignedDuration, SystemClock, Timestamp};
use producer::{DirectoryError, Disappeared, Imported, OnBadLines, read_csv, read_json_lines};
use serde_json::json;

use crate::args::fleet::{ImportArgs, ListFormat};
use crate::fleet::settings::config::Config;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::{Out, remark};

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
    let Some(file) = &args.file else {
        if args.whole || args.skip_bad_lines || args.format.is_some() {
            let what = "import mailboxes: --whole, --format and --skip-bad-lines are about a list, and none is given";
            return Err(Failure::usage(what, "give a list, or --accept-drop alone").into());
        }
        return discovered(&config, args, out).await;
    };
    if args.accept_drop && !args.whole {
        let what = "import mailboxes: --accept-drop needs a whole list: one of changes drops nobody";
        return Err(Failure::usage(what, "give --whole, too").into());
    }
    let list = match format(args, file) {
        ListFormat::Csv => read_csv(open(file)?),
        ListFormat::JsonLines => read_json_lines(open(file)?),
    };
    let list = match list {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let what = format!("read the list {}: {error}", file.display());
            return Err(Failure::usage(what, "`malle mailbox import --help` says what it looks like").into());
        }
        list => list.with_context(|| format!("read the list {}", file.display()))?,
    };
    let list = list.within_zones(&config.zones());
    let at_most_percent = if args.accept_drop { 100 } else { args.drop_at_most };
    let gone = Disappeared::Gone { missing_for: MISSING_FOR, at_most_percent };
    let disappeared = if args.whole { gone } else { Disappeared::Stay };
    let on_bad_lines = if args.skip_bad_lines { OnBadLines::WriteOthers } else { OnBadLines::Refuse };
    let catalog = config.catalog("import").await?;
    catalog.require_migrated().await?;
    let (rules, now) = (config.rules(), SystemClock.now());
    let imported = producer::import(&catalog, &args.server, list, &rules, on_bad_lines, disappeared, now);
    let imported = match imported.await {
        Ok(imported) => imported,
        Err(error) => {
            if let DirectoryError::BadLines(bad) = &error {
                show(bad);
            }
            return Err(refused(error));
        }
    };
    tell(&imported, now, out)
}

/// A list that was not taken, as people read it.
pub(crate) fn refused(error: DirectoryError) -> anyhow::Error {
    match error {
        DirectoryError::BadLines(bad) => {
            let what = format!("import mailboxes: {} lines cannot be used; nothing was written", bad.len());
            Failure::usage(what, "mend them, or give --skip-bad-lines").into()
        }
        DirectoryError::TooManyGone { active, unlisted, .. } => {
            let percent = (unlisted * 100).div_ceil(active.max(1));
            let hint = format!("check that the list is complete; --drop-at-most {percent} takes it as it is");
            Failure::usage(format!("import mailboxes: the {error}; nothing was written"), hint).into()
        }
        error => error.into(),
    }
}

/// Takes what the server itself names, however many it leaves out.
async fn discovered(config: &Config, args: &ImportArgs, out: &Out) -> Result<Exit> {
    let mut directories = config.directories()?;
    directories.retain(|directory| directory.server == args.server);
    let Some(mut directory) = directories.pop() else {
        let what = format!("ask {} for its mailboxes: its [[servers]] has no discover", args.server);
        return Err(Failure::usage(what, "add discover, or give a list and --whole").into());
    };
    if let Disappeared::Gone { at_most_percent, .. } = &mut directory.disappeared {
        *at_most_percent = 100;
    }
    let catalog = config.catalog("import").await?;
    catalog.require_migrated().await?;
    let now = SystemClock.now();
    let imported = producer::discover(&catalog, &directory, now).await?;
    tell(&imported, now, out)
}

fn tell(imported: &Imported, now: Timestamp, out: &Out) -> Result<Exit> {
    show(&imported.bad);
    match out.json() {
        true => out.object(&json!({
            "listed": imported.listed, "new": imported.new, "unplanned": imported.unplanned, "gone": imported.gone,
            "missing": imported.missing, "bad_lines": imported.bad.len(),
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
    if imported.missing > 0 {
        remark(format_args!(
            "{} more are not in the list; a whole list that leaves them out after {:.0} makes them gone",
            imported.missing,
            now + MISSING_FOR
        ));
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

fn format(args: &ImportArgs, file: &Path) -> ListFormat {
    let is_json = || file.extension().is_some_and(|end| end == "jsonl" || end == "ndjson" || end == "json");
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
