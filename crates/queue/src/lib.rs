#![doc = include_str!("../README.md")]

mod backoff;
mod broker;
mod consumer;
mod dead_letters;
mod delivery;
mod error;
mod headers;
mod link;
mod publisher;
mod renewed;
mod seam;
mod settings;
mod settling;
mod topology;

pub use broker::{Broker, Depth, Links};
pub use consumer::Consumer;
pub use dead_letters::{DeadLetter, DeadLetters, Pick, Redriven};
pub use delivery::{Delivery, Settle};
pub use error::QueueError;
pub use headers::TraceContext;
pub use link::LinkState;
pub use proto::{BackupRequest, MailboxName, NotAMessage, Ticket};
pub use publisher::Publisher;
pub use seam::{Message, Outgoing, Source, TicketSink};
pub use settings::Settings;
pub use topology::{DEAD, REQUESTS, queue_of};
