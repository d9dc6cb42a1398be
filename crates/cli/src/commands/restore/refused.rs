//! What a server refuses to take back is kept as files.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use engine::{ObjectRefusal, Refusal, Restored};
use model::{BlobId, DataType, ErrorClass};
use repository::Snapshot;

use crate::args::restore::RestoreArgs;

/// Writes what the server refuses into files; where they are, if there are any.
pub(crate) async fn keep_refused(
    args: &RestoreArgs,
    restored: &Restored,
    snapshot: &Snapshot,
) -> Result<Option<PathBuf>> {
    let objects = || restored.objects.iter().filter(|objects| !objects.refused.is_empty());
    if restored.refused.count == 0 && objects().next().is_none() {
        return Ok(None);
    }
    let dir = match &args.refused {
        Some(dir) => dir.clone(),
        None => PathBuf::from(format!("malle-refused-{}", restored.id)),
    };
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let mut files = Files { dir: &dir, restore: restored.id.as_str(), number: 0 };
    let kept = async {
        for refusal in &restored.refused.named {
            files.keep_email(refusal, snapshot).await?;
        }
        for (of, refusal) in objects().flat_map(|of| of.refused.iter().map(move |refusal| (of, refusal))) {
            files.keep_object(of.data_type, refusal, snapshot).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    kept.await.with_context(|| format!("write into {}", dir.display()))?;
    // Nothing could be read: the report names what is lost, and there is no file of it.
    if fs::read_dir(&dir).is_ok_and(|mut files| files.next().is_none()) {
        if args.refused.is_none() {
            fs::remove_dir(&dir).with_context(|| format!("remove {}", dir.display()))?;
        }
        return Ok(None);
    }
    Ok(Some(dir))
}

/// Files named by the restore and the place in its report: whoever reports it again writes the same ones. Nobody else may
/// read them. What the store has lost has no file; the report names it.
struct Files<'a> {
    dir: &'a Path,
    restore: &'a str,
    number: u32,
}

impl Files<'_> {
    async fn keep_email(&mut self, refusal: &Refusal, snapshot: &Snapshot) -> Result<()> {
        self.number += 1;
        match refusal.blob {
            Some(blob) => self.copy("eml", snapshot, &blob).await,
            None => Ok(()),
        }
    }

    /// The object as JSON, and its content beside it.
    async fn keep_object(
        &mut self,
        data_type: DataType,
        refusal: &ObjectRefusal,
        snapshot: &Snapshot,
    ) -> Result<()> {
        self.number += 1;
        if !refusal.json.is_empty() {
            let (file, path) = self.create(&format!("{data_type}.json"))?;
            serde_json::to_writer_pretty(file, &refusal.json)?;
            finish(&path)?;
        }
        match refusal.content {
            Some(blob) => self.copy(&format!("{data_type}.content"), snapshot, &blob).await,
            None => Ok(()),
        }
    }

    /// A file in the making, and its name when it is whole.
    fn create(&self, ending: &str) -> io::Result<(fs::File, PathBuf)> {
        let path = self.dir.join(format!("{}-{:05}.{ending}", self.restore, self.number));
        let options = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).to_owned();
        Ok((options.open(in_the_making(&path))?, path))
    }

    async fn copy(&self, ending: &str, snapshot: &Snapshot, blob: &BlobId) -> Result<()> {
        let (mut file, path) = self.create(ending)?;
        match copy(snapshot, blob, &mut file).await {
            Err(error) if is_damage(&error) => Ok(fs::remove_file(in_the_making(&path))?),
            copied => {
                copied?;
                Ok(finish(&path)?)
            }
        }
    }
}

fn in_the_making(path: &Path) -> PathBuf {
    path.with_added_extension("part")
}

fn finish(path: &Path) -> io::Result<()> {
    fs::rename(in_the_making(path), path)
}

fn is_damage(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<repository::Error>();
    error.is_some_and(|error| error.class() == ErrorClass::Corrupt)
}

async fn copy(snapshot: &Snapshot, blob: &BlobId, file: &mut fs::File) -> Result<()> {
    let mut pieces = snapshot.blob_reader(blob).await?;
    while let Some(piece) = pieces.next().await? {
        file.write_all(&piece)?;
    }
    Ok(())
}
