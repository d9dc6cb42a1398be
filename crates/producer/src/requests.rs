use model::ErrorClass;
use queue::{BackupRequest, Delivery, QueueError, Source};
use tracing::Instrument;

use crate::asking::{Asker, Asking};
use crate::error::chain;

/// For the audit log: other programs ask through the queue without saying who they are.
const ACTOR: &str = "queue";

/// Serves wishes from the queue of requests until the source drains. A refused one is logged and acknowledged: its sender asks the
/// HTTP API about it; one that the catalogue could not take goes back into the queue. A crash between granting and acknowledging
/// brings the wish again, which its key makes the same.
///
/// # Errors
/// When the queue cannot be consumed any more; the role should end.
pub async fn serve_requests(
    asking: &Asking,
    source: &mut dyn Source<BackupRequest>,
) -> Result<(), QueueError> {
    loop {
        match source.next().await {
            Ok(Some(delivery)) => serve(asking, delivery).await,
            Ok(None) => return Ok(()),
            Err(error) if matches!(error.class(), ErrorClass::Transient { .. }) => {
                tracing::warn!(error = chain(&error), "requests cannot be received at the moment");
            }
            Err(error) => return Err(error),
        }
    }
}

async fn serve(asking: &Asking, delivery: Delivery<BackupRequest>) {
    let span = tracing::info_span!("request");
    if let Some(trace) = &delivery.trace {
        telemetry::continue_trace(&span, &trace.traceparent);
    }
    let traceparent = telemetry::traceparent(&span);
    answer(asking, delivery, traceparent.as_deref()).instrument(span).await;
}

async fn answer(asking: &Asking, delivery: Delivery<BackupRequest>, traceparent: Option<&str>) {
    let request = &delivery.message;
    let asker = Asker { actor: ACTOR, key: &request.idempotency_key, traceparent };
    let settled = match asking.backup(&asker, &request.mailbox).await {
        Ok(requested) => {
            tracing::info!(job = %requested.job, new = requested.new, "a request is granted");
            delivery.ack().await
        }
        Err(crate::Refusal::Catalog(error)) => {
            tracing::warn!(error = chain(&error), "a request could not be recorded; it stays in its queue");
            delivery.retry().await
        }
        Err(refusal) => {
            tracing::info!(reason = %refusal, "a request is refused");
            delivery.ack().await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(error = chain(&error), "a request comes again");
    }
}
