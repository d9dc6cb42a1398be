//! What a command costs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;

/// What a command cost, and what it printed.
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    /// Highest resident memory, bytes.
    pub(crate) peak: u64,
    pub(crate) output: String,
}

impl Cost {
    /// Two commands one after the other.
    pub(crate) fn then(&self, other: &Cost) -> Cost {
        Cost { seconds: self.seconds + other.seconds, peak: self.peak.max(other.peak), output: String::new() }
    }

    /// A number of the JSON object it printed.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        serde_json::from_str::<Value>(self.output.lines().next()?).ok()?[name].as_u64()
    }
}

/// The try in the middle.
pub(crate) fn median<T>(mut tries: Vec<T>, seconds: impl Fn(&T) -> f64) -> Option<T> {
    tries.sort_by(|a, b| seconds(a).total_cmp(&seconds(b)));
    let middle = tries.len() / 2;
    tries.into_iter().nth(middle)
}

/// Runs a command to its end and watches its memory.
pub(crate) async fn run(command: &mut Command) -> Result<Cost> {
    let start = Instant::now();
    let mut child =
        tokio::process::Command::from(std::mem::replace(command, Command::new("true"))).spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id().unwrap_or_default()));
    let mut output = child.stdout.take();
    let reading = async {
        let mut text = String::new();
        if let Some(output) = &mut output {
            tokio::io::AsyncReadExt::read_to_string(output, &mut text).await?;
        }
        Ok::<_, std::io::Error>(text)
    };
    let mut peak = 0;
    let watching = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            peak = peak.max(high_water(&status));
        }
    };
    let (output, ended) = tokio::select! {
        ended = async { futures::join!(reading, child.wait()) } => ended,
        () = watching => bail!("watching never ends"),
    };
    let (output, ended) = (output?, ended?);
    ensure!(ended.success(), "a command failed: {ended} {output}");
    Ok(Cost { seconds: start.elapsed().as_secs_f64(), peak, output })
}

fn high_water(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
