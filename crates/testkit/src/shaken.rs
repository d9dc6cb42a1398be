//! Delays every call by a random number of turns of the scheduler, so that racing tasks meet in ever new orders.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use object_store::Result;

use crate::decorated::{Behaviour, Call};

/// See the module. One seed gives one sequence of delays.
#[derive(Debug)]
pub struct Shaken {
    state: AtomicU64,
    most: u64,
}

impl Shaken {
    /// Up to `most` turns before and after each call.
    pub fn new(seed: u64, most: u64) -> Shaken {
        Shaken { state: AtomicU64::new(seed), most }
    }

    async fn wait(&self) {
        // SplitMix64: every state is a step of a counter, so that threads need no lock.
        let state = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        for _ in 0..(mixed >> 32) % (self.most + 1) {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Behaviour for Shaken {
    async fn before(&self, _call: &Call) -> Result<()> {
        self.wait().await;
        Ok(())
    }

    async fn after(&self, _call: &Call, _received: u64) -> Result<()> {
        self.wait().await;
        Ok(())
    }
}
