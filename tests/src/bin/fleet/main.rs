//! `make up` and `make night`: the whole fleet on this machine. Real Postgres, RabbitMQ, Redis and SeaweedFS as private
//! processes on free ports, a simulated mail server, and real `malle` processes.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod fleet;
mod night;
mod up;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use fleet::Plan;

const USAGE: &str = "fleet up DIR | fleet night [MAILBOXES]; MALLE_BIN names the malle to run";

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let malle = PathBuf::from(std::env::var("MALLE_BIN").context(USAGE)?);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["up", dir] => up::run(malle, dir.into()).await,
        ["night"] => night::run(malle, Plan::night(5_000)).await,
        ["night", mailboxes] => night::run(malle, Plan::night(mailboxes.parse().context(USAGE)?)).await,
        _ => bail!(USAGE),
    }
}
