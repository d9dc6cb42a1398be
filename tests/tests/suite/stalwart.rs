//! The real server.

use std::path::{Path, PathBuf};
use std::{fs, io};

use model::DataType;
use tempfile::TempDir;
use testkit::stalwart::Stalwart;
use tests::Plain;

use crate::place::{ADMIN, ALICE, IMPERSONATOR, NEIGHBOUR, Place};
use crate::written::{Written, written};

/// Purging an account keeps so much of its history.
const HISTORY: (&str, &str) = ("changes.max-history", "1");

/// A Stalwart on a directory of its own.
pub(crate) struct Real {
    // Fields drop in order: the server ends before its directory goes. Empty only while it restarts.
    server: Option<Stalwart>,
    account: String,
    dir: TempDir,
}

impl Real {
    pub(crate) async fn start() -> Real {
        let dir = TempDir::new().expect("a directory");
        let server = Stalwart::start_with(&dir.path().join("now"), &[HISTORY]).await.expect("starts");
        let account = server.create_account(ALICE.name, ALICE.password).await.expect("makes an account");
        server.create_impersonator(IMPERSONATOR.name, IMPERSONATOR.password).await.expect("makes an account");
        server.create_account(NEIGHBOUR.name, NEIGHBOUR.password).await.expect("makes an account");
        Real { server: Some(server), account, dir }
    }

    fn server(&self) -> &Stalwart {
        self.server.as_ref().expect("it runs")
    }

    /// As the administrator, whose requests do not count towards Alice's limits.
    fn written(&self) -> Written {
        Written(Plain::new(self.server().url(), ADMIN.name, ADMIN.password, &self.account))
    }

    async fn restart_after(&mut self, meanwhile: impl FnOnce(&Path) -> io::Result<()>) {
        let server = self.server.take().expect("it runs");
        self.server = Some(server.restart_after(meanwhile).await.expect("starts again"));
    }
}

impl Place for Real {
    type Moment = PathBuf;
    const TYPES: &'static [DataType] = &[
        DataType::Mailbox,
        DataType::Email,
        DataType::Identity,
        DataType::VacationResponse,
        DataType::SieveScript,
    ];
    const REFUSES_CASE_TWINS: bool = true;
    const TAKES_ANY_BYTES: bool = true;
    const UNDATABLE: [usize; 2] = [5, 30];

    fn url(&self) -> String {
        self.server().url().to_owned()
    }

    fn imap(&self) -> Option<String> {
        Some(self.server().imap().to_owned())
    }

    fn account(&self) -> String {
        self.account.clone()
    }

    written!();

    async fn restart(&mut self) {
        self.restart_after(|_| Ok(())).await;
    }

    async fn truncate_history(&self) {
        self.server().truncate_history(ALICE.name).await.expect("purges");
    }

    async fn moment(&mut self) -> PathBuf {
        let copy = self.dir.path().join("then");
        self.restart_after(|now| copy_files(now, &copy)).await;
        copy
    }

    async fn roll_back(&mut self, to: &PathBuf) {
        self.restart_after(|now| {
            fs::remove_dir_all(now)?;
            copy_files(to, now)
        })
        .await;
    }

    async fn make_again(&mut self) {
        self.server().delete_account(ALICE.name).await.expect("deletes");
        self.account = self.server().create_account(ALICE.name, ALICE.password).await.expect("makes it");
    }
}

/// The database and what lies beside it; folders are logs alone.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
