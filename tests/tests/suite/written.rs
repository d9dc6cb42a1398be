//! What happens to a mailbox, written by JMAP calls of somebody who may.

use model::DataType;
use serde_json::{Map, Value, json};
use tests::{Letter, Plain};

use crate::place::Change;

/// The calls of one user on the mailbox.
pub(crate) struct Written(pub(crate) Plain);

impl Written {
    async fn set(&self, data_type: DataType, arguments: Value) -> Value {
        self.0.set(data_type, arguments).await.expect("the server does it")
    }

    pub(crate) async fn create_folder(&self, name: &str, parent: Option<&str>) -> Result<String, String> {
        let create = json!({ "create": { "f": { "name": name, "parentId": parent } } });
        let answer = self.0.set(DataType::Mailbox, create).await.map_err(|error| error.to_string())?;
        Ok(answer["created"]["f"]["id"].as_str().expect("an id").to_owned())
    }

    pub(crate) async fn deliver(&self, letters: &[Letter]) -> Vec<String> {
        self.0.deliver(letters).await.expect("imports")
    }

    pub(crate) async fn change(&self, changes: &[Change]) {
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

    pub(crate) async fn upload(&self, bytes: &[u8]) -> String {
        self.0.upload(bytes).await.expect("uploads")
    }

    pub(crate) async fn insert(&self, data_type: DataType, object: Value) -> String {
        let answer = self.set(data_type, json!({ "create": { "o": object } })).await;
        answer["created"]["o"]["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn edit(&self, data_type: DataType, id: &str, members: Value) {
        self.set(data_type, json!({ "update": { id: members } })).await;
    }

    pub(crate) async fn remove(&self, data_type: DataType, id: &str) {
        self.set(data_type, json!({ "destroy": [id] })).await;
    }

    pub(crate) async fn activate(&self, script: &str) {
        self.set(DataType::SieveScript, json!({ "onSuccessActivateScript": script })).await;
    }
}

/// The methods of a place on which this is done.
macro_rules! written {
    () => {
        async fn create_folder(&self, name: &str, parent: Option<&str>) -> Result<String, String> {
            self.written().create_folder(name, parent).await
        }

        async fn deliver(&self, letters: &[tests::Letter]) -> Vec<String> {
            self.written().deliver(letters).await
        }

        async fn change(&self, changes: &[crate::place::Change]) {
            self.written().change(changes).await;
        }

        async fn upload(&self, bytes: &[u8]) -> String {
            self.written().upload(bytes).await
        }

        async fn insert(&self, data_type: DataType, object: serde_json::Value) -> String {
            self.written().insert(data_type, object).await
        }

        async fn edit(&self, data_type: DataType, id: &str, members: serde_json::Value) {
            self.written().edit(data_type, id, members).await;
        }

        async fn remove(&self, data_type: DataType, id: &str) {
            self.written().remove(data_type, id).await;
        }

        async fn activate(&self, script: &str) {
            self.written().activate(script).await;
        }
    };
}

pub(crate) use written;
