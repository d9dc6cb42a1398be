use std::time::Duration;

use catalog::Requested;
use model::{BackupParameters, ErrorClass};
use queue::{BackupRequest, Delivery, QueueError, Source};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::asking::{Asker, Asking};
use crate::error::chain;
use crate::refusal::Refusal;

/// For the audit log: other programs ask through the queue without saying who they are.
const ACTOR: &str = "queue";
/// The wait before a request is tried again that the catalogue could not take.
const AGAIN: Duration = Duration::from_secs(2);

/// Serves requests from the queue of requests until the source drains. A refused one is logged and acknowledged: its sender asks the
/// HTTP API about it; one that the catalogue cannot take at the moment is held and tried again, because a queue that counts returns
/// would give it up; one that it can never take goes to the dead letters, and the next one is served. A crash between granting and acknowledging brings the request again, which its key makes the same.
///
/// A broker that is away for long ends nothing: planning, the reaper and the API need none, and whoever asks there is answered.
///
/// # Errors
/// When the queue cannot be consumed and that does not pass by itself (rights, another queue of that name); the role should end.
pub async fn serve_requests(
    asking: &Asking,
    source: &mut dyn Source<BackupRequest>,
    stop: &CancellationToken,
) -> Result<(), QueueError> {
    loop {
        match source.next().await {
            Ok(Some(delivery)) => serve(asking, delivery, stop).await,
            Ok(None) => return Ok(()),
            Err(error) if matches!(error.class(), ErrorClass::Transient { .. }) => {
                tracing::warn!(error = chain(&error), "requests cannot be received at the moment");
            }
            Err(error @ QueueError::GaveUp { .. }) => {
                tracing::error!(
                    error = chain(&error),
                    "requests cannot be received for long; it is tried on"
                );
            }
            Err(error) => return Err(error),
        }
    }
}

async fn serve(asking: &Asking, delivery: Delivery<BackupRequest>, stop: &CancellationToken) {
    let span = tracing::info_span!("request");
    if let Some(trace) = &delivery.trace {
        telemetry::continue_trace(&span, &trace.traceparent);
    }
    let traceparent = telemetry::traceparent(&span);
    answer(asking, delivery, traceparent.as_deref(), stop).instrument(span).await;
}

async fn answer(
    asking: &Asking,
    delivery: Delivery<BackupRequest>,
    traceparent: Option<&str>,
    stop: &CancellationToken,
) {
    let settled = match ask(asking, &delivery.message, traceparent, stop).await {
        Ok(requested) => {
            tracing::info!(job = %requested.job, new = requested.new, "a request is granted");
            delivery.ack().await
        }
        Err(Refusal::Catalog(error)) if lasts(&error) => {
            tracing::error!(error = chain(&error), "a request is of no use; it goes to the dead letters");
            delivery.reject(&chain(&error)).await
        }
        Err(Refusal::Catalog(_)) => delivery.retry().await,
        Err(refusal) => {
            tracing::info!(reason = %refusal, "a request is refused");
            delivery.ack().await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(error = chain(&error), "a request comes again");
    }
}

/// Asking again would be answered the same.
fn lasts(error: &catalog::Error) -> bool {
    matches!(error.class(), ErrorClass::Permanent | ErrorClass::Corrupt)
}

/// Until the catalogue takes or refuses it, or the role ends.
async fn ask(
    asking: &Asking,
    request: &BackupRequest,
    traceparent: Option<&str>,
    stop: &CancellationToken,
) -> Result<Requested, Refusal> {
    let key = format!("{ACTOR} {}", request.idempotency_key);
    let asker = Asker { actor: ACTOR, key: &key, traceparent, tenants: None, crosses_tenants: false };
    loop {
        match asking.backup(&asker, &request.mailbox, BackupParameters::default()).await {
            Err(Refusal::Catalog(error)) if !lasts(&error) && !stop.is_cancelled() => {
                tracing::warn!(error = chain(&error), "a request could not be recorded; it is tried again");
            }
            answer => return answer,
        }
        tokio::select! {
            () = stop.cancelled() => (),
            () = tokio::time::sleep(AGAIN) => (),
        }
    }
}
