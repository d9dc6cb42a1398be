use std::collections::BTreeSet;
use std::sync::Arc;

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use model::Timestamp;
use proto::Ticket;

use crate::headers::{properties, text};
use crate::link::{Link, in_time};
use crate::settling::{QUEUE_HEADER, REASON_HEADER, ours};
use crate::topology::{self, DEAD, queue_of, work_queues};
use crate::{Publisher, QueueError, Settings, TraceContext};

/// At most so many letters are held at once; more wait for the next call.
const MOST: usize = 10_000;

/// A message that nobody could use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names it: made from all of the below, so two with the same id say the same.
    pub id: String,
    /// The queue it came from, if that is known.
    pub queue: Option<String>,
    /// Why it is here: our reason, or the broker's (`rejected`, `delivery_limit`, `expired`, `maxlen`).
    pub reason: String,
    /// When it came here.
    pub at: Option<Timestamp>,
    /// What it said.
    pub body: Vec<u8>,
}

/// Which letters are meant.
#[derive(Debug, Clone)]
pub enum Pick {
    /// Every one.
    All,
    /// Those with one of these ids.
    Only(BTreeSet<String>),
}

/// What became of letters that should go back.
#[derive(Debug, Default)]
pub struct Redriven {
    /// So many are in their queues again.
    pub moved: usize,
    /// These are still dead, and why.
    pub failed: Vec<(String, QueueError)>,
}

/// The dead letters, for operators: one at a time, because each sees only what no other holds.
#[derive(Debug)]
pub struct DeadLetters {
    settings: Settings,
    link: Arc<Link>,
    publisher: Arc<Publisher>,
}

impl DeadLetters {
    pub(crate) fn new(settings: Settings, link: Arc<Link>, publisher: Arc<Publisher>) -> Self {
        Self { settings, link, publisher }
    }

    /// The oldest `limit` of them (at most 10,000). They stay where they are, in their order.
    pub async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let held = self.hold(limit).await?;
        let letters = held.messages.iter().map(read).collect();
        held.let_go(&self.settings).await?;
        Ok(letters)
    }

    /// Publishes letters to the queues they came from, confirmed, and only then removes them: one may come twice, none is lost.
    pub async fn redrive(&self, pick: &Pick) -> Result<Redriven, QueueError> {
        let held = self.hold(MOST).await?;
        let mut redriven = Redriven::default();
        for message in &held.messages {
            let letter = read(message);
            if !pick.includes(&letter) {
                continue;
            }
            match self.revive(&letter, message).await {
                Ok(()) => redriven.moved += 1,
                Err(error) => redriven.failed.push((letter.id, error)),
            }
        }
        held.let_go(&self.settings).await?;
        Ok(redriven)
    }

    /// Removes letters for good; how many.
    pub async fn remove(&self, pick: &Pick) -> Result<usize, QueueError> {
        let held = self.hold(MOST).await?;
        let mut removed = 0;
        for message in &held.messages {
            if pick.includes(&read(message)) {
                acknowledge(message).await?;
                removed += 1;
            }
        }
        held.let_go(&self.settings).await?;
        Ok(removed)
    }

    async fn revive(&self, letter: &DeadLetter, message: &BasicGetMessage) -> Result<(), QueueError> {
        let origin = letter.queue.clone().filter(|queue| work_queues().any(|known| known == *queue));
        let by_kind = || Ticket::parse(&letter.body).ok().map(|ticket| queue_of(ticket.kind));
        let queue = origin.or_else(by_kind).ok_or(QueueError::NoOrigin)?;
        // Of its headers only the trace goes along: it starts a new life.
        let mut headers = FieldTable::default();
        if let Some(trace) = message.properties.headers().as_ref().and_then(TraceContext::read) {
            trace.write(&mut headers);
        }
        let kind = message.properties.kind().as_ref().map_or("", |kind| kind.as_str());
        self.publisher.send(&queue, &letter.body, properties(kind, headers)).await?;
        acknowledge(message).await
    }

    async fn hold(&self, limit: usize) -> Result<Held, QueueError> {
        let channel = self.link.channel().await?;
        in_time(self.settings.connect_timeout, topology::declare_dead(&channel)).await?;
        let mut held = Held { channel, messages: Vec::new() };
        while held.messages.len() < limit.min(MOST) {
            let get = held.channel.basic_get(DEAD.into(), BasicGetOptions { no_ack: false });
            match in_time(self.settings.connect_timeout, get).await? {
                Some(message) => held.messages.push(message),
                None => break,
            }
        }
        Ok(held)
    }
}

/// Letters that we hold, unacknowledged.
struct Held {
    channel: Channel,
    messages: Vec<BasicGetMessage>,
}

impl Held {
    /// Closing the channel puts everything that is not acknowledged back to where it was. A crash does the same.
    async fn let_go(self, settings: &Settings) -> Result<(), QueueError> {
        in_time(settings.connect_timeout, self.channel.close(200, "OK".into())).await
    }
}

impl Pick {
    fn includes(&self, letter: &DeadLetter) -> bool {
        match self {
            Pick::All => true,
            Pick::Only(ids) => ids.contains(&letter.id),
        }
    }
}

async fn acknowledge(message: &BasicGetMessage) -> Result<(), QueueError> {
    ours(message.acker.ack(BasicAckOptions::default()).await)
}

fn read(message: &BasicGetMessage) -> DeadLetter {
    letter(&message.properties, message.data.clone())
}

fn letter(properties: &BasicProperties, body: Vec<u8>) -> DeadLetter {
    let none = FieldTable::default();
    let headers = properties.headers().as_ref().unwrap_or(&none);
    let death = broker_death(headers);
    let broker_says = |name: &str| death.and_then(|death| text(death, name));
    let queue = text(headers, QUEUE_HEADER).or_else(|| broker_says("queue"));
    let reason = text(headers, REASON_HEADER).or_else(|| broker_says("reason")).unwrap_or_default();
    let time = properties.timestamp().or_else(|| death.and_then(death_time));
    let at = time.and_then(|time| Timestamp::from_second(i64::try_from(time).ok()?).ok());
    let stamp = time.unwrap_or(0).to_le_bytes();
    let id = name_of(&[queue.as_deref().unwrap_or_default().as_bytes(), reason.as_bytes(), &stamp, &body]);
    DeadLetter { id, queue, reason, at, body }
}

/// The newest entry of `x-death`, which the broker writes when it dead-letters by itself.
fn broker_death(headers: &FieldTable) -> Option<&FieldTable> {
    match headers.inner().get("x-death")? {
        AMQPValue::FieldArray(deaths) => deaths.as_slice().iter().find_map(|death| match death {
            AMQPValue::FieldTable(death) => Some(death),
            _ => None,
        }),
        _ => None,
    }
}

fn death_time(death: &FieldTable) -> Option<u64> {
    match death.inner().get("time")? {
        AMQPValue::Timestamp(time) => Some(*time),
        _ => None,
    }
}

/// FNV-1a over the parts with their lengths: names a letter for people, protects nothing.
fn name_of(parts: &[&[u8]]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.len().to_le_bytes().iter().chain(*part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::put;

    fn with(headers: FieldTable) -> DeadLetter {
        letter(&BasicProperties::default().with_headers(headers), b"body".to_vec())
    }

    #[test]
    fn our_reason_is_told_before_the_brokers() {
        let mut death = FieldTable::default();
        put(&mut death, "queue", "malle.nightly");
        put(&mut death, "reason", "delivery_limit");
        death.insert("time".into(), AMQPValue::Timestamp(1_800_000_000));
        let mut headers = FieldTable::default();
        headers.insert("x-death".into(), AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into()));
        let by_broker = with(headers.clone());
        assert_eq!(by_broker.queue.as_deref(), Some("malle.nightly"));
        assert_eq!(by_broker.reason, "delivery_limit");
        assert_eq!(by_broker.at.map(|at| at.to_string()).as_deref(), Some("2027-01-15T08:00:00Z"));
        put(&mut headers, REASON_HEADER, "unusable field kind");
        let by_us = with(headers);
        assert_eq!(by_us.reason, "unusable field kind");
        assert_ne!(by_us.id, by_broker.id);
    }

    #[test]
    fn a_letter_without_any_header_is_named_too() {
        let letter = with(FieldTable::default());
        assert_eq!((letter.queue, letter.reason.as_str(), letter.at), (None, "", None));
        assert_eq!(letter.id.len(), 16);
    }

    #[test]
    fn ids_tell_parts_apart() {
        assert_ne!(name_of(&[b"ab", b"c"]), name_of(&[b"a", b"bc"]));
    }
}
