//! Moments at which a worker stands still, until it crashes or may go on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use model::JobId;
use tokio_util::sync::CancellationToken;
use worker::{Step, Steps};

use crate::house::until;

/// Each of these jobs stands still at its moment, when it comes there for the first time.
pub(crate) struct Halts {
    at: BTreeMap<JobId, Step>,
    halted: Mutex<Vec<JobId>>,
    go_on: CancellationToken,
}

impl Halts {
    pub(crate) fn at(at: impl IntoIterator<Item = (JobId, Step)>) -> Arc<Halts> {
        let (halted, go_on) = (Mutex::default(), CancellationToken::new());
        Arc::new(Halts { at: at.into_iter().collect(), halted, go_on })
    }

    pub(crate) async fn until_all(&self) {
        until("every job to halt", async || {
            (self.halted.lock().unwrap().len() == self.at.len()).then_some(())
        })
        .await;
    }

    pub(crate) fn go_on(&self) {
        self.go_on.cancel();
    }
}

#[async_trait]
impl Steps for Halts {
    async fn reached(&self, job: JobId, step: Step) {
        if self.at.get(&job) != Some(&step) {
            return;
        }
        let is_first = {
            let mut halted = self.halted.lock().unwrap();
            let is_first = !halted.contains(&job);
            halted.extend(is_first.then_some(job));
            is_first
        };
        if is_first {
            self.go_on.cancelled().await;
        }
    }
}
