//! Runs a command beside one RabbitMQ, for all of its tests that leave the broker as it is: `with_broker COMMAND…`. Ends as the
//! command does.

use std::env;
use std::io;
use std::process::{Command, ExitCode};

use testkit::rabbitmq::{RabbitMq, SHARED};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<ExitCode> {
    let mut words = env::args_os().skip(1);
    let program = words.next().ok_or_else(|| io::Error::other("usage: with_broker COMMAND…"))?;
    let broker = RabbitMq::start().await?;
    let ended = Command::new(program).args(words).env(SHARED, broker.name()).status()?;
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
