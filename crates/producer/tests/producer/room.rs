//! A server, a migrated catalogue, a clock that stands still, and what the producers log.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use catalog::{Catalog, Listed, Settings};
use model::{AccountId, JobId, MailboxId, Plan, SignedDuration, Timestamp};
use producer::{PlanSettings, Planner};
use telemetry::{OutboxMetrics, Registry};
use testkit::{ManualClock, Postgres, leaks};
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) const SERVER: &str = "mail.example.org";
/// What no log may hold.
pub(crate) const DOMAIN: &str = "customers.example";
/// Far above what a busy machine needs.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Room {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: OutboxMetrics,
    pub(crate) registry: Registry,
    /// Of whole producers, the newest last.
    pub(crate) fleet: Mutex<Vec<Registry>>,
    pub(crate) postgres: Postgres,
}

/// Everything logged in this process, at every level, without the mask that telemetry puts over it.
fn logs() -> &'static Mutex<Vec<u8>> {
    static LOGS: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    LOGS.get_or_init(|| {
        let lines = fmt::layer().with_ansi(false).with_writer(|| Lines);
        let filter = EnvFilter::new("producer=trace,catalog=trace,queue=trace,warn");
        tracing_subscriber::registry().with(lines).with(filter).init();
        Mutex::default()
    })
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        logs().lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// This was logged, and no line holds an address or one of the secrets.
pub(crate) fn no_leak_in_logs(logged: &str, secrets: &[&str]) {
    let logs = logs().lock().unwrap();
    let secrets = [secrets, &[DOMAIN]].concat();
    assert!(String::from_utf8_lossy(&logs).contains(logged), "{}", String::from_utf8_lossy(&logs));
    assert_eq!(leaks(&logs, &secrets), Vec::<&str>::new(), "{}", String::from_utf8_lossy(&logs));
}

impl Room {
    /// On a Wednesday at noon, in Paris.
    pub(crate) async fn new() -> Room {
        logs();
        let postgres = Postgres::start().await.unwrap();
        let catalog = Catalog::connect(&Settings::new(postgres.url(), "test")).await.unwrap();
        catalog.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::at(at("2026-06-03T12:00")));
        let registry = Registry::new("producer", "test", "test");
        let metrics = OutboxMetrics::new(&registry);
        Room { catalog, clock, metrics, registry, fleet: Mutex::default(), postgres }
    }

    pub(crate) fn planner(&self) -> Planner {
        self.planner_with(self.clock.clone(), |_| ())
    }

    pub(crate) fn planner_with(
        &self,
        clock: Arc<ManualClock>,
        change: impl FnOnce(&mut PlanSettings),
    ) -> Planner {
        let mut settings = PlanSettings::new("Europe/Paris");
        settings.page = 100;
        change(&mut settings);
        Planner::new(self.catalog.clone(), clock, &settings, self.metrics.clone()).unwrap()
    }

    /// What no method of the catalogue does.
    pub(crate) async fn sql(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.postgres.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("SET search_path = malle; SET timezone = UTC").await.unwrap();
        client
    }

    pub(crate) async fn mailboxes(&self, plan: Plan, count: u32) -> Vec<MailboxId> {
        let listed: Vec<_> = (0..count).map(|n| listed(&format!("{plan}{n}"), Some(plan))).collect();
        self.catalog.list_mailboxes(SERVER, &listed, self.now()).await.unwrap();
        let mut ids = Vec::new();
        for listed in &listed {
            let found = self.catalog.mailbox_of(SERVER, listed.account.as_ref().unwrap()).await.unwrap();
            ids.push(found.unwrap().id);
        }
        ids
    }

    /// Those that have had a first backup long ago.
    pub(crate) async fn backed_up(&self, plan: Plan, count: u32) -> Vec<MailboxId> {
        let ids = self.mailboxes(plan, count).await;
        self.sql("UPDATE mailboxes SET first_backup_at = '2026-01-01T00:00Z'").await;
        ids
    }

    pub(crate) fn now(&self) -> Timestamp {
        use model::Clock;
        self.clock.now()
    }

    pub(crate) fn set(&self, local: &str) {
        self.clock.advance(at(local).duration_since(self.now()));
    }

    pub(crate) fn pass(&self, minutes: i64) {
        self.clock.advance(SignedDuration::from_mins(minutes));
    }

    /// A good backup without a job.
    pub(crate) async fn insert_backup(&self, number: u64, of: MailboxId, snapshot: u64, kind: &str) {
        let row = format!(
            "INSERT INTO backups (number, mailbox, snapshot, state, kind, started_at, finished_at, store, zone, emails, bytes, \
                stored_bytes, contents) \
             VALUES ({number}, {of}, {snapshot}, 'good', '{kind}', now(), now(), 'main', 'elsewhere', 1, 1, 1, '{{}}')"
        );
        self.sql(&row).await;
    }

    pub(crate) async fn jobs(&self) -> i64 {
        self.number("SELECT count(*) FROM jobs").await
    }

    pub(crate) async fn newest_job(&self) -> JobId {
        JobId(self.number("SELECT max(id) FROM jobs").await.cast_unsigned())
    }
}

/// Local time in Paris, in summer.
pub(crate) fn at(local: &str) -> Timestamp {
    format!("{local}+02:00").parse().unwrap()
}

pub(crate) fn listed(account: &str, plan: Option<Plan>) -> Listed {
    let address = format!("{account}@{DOMAIN}").as_str().into();
    Listed {
        account: Some(AccountId::from(account)),
        address,
        plan,
        zone: None,
        time_zone: None,
        tenant: None,
    }
}

/// Tries until it is so.
pub(crate) async fn until(what: &str, mut trial: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !trial().await {
        assert!(start.elapsed() < LIMIT, "never came about: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
