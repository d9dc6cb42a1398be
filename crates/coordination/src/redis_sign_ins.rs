use std::time::Duration;

use async_trait::async_trait;

use crate::sign_ins::{PAUSES, ROW};
use crate::token::{milliseconds, random};
use crate::{CoordinationError, Redis, SignInRefusal, SignIns};

/// Two keys: the refusal that stands, and how many there were in a row. Answer: its id, the milliseconds that are left.
pub(crate) const REFUSE: &str = "
local id = redis.call('GET', KEYS[1])
if not id then
  local times = redis.call('INCR', KEYS[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
  id = ARGV[1]
  redis.call('SET', KEYS[1], id, 'PX', ARGV[math.min(2 + times, #ARGV)])
end
return {id, redis.call('PTTL', KEYS[1])}
";

/// The same of a refusal that stands; nothing if none does.
pub(crate) const STANDING: &str = "
local id = redis.call('GET', KEYS[1])
if not id then return false end
return {id, redis.call('PTTL', KEYS[1])}
";

impl Redis {
    fn sign_in_keys(&self, server: &str) -> [String; 2] {
        ["refusal", "refusals"].map(|part| self.key("sign-in", &format!("{server}:{part}")))
    }

    async fn standing(&self, server: &str) -> Result<Option<SignInRefusal>, CoordinationError> {
        let mut call = self.scripts.standing.prepare_invoke();
        call.key(&self.sign_in_keys(server)[0]);
        let found: Option<(String, i64)> = self.invoke_if_awake(&call).await?;
        Ok(found.map(refusal))
    }

    async fn refuse(&self, server: &str) -> Result<SignInRefusal, CoordinationError> {
        let mut call = self.scripts.refuse.prepare_invoke();
        call.key(&self.sign_in_keys(server)[..]).arg(random()).arg(milliseconds(ROW));
        for pause in PAUSES {
            call.arg(milliseconds(pause));
        }
        Ok(refusal(self.invoke(&call).await?))
    }

    async fn accept(&self, server: &str) -> Result<(), CoordinationError> {
        let mut del = redis::cmd("DEL");
        del.arg(&self.sign_in_keys(server)[..]);
        self.query_if_awake::<u64>(&del).await.map(drop)
    }
}

fn refusal((id, left): (String, i64)) -> SignInRefusal {
    SignInRefusal { id, left: Duration::from_millis(u64::try_from(left).unwrap_or(0)) }
}

/// What Redis cannot say this process knows of itself.
#[async_trait]
impl SignIns for Redis {
    async fn refusal(&self, server: &str) -> Option<SignInRefusal> {
        match self.standing(server).await {
            Ok(Some(found)) => Some(found),
            Ok(None) | Err(_) => self.local.refusal(server).await,
        }
    }

    async fn refused(&self, server: &str) -> SignInRefusal {
        match self.refuse(server).await {
            Ok(refusal) => refusal,
            Err(_) => self.local.refused(server).await,
        }
    }

    async fn accepted(&self, server: &str) {
        self.local.accepted(server).await;
        // What is left of it ends by itself.
        let _ = self.accept(server).await;
    }
}
