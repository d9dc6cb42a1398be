use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use repository::KeyRing;
use sim_stalwart::{AccountSpec, Limits, Simulator, Sizes};
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::redis::Redis;
use testkit::seaweedfs::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SeaweedFs};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::ends::{Catalogue, Owner, Stored, read_store};
use super::history::{self, Database, Told};
use super::people::{self, Dusk};
use super::roles::{Kept, Place};
use super::schedule::{Fault, MAILBOXES, OfServer, PRODUCERS, Schedule, WORKERS};
use super::services;
use crate::fleet::silence::check_written;
use crate::fleet::{AGENT, AGENT_PASSWORD, Collector, Fleet, Launcher, Plan, address};

/// Rhythms of seconds, so that a night's outages fit into some seconds.
const SETTINGS: [(&str, &str); 14] = [
    // Every job there is makes a backup.
    ("MALLE__PLAN__VERIFY_DAYS", "0"),
    ("MALLE__WORKER__HEARTBEAT_SECONDS", "1"),
    ("MALLE__WORKER__LEASE_SECONDS", "3"),
    ("MALLE__WORKER__SLICE_SECONDS", "1"),
    ("MALLE__WORKER__GRACE_SECONDS", "6"),
    ("MALLE__PLAN__ATTEMPTS", "50"),
    ("MALLE__PLAN__RETRY_SECONDS", "1"),
    ("MALLE__PLAN__LONGEST_RETRY_SECONDS", "4"),
    ("MALLE__PRODUCER__PLAN_EVERY_SECONDS", "1"),
    ("MALLE__PRODUCER__REAP_EVERY_SECONDS", "1"),
    ("MALLE__PRODUCER__SILENT_SECONDS", "4"),
    ("MALLE__PRODUCER__LOST_AFTER_SECONDS", "4"),
    ("MALLE__PRODUCER__HOLD_SECONDS", "3"),
    ("MALLE__RABBITMQ__RENEW_IDLE_SECONDS", "3"),
];
const SILENT: Duration = Duration::from_secs(4);
/// Of every answer of the mail server: jobs take a second or two.
const LATENCY: Duration = Duration::from_millis(40);
/// From the moment when a Redis that hung answers again to the next claim. While places in the server's budget stayed taken, it was
/// up to two minutes.
const THAW: f64 = 20.0;
/// From the last fault to the end of all work.
const CALM: Duration = Duration::from_secs(90);
/// A run does not take longer, whatever happens.
const LIMIT: Duration = Duration::from_secs(300);

/// A run that ended as it must.
#[derive(Debug)]
pub struct Outcome {
    seed: u64,
    took: Duration,
    calm_after: Duration,
    backups: usize,
    told: Told,
    stored: Stored,
    roles_gave_up: usize,
    /// Seconds.
    thaw: Option<f64>,
    /// Requests that were refused after the fleet's password had changed.
    refused: Option<u64>,
    adopted: usize,
    interrupted: usize,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { claims, released, by_successors } = self.told;
        write!(
            f,
            "seed {}: {:.1} s, calm {:.1} s after the last fault; {} backups, {claims} claims, {released} taken from silent \
             workers, {} claims lost, {by_successors} rows by a successor, {} adopted, {} snapshots too late; {} roles \
             gave up; {:.1} MB read back{}{}",
            self.seed,
            self.took.as_secs_f64(),
            self.calm_after.as_secs_f64(),
            self.backups,
            self.interrupted,
            self.adopted,
            self.stored.late,
            self.roles_gave_up,
            self.stored.bytes as f64 / 1e6,
            self.thaw
                .map(|seconds| format!("; next claim {seconds:.1} s after Redis hung"))
                .unwrap_or_default(),
            self.refused
                .map(|count| format!("; {count} refusals after a change of password"))
                .unwrap_or_default(),
        )
    }
}

/// Runs a fleet through everything that the seed says. An error, with the schedule and the place of the logs, if in the end a slot
/// or a request has not exactly one good backup, if the store holds anything else than the catalogue says, or if anything happened
/// on the way that never may.
pub async fn chaos(malle: PathBuf, seed: u64) -> Result<Outcome> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let schedule = Schedule::of(seed);
    let dir = tempfile::tempdir()?;
    let ran = timeout(LIMIT, Box::pin(run(malle, dir.path(), &schedule))).await;
    ran.context("it did not end").flatten().map_err(|error| {
        let kept = dir.keep();
        error.context(format!("{schedule}logs in {}", kept.display()))
    })
}

async fn run(malle: PathBuf, dir: &Path, schedule: &Schedule) -> Result<Outcome> {
    let simulator = simulator(schedule.seed).await?;
    let plan = Plan {
        mailboxes: MAILBOXES,
        emails: 0,
        workers: PRODUCERS + WORKERS - 1,
        slots: 3,
        has_own_broker: true,
    };
    let nights = Nights::of(SystemTime::now());
    let settings = [&SETTINGS[..], &[("MALLE__PLAN__NIGHTLY", nights.window)]].concat();
    let fleet = Fleet::empty(malle, dir.to_owned(), &plan, simulator, &settings).await?;
    let database = fleet.postgres.url();
    let slots = nights.slots(&database).await?;
    fleet.import(&people::list(&fleet.simulator, ZONES[0])?).await?;
    history::begin(&database).await?;
    // It declares the queues: five processes that do so at once are another test.
    fleet.run(&["config", "check"]).await?;

    let began = Instant::now();
    let (end, ended) = watch::channel(());
    let roles = keep_roles(&fleet.launcher, &database, schedule, began, &ended)?;
    let dusk = Dusk {
        database: database.clone(),
        seed: schedule.seed,
        at: began + schedule.second_night,
        first: slots[0].clone(),
        zone: ZONES[1],
    };
    let fleet = strike(fleet, schedule, began, dusk).await?;
    let struck = Instant::now();
    until_calm(&database, &slots[1], struck).await?;
    let calm_after = struck.elapsed();
    drop(end);
    let kept = ended_well(roles).await?;
    let took = began.elapsed();

    let database = Database::connect(&database).await?;
    let catalogue = Catalogue::read(&database).await?;
    let history = history::read(&database).await?;
    let thaw = fleet.thawed.and_then(|moment| history::until_next_claim(&history, moment));
    ensure!(thaw.is_none_or(|seconds| seconds < THAW), "no job ran for {thaw:?} s after Redis had hung");
    let refused = refused(&fleet, schedule)?;
    let told = history::judge(&history, SILENT);
    let told = told.map_err(|wrongs| anyhow::anyhow!("in the history: {wrongs:#?}"))?;
    let owners = owners(&database, &fleet.simulator).await?;
    let mailboxes: Vec<i64> = owners.iter().map(|owner| owner.mailbox).collect();
    let wrongs = catalogue.wrongs(&mailboxes, &slots, &fleet.requests);
    ensure!(wrongs.is_empty(), "in the catalogue: {wrongs:#?}");
    let ring: KeyRing = fs::read_to_string(dir.join("ring.key"))?.parse()?;
    let stored = read_store(objects(&fleet.store)?, ring, owners, &catalogue).await?;
    ensure!(stored.wrongs.is_empty(), "in the store: {:#?}", stored.wrongs);
    // Errors of every kind stand in the logs by now.
    check_written(&fleet.launcher, &fleet.traces, &fleet.simulator)?;
    let logs = fleet.launcher.logs()?;
    let said = |what: &str| -> usize { logs.iter().map(|(_, log)| log.matches(what).count()).sum() };
    Ok(Outcome {
        seed: schedule.seed,
        took,
        calm_after,
        backups: catalogue.backups.len(),
        told,
        stored,
        roles_gave_up: kept.gave_up.len(),
        thaw,
        refused,
        adopted: said("it is adopted"),
        interrupted: said("its lease was lost") + said("job was taken over"),
    })
}

/// Requests that the server refused after the password had changed: no more than were under way at once, and one of each worker
/// that tried whether the credentials are good; once more if Redis lost what it knew of that.
fn refused(fleet: &Struck, schedule: &Schedule) -> Result<Option<u64>> {
    if !fleet.password_changed {
        return Ok(None);
    }
    let counters = fleet.simulator.counters();
    let (refused, under_way) = (counters.unauthorized, counters.peak_concurrency);
    let is_redis_struck = schedule.events.iter().any(|event| matches!(event.fault, Fault::Redis(_)));
    let tries = WORKERS as u64 * (1 + u64::from(is_redis_struck));
    ensure!(
        refused <= under_way + tries,
        "{refused} requests were refused, {under_way} were under way at most"
    );
    Ok(Some(refused))
}

async fn simulator(seed: u64) -> Result<Simulator> {
    let limits = Limits { max_concurrent_requests: 64, ..Limits::default() };
    let mut builder = Simulator::builder().seed(seed).latency(LATENCY).limits(limits);
    builder = builder.impersonator(AGENT, AGENT_PASSWORD);
    for number in 0..MAILBOXES {
        // Every sixth has enough mail for slices.
        let (emails, sizes) = match number % 6 {
            0 => (500, Sizes::between(2_000, 40_000)),
            _ => (10 + number, Sizes::light()),
        };
        builder = builder.account(AccountSpec::new(address(number), "unused").emails(emails).sizes(sizes));
    }
    Ok(builder.start().await?)
}

/// Where all mailboxes are: first here, then there, where it is the next day.
const ZONES: [&str; 2] = ["Etc/GMT+11", "Etc/GMT-13"];

/// The window of nights. In both zones it opened some hours ago, so that all that is due is due at once, and closes in some hours.
struct Nights {
    window: &'static str,
    /// Hours from midnight to its opening.
    opens: u8,
}

impl Nights {
    fn of(now: SystemTime) -> Nights {
        let hours = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 3600;
        match hours % 24 {
            // In both zones midnight is at 11:00 UTC.
            10..14 => Nights { window: "12:00-11:59", opens: 12 },
            _ => Nights { window: "00:00-24:00", opens: 0 },
        }
    }

    /// The dates that name the night that is open in each zone.
    async fn slots(&self, database: &str) -> Result<[String; 2]> {
        let sql = format!(
            "SELECT (t - interval '11 hours')::date::text, (t + interval '13 hours')::date::text \
             FROM (SELECT now() AT TIME ZONE 'UTC' - interval '{} hours' AS t) AS moment",
            self.opens
        );
        let rows = Database::connect(database).await?.query(&sql).await?;
        let row = rows.first().context("a row")?;
        Ok([row.get(0), row.get(1)])
    }
}

/// Each in its place, in a task of its own.
fn keep_roles(
    launcher: &Launcher,
    database: &str,
    schedule: &Schedule,
    began: Instant,
    ended: &watch::Receiver<()>,
) -> Result<JoinSet<Result<Kept>>> {
    let mut database = Url::parse(database)?;
    ensure!(database.set_password(None).is_ok(), "it has a password");
    let mut roles = JoinSet::new();
    for number in 0..PRODUCERS + WORKERS {
        let place = Place { launcher: launcher.clone(), number, database: database.to_string() };
        let events = schedule.of_lane(|fault| match fault {
            Fault::Role(role, how) if role == number => Some(how),
            _ => None,
        });
        roles.spawn(place.keep(began, events, ended.clone()));
    }
    Ok(roles)
}

/// The fleet after all faults: every service runs.
struct Struck {
    launcher: Launcher,
    simulator: Arc<Simulator>,
    /// The jobs that they became.
    requests: Vec<i64>,
    /// When Redis answered again after it had hung, in seconds since 1970.
    thawed: Option<f64>,
    password_changed: bool,
    store: SeaweedFs,
    traces: Collector,
    _others: (RabbitMq, Postgres, Redis),
}

async fn strike(fleet: Fleet, schedule: &Schedule, began: Instant, dusk: Dusk) -> Result<Struck> {
    let Fleet { launcher, simulator, postgres, rabbitmq, redis, seaweedfs, api, traces, .. } = fleet;
    let simulator = Arc::new(simulator);
    macro_rules! lane {
        ($lane:ident) => {
            schedule.of_lane(|fault| match fault {
                Fault::$lane(fault) => Some(fault),
                _ => None,
            })
        };
    }
    let seed = schedule.seed;
    let broker = tokio::spawn(services::broker(rabbitmq, began, lane!(Broker)));
    let postgres = tokio::spawn(services::postgres(postgres, began, lane!(Postgres)));
    let redis = tokio::spawn(services::redis(redis, began, lane!(Redis)));
    let store = tokio::spawn(services::store(seaweedfs, began, lane!(Store)));
    let server = tokio::spawn(services::server(
        simulator.clone(),
        seed,
        began,
        lane!(Server),
        launcher.dir().join("agent"),
    ));
    let night = tokio::spawn(people::second_night(launcher.clone(), simulator.clone(), dusk));
    let requests: Vec<_> = schedule
        .requests
        .iter()
        .map(|(at, mailbox)| tokio::spawn(people::request(api, *mailbox, began + *at)))
        .collect();
    server.await??;
    night.await??;
    let mut granted = Vec::new();
    for request in requests {
        granted.push(request.await??);
    }
    let (redis, thawed) = redis.await??;
    let is_change = |fault| matches!(fault, Fault::Server(OfServer::PasswordChanged(_)));
    let password_changed = schedule.events.iter().any(|event| is_change(event.fault));
    let others = (broker.await??, postgres.await??, redis);
    let store = store.await??;
    Ok(Struck {
        launcher,
        simulator,
        requests: granted,
        thawed,
        password_changed,
        store,
        traces,
        _others: others,
    })
}

/// Until nothing is left to do.
async fn until_calm(database: &str, slot: &str, since: Instant) -> Result<()> {
    loop {
        let catalogue = Catalogue::read(&Database::connect(database).await?).await?;
        if catalogue.is_calm(MAILBOXES as usize, slot) {
            return Ok(());
        }
        if since.elapsed() > CALM {
            let open: Vec<_> = catalogue.jobs.iter().filter(|job| job.state != "done").collect();
            bail!("not calm {CALM:?} after the last fault: {} jobs, open {open:#?}", catalogue.jobs.len());
        }
        sleep(Duration::from_millis(300)).await;
    }
}

async fn ended_well(roles: JoinSet<Result<Kept>>) -> Result<Kept> {
    let mut all = Kept::default();
    for kept in roles.join_all().await {
        let kept = kept?;
        all.gave_up.extend(kept.gave_up);
        all.ended_badly.extend(kept.ended_badly);
    }
    ensure!(all.ended_badly.is_empty(), "after SIGTERM roles ended with {:?}", all.ended_badly);
    Ok(all)
}

async fn owners(database: &Database, simulator: &Simulator) -> Result<Vec<Owner>> {
    let rows = database.query("SELECT id, address FROM malle.mailboxes ORDER BY id").await?;
    rows.iter()
        .map(|row| {
            let account = simulator.account(row.get("address")).context("it was made")?;
            Ok(Owner { mailbox: row.get("id"), account })
        })
        .collect()
}

fn objects(store: &SeaweedFs) -> Result<Arc<dyn ObjectStore>> {
    let s3 = AmazonS3Builder::new()
        .with_endpoint(store.endpoint())
        .with_allow_http(true)
        .with_region(REGION)
        .with_bucket_name(BUCKET)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .build()?;
    Ok(Arc::new(PrefixStore::new(s3, "fleet")))
}
