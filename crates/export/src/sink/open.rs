use std::io::Write;

use super::contract::Sink;
use super::{file, folder, tarball, zip};
use crate::Result;
use crate::content::Spool;
use crate::format::{Output, Target};
use crate::stop::Stopper;

/// The sink for a target.
pub(crate) fn open(target: Target, spool: &mut Spool, stopper: &Stopper) -> Result<Box<dyn Sink>> {
    Ok(match target {
        Target::Folder(path) => Box::new(folder::FolderSink::create(&path)?),
        Target::TarZst(output) => {
            archive(output, stopper, |out| Ok(Box::new(tarball::TarSink::create(out)?)))?
        }
        Target::Zip(output) => {
            archive(output, stopper, |out| Ok(Box::new(zip::ZipSink::create(out, spool)?)))?
        }
    })
}

fn archive(
    output: Output,
    stopper: &Stopper,
    create: impl FnOnce(Box<dyn Write + Send>) -> Result<Box<dyn Sink>>,
) -> Result<Box<dyn Sink>> {
    match output {
        Output::Stream(out) => create(out),
        Output::File(place) => Ok(Box::new(file::FileSink::create(&place, stopper, create)?)),
    }
}
