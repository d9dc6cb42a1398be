//! What producers do for jobs whose worker died and for tickets that got lost: bounded, and safe with any number of them.

use std::time::Duration;

use model::{JobKind, Timestamp};

use crate::catalog::Catalog;
use crate::columns::{count, word};
use crate::error::Result;
use crate::jobs::running::WAITS_AGAIN;

impl Catalog {
    /// Jobs whose heart has not beaten for `silent` wait again, with the attempt used up; answers the kind of each.
    pub async fn release_stale(&self, silent: Duration, limit: u32) -> Result<Vec<JobKind>> {
        let sql = format!(
            "UPDATE jobs SET {WAITS_AGAIN}, error_class = 'transient', error = 'the heartbeat of its worker stopped' \
             WHERE id = ANY (ARRAY(SELECT id FROM jobs WHERE state = 'running' \
                 AND heartbeat_at < clock_timestamp() - make_interval(secs => $1) \
                 ORDER BY heartbeat_at LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING kind"
        );
        let released = self.query(&sql, &[&silent.as_secs_f64(), &i64::from(limit)]).await?;
        released.iter().map(|row| word(row, "kind")).collect()
    }

    /// How many tickets should lie at the broker, by kind; kinds without one that is older than `age` are left out.
    pub async fn tickets_out(&self, age: Duration, now: Timestamp) -> Result<Vec<(JobKind, u64)>> {
        let sql = "WITH old AS MATERIALIZED (SELECT DISTINCT kind FROM jobs WHERE state = 'waiting' \
                       AND published_at IS NOT NULL AND published_at < now() - make_interval(secs => $1) AND run_at <= $2) \
                   SELECT kind, count(*) AS tickets FROM jobs JOIN old USING (kind) \
                   WHERE state = 'waiting' AND published_at IS NOT NULL AND run_at <= $2 GROUP BY kind ORDER BY kind";
        let rows = self.query(sql, &[&age.as_secs_f64(), &now]).await?;
        rows.iter().map(|row| Ok((word(row, "kind")?, count(row, "tickets")?))).collect()
    }

    /// Jobs of a kind that are due and whose ticket was published longer ago than `age` get another one, the oldest first;
    /// answers how many. A ticket too many costs a look into the catalogue, one too few a backup.
    pub async fn republish_lost(
        &self,
        kind: JobKind,
        age: Duration,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64> {
        let sql = "UPDATE jobs SET ticket = ticket + 1, published_at = NULL, taken_until = NULL \
                   WHERE id = ANY (ARRAY(SELECT id FROM jobs WHERE state = 'waiting' AND published_at IS NOT NULL \
                       AND published_at < now() - make_interval(secs => $1) AND run_at <= $2 AND kind = $4 \
                       ORDER BY published_at LIMIT $3 FOR UPDATE SKIP LOCKED))";
        self.execute(sql, &[&age.as_secs_f64(), &now, &i64::from(limit), &kind.as_str()]).await
    }
}
