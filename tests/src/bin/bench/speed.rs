//! How long a backup takes, beside the floor and the peers.

use std::process::Command;

use anyhow::{Context, Result};
use tests::Message;

use crate::cost::{Cost, median, run};
use crate::cpu::hashing_alone;
use crate::{Bench, mb};

/// Everything quick is tried so often; the median counts, on all sides.
const TRIES: usize = 9;

/// A line of the table; numbers that make no sense for it are 0.
#[derive(Default)]
struct Row {
    what: &'static str,
    seconds: f64,
    requests: u64,
    received: u64,
    peak: u64,
    server_peak: u64,
}

impl Row {
    fn of(what: &'static str, cost: &Cost, server_peak: u64) -> Row {
        let number = |name| cost.number(name).unwrap_or(0);
        let (requests, received) = (number("requests"), number("bytes_received"));
        Row { what, seconds: cost.seconds, requests, received, peak: cost.peak, server_peak }
    }

    fn print(&self, emails: usize, bytes: u64) {
        let or_nothing = |number: u64| if number == 0 { String::new() } else { number.to_string() };
        let (rate, emails_rate) = (mb(bytes) / self.seconds, emails as f64 / self.seconds);
        let received = if self.received == 0 { String::new() } else { format!("{:.2}", mb(self.received)) };
        println!(
            "| {} | {:.3} | {rate:.0} | {emails_rate:.0} | {} | {received} | {} | {} |",
            self.what,
            self.seconds,
            or_nothing(self.requests),
            or_nothing(self.peak >> 20),
            or_nothing(self.server_peak >> 20),
        );
    }
}

impl Bench {
    pub(crate) async fn speed(&self, messages: &[Message], bytes: u64) -> Result<()> {
        let ring = std::fs::File::create(self.dir.join("ring"))?;
        run(Command::new(&self.malle).args(["key", "new"]).stdout(ring)).await?;
        let before = self.server.memory_peak()?;
        let (floor, full) = self.floor_and_full().await?;
        let after_full = self.server.memory_peak()?;
        let mut rows = vec![floor];
        let cpu = hashing_alone(messages).await?.as_secs_f64();
        rows.push(Row { what: "hash, compress, seal, verify alone, 1 core", seconds: cpu, ..Row::default() });
        let mut unchanged = Vec::new();
        for _ in 0..TRIES {
            unchanged.push(self.malle("store", &["backup", "--json"]).await?);
        }
        let unchanged = median(unchanged, |cost| cost.seconds).context("it ran")?;
        let verify = self.malle("store", &["verify", "--read-data", "--json"]).await?;
        let before_peers = self.server.memory_peak()?;
        let peers = self.peers().await?;
        let after_peers = self.server.memory_peak()?;
        let mut again = Vec::new();
        for _ in 0..TRIES {
            again.push(self.peers().await?);
        }
        let again = median(again, |cost| cost.seconds).context("it ran")?;
        let bound = rows[0].seconds + cpu / cores();
        rows.push(Row::of("`malle backup`, full", &full, after_full));
        rows.push(Row::of("`malle backup`, unchanged", &unchanged, 0));
        rows.push(Row { requests: 0, ..Row::of("`malle verify --read-data`", &verify, 0) });
        rows.push(Row::of("`mbsync` + `restic`, full", &peers, after_peers));
        rows.push(Row::of("`mbsync` + `restic`, unchanged", &again, 0));
        println!(
            "\n| What | s | MB/s | emails/s | requests | MB received | peak MiB | server's peak MiB |\n\
             |---|---|---|---|---|---|---|---|"
        );
        rows.iter().for_each(|row| row.print(messages.len(), bytes));
        println!(
            "\nserver's peak memory: {} MiB before the backups, {} before the peers",
            before >> 20,
            before_peers >> 20
        );
        println!("\n| Ratio | measured | goal |\n|---|---|---|");
        println!("| full ÷ (floor + CPU ÷ {} cores) | {:.2} | ≤ 1.3 |", cores(), full.seconds / bound);
        println!("| peers full ÷ full | {:.1} | ≥ 4 |", peers.seconds / full.seconds);
        println!("| peers unchanged ÷ unchanged | {:.0} | ≥ 50 |", again.seconds / unchanged.seconds);
        Ok(())
    }

    /// In turns, so that both see the same machine. Each backup has a store of its own; the last one stays the store of what
    /// follows.
    async fn floor_and_full(&self) -> Result<(Row, Cost)> {
        let (mut floors, mut backups) = (Vec::new(), Vec::new());
        for left in (0..TRIES).rev() {
            floors.push(self.floor().await?);
            let store = if left == 0 { "store".to_owned() } else { format!("store-{left}") };
            self.init(&store).await?;
            backups.push(self.malle(&store, &["backup", "--json"]).await?);
        }
        let (took, counters) = median(floors, |(took, _)| took.as_secs_f64()).context("it ran")?;
        let floor = Row {
            what: "floor: the same fetching, bytes thrown away",
            seconds: took.as_secs_f64(),
            requests: counters.requests,
            received: counters.bytes_received,
            ..Row::default()
        };
        Ok((floor, median(backups, |cost| cost.seconds).context("it ran")?))
    }
}

fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}
