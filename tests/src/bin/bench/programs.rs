//! The programs that are compared.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::cost::{Cost, run};
use crate::{Bench, PASSWORD, USER};

impl Bench {
    /// `malle` on one of its stores.
    pub(crate) async fn malle(&self, store: &str, arguments: &[&str]) -> Result<Cost> {
        let store = format!("file://{}", self.dir.join(store).display());
        let mut command = Command::new(&self.malle);
        command.args(arguments).args(["--account", USER]);
        if arguments[0] == "backup" {
            command.args(["--server", self.server.url()]);
        }
        command.env("MALLE_STORE", store).env("MALLE_KEY_FILE", self.dir.join("ring"));
        command.env("MALLE_STATE_DIR", self.dir.join("state"));
        command.env("MALLE_USER", USER).env("MALLE_PASSWORD", PASSWORD).stdout(Stdio::piped());
        run(&mut command).await
    }

    /// Makes a store of its own.
    pub(crate) async fn init(&self, store: &str) -> Result<()> {
        let store = format!("file://{}", self.dir.join(store).display());
        run(Command::new(&self.malle).args(["init", "--quiet", "--store", &store])).await.map(drop)
    }

    /// `mbsync` into a Maildir, then `restic` of it, as a user would combine them.
    pub(crate) async fn peers(&self) -> Result<Cost> {
        let (host, port) = self.server.imap().rsplit_once(':').context("an address")?;
        let maildir = self.dir.join("maildir");
        let config = self.dir.join("mbsyncrc");
        if !config.exists() {
            std::fs::create_dir_all(&maildir)?;
            std::fs::write(
                &config,
                format!(
                    "IMAPStore far\nHost {host}\nPort {port}\nUser {USER}\nPass {PASSWORD}\nSSLType None\nAuthMechs PLAIN\n\n\
                     MaildirStore near\nPath {0}/\nInbox {0}/INBOX\nSubFolders Verbatim\n\n\
                     Channel mail\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nExpunge Near\nSync Pull\nSyncState *\n",
                    maildir.display()
                ),
            )?;
            let mut init = self.restic();
            run(init.args(["init", "-q"])).await?;
        }
        let sync = run(Command::new("mbsync").arg("-q").arg("-c").arg(&config).arg("-a")).await?;
        let mut backup = self.restic();
        let restic = run(backup.args(["backup", "-q"]).arg(&maildir)).await?;
        Ok(sync.then(&restic))
    }

    fn restic(&self) -> Command {
        let mut command = Command::new("restic");
        command.env("RESTIC_PASSWORD", PASSWORD).env("RESTIC_REPOSITORY", self.dir.join("restic"));
        command.env("RESTIC_CACHE_DIR", self.dir.join("restic-cache"));
        command
    }
}
