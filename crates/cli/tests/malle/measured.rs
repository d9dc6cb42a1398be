//! What a command takes: memory, time, requests, bytes on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::home::{ALICE, Ended, Home, end};

/// How often the kernel is asked; it keeps the highest value itself, so only growth in the last moments can be missed.
const POLL: Duration = Duration::from_millis(2);

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) ended: Ended,
    /// Most memory resident at once, in MiB.
    pub(crate) peak: f64,
    pub(crate) seconds: f64,
    /// Requests to the mail server.
    pub(crate) requests: u64,
    /// Bytes of the store's files that are new or were written anew.
    pub(crate) written: u64,
}

impl Home {
    /// Runs the command and prints what it took.
    pub(crate) async fn measure(&self, args: &[&str]) -> Measured {
        let (requests, files) = (self.sim.counters().requests, stamps(&self.store()));
        let started = Instant::now();
        let child = self.malle(args).spawn().expect("malle runs");
        let status = PathBuf::from(format!("/proc/{}/status", child.id().expect("it runs")));
        // In a thread of its own, which the kernel wakes however busy the runtime with the simulator is.
        let peak = std::thread::spawn(move || {
            let mut peak = 0;
            while let Some(high) = high_water(&status) {
                peak = high;
                std::thread::park_timeout(POLL);
            }
            peak
        });
        let ended = end(child).await;
        let peak = peak.join().expect("the thread ended");
        let measured = Measured {
            ended,
            peak: f64::from(peak) / 1024.0,
            seconds: started.elapsed().as_secs_f64(),
            requests: self.sim.counters().requests - requests,
            written: written_since(&files, &self.store()),
        };
        let Measured { peak, seconds, requests, written, .. } = &measured;
        println!(
            "malle {}: {peak:.1} MiB, {seconds:.2} s, {requests} requests, {written} B written",
            args.join(" ")
        );
        measured
    }

    /// A backup of alice that must be good.
    pub(crate) async fn measured_backup(&self, more: &[&str]) -> Measured {
        let args = [&["backup", "--account", ALICE, "--json"], more].concat();
        let measured = self.measure(&args).await;
        assert_eq!(measured.ended.code, 0, "{measured:#?}");
        measured
    }
}

/// In KiB; `None` once the process is over.
fn high_water(status: &Path) -> Option<u32> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Length and time of change of every file.
fn stamps(below: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![below.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let entry = entry.expect("an entry");
            let meta = entry.metadata().expect("readable");
            if meta.is_dir() {
                dirs.push(entry.path());
            } else {
                found.insert(entry.path(), (meta.len(), meta.modified().expect("Linux knows it")));
            }
        }
    }
    found
}

fn written_since(before: &BTreeMap<PathBuf, (u64, SystemTime)>, below: &Path) -> u64 {
    let now = stamps(below);
    now.iter().filter(|(path, stamp)| before.get(*path) != Some(*stamp)).map(|(_, (length, _))| length).sum()
}
