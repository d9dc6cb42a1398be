//! `make up`, `make night` and `make chaos`: the whole fleet on this machine. Real Postgres, RabbitMQ, Redis and SeaweedFS as private
//! processes on free ports, a simulated mail server, and real `malle` processes.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

mod up;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use tests::fleet::{Plan, chaos, drain, fairness, night};

const USAGE: &str = "fleet up DIR | fleet night MAILBOXES | fleet fairness | fleet chaos SEED | FIRST..END … | fleet drain; \
                     MALLE_BIN names the malle to run";

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
        ["chaos", seeds @ ..] if !seeds.is_empty() => break_it(malle, &numbers(seeds)?).await,
        ["drain"] => {
            println!("{}", drain(malle).await?);
            Ok(())
        }
        _ => bail!(USAGE),
    }
}

/// One after the other; those that failed are named in the end.
async fn break_it(malle: PathBuf, seeds: &[u64]) -> Result<()> {
    let mut failed = Vec::new();
    for seed in seeds {
        match chaos::chaos(malle.clone(), *seed).await {
            Ok(outcome) => println!("{outcome}"),
            Err(error) => {
                println!("FAILED: {error:?}");
                failed.push(seed);
            }
        }
    }
    println!("{} of {} seeds passed", seeds.len() - failed.len(), seeds.len());
    if failed.is_empty() { Ok(()) } else { bail!("seeds {failed:?} failed; SEED=… runs one of them again") }
}

fn numbers(seeds: &[&str]) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for seed in seeds {
        let number = |text: &str| text.parse::<u64>().context(USAGE);
        match seed.split_once("..") {
            Some((first, end)) => numbers.extend(number(first)?..number(end)?),
            None => numbers.push(number(seed)?),
        }
    }
    Ok(numbers)
}
