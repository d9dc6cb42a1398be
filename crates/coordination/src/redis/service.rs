use std::fmt;
use std::time::Instant;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, RedisResult, Script, TlsCertificates};
use tokio::time::timeout;

use crate::redis::abandoned::Abandoned;
use crate::redis::breaker::Breaker;
use crate::redis::budget::{REPORT, TAKE};
use crate::redis::leases::{RELEASE, RENEW};
use crate::redis::outage::Outage;
use crate::redis::places::{KEEP, Places};
use crate::redis::sign_ins::{ACCEPT, REFUSE, STANDING};
use crate::token::random;
use crate::{CoordinationError, Memory, Settings};

/// Coordination through Redis; clones share one connection.
#[derive(Clone)]
pub struct Redis {
    pub(crate) settings: Settings,
    /// Tells this client from every other, in the queue for shares.
    pub(crate) name: std::sync::Arc<str>,
    pub(crate) connection: ConnectionManager,
    pub(crate) scripts: std::sync::Arc<Scripts>,
    /// Shares while Redis is away.
    pub(crate) local: Memory,
    /// Shares that Redis may have given to nobody.
    pub(crate) abandoned: std::sync::Arc<Abandoned>,
    /// Shares that requests hold.
    pub(crate) places: std::sync::Arc<Places>,
    pub(crate) breaker: std::sync::Arc<Breaker>,
    pub(crate) outage: std::sync::Arc<Outage>,
}

pub(crate) struct Scripts {
    pub(crate) renew: Script,
    pub(crate) release: Script,
    pub(crate) take: Script,
    pub(crate) report: Script,
    pub(crate) keep: Script,
    pub(crate) refuse: Script,
    pub(crate) standing: Script,
    pub(crate) accept: Script,
}

impl Redis {
    /// Opens nothing yet, so a role starts without Redis too. Inside a tokio runtime only.
    pub fn new(settings: Settings) -> Result<Self, CoordinationError> {
        let url = settings.url.as_str();
        let client = match settings.authorities.clone() {
            Some(pem) => {
                Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(pem) })
            }
            None => Client::open(url),
        };
        let client = client.map_err(|_| CoordinationError::InvalidUrl)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(settings.timeout))
            .set_connection_timeout(Some(settings.timeout))
            // A lost connection is tried again at the next command; waiting here would hold up backups.
            .set_number_of_retries(0);
        let connection =
            ConnectionManager::new_lazy_with_config(client, config).map_err(CoordinationError::Failed)?;
        let [renew, release, take, report, keep, refuse, standing, accept] =
            [RENEW, RELEASE, TAKE, REPORT, KEEP, REFUSE, STANDING, ACCEPT].map(Script::new);
        let scripts = Scripts { renew, release, take, report, keep, refuse, standing, accept }.into();
        let local = Memory::new(settings.lease, settings.progress_ttl);
        let name = random().into();
        let (abandoned, places, breaker, outage) = Default::default();
        let redis = Self { settings, name, connection, scripts, local, abandoned, places, breaker, outage };
        redis.keep_places();
        Ok(redis)
    }

    /// Whether Redis answers.
    pub async fn check(&self) -> Result<(), CoordinationError> {
        self.query::<String>(&redis::cmd("PING")).await.map(drop)
    }

    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> Result<T, CoordinationError> {
        self.in_time(command.query_async(&mut self.connection.clone())).await
    }

    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<T, CoordinationError> {
        self.in_time(call.invoke_async(&mut self.connection.clone())).await
    }

    /// The same for who does without an answer: a Redis that hangs is not asked each time.
    pub(crate) async fn query_if_awake<T: FromRedisValue>(
        &self,
        command: &redis::Cmd,
    ) -> Result<T, CoordinationError> {
        self.if_awake(self.query(command)).await
    }

    /// The same of a script.
    pub(crate) async fn invoke_if_awake<T: FromRedisValue>(
        &self,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<T, CoordinationError> {
        self.if_awake(self.invoke(call)).await
    }

    async fn if_awake<T>(
        &self,
        asking: impl Future<Output = Result<T, CoordinationError>>,
    ) -> Result<T, CoordinationError> {
        if !self.breaker.lets_through(Instant::now()) {
            return Err(CoordinationError::Asleep);
        }
        let answer = asking.await;
        match &answer {
            Err(CoordinationError::TimedOut { .. }) => self.breaker.hung(Instant::now()),
            _ => self.breaker.answered(),
        }
        answer
    }

    /// Over connecting and answering together.
    async fn in_time<T>(&self, call: impl Future<Output = RedisResult<T>>) -> Result<T, CoordinationError> {
        let after = self.settings.timeout;
        let ended = match timeout(after, call).await {
            Ok(Err(error)) if error.is_timeout() => Err(CoordinationError::TimedOut { after }),
            Ok(result) => result.map_err(CoordinationError::Failed),
            Err(_) => Err(CoordinationError::TimedOut { after }),
        };
        self.outage.note(&ended);
        ended
    }

    pub(crate) fn key(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.settings.prefix)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("settings", &self.settings).finish_non_exhaustive()
    }
}
