//! The real server.

use std::path::{Path, PathBuf};
use std::{fs, io};

use model::DataType;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use testkit::stalwart::Stalwart;
use tests::{Letter, Plain};

use crate::place::{ADMIN, ALICE, Change, IMPERSONATOR, NEIGHBOUR, Place};

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
    fn calls(&self) -> Plain {
        Plain::new(self.server().url(), ADMIN.name, ADMIN.password, &self.account)
    }

    async fn set(&self, data_type: DataType, arguments: Value) -> Value {
        self.calls().set(data_type, arguments).await.expect("the server does it")
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

    fn url(&self) -> String {
        self.server().url().to_owned()
    }

    fn imap(&self) -> Option<String> {
        Some(self.server().imap().to_owned())
    }

    fn account(&self) -> String {
        self.account.clone()
    }

    async fn create_folder(&self, name: &str, parent: Option<&str>) -> Result<String, String> {
        let create = json!({ "create": { "f": { "name": name, "parentId": parent } } });
        let answer = self.calls().set(DataType::Mailbox, create).await.map_err(|error| error.to_string())?;
        Ok(answer["created"]["f"]["id"].as_str().expect("an id").to_owned())
    }

    async fn deliver(&self, letters: &[Letter]) -> Vec<String> {
        self.calls().deliver(letters).await.expect("imports")
    }

    async fn change(&self, changes: &[Change]) {
        let (mut update, mut destroy) = (Map::new(), Vec::new());
        for change in changes {
            match change {
                Change::Keywords(id, keywords) => {
                    let keywords: Map<_, _> = keywords.iter().map(|k| (k.clone(), json!(true))).collect();
                    update.insert(id.clone(), json!({ "keywords": keywords }));
                }
                Change::Move(id, folder) => {
                    update.insert(id.clone(), json!({ "mailboxIds": { folder: true } }));
                }
                Change::Destroy(id) => destroy.push(id),
            }
        }
        self.set(DataType::Email, json!({ "update": update, "destroy": destroy })).await;
    }

    async fn upload(&self, bytes: &[u8]) -> String {
        self.calls().upload(bytes).await.expect("uploads")
    }

    async fn insert(&self, data_type: DataType, object: Value) -> String {
        let answer = self.set(data_type, json!({ "create": { "o": object } })).await;
        answer["created"]["o"]["id"].as_str().expect("an id").to_owned()
    }

    async fn edit(&self, data_type: DataType, id: &str, members: Value) {
        self.set(data_type, json!({ "update": { id: members } })).await;
    }

    async fn remove(&self, data_type: DataType, id: &str) {
        self.set(data_type, json!({ "destroy": [id] })).await;
    }

    async fn activate(&self, script: &str) {
        self.set(DataType::SieveScript, json!({ "onSuccessActivateScript": script })).await;
    }

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
