//! Workers on real services: Postgres, RabbitMQ and Redis, the simulator as mail server, a directory as store. The services take
//! ten seconds to start, so a few tests hold all situations; each situation has a schema, a virtual host and a prefix of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod backlog;
mod crashes;
mod credentials;
mod damage;
mod everyday;
mod fleet;
mod halts;
mod history;
mod house;
mod room;
mod stale;
mod troubles;
mod unsliced;
