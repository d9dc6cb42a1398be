//! Everything about time zones is compared with a clock on the wall that is read minute by minute.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod late;
mod mailboxes;
mod nights;
mod oracle;
mod overdue;
mod places;
mod producers;
mod speed;
mod spreading;
