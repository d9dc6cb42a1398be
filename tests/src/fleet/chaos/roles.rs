//! Producers and workers, kept alive as Kubernetes would: whoever ends is started again.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::schedule::{OfRole, PRODUCERS};
use crate::fleet::Launcher;
use crate::fleet::launcher::{ended_within, signal};

/// The wait before a role that ended by itself is started again.
const RESTART: Duration = Duration::from_millis(500);
/// A younger process may meet SIGTERM before it listens to it, and dies of it; it holds nothing yet.
const GROWN_UP: Duration = Duration::from_secs(2);
/// What a supervisor waits after SIGTERM before it kills; a drain that meets a broker that hangs takes its time.
const TERMINATION: Duration = Duration::from_secs(30);

/// One role's place; the process in it changes.
pub(super) struct Place {
    pub(super) launcher: Launcher,
    pub(super) number: usize,
    /// `postgres://…`, without a password and without a query.
    pub(super) database: String,
}

/// What became of a role.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Processes that ended although nobody had asked them to.
    pub(super) gave_up: Vec<ExitStatus>,
    /// Processes that did not end well after SIGTERM.
    pub(super) ended_badly: Vec<ExitStatus>,
}

impl Place {
    fn role(&self) -> &'static str {
        if self.number < PRODUCERS { "produce" } else { "work" }
    }

    /// Each process names itself to the database, so that the history tells who wrote what.
    fn start(&self, generation: u32) -> Result<Child> {
        let (role, number) = (self.role(), self.number);
        let database = format!("{}?options=-c%20chaos.writer%3D{role}-{number}.{generation}", self.database);
        let mut variables = vec![("MALLE__POSTGRES__URL", database)];
        if (1..PRODUCERS).contains(&number) {
            // The port of the configuration is the first producer's.
            variables.push(("MALLE__PRODUCER__LISTEN", "127.0.0.1:0".to_owned()));
        }
        self.launcher.role(role, number, &variables)
    }

    /// Keeps a process in this place, strikes it when it is time, and ends it when `end` closes.
    pub(super) async fn keep(
        self,
        began: Instant,
        events: Vec<(Duration, OfRole)>,
        mut end: watch::Receiver<()>,
    ) -> Result<Kept> {
        let (mut kept, mut generation) = (Kept::default(), 0);
        let mut events = events.into_iter().peekable();
        loop {
            generation += 1;
            let mut process = Process { child: self.start(generation)?, since: Instant::now() };
            loop {
                let next = events.peek().map(|(at, _)| began + *at);
                tokio::select! {
                    status = process.child.wait() => {
                        kept.gave_up.push(status?);
                        sleep(RESTART).await;
                        break;
                    }
                    () = sleep_until(next.unwrap_or(began)), if next.is_some() => {
                        let (_, fault) = events.next().expect("it was there");
                        if strike(&mut process, fault, &mut kept).await? {
                            break;
                        }
                    }
                    _ = end.changed() => {
                        terminate(&mut process, &mut kept).await?;
                        return Ok(kept);
                    }
                }
            }
        }
    }
}

struct Process {
    child: Child,
    /// When it would have begun, had it never been stopped.
    since: Instant,
}

/// Whether the process is gone.
async fn strike(process: &mut Process, fault: OfRole, kept: &mut Kept) -> Result<bool> {
    match fault {
        OfRole::Killed => process.child.kill().await?,
        OfRole::Drained => terminate(process, kept).await?,
        OfRole::Stopped(time) => {
            signal(&process.child, "-STOP").await?;
            sleep(time).await;
            signal(&process.child, "-CONT").await?;
            process.since += time;
            return Ok(false);
        }
    }
    Ok(true)
}

async fn terminate(process: &mut Process, kept: &mut Kept) -> Result<()> {
    let is_young = process.since.elapsed() < GROWN_UP;
    signal(&process.child, "-TERM").await?;
    let status = ended_within(&mut process.child, TERMINATION).await?;
    let is_forgiven = is_young && status.signal().is_some();
    if !status.success() && !is_forgiven {
        kept.ended_badly.push(status);
    }
    Ok(())
}
