use std::collections::BTreeMap;

use async_trait::async_trait;
use model::JobId;

use crate::token::milliseconds;
use crate::{CoordinationError, Progress, ProgressBoard, Redis, envelope};

const MOST: usize = 10_000;
/// Keys looked at by one SCAN, and values read by one MGET.
const STEP: usize = 500;
/// A Redis shared with others may hold many keys that are not ours; after so many steps the list is as long as it is.
const MOST_STEPS: usize = 2_000;

impl Redis {
    fn progress_key(&self, job: &str) -> String {
        self.key("progress", job)
    }

    async fn progress_keys(&self) -> Result<Vec<String>, CoordinationError> {
        let pattern = self.progress_key("*");
        let mut keys = Vec::new();
        let mut cursor = 0u64;
        for _ in 0..MOST_STEPS {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let (next, found): (u64, Vec<String>) = self.query(&scan).await?;
            keys.extend(found);
            cursor = next;
            if cursor == 0 || keys.len() >= MOST {
                break;
            }
        }
        keys.truncate(MOST);
        Ok(keys)
    }
}

#[async_trait]
impl ProgressBoard for Redis {
    async fn show(&self, progress: &Progress) -> Result<(), CoordinationError> {
        let mut set = redis::cmd("SET");
        set.arg(self.progress_key(&progress.job.to_string())).arg(envelope::seal(progress));
        set.arg("PX").arg(milliseconds(self.settings.progress_ttl));
        self.query_if_awake(&set).await
    }

    async fn clear(&self, job: JobId) -> Result<(), CoordinationError> {
        let mut del = redis::cmd("DEL");
        del.arg(self.progress_key(&job.to_string()));
        self.query_if_awake(&del).await
    }

    async fn all(&self) -> Result<Vec<Progress>, CoordinationError> {
        // SCAN may name a key twice, and a key may be gone by now.
        let mut board = BTreeMap::new();
        for keys in self.progress_keys().await?.chunks(STEP) {
            let mut get = redis::cmd("MGET");
            get.arg(keys);
            let values: Vec<Option<Vec<u8>>> = self.query(&get).await?;
            let entries = values.into_iter().flatten().filter_map(|value| envelope::open(&value));
            board.extend(entries.map(|progress| (progress.job, progress)));
        }
        Ok(board.into_values().collect())
    }
}
