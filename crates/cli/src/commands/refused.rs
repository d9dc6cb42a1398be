//! What a server refuses to take back is kept as files.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use engine::{ObjectRefusal, Refusal, Restored};
use model::{BlobId, DataType};
use repository::Snapshot;

use crate::args::RestoreArgs;

/// Writes what the server refuses into files; where they are.
pub(super) async fn keep_refused(
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
    let mut files = Files { dir: &dir, number: 0 };
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
    Ok(Some(dir))
}

/// Files under the next free number: another restore's stay. Nobody else may read them.
struct Files<'a> {
    dir: &'a Path,
    number: u32,
}

impl Files<'_> {
    async fn keep_email(&mut self, refusal: &Refusal, snapshot: &Snapshot) -> Result<()> {
        let Some(blob) = refusal.blob else { return Ok(()) };
        let mut file = self.next("eml")?;
        copy(snapshot, &blob, &mut file).await
    }

    /// The object as JSON, and its content beside it.
    async fn keep_object(
        &mut self,
        data_type: DataType,
        refusal: &ObjectRefusal,
        snapshot: &Snapshot,
    ) -> Result<()> {
        let file = self.next(&format!("{data_type}.json"))?;
        serde_json::to_writer_pretty(file, &refusal.json)?;
        let Some(blob) = refusal.content else { return Ok(()) };
        let mut file = self.next(&format!("{data_type}.content"))?;
        copy(snapshot, &blob, &mut file).await
    }

    fn next(&mut self, ending: &str) -> io::Result<fs::File> {
        loop {
            self.number += 1;
            let path = self.dir.join(format!("{:05}.{ending}", self.number));
            match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return opened,
            }
        }
    }
}

async fn copy(snapshot: &Snapshot, blob: &BlobId, file: &mut fs::File) -> Result<()> {
    let mut pieces = snapshot.blob_reader(blob).await?;
    while let Some(piece) = pieces.next().await? {
        file.write_all(&piece)?;
    }
    Ok(())
}
