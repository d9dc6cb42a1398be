//! The simulated server, changed from the inside: it has no `set`.

use model::DataType;
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, Checkpoint, Simulator, Sizes};
use tests::Letter;
use tests::truth::kind_of;

use crate::place::{ADMIN, ALICE, Change, IMPERSONATOR, NEIGHBOUR, Place};

/// A simulator whose accounts begin with generated emails and some objects of every type.
pub(crate) struct Simulated {
    simulator: Simulator,
    alice: AccountHandle,
}

fn alice() -> AccountSpec {
    AccountSpec::new(ALICE.name, ALICE.password).emails(100).sizes(Sizes::light())
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

impl Simulated {
    pub(crate) async fn start() -> Simulated {
        let simulator = Simulator::builder()
            .seed(7)
            .account(alice())
            .account(AccountSpec::new(NEIGHBOUR.name, NEIGHBOUR.password).bare())
            .admin(ADMIN.name, ADMIN.password)
            .impersonator(IMPERSONATOR.name, IMPERSONATOR.password)
            .start()
            .await
            .expect("the simulator starts");
        let alice = simulator.account(ALICE.name).expect("it was added");
        Simulated { simulator, alice }
    }
}

impl Place for Simulated {
    type Moment = Checkpoint;
    const TYPES: &'static [DataType] = &DataType::ALL;
    const REFUSES_CASE_TWINS: bool = false;
    const TAKES_ANY_BYTES: bool = false;
    const UNDATABLE: [usize; 2] = [0, 0];

    fn url(&self) -> String {
        self.simulator.url()
    }

    fn imap(&self) -> Option<String> {
        None
    }

    fn account(&self) -> String {
        self.alice.id()
    }

    async fn create_folder(&self, name: &str, parent: Option<&str>) -> Result<String, String> {
        Ok(self.alice.create_folder(name, parent))
    }

    async fn deliver(&self, letters: &[Letter]) -> Vec<String> {
        let deliver = |letter: &Letter| {
            self.alice.deliver(letter.raw.clone(), &names(&letter.folders), &names(&letter.keywords))
        };
        letters.iter().map(deliver).collect()
    }

    async fn change(&self, changes: &[Change]) {
        for change in changes {
            let is_there = match change {
                Change::Keywords(id, keywords) => self.alice.set_keywords(id, &names(keywords)),
                Change::Move(id, folder) => self.alice.move_to(id, &[folder]),
                Change::Destroy(id) => self.alice.destroy(id),
            };
            assert!(is_there, "{change:?}");
        }
    }

    async fn upload(&self, bytes: &[u8]) -> String {
        self.alice.put_blob(bytes.to_vec())
    }

    async fn insert(&self, data_type: DataType, object: Value) -> String {
        self.alice.insert(kind_of(data_type), object)
    }

    async fn edit(&self, data_type: DataType, id: &str, members: Value) {
        if data_type == DataType::VacationResponse {
            // Switching it on switches the active script off.
            let update = json!({ "update": { id: members } });
            return drop(self.plain(ALICE).await.set(data_type, update).await.expect("it is edited"));
        }
        self.alice.edit(kind_of(data_type), id, |object| {
            for (name, value) in members.as_object().into_iter().flatten() {
                object[name] = value.clone();
            }
        });
    }

    async fn remove(&self, data_type: DataType, id: &str) {
        self.alice.remove(kind_of(data_type), id);
    }

    async fn activate(&self, script: &str) {
        let activate = json!({ "onSuccessActivateScript": script });
        let answer = self.plain(ALICE).await.set(DataType::SieveScript, activate).await;
        answer.expect("it is activated");
    }

    /// Nothing of it would be lost or renewed: it keeps everything in memory.
    async fn restart(&mut self) {}

    async fn truncate_history(&self) {
        self.alice.truncate_history();
    }

    async fn moment(&mut self) -> Checkpoint {
        self.alice.checkpoint()
    }

    async fn roll_back(&mut self, to: &Checkpoint) {
        self.alice.roll_back(to);
    }

    async fn make_again(&mut self) {
        assert!(self.simulator.remove_account(ALICE.name));
        self.alice = self.simulator.add_account(&alice().emails(80).seed(99));
    }
}
