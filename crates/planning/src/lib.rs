#![doc = include_str!("../README.md")]

mod calendar;
mod due;
mod error;
mod overdue;
mod period;
mod ramp;
mod retry;
mod settings;
mod spread;
mod verification;
mod window;
mod zone;

pub use calendar::{Bounds, Calendar};
pub use due::{Due, Facts, Moment};
pub use error::Error;
pub use jiff::tz::TimeZone;
pub use overdue::Overdue;
pub use period::{Budget, Period, Verdict};
pub use ramp::first_backups_admitted;
pub use retry::RetryPolicy;
pub use settings::{Outside, Settings};
pub use verification::{Turn, verification};
pub use window::Window;
pub use zone::zone;
