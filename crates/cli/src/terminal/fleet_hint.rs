//! Errors of the fleet's services and roles.

use std::error::Error;

use coordination::CoordinationError;
use queue::QueueError;

use crate::terminal::exit::Exit;

/// The exit code and the hint of an error of the fleet.
pub(crate) fn judge(error: &(dyn Error + 'static)) -> Option<(Exit, &'static str)> {
    if is_of_settings(error) {
        return Some((Exit::Usage, "docs/configuration.md has every key, what it means and what is allowed"));
    }
    is_of_fleet(error).then_some((Exit::Service, "`malle config check` tries every connection"))
}

/// Whether it states what is wrong, so that "failed to" does not fit before it.
pub(crate) fn states_what_is_wrong(error: &(dyn Error + 'static)) -> bool {
    is_of_fleet(error) || error.is::<producer::Error>() || error.is::<worker::Error>()
}

/// Whether a service of the fleet failed.
fn is_of_fleet(error: &(dyn Error + 'static)) -> bool {
    error.is::<catalog::Error>() || error.is::<QueueError>() || error.is::<CoordinationError>()
}

/// Whether it stays until somebody changes the configuration.
fn is_of_settings(error: &(dyn Error + 'static)) -> bool {
    let is_producers = |error: &producer::Error| match error {
        producer::Error::Plan(_) | producer::Error::NoToken | producer::Error::TokenName { .. } => true,
        producer::Error::WeakToken { .. } | producer::Error::Listen { .. } => true,
        producer::Error::Requests(_) | producer::Error::Panicked(_) => false,
    };
    let is_redis = |error: &CoordinationError| {
        matches!(error, CoordinationError::InvalidUrl | CoordinationError::InvalidPrefix)
    };
    error.is::<planning::Error>()
        || error.is::<telemetry::Error>()
        || is(error, is_producers)
        || is(error, is_redis)
        || is(error, |error| matches!(error, worker::Error::Settings { .. }))
        || is(error, |error| matches!(error, catalog::Error::Settings { .. }))
        || is(error, |error| matches!(error, QueueError::InvalidUri))
}

fn is<E: Error + 'static>(error: &(dyn Error + 'static), test: impl Fn(&E) -> bool) -> bool {
    error.downcast_ref().is_some_and(test)
}
