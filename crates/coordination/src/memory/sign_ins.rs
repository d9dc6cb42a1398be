use std::collections::HashMap;
use std::time::Instant;

use async_trait::async_trait;

use crate::sign_ins::{PAUSES, ROW};
use crate::{Memory, SignInRefusal, SignIns};

/// By server.
pub(crate) type Refused = HashMap<String, Refusal>;

/// The newest refusal of a server.
#[derive(Debug)]
pub(crate) struct Refusal {
    fingerprints: Vec<String>,
    until: Instant,
    in_a_row: usize,
}

impl Refusal {
    fn told(&self, now: Instant) -> SignInRefusal {
        SignInRefusal { fingerprints: self.fingerprints.clone(), left: self.until - now }
    }
}

#[async_trait]
impl SignIns for Memory {
    async fn refusal(&self, server: &str) -> Option<SignInRefusal> {
        let now = Instant::now();
        let state = self.state();
        let refusal = state.refused.get(server).filter(|refusal| refusal.until > now);
        refusal.map(|refusal| refusal.told(now))
    }

    async fn refused(&self, server: &str, fingerprint: &str) -> SignInRefusal {
        let now = Instant::now();
        let refused = &mut self.state().refused;
        let refusal = refused.entry(server.to_owned()).or_insert(Refusal {
            fingerprints: Vec::new(),
            until: now,
            in_a_row: 0,
        });
        if refusal.until <= now {
            let in_a_row = if refusal.until + ROW > now { refusal.in_a_row } else { 0 };
            let pause = PAUSES[in_a_row.min(PAUSES.len() - 1)];
            *refusal = Refusal { fingerprints: Vec::new(), until: now + pause, in_a_row: in_a_row + 1 };
        }
        if !refusal.told(now).names(fingerprint) {
            refusal.fingerprints.push(fingerprint.to_owned());
        }
        refusal.told(now)
    }

    async fn accepted(&self, server: &str, refused: &[String]) {
        let known = &mut self.state().refused;
        if let Some(refusal) = known.get_mut(server) {
            refusal.fingerprints.retain(|fingerprint| !refused.contains(fingerprint));
            if refusal.fingerprints.is_empty() {
                known.remove(server);
            }
        }
    }
}
