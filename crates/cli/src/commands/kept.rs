//! What a backup that does not come to its end leaves for the next one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use engine::{Paused, Progress};

use crate::terminal::output::{bytes, count};

/// Hears of the slices that a backup commits, and passes everything on to what people see.
pub(crate) struct Kept {
    shown: Box<dyn Progress>,
    begun: AtomicBool,
    so_far: Mutex<Paused>,
}

impl Kept {
    pub(crate) fn behind(shown: Box<dyn Progress>) -> Kept {
        Kept { shown, begun: AtomicBool::new(false), so_far: Mutex::default() }
    }

    /// From now on a slice may be under way.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Says for people what is kept; `None`: nothing of this run.
    pub(crate) fn text(&self) -> Option<String> {
        let so_far = *self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        let text = || format!("{} ({})", count(so_far.emails, "email"), bytes(so_far.fetched_bytes));
        so_far.has_progressed().then(text)
    }

    /// An error, with what is kept in spite of it.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match self.text() {
            Some(kept) => {
                let goes_on = "that came are kept and the next run goes on from there";
                error.context(format!("finish the backup; {kept} {goes_on}"))
            }
            None => error,
        }
    }
}

impl Progress for Kept {
    fn phase(&self, name: &'static str) {
        self.shown.phase(name);
    }

    fn expect(&self, emails: u64) {
        self.shown.expect(emails);
    }

    fn advance(&self, emails: u64, bytes: u64) {
        self.shown.advance(emails, bytes);
    }

    fn kept(&self, so_far: Paused) {
        *self.so_far.lock().unwrap_or_else(PoisonError::into_inner) = so_far;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_said_and_nothing_else() {
        let kept = Kept::behind(Box::new(engine::Silent));
        assert_eq!(kept.text(), None);
        assert_eq!(kept.explain(anyhow::anyhow!("read it")).to_string(), "read it");
        kept.kept(Paused { emails: 1_200, fetched_bytes: 3_400_000 });
        let error = kept.explain(anyhow::anyhow!("read it"));
        let expected =
            "finish the backup; 1200 emails (3.40 MB) that came are kept and the next run goes on from there";
        assert_eq!(error.to_string(), expected);
    }
}
