use model::{ErrorClass, Schedule};

/// A setting that cannot be used; the text says how to write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A text that is no window.
    #[error("{text:?} is no window: {why}")]
    Window {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A window for nights where one for weekends belongs, or the other way round.
    #[error("the {schedule} window cannot be {window:?}: write it like {}", crate::Window::usual(*schedule))]
    OtherSchedule {
        /// The schedule that it was meant for.
        schedule: Schedule,
        /// What was written.
        window: String,
    },
    /// A tail that leaves next to no time for starts.
    #[error(
        "a tail of {percent} % leaves no time to start in: 0 to {} are possible",
        crate::Settings::LONGEST_TAIL
    )]
    Tail {
        /// What was asked for.
        percent: u8,
    },
    /// A name that the time zone database of this build does not hold.
    #[error("time zone {name:?} is unknown: names are written like Europe/Paris")]
    UnknownZone {
        /// What was written.
        name: String,
    },
}

impl Error {
    /// A wrong setting stays wrong.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Permanent
    }
}
