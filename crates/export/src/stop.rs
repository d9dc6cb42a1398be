use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{Error, Result};

/// Ends an export from another thread; see [`crate::Writer::stopper`].
#[derive(Debug, Clone, Default)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// The writer fails as soon as it notices, unless the export is whole already.
    pub fn stop(&self) {
        self.0.store(true, Relaxed);
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// Content whose reading can be stopped.
pub(crate) struct Stoppable<'a> {
    pub(crate) content: &'a mut dyn Read,
    pub(crate) stopper: &'a Stopper,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stopper.check().map_err(io::Error::other)?;
        self.content.read(buffer)
    }
}
