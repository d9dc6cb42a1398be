//! `make up` and `make night`: the whole fleet on this machine. Real Postgres, RabbitMQ, Redis and SeaweedFS as private
//! processes on free ports, a simulated mail server, and real `malle` processes.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod up;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use tests::fleet::{Plan, fairness, night};

const USAGE: &str = "fleet up DIR | fleet night MAILBOXES | fleet fairness; MALLE_BIN names the malle to run";

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let malle = PathBuf::from(std::env::var("MALLE_BIN").context(USAGE)?);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["up", dir] => up::run(malle, dir.into()).await,
        ["night", mailboxes] => {
            let plan = Plan::night(mailboxes.parse().context(USAGE)?);
            println!("{}", night(malle, plan).await?);
            Ok(())
        }
        ["fairness"] => {
            println!("{}", fairness(malle).await?);
            Ok(())
        }
        _ => bail!(USAGE),
    }
}
