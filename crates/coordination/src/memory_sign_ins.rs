use std::collections::HashMap;
use std::time::Instant;

use async_trait::async_trait;

use crate::sign_ins::{PAUSES, ROW};
use crate::token::random;
use crate::{Memory, SignInRefusal, SignIns};

/// By server: the newest refusal, until when it stands, and how many there were in a row.
pub(crate) type Refused = HashMap<String, (String, Instant, usize)>;

#[async_trait]
impl SignIns for Memory {
    async fn refusal(&self, server: &str) -> Option<SignInRefusal> {
        let now = Instant::now();
        let state = self.state();
        let (id, until, _) = state.refused.get(server).filter(|(_, until, _)| *until > now)?;
        Some(SignInRefusal { id: id.clone(), left: *until - now })
    }

    async fn refused(&self, server: &str) -> SignInRefusal {
        if let Some(standing) = self.refusal(server).await {
            return standing;
        }
        let now = Instant::now();
        let refused = &mut self.state().refused;
        let in_a_row = refused.get(server).filter(|(_, until, _)| *until + ROW > now).map_or(0, |one| one.2);
        let left = PAUSES[in_a_row.min(PAUSES.len() - 1)];
        let id = random();
        refused.insert(server.to_owned(), (id.clone(), now + left, in_a_row + 1));
        SignInRefusal { id, left }
    }

    async fn accepted(&self, server: &str) {
        self.state().refused.remove(server);
    }
}
