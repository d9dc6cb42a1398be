#![doc = include_str!("../README.md")]

mod content;
mod convert;
mod dates;
mod error;
mod format;
mod formats;
mod head;
mod item;
mod layout;
mod lines;
mod name;
mod private;
mod read;
mod report;
mod side;
mod sink;
mod stop;
mod tree;
mod writer;
mod zones;

pub use error::{Error, Result};
pub use format::{Format, NoSuchFormat, Options, Output, Target};
pub use item::{Content, Email, Object, Origin, Receiver};
pub use read::export::read;
pub use read::limits::Limits;
pub use report::{Note, Report, Topic};
pub use stop::Stopper;
pub use writer::Writer;
