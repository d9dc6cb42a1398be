//! The producer on a real Postgres and a real RabbitMQ. The broker takes six seconds to start, so two tests hold all situations that
//! need it, each in a virtual host of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod api;
mod broker;
mod directory;
mod planning_rounds;
mod ramp;
mod requests;
mod room;
mod scale;
mod scopes;
mod stalwart;
mod whole;
