use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;
use model::JobId;

use crate::{CoordinationError, Memory, Progress, ProgressBoard, envelope};

/// Entries, sealed as in Redis, and when they end.
pub(crate) type Entries = BTreeMap<JobId, (Vec<u8>, Instant)>;

#[async_trait]
impl ProgressBoard for Memory {
    async fn show(&self, progress: &Progress) -> Result<(), CoordinationError> {
        let end = Instant::now() + self.progress_ttl;
        self.state().entries.insert(progress.job, (envelope::seal(progress), end));
        Ok(())
    }

    async fn clear(&self, job: JobId) -> Result<(), CoordinationError> {
        self.state().entries.remove(&job);
        Ok(())
    }

    async fn all(&self) -> Result<Vec<Progress>, CoordinationError> {
        let now = Instant::now();
        let entries = &mut self.state().entries;
        entries.retain(|_, (_, end)| *end > now);
        Ok(entries.values().filter_map(|(sealed, _)| envelope::open(sealed)).collect())
    }
}
