//! How a backup goes: a bar on a terminal, a line now and then otherwise, nothing where results are for programs.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::output::{Out, bytes, remark};

/// Between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(150);

const BAR: &str = "{spinner} {prefix:<10} {bar:30} {human_pos}/{human_len} emails, {msg}{elapsed}";
const SPINNER: &str = "{spinner} {prefix:<10} {msg}{elapsed}";

/// What suits the place where this runs.
pub(crate) fn shown(out: &Out) -> Box<dyn Progress> {
    if !out.chatty() {
        Box::new(engine::Silent)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bar::new())
    } else {
        Box::new(Lines::new())
    }
}

/// A bar that leaves nothing behind.
struct Bar {
    bar: ProgressBar,
    bytes: AtomicU64,
}

impl Bar {
    fn new() -> Bar {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style(SPINNER));
        bar.set_prefix("starting");
        bar.enable_steady_tick(TICK);
        Bar { bar, bytes: AtomicU64::new(0) }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Progress for Bar {
    fn phase(&self, name: &'static str) {
        self.bar.set_prefix(name);
    }

    fn expect(&self, emails: u64) {
        if self.bar.length().is_none() {
            self.bar.set_style(style(BAR));
        }
        self.bar.set_length(emails);
    }

    fn advance(&self, emails: u64, fetched: u64) {
        let total = self.bytes.fetch_add(fetched, Relaxed) + fetched;
        if fetched > 0 {
            self.bar.set_message(format!("{} fetched, ", bytes(total)));
        }
        self.bar.inc(emails);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Lines for logs: none at all for a run that is over soon.
struct Lines(Mutex<Seen>);

struct Seen {
    phase: &'static str,
    emails: u64,
    expected: u64,
    bytes: u64,
    said: Instant,
}

impl Lines {
    fn new() -> Lines {
        let (phase, said) = ("starting", Instant::now());
        Lines(Mutex::new(Seen { phase, said, emails: 0, expected: 0, bytes: 0 }))
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut seen);
        if seen.said.elapsed() >= PLAIN_EVERY {
            seen.said = Instant::now();
            remark(seen.line());
        }
    }
}

impl Seen {
    fn line(&self) -> String {
        let (phase, emails, fetched) = (self.phase, self.emails, bytes(self.bytes));
        match self.expected {
            0 => phase.to_owned(),
            expected if self.bytes == 0 => format!("{phase}: {emails} of {expected} emails"),
            expected => format!("{phase}: {emails} of {expected} emails, {fetched} fetched"),
        }
    }
}

impl Progress for Lines {
    fn phase(&self, name: &'static str) {
        self.change(|seen| seen.phase = name);
    }

    fn expect(&self, emails: u64) {
        self.change(|seen| seen.expected = emails);
    }

    fn advance(&self, emails: u64, bytes: u64) {
        self.change(|seen| {
            seen.emails += emails;
            seen.bytes += bytes;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_templates_are_valid() {
        for template in [BAR, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_line_says_how_far_it_is() {
        let lines = Lines::new();
        lines.phase("fetching");
        lines.expect(6046);
        lines.advance(1200, 12_300_000);
        let seen = lines.0.lock().expect("nobody panicked");
        assert_eq!(seen.line(), "fetching: 1200 of 6046 emails, 12.30 MB fetched");
    }
}
