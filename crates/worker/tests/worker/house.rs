//! The services of one test, and what is the same in all its situations.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use model::{Clock, SignedDuration, SystemClock, Timestamp};
use sim_stalwart::{AccountSpec, Limits, Simulator};
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::redis::Redis;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

/// Of the administrator who reads every account.
pub(crate) const PASSWORD: &str = "geheimes Passwort";
pub(crate) const ADMIN: &str = "admin@example.org";
/// Far above what a busy machine needs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct House {
    pub(crate) postgres: Mutex<Postgres>,
    pub(crate) postgres_url: String,
    pub(crate) rabbit: Mutex<RabbitMq>,
    pub(crate) redis: Mutex<Redis>,
    pub(crate) redis_url: String,
    pub(crate) sim: Simulator,
}

impl House {
    /// With so many accounts of so many emails.
    pub(crate) async fn new(accounts: u32, emails: u32) -> House {
        House::beside(RabbitMq::shared(), accounts, emails).await
    }

    /// With a broker that may be stopped.
    pub(crate) async fn with_own_broker(accounts: u32, emails: u32) -> House {
        House::beside(RabbitMq::start(), accounts, emails).await
    }

    async fn beside(broker: impl Future<Output = io::Result<RabbitMq>>, accounts: u32, emails: u32) -> House {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let log: &Log = &LOG;
        let _ = tracing_subscriber::fmt()
            .with_env_filter("info,worker=debug")
            .with_writer(move || log)
            .with_ansi(false)
            .try_init();
        let started = Instant::now();
        // Everybody signs in as one administrator.
        let limits = Limits { max_concurrent_requests: 256, ..Limits::default() };
        let mut builder = Simulator::builder().limits(limits).admin(ADMIN, PASSWORD);
        for n in 0..accounts {
            builder = builder.account(AccountSpec::new(address(n), "unused").bare().emails(emails));
        }
        let (postgres, rabbit, redis, sim) =
            tokio::join!(Postgres::start(), broker, Redis::start(), builder.start());
        eprintln!("services: {:.1} s", started.elapsed().as_secs_f32());
        let (postgres, redis) = (postgres.unwrap(), redis.unwrap());
        House {
            postgres_url: postgres.url(),
            postgres: postgres.into(),
            rabbit: rabbit.unwrap().into(),
            redis_url: redis.url(),
            redis: redis.into(),
            sim: sim.unwrap(),
        }
    }
}

impl House {
    pub(crate) async fn sql(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.postgres_url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

pub(crate) fn address(n: u32) -> String {
    format!("mailbox{n:03}@example.org")
}

/// Waits for something to be true.
pub(crate) async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(started.elapsed() < LIMIT, "waited too long for {what}\n{}", LOG.tail());
        sleep(Duration::from_millis(20)).await;
    }
}

/// A clock that goes as all do, and began at a time of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shifted(SignedDuration);

impl Shifted {
    pub(crate) fn beginning(at: &str) -> Shifted {
        Shifted(at.parse::<Timestamp>().unwrap().duration_since(SystemClock.now()))
    }

    /// In the night of the 20th, hours before it ends.
    pub(crate) fn night() -> Shifted {
        Shifted::beginning("2026-11-20T23:00Z")
    }
}

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

/// Everything that was logged.
pub(crate) struct Log(std::sync::Mutex<Vec<u8>>);

pub(crate) static LOG: LazyLock<Arc<Log>> = LazyLock::new(|| Arc::new(Log(Default::default())));

impl Log {
    pub(crate) fn text(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    fn tail(&self) -> String {
        let text = self.text();
        String::from_utf8_lossy(&text[text.len().saturating_sub(6000)..]).into_owned()
    }
}

impl Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
