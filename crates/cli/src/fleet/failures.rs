//! Errors of the fleet's services and roles.

use std::error::Error;

/// Whether a service of the fleet failed.
pub(crate) fn is_of_fleet(error: &(dyn Error + 'static)) -> bool {
    error.is::<catalog::Error>()
        || error.is::<queue::QueueError>()
        || error.is::<coordination::CoordinationError>()
}

/// Whether it states what is wrong, so that "failed to" does not fit before it.
pub(crate) fn states_what_is_wrong(error: &(dyn Error + 'static)) -> bool {
    is_of_fleet(error) || error.is::<producer::Error>() || error.is::<worker::Error>()
}
