#![doc = include_str!("../README.md")]

mod account;
mod beside;
mod collected;
mod content;
mod convert;
mod dates;
mod error;
mod files;
mod format;
mod head;
mod item;
mod layout;
mod lines;
mod maildir;
mod mbox;
mod name;
mod private;
mod quote;
mod read;
mod report;
mod side;
mod sink;
mod stop;
mod tree;
mod utf7;
mod vandelay;
mod writer;
mod zones;

pub use error::{Error, Result};
pub use format::{Format, NoSuchFormat, Options, Output, Target};
pub use item::{Content, Email, Object, Origin, Receiver};
pub use read::{Limits, read};
pub use report::{Note, Report, Topic};
pub use stop::Stopper;
pub use writer::Writer;
