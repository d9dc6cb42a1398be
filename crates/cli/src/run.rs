//! The process: arguments in, one command, exit code out.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches};

use crate::allocator;
use crate::args::cli::{Cli, Command, MANUAL};
use crate::commands;
#[cfg(feature = "fleet")]
use crate::fleet;
use crate::signals::Signals;
use crate::terminal::exit::{self, Exit, Work};
use crate::terminal::failure;
use crate::terminal::hint::Setup;
use crate::terminal::output::{Out, remark};

/// How long blocking work (one file written, one frame compressed) may take to end after everything else did.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// The same for an export that is cut off: it removes what it wrote, perhaps a million files.
const CLEARING_UP: Duration = Duration::from_secs(600);

/// All of it.
pub(crate) fn main() -> ExitCode {
    allocator::tune();
    // Fails only if a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Good }.into();
        }
    };
    // Few threads for computing: each brings an arena of its own to the allocator, and memory is promised to stay small.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(4).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            remark(format_args!("failed to start: {error}"));
            return Exit::Unexpected.into();
        }
    };
    let out = Out::new(cli.talk);
    // They end what they have under way when a signal comes.
    let minds_signals = match &cli.command {
        Command::Backup(_) => true,
        #[cfg(feature = "fleet")]
        Command::Fleet(command) => command.is_role(),
        _ => false,
    };
    let ended = command(&cli, &out).and_then(|work| match minds_signals {
        true => runtime.block_on(work),
        false => runtime.block_on(until_signal(work)),
    });
    let is_export = matches!(cli.command, Command::Export(_));
    runtime.shutdown_timeout(if is_export { CLEARING_UP } else { LAST_BREATH });
    conclude(ended, &cli).into()
}

fn parse() -> Result<Cli, clap::Error> {
    let manual = format!("{MANUAL}\n{}", exit::table());
    let mut command = Cli::command().after_long_help(manual);
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// What has to be asked of a person is asked here, before signals are caught: Ctrl-C at a prompt ends the process.
fn command<'a>(cli: &'a Cli, out: &'a Out) -> Result<Work<'a>> {
    Ok(match &cli.command {
        Command::Backup(args) => Box::pin(commands::backup::run(commands::backup::prepare(args, out)?, out)),
        Command::Restore(args) => {
            Box::pin(commands::restore::run(commands::restore::prepare(args, out)?, out))
        }
        Command::Init(args) => match commands::init::configuration(args) {
            Some(file) => Box::pin(stores_of(file, out)),
            None => Box::pin(commands::init::run(args, out)),
        },
        Command::Repair(args) => Box::pin(commands::repair::run(commands::repair::prepare(args, out)?, out)),
        Command::Reindex(args) => Box::pin(commands::reindex::run(args, out)),
        Command::Export(args) => Box::pin(commands::export::run(args, out)),
        Command::List(args) => Box::pin(commands::list::run(args, out)),
        Command::Show(args) => Box::pin(commands::show::run(args, out)),
        Command::Find(args) => Box::pin(commands::find::run(args, out)),
        Command::Diff(args) => Box::pin(commands::diff::run(args, out)),
        Command::Cat(args) => Box::pin(commands::cat::run(args, out)),
        Command::Verify(args) => Box::pin(commands::verify::run(args, out)),
        Command::Check(args) => Box::pin(commands::check::run(args, out)),
        Command::Key(args) => Box::pin(commands::key::run(args, out)),
        #[cfg(feature = "fleet")]
        Command::Fleet(command) => fleet::command(command, out),
    })
}

/// Makes each store of the fleet's configuration.
#[cfg(feature = "fleet")]
async fn stores_of(file: PathBuf, out: &Out) -> Result<Exit> {
    fleet::init(&file, out).await
}

#[cfg(not(feature = "fleet"))]
async fn stores_of(_file: PathBuf, _out: &Out) -> Result<Exit> {
    let what = "make the stores of a configuration: this malle was built without the fleet";
    Err(failure::Failure::usage(what, "name one store with --store, or build malle with `--features fleet`")
        .into())
}

/// A signal drops the command where it stands: what was committed stays, the rest was never announced.
async fn until_signal(work: Work<'_>) -> Result<Exit> {
    let mut signals = Signals::catch()?;
    tokio::select! {
        ended = work => ended,
        signal = signals.next() => Ok(signal),
    }
}

fn conclude(ended: Result<Exit>, cli: &Cli) -> Exit {
    match ended {
        Ok(exit @ (Exit::Interrupted | Exit::Terminated)) => {
            let now = match &cli.command {
                // It has said itself what it kept.
                Command::Backup(_) => return exit,
                Command::Export(_) => "nothing of this export is left",
                Command::Restore(_) => {
                    "--resume and the restore's id, alone, go on with it; if none was printed, the account is as it was"
                }
                _ => "what this command did not finish it does when it is run again",
            };
            remark(format_args!("stopped by a signal; nothing that was backed up before is lost, and {now}"));
            exit
        }
        Ok(exit) => exit,
        // Whoever read our output (`malle list | head`) has enough of it.
        Err(error) if is_closed_pipe(&error) => Exit::Good,
        Err(error) => {
            let (exit, line) = failure::explain(&error, setup(&cli.command));
            remark(line);
            if cli.talk.verbose
                && let Some(text) = failure::library_text(&error)
            {
                remark(format_args!("the store's library says: {text}"));
            }
            exit
        }
    }
}

fn setup(command: &Command) -> Setup {
    match command {
        #[cfg(feature = "fleet")]
        Command::Fleet(_) => Setup::Fleet,
        Command::Init(args) if commands::init::configuration(args).is_some() => Setup::Fleet,
        _ => Setup::OneShot,
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
