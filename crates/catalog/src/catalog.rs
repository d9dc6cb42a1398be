use std::fmt;
use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Client, GenericClient, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{NoTls, Row, types::ToSql};

use crate::error::{Error, Result};
use crate::settings::Settings;

/// `server_version_num` of the first that knows `NULLS NOT DISTINCT`.
const OLDEST: i32 = 150_000;
/// A transaction has a handful of statements; the server bounds each, this bounds a server that answers nothing at all.
const STATEMENTS: u32 = 4;

pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The catalogue. Cheap to clone; all clones share one pool of connections.
#[derive(Clone)]
pub struct Catalog {
    pool: Pool,
    pub(crate) schema: String,
    limit: Duration,
}

impl Catalog {
    /// Opens one connection, to say early what is wrong; migrates nothing.
    pub async fn connect(settings: &Settings) -> Result<Catalog> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match settings.config()? {
            (config, None) => Manager::from_config(config, NoTls, recycling),
            (config, Some(tls)) => Manager::from_config(config, tls, recycling),
        };
        let wait = Some(settings.connect_timeout);
        let pool = Pool::builder(manager)
            .max_size(settings.pool_size)
            .wait_timeout(wait)
            .create_timeout(wait)
            .recycle_timeout(wait)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| Error::Settings { reason: "the pool cannot be built" })?;
        let limit = settings.statement_timeout * STATEMENTS;
        let catalog = Catalog { pool, schema: settings.schema.clone(), limit };
        catalog.check_version().await?;
        Ok(catalog)
    }

    async fn check_version(&self) -> Result<()> {
        let sql = "SELECT current_setting('server_version_num')::integer AS number, \
                   current_setting('server_version') AS version";
        let row = self.one(sql, &[]).await?;
        if row.get::<_, i32>("number") >= OLDEST {
            Ok(())
        } else {
            Err(Error::TooOld { found: row.get("version") })
        }
    }

    /// The same catalogue for somebody who waits no longer than this for one call.
    #[must_use]
    pub fn with_limit(&self, limit: Duration) -> Catalog {
        Catalog { limit: limit.min(self.limit), ..self.clone() }
    }

    /// Whether it answers: for a health check.
    pub async fn ping(&self) -> Result<()> {
        self.query("SELECT 1", &[]).await.map(drop)
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        Ok(self.pool.get().await?)
    }

    /// The server's own time-outs do not help against a server that stands still.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.limit, work).await.unwrap_or(Err(Error::TimedOut))
    }

    /// One statement, a transaction of its own.
    pub(crate) async fn query(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        self.within(async { rows(&self.client().await?, sql, parameters).await }).await
    }

    /// One statement that has one row at most.
    pub(crate) async fn maybe(&self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>> {
        Ok(self.query(sql, parameters).await?.into_iter().next())
    }

    /// One statement that always has a row.
    pub(crate) async fn one(&self, sql: &str, parameters: Parameters<'_>) -> Result<Row> {
        Ok(self.maybe(sql, parameters).await?.expect("an aggregate has a row"))
    }

    /// One statement; answers how many rows it changed.
    pub(crate) async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64> {
        self.within(async { changed(&self.client().await?, sql, parameters).await }).await
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Rows of a statement that each connection prepares once.
pub(crate) async fn rows(on: &impl GenericClient, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>> {
    let statement = on.prepare_cached(sql).await?;
    Ok(on.query(&statement, parameters).await?)
}

/// The same where one row is enough.
pub(crate) async fn row(
    on: &impl GenericClient,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Row>> {
    Ok(rows(on, sql, parameters).await?.into_iter().next())
}

/// How many rows a statement changed.
pub(crate) async fn changed(on: &impl GenericClient, sql: &str, parameters: Parameters<'_>) -> Result<u64> {
    let statement = on.prepare_cached(sql).await?;
    Ok(on.execute(&statement, parameters).await?)
}
