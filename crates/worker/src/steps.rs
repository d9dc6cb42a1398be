//! Moments of a job at which a test may end its worker, as a crash would. Without the feature `steps` nothing of it is built.

#[cfg(feature = "steps")]
use std::sync::Arc;

#[cfg(feature = "steps")]
use async_trait::async_trait;
#[cfg(feature = "steps")]
use model::JobId;

macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident,)+) => {
        /// A moment between two things that a job does to the world.
        #[cfg_attr(not(feature = "steps"), expect(unreachable_pub, reason = "with the feature it is public"))]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step {
            $($(#[$doc])* $step,)+
        }

        #[cfg(feature = "steps")]
        impl Step {
            /// Every moment.
            pub const ALL: &[Step] = &[$(Step::$step),+];
        }
    };
}

steps! {
    /// The broker gave out a ticket.
    TicketTaken,
    /// The job is claimed.
    Claimed,
    /// The mailbox's lease is taken, or Redis could not say.
    LeaseTaken,
    /// The mail server knows the account.
    ServerReached,
    /// The repository is open.
    RepositoryOpened,
    /// The backup has its number.
    NumberDrawn,
    /// A slice is in the log; the job does not wait for its next one yet.
    SliceCommitted,
    /// The snapshot is in the log; the catalogue does not know it.
    SnapshotCommitted,
    /// The restore's id is written down.
    RestoreBegun,
    /// Everything was given back; the catalogue does not know it.
    GivenBack,
    /// The restore's report is written; the job is not done.
    RestoreReported,
    /// The backup was read again.
    Verified,
    /// The job is done.
    Completed,
    /// The mailbox's lease is free again.
    LeaseReleased,
    /// The catalogue knows what became of the job; the ticket is still out.
    Settled,
}

/// Is told of every moment before the job goes on.
#[cfg(feature = "steps")]
#[async_trait]
pub trait Steps: Send + Sync {
    /// The job is at this moment; it goes on when this returns.
    async fn reached(&self, job: JobId, step: Step);
}

/// Who is told; usually nobody.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    #[cfg(feature = "steps")]
    by: Option<Arc<dyn Steps>>,
}

#[cfg(feature = "steps")]
impl Watched {
    pub(crate) fn by(steps: Arc<dyn Steps>) -> Watched {
        Watched { by: Some(steps) }
    }

    pub(crate) async fn reach(&self, job: JobId, step: Step) {
        if let Some(steps) = &self.by {
            steps.reached(job, step).await;
        }
    }
}

#[cfg(not(feature = "steps"))]
impl Watched {
    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    pub(crate) async fn reach(&self, _job: model::JobId, _step: Step) {}
}
