//! One situation: a catalogue, a virtual host, a prefix and a store of its own, a small producer, and workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use catalog::{Backup, Catalog, Job, Listed, NewJob, Request};
use coordination::{BudgetRules, LeaseTerms, ProgressBoard, Redis};
use jmap::{Config, Credentials};
use model::{Clock, Date, JobId, JobKind, JobState, MailboxId, Plan};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use planning::RetryPolicy;
use queue::{Broker, Outgoing, Ticket, TicketSink};
use repository::{CheckReport, Depth, KeyRing, Repository, Store, StoreOptions};
use serde_json::Value;
use telemetry::{Health, Registry};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use tokio_util::sync::{CancellationToken, DropGuard};
use worker::{BackupStore, Limits, MailServer, MakeSlice, Metrics, Services, Settings, Slots, Steps, Times};

use crate::house::{ADMIN, House, LIMIT, PASSWORD, Shifted, address, until};
use crate::unsliced::unsliced;

pub(crate) const SERVER: &str = "mail";
const ZONE: &str = "de-fra";
pub(crate) const NIGHT: Date = Date::constant(2026, 11, 20);

pub(crate) struct Room<'h> {
    pub(crate) house: &'h House,
    pub(crate) catalog: Catalog,
    pub(crate) clock: Shifted,
    pub(crate) ring: KeyRing,
    pub(crate) dir: TempDir,
    name: &'static str,
    uri: String,
    _producing: DropGuard,
}

/// What a situation's worker is, unless it says otherwise.
pub(crate) struct Shift {
    pub(crate) settings: Settings,
    pub(crate) make_slice: Arc<MakeSlice>,
    pub(crate) steps: Option<Arc<dyn Steps>>,
    /// Another worker's Redis is not asked: leases of its own.
    pub(crate) is_alone: bool,
}

/// A worker at work.
pub(crate) struct Running {
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<worker::Result<()>>,
}

impl<'h> Room<'h> {
    pub(crate) async fn new(house: &'h House, name: &'static str) -> Room<'h> {
        Room::at(house, name, Shifted::night()).await
    }

    pub(crate) async fn at(house: &'h House, name: &'static str, clock: Shifted) -> Room<'h> {
        Room::with_tickets_lost_after(house, name, clock, Duration::from_secs(8)).await
    }

    /// Its producer takes a ticket for lost that nobody took for so long.
    pub(crate) async fn with_tickets_lost_after(
        house: &'h House,
        name: &'static str,
        clock: Shifted,
        lost_after: Duration,
    ) -> Room<'h> {
        eprintln!("situation: {name}");
        let mut settings = catalog::Settings::new(house.postgres_url.clone(), "test");
        settings.schema = name.to_owned();
        let catalog = Catalog::connect(&settings).await.unwrap();
        catalog.migrate().await.unwrap();
        let uri = house.rabbit.lock().await.vhost(name).await.unwrap();
        let dir = TempDir::new().unwrap();
        let stop = CancellationToken::new();
        let producer = broker(&uri, "producer");
        tokio::spawn(produce(catalog.clone(), producer, clock, lost_after, stop.clone()));
        let (ring, _producing) = (KeyRing::generate(), stop.drop_guard());
        let objects = Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap());
        let options = StoreOptions { zone: Some(ZONE.to_owned()), ..StoreOptions::default() };
        Store::open_or_init(objects, options, &clock).await.unwrap();
        Room { house, catalog, clock, ring, dir, name, uri, _producing }
    }

    /// Mailboxes known by their address alone, as a provider lists them.
    pub(crate) async fn mailboxes(&self, numbers: impl IntoIterator<Item = u32>) -> Vec<MailboxId> {
        let numbers: Vec<u32> = numbers.into_iter().collect();
        let listed: Vec<_> = numbers.iter().map(|n| listed(&address(*n))).collect();
        self.catalog.list_mailboxes(SERVER, &listed, self.clock.now()).await.unwrap();
        let mut ids = Vec::new();
        for n in numbers {
            let at = self.catalog.mailboxes_at(&address(n).as_str().into()).await.unwrap();
            ids.push(at[0].id);
        }
        ids
    }

    /// Jobs of the night that are due a moment later, of mailboxes that the mail server does not have: nobody gets to them.
    pub(crate) async fn crowd(&self, count: u32) {
        let now = self.clock.now();
        self.sql(&format!(
            "INSERT INTO mailboxes (server, account, address, plan, first_seen_at, listed_at) \
             SELECT '{SERVER}', 'nobody' || n, 'nobody' || n, 'professional', now(), now() \
             FROM generate_series(1, {count}) AS n"
        ))
        .await;
        self.sql(&format!(
            "INSERT INTO jobs (kind, mailbox, slot_date, run_at, created_at) \
             SELECT 'nightly', id, '{NIGHT}', '{}', now() FROM mailboxes WHERE address LIKE 'nobody%'",
            now + Duration::from_secs(1)
        ))
        .await;
    }

    pub(crate) async fn nightly(&self, mailboxes: &[MailboxId]) -> Vec<JobId> {
        let now = self.clock.now();
        let job = |mailbox: &MailboxId| NewJob {
            kind: JobKind::Nightly,
            mailbox: Some(*mailbox),
            slot_date: NIGHT,
            run_at: now,
            deadline: None,
        };
        let jobs: Vec<_> = mailboxes.iter().map(job).collect();
        assert_eq!(self.catalog.insert_due(&jobs, now).await.unwrap(), mailboxes.len() as u64);
        let mut found = Vec::new();
        for mailbox in mailboxes {
            let sql = format!("SELECT id FROM jobs WHERE mailbox = {mailbox} AND kind = 'nightly'");
            found.push(JobId(self.number(&sql).await.cast_unsigned()));
        }
        found
    }

    pub(crate) async fn request(
        &self,
        kind: JobKind,
        mailbox: MailboxId,
        parameters: Option<&Value>,
    ) -> JobId {
        static ASKED: AtomicU64 = AtomicU64::new(0);
        let key = ASKED.fetch_add(1, Relaxed).to_string();
        let request = Request {
            kind,
            mailbox: Some(mailbox),
            key: &key,
            parameters,
            limit: None,
            traceparent: None,
            audit: None,
        };
        self.catalog.request(&request, self.clock.now()).await.unwrap().job
    }

    pub(crate) async fn job(&self, job: JobId) -> Job {
        self.catalog.job(job).await.unwrap().unwrap()
    }

    pub(crate) async fn until_state(&self, job: JobId, state: JobState) -> Job {
        let what = format!("job {job} to be {state}");
        until(&what, async || Some(self.job(job).await).filter(|job| job.state == state)).await
    }

    pub(crate) async fn until_done(&self, job: JobId) -> Job {
        let what = format!("job {job} to end");
        let job =
            until(&what, async || Some(self.job(job).await).filter(|job| job.state.is_finished())).await;
        assert_eq!(job.state, JobState::Done, "{job:?}");
        job
    }

    /// A backup of each by hand.
    pub(crate) async fn backed_up(&self, mailboxes: &[MailboxId]) -> Vec<Backup> {
        let mut jobs = Vec::new();
        for mailbox in mailboxes {
            jobs.push(self.request(JobKind::Manual, *mailbox, None).await);
        }
        let mut backups = Vec::new();
        for job in jobs {
            let number = self.until_done(job).await.number.unwrap();
            backups.push(self.catalog.backup(number).await.unwrap().unwrap());
        }
        backups
    }

    pub(crate) async fn backups(&self, mailbox: MailboxId) -> Vec<Backup> {
        self.catalog.backups_of(mailbox, None, 100).await.unwrap()
    }

    pub(crate) async fn repository(&self, mailbox: MailboxId) -> Repository {
        let identity = self.catalog.mailbox(mailbox).await.unwrap().unwrap().identity().unwrap();
        let store = Store::open(self.objects(), StoreOptions::default()).await.unwrap();
        store.mailbox(&self.ring, self.ring.directory(&identity)).await.unwrap()
    }

    /// Reads every byte of the mailbox's repository.
    pub(crate) async fn verified(&self, mailbox: MailboxId) -> CheckReport {
        let report = self.repository(mailbox).await.check(None, Depth::Data).await.unwrap();
        assert!(report.problems.is_empty(), "{report:?}");
        report
    }

    /// As `malle mailbox accept-history`.
    pub(crate) async fn accept(&self, mailbox: MailboxId) {
        let repository = self.repository(mailbox).await;
        repository.remember(self.catalog.log_position(mailbox, "main").await.unwrap());
        let now = repository.accept_history(&self.clock).await.unwrap();
        self.catalog.accept_log(mailbox, "main", &now).await.unwrap();
    }

    pub(crate) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(LocalFileSystem::new_with_prefix(self.dir.path()).unwrap())
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn client(&self) -> tokio_postgres::Client {
        let client = self.house.client().await;
        client.batch_execute(&format!("SET search_path = {}", self.name)).await.unwrap();
        client
    }

    pub(crate) fn redis(&self) -> Redis {
        let mut settings = coordination::Settings::new(&self.house.redis_url, self.name).unwrap();
        settings.lease = LeaseTerms { ttl: Duration::from_secs(3), margin: Duration::from_millis(500) };
        Redis::new(settings).unwrap()
    }

    pub(crate) fn board(&self) -> impl ProgressBoard {
        self.redis()
    }

    pub(crate) fn plan(&self, name: &str) -> Shift {
        let settings = settings(name, &self.house.sim.url(), self.ring.clone(), self.objects());
        Shift { settings, make_slice: Arc::new(unsliced), steps: None, is_alone: false }
    }

    pub(crate) fn worker(&self, name: &str) -> Running {
        self.start(self.plan(name))
    }

    pub(crate) fn start(&self, plan: Shift) -> Running {
        let Shift { settings, make_slice, steps, is_alone } = plan;
        let registry = Registry::new("worker", "0.0.0", "test");
        let metrics = Metrics::new(&registry, &settings.servers);
        let redis = Arc::new(self.redis());
        let alone = coordination::Memory::new(LeaseTerms::default(), Duration::from_secs(60));
        let services = Services {
            catalog: self.catalog.clone(),
            broker: broker(&self.uri, &settings.name),
            leases: if is_alone { Arc::new(alone) } else { redis.clone() },
            budget: redis.clone(),
            sign_ins: redis.clone(),
            board: redis,
            make_slice,
            clock: Arc::new(self.clock),
            metrics: metrics.clone(),
            health: Health::default(),
        };
        let stop = CancellationToken::new();
        let task = match steps {
            None => tokio::spawn(worker::run(settings, services, stop.clone())),
            Some(steps) => tokio::spawn(worker::run_watched(settings, services, stop.clone(), steps)),
        };
        Running { registry, metrics, stop, task }
    }
}

impl Running {
    /// As SIGKILL does, but for what the operating system would do to connections.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    /// As SIGTERM does.
    pub(crate) async fn drain(self) -> Metrics {
        self.stop.cancel();
        timeout(LIMIT, self.task).await.unwrap().unwrap().unwrap();
        self.metrics
    }
}

fn settings(name: &str, url: &str, ring: KeyRing, objects: Arc<dyn ObjectStore>) -> Settings {
    let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
    Settings {
        name: name.to_owned(),
        slots: Slots { manual: 8, restore: 8, nightly: 8, weekend: 0, verify: 8 },
        servers: vec![MailServer {
            name: SERVER.to_owned(),
            client: client(url),
            budget: BudgetRules { floor: 4, ..BudgetRules::new(64, 100_000) },
            acts_as_owner: true,
        }],
        stores: vec![BackupStore { name: "main".to_owned(), zone: ZONE.to_owned(), objects }],
        production_zone: "fr-par".to_owned(),
        ring: Arc::new(ring),
        windows: planning::Settings::default(),
        time_zone: planning::zone("UTC").unwrap(),
        retry: RetryPolicy {
            attempts: 3,
            first_wait: millis(50),
            longest_wait: millis(200),
            longest_retry_after: seconds(60),
        },
        limits: Limits::default(),
        times: Times {
            heartbeat: millis(200),
            renewal: millis(700),
            progress: millis(50),
            slice: seconds(60),
            grace: seconds(4),
            put_back: millis(200),
            lease_wait: millis(200),
            patience: seconds(5),
            catalogue_pause: millis(100),
        },
    }
}

/// Fails at once, so that failures are the worker's to handle.
pub(crate) fn client(url: &str) -> Config {
    let mut config = Config::new(url.parse().unwrap(), Credentials::basic(ADMIN, PASSWORD.to_owned()));
    config.retry.attempts = 1;
    config
}

pub(crate) fn listed(address: &str) -> Listed {
    let plan = Some(Plan::Professional);
    Listed { account: None, address: address.into(), plan, zone: None, time_zone: None, tenant: None }
}

fn broker(uri: &str, name: &str) -> Broker {
    let mut settings = queue::Settings::new(uri, name).unwrap();
    (settings.first_wait, settings.longest_wait) = (Duration::from_millis(10), Duration::from_millis(300));
    // On a busy machine a broker takes longer to start than thirty short waits last, and then the role would end.
    settings.attempts = 1000;
    Broker::new(settings)
}

/// What a producer does, but for planning.
async fn produce(
    catalog: Catalog,
    broker: Broker,
    clock: Shifted,
    lost_after: Duration,
    stop: CancellationToken,
) {
    let publisher = broker.publisher();
    while !stop.is_cancelled() {
        let seconds = Duration::from_secs;
        let _ = catalog.release_stale(seconds(2), 1000).await;
        for kind in JobKind::ALL.iter().copied() {
            let _ = catalog.republish_lost(kind, lost_after, 1000, clock.now()).await;
        }
        let taken = catalog.take_unpublished(2000, seconds(2), clock.now()).await.unwrap_or_default();
        let outgoing: Vec<_> = taken.iter().map(outgoing).collect();
        let answers = publisher.publish(&outgoing).await;
        let stored: Vec<_> = taken
            .iter()
            .zip(answers)
            .filter(|(_, answer)| answer.is_ok())
            .map(|(ticket, _)| ticket.clone())
            .collect();
        let _ = catalog.mark_published(&stored).await;
        sleep(Duration::from_millis(20)).await;
    }
}

fn outgoing(ticket: &catalog::Ticket) -> Outgoing {
    Outgoing { ticket: Ticket { job: ticket.job, kind: ticket.kind }, trace: None }
}
