use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Check, Watchdog};

/// Asks at once and then every so often, and says what came of it, until the token is cancelled. The question has to end by
/// itself; the watchdog tells if it does not.
pub async fn probe<F>(
    every: Duration,
    (check, watchdog): (Check, Watchdog),
    stop: CancellationToken,
    mut ask: impl FnMut() -> F,
) where
    F: Future<Output = Result<(), &'static str>>,
{
    while let Some(answer) = stop.run_until_cancelled(ask()).await {
        match answer {
            Ok(()) => check.passed(),
            Err(reason) => check.failed(reason),
        }
        watchdog.tick();
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            break;
        }
    }
    watchdog.finish();
}
