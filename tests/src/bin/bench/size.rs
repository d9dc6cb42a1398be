//! How long one full backup is on the store.

use std::process::Command;

use anyhow::Result;
use tests::Message;

use crate::cost::run;
use crate::{Bench, mb, size_of};

impl Bench {
    pub(crate) async fn size(&self, messages: &[Message]) -> Result<()> {
        let maildir = self.dir.join("plain");
        std::fs::create_dir_all(&maildir)?;
        for (i, message) in messages.iter().enumerate() {
            std::fs::write(maildir.join(format!("{i:06}")), &message.raw)?;
        }
        let archive = self.dir.join("plain.tar.zst");
        let tar = format!("tar -C {} -c . | zstd -3 -q -f -o {}", maildir.display(), archive.display());
        run(Command::new("sh").args(["-c", &tar])).await?;
        let ours = size_of(&self.dir.join("store"))?;
        let tar = std::fs::metadata(archive)?.len();
        let restic = size_of(&self.dir.join("restic"))?;
        println!("\n| Size of one full backup | MB | ÷ tar zstd -3 |\n|---|---|---|");
        for (what, size) in [("malle", ours), ("restic", restic), ("`tar | zstd -3`", tar)] {
            println!("| {what} | {:.2} | {:.3} |", mb(size), size as f64 / tar as f64);
        }
        Ok(())
    }
}
