//! Faults of the services: each lane owns one service, strikes it when its time has come, and leaves it running.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use sim_stalwart::{Effect, Fault, Simulator, Target};
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::redis::Redis;
use testkit::seaweedfs::SeaweedFs;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, sleep_until};

use super::history;
use super::schedule::{OfBroker, OfPostgres, OfRedis, OfServer, OfStore};
use crate::fleet::{AGENT, VHOST};

const ANOTHER_PASSWORD: &str = "the agent's other password";

type Events<T> = Vec<(Duration, T)>;

pub(super) async fn broker(
    mut broker: RabbitMq,
    began: Instant,
    events: Events<OfBroker>,
) -> Result<RabbitMq> {
    for (at, fault) in events {
        sleep_until(began + at).await;
        match fault {
            OfBroker::Killed(down) => {
                block_in_place(|| broker.stop());
                sleep(down).await;
                broker.restart().await?;
            }
            OfBroker::Frozen(time) => {
                block_in_place(|| broker.freeze())?;
                sleep(time).await;
                block_in_place(|| broker.thaw())?;
            }
            // One that nobody has declared yet cannot be deleted.
            OfBroker::QueueDeleted(queue) => drop(broker.delete_queue(VHOST, queue).await),
            // One that has gone meanwhile is closed.
            OfBroker::ConnectionsClosed => drop(broker.close_connections(VHOST, "malle-").await),
            OfBroker::MemoryAlarm(time) => {
                block_in_place(|| broker.raise_memory_alarm())?;
                sleep(time).await;
                block_in_place(|| broker.clear_memory_alarm())?;
            }
        }
    }
    Ok(broker)
}

pub(super) async fn postgres(
    mut postgres: Postgres,
    began: Instant,
    events: Events<OfPostgres>,
) -> Result<Postgres> {
    for (at, fault) in events {
        sleep_until(began + at).await;
        match fault {
            OfPostgres::Killed(down) => {
                block_in_place(|| postgres.stop())?;
                sleep(down).await;
                postgres.start_again().await?;
            }
            OfPostgres::ConnectionsTerminated => history::terminate_connections(&postgres.url()).await?,
        }
    }
    Ok(postgres)
}

/// Also returns when Redis answered again after it had hung, in seconds since 1970.
pub(super) async fn redis(
    mut redis: Redis,
    began: Instant,
    events: Events<OfRedis>,
) -> Result<(Redis, Option<f64>)> {
    let mut thawed = None;
    for (at, fault) in events {
        sleep_until(began + at).await;
        match fault {
            OfRedis::Flushed => redis.flush().await?,
            OfRedis::Killed(down) => {
                block_in_place(|| redis.stop());
                sleep(down).await;
                redis.restart().await?;
            }
            OfRedis::Hanging(time) => {
                redis.hang(time).await?;
                sleep(time).await;
                thawed = Some(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64());
            }
        }
    }
    Ok((redis, thawed))
}

pub(super) async fn store(
    mut store: SeaweedFs,
    began: Instant,
    events: Events<OfStore>,
) -> Result<SeaweedFs> {
    for (at, fault) in events {
        sleep_until(began + at).await;
        match fault {
            OfStore::Killed(down) => {
                block_in_place(|| store.stop());
                sleep(down).await;
                store.restart().await?;
            }
            OfStore::Frozen(time) => {
                block_in_place(|| store.freeze())?;
                sleep(time).await;
                block_in_place(|| store.thaw())?;
            }
        }
    }
    Ok(store)
}

/// `password` is the file in which the fleet reads it.
pub(super) async fn server(
    server: Arc<Simulator>,
    seed: u64,
    began: Instant,
    events: Events<OfServer>,
    password: PathBuf,
) -> Result<()> {
    for (at, fault) in events {
        sleep_until(began + at).await;
        let struck = |effect, per_mille| Fault::new(Target::Any, effect).chance(per_mille, seed);
        let (faults, time) = match fault {
            OfServer::Refusing { status, per_mille, time } => {
                let effect = Effect::Status { code: status, retry_after: None };
                (vec![struck(effect, per_mille)], time)
            }
            OfServer::Hanging(time) => (vec![struck(Effect::Delay(time), 1_000)], time),
            OfServer::Resetting(time) => {
                let unserved = struck(Effect::ResetUnserved, 200);
                (vec![unserved, struck(Effect::Reset { after: 300 }, 200)], time)
            }
            OfServer::PasswordChanged(time) => {
                ensure!(server.set_password(AGENT, ANOTHER_PASSWORD), "it has a user");
                sleep(time).await;
                fs::write(&password, ANOTHER_PASSWORD)?;
                continue;
            }
        };
        let rules: Vec<_> = faults.into_iter().map(|fault| server.faults().add(fault)).collect();
        sleep(time).await;
        rules.into_iter().for_each(|rule| server.faults().remove(rule));
    }
    Ok(())
}
