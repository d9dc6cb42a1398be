//! One process's worker, and everything outside that it uses.

use std::sync::Arc;

use catalog::Catalog;
use coordination::{Budget, Leases, ProgressBoard, SignIns};
use engine::{Backup, Ended, Slice};
use futures::future::BoxFuture;
use jmap::{Account, Client};
use model::Clock;
use queue::Broker;
use repository::Repository;
use telemetry::Health;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use crate::servers::line::Lines;
use crate::servers::sign_in_gates::SignInGates;
use crate::settings::Settings;
use crate::steps::Watched;
use crate::stores::Stores;

/// What [`engine::backup_slice`] is. Safe to drop: what was not committed never happened.
pub type MakeSlice = dyn for<'a> Fn(
        &'a Client,
        &'a Account,
        &'a Repository,
        &'a Backup<'_>,
        &'a Slice,
    ) -> BoxFuture<'a, engine::Result<Ended>>
    + Send
    + Sync;

/// Everything outside that a worker uses. `coordination::Redis` is `leases`, `budget`, `sign_ins` and `board` in one.
#[derive(Clone)]
pub struct Services {
    /// The truth.
    pub catalog: Catalog,
    /// Tickets.
    pub broker: Broker,
    /// One worker a mailbox.
    pub leases: Arc<dyn Leases>,
    /// Load on mail servers.
    pub budget: Arc<dyn Budget>,
    /// Mail servers that refuse our credentials.
    pub sign_ins: Arc<dyn SignIns>,
    /// What people see of running jobs.
    pub board: Arc<dyn ProgressBoard>,
    /// Makes the slices of a backup: [`engine::backup_slice`], unless a test puts something before it.
    pub make_slice: Arc<MakeSlice>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether this role can work.
    pub health: Health,
}

/// One process's worker.
pub(crate) struct Worker {
    pub(crate) settings: Settings,
    pub(crate) services: Services,
    pub(crate) stores: Stores,
    pub(crate) lines: Lines,
    pub(crate) gates: SignInGates,
    /// Reports about requests that are over.
    pub(crate) reports: TaskTracker,
    pub(crate) watched: Watched,
}
