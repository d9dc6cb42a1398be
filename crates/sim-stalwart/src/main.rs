//! `sim-stalwart`: a simulated server as a process, for `make demo` and for people.

use std::io::Write as _;

use clap::Parser;
use sim_stalwart::{AccountSpec, Limits, Simulator, Sizes, Version};
use tokio::io::AsyncReadExt as _;

/// A simulated Stalwart. Prints one line of JSON when it is ready; ends when its standard input is closed.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Port on 127.0.0.1; 0 for a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Number of emails in the account.
    #[arg(long, default_value_t = 1000)]
    emails: u32,
    /// Decides everything that is generated.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Name of the account; its password comes from SIM_PASSWORD.
    #[arg(long, default_value = "alice@example.org")]
    account: String,
    /// How large the emails are.
    #[arg(long, value_enum, default_value_t = Mix::Realistic)]
    sizes: Mix,
    /// Be Stalwart 0.15: no contacts, calendars and files.
    #[arg(long)]
    old: bool,
    /// Concurrent requests that are allowed.
    #[arg(long, default_value_t = 4)]
    concurrency: usize,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mix {
    /// Median 3.5 kB, mean 18 kB, attachments up to 8 MB.
    Realistic,
    /// Median 3.5 kB, mean 5.5 kB.
    Light,
    /// 480 to 800 bytes.
    Tiny,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let password = std::env::var("SIM_PASSWORD").unwrap_or_else(|_| "secret".to_owned());
    let sizes = match arguments.sizes {
        Mix::Realistic => Sizes::realistic(),
        Mix::Light => Sizes::light(),
        Mix::Tiny => Sizes::tiny(),
    };
    let spec = AccountSpec::new(&arguments.account, password).emails(arguments.emails).sizes(sizes);
    let version = if arguments.old { Version::V0_15 } else { Version::V0_16 };
    let limits = Limits { max_concurrent_requests: arguments.concurrency, ..Limits::default() };
    let simulator = Simulator::builder()
        .seed(arguments.seed)
        .port(arguments.port)
        .version(version)
        .limits(limits)
        .account(spec)
        .with_control()
        .start()
        .await?;
    let ready = serde_json::json!({
        "url": simulator.url(), "account": arguments.account, "emails": arguments.emails, "seed": arguments.seed,
    });
    writeln!(std::io::stdout(), "{ready}")?;
    wait_for_end_of_input().await
}

/// Whoever started the process holds its input open; when they end, so does it.
async fn wait_for_end_of_input() -> std::io::Result<()> {
    let (mut input, mut buffer) = (tokio::io::stdin(), [0; 1024]);
    while input.read(&mut buffer).await? > 0 {}
    Ok(())
}
