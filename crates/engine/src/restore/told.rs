//! The report of a restore as it is written down. Of what was refused it holds ids and reasons; the rest is read from the snapshot.

use std::collections::BTreeMap;

use model::{DataType, EmailId, EmailRecord, SnapshotNumber};
use repository::{ObjectRecord, Snapshot};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::restore::objects::pairs::read_object;
use crate::restore::report::{ObjectRefusal, Refusal, Refusals, Restored, RestoredObjects, Unremoved};
use crate::restore::request::RestoreId;
use crate::restore::shares::Share;
use crate::restore::uploads::is_damage;

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    folder: Option<String>,
    wanted: u64,
    present: u64,
    restored: u64,
    bytes: u64,
    relabelled: u64,
    removed: u64,
    unremoved: Unremoved,
    folders: u64,
    removed_folders: u64,
    odd_folders: Vec<String>,
    safety: Option<u64>,
    refused: u64,
    refusals: Vec<Told>,
    #[serde(default, skip_serializing_if = "is_zero")]
    wrapped: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wraps: Vec<Told>,
    objects: Vec<ToldObjects>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lacks_rows: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shares: Vec<Share>,
}

/// Something that did not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    id: String,
    reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
}

/// One type that is not Email.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToldObjects {
    r#type: String,
    wanted: u64,
    restored: u64,
    changed: u64,
    removed: u64,
    refused: u64,
    refusals: Vec<Told>,
    left_out: Option<String>,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn of(restored: &Restored) -> Report {
        let told = |refusal: &Refusal| Told {
            id: refusal.email.id.as_str().to_owned(),
            reason: refusal.reason.clone(),
            name: String::new(),
        };
        Report {
            folder: restored.folder.clone(),
            wanted: restored.wanted,
            present: restored.present,
            restored: restored.restored,
            bytes: restored.bytes,
            relabelled: restored.relabelled,
            removed: restored.removed,
            unremoved: restored.unremoved.clone(),
            folders: restored.folders,
            removed_folders: restored.removed_folders,
            odd_folders: restored.odd_folders.clone(),
            safety: restored.safety.map(|number| number.0),
            refused: restored.refused.count,
            refusals: restored.refused.named.iter().map(told).collect(),
            wrapped: restored.wrapped.count,
            wraps: restored.wrapped.named.iter().map(told).collect(),
            objects: restored.objects.iter().map(ToldObjects::of).collect(),
            lacks_rows: restored.lacks_rows,
            shares: restored.shares.clone(),
        }
    }

    /// The same in full, with what the snapshot says of whatever was refused.
    pub(super) async fn in_full(&self, id: &RestoreId, snapshot: &Snapshot) -> Result<Restored> {
        let mut objects = Vec::with_capacity(self.objects.len());
        for of in &self.objects {
            objects.extend(of.in_full(snapshot).await?);
        }
        Ok(Restored {
            id: id.clone(),
            folder: self.folder.clone(),
            wanted: self.wanted,
            present: self.present,
            open: 0,
            restored: self.restored,
            bytes: self.bytes,
            relabelled: self.relabelled,
            removed: self.removed,
            unremoved: self.unremoved.clone(),
            folders: self.folders,
            removed_folders: self.removed_folders,
            odd_folders: self.odd_folders.clone(),
            safety: self.safety.map(SnapshotNumber),
            wrapped: refusals_of(&self.wraps, self.wrapped, snapshot).await?,
            refused: refusals_of(&self.refusals, self.refused, snapshot).await?,
            objects,
            lacks_rows: self.lacks_rows,
            shares: self.shares.clone(),
        })
    }
}

async fn refusals_of(told: &[Told], count: u64, snapshot: &Snapshot) -> Result<Refusals> {
    let ids: Vec<EmailId> = told.iter().map(|told| EmailId::from(told.id.as_str())).collect();
    let emails = snapshot.find_emails(&ids).await?;
    let emails: BTreeMap<&str, &EmailRecord> =
        emails.iter().map(|email| (email.id.as_str(), email)).collect();
    let in_full = |told: &Told| {
        let email = (*emails.get(told.id.as_str())?).clone();
        Some(Refusal { blob: Some(email.blob), email, reason: told.reason.clone() })
    };
    Ok(Refusals { named: told.iter().filter_map(in_full).collect(), count })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl ToldObjects {
    fn of(of: &RestoredObjects) -> ToldObjects {
        let told = |refusal: &ObjectRefusal| Told {
            id: refusal.id.clone(),
            reason: refusal.reason.clone(),
            name: refusal.name.clone(),
        };
        ToldObjects {
            r#type: of.data_type.name().to_owned(),
            wanted: of.wanted,
            restored: of.restored,
            changed: of.changed,
            removed: of.removed,
            refused: of.refused_count,
            refusals: of.refused.iter().map(told).collect(),
            left_out: of.left_out.clone(),
            notes: of.notes.clone(),
        }
    }

    /// `None`: a type of a later format.
    async fn in_full(&self, snapshot: &Snapshot) -> Result<Option<RestoredObjects>> {
        let Some(data_type) = DataType::ALL.into_iter().find(|known| known.name() == self.r#type) else {
            return Ok(None);
        };
        let mut refused = Vec::with_capacity(self.refusals.len());
        for told in &self.refusals {
            // Its JSON may be what is damaged.
            let object: Option<ObjectRecord> = match snapshot.find_object(data_type, &told.id).await {
                Err(error) if is_damage(&error) => None,
                found => found?,
            };
            let thing = object.as_ref().and_then(|object| read_object(&object.id, &object.json));
            refused.push(ObjectRefusal {
                id: told.id.clone(),
                name: told.name.clone(),
                reason: told.reason.clone(),
                json: thing.map(|thing| thing.json).unwrap_or_default(),
                content: object.and_then(|object| object.blob),
            });
        }
        Ok(Some(RestoredObjects {
            data_type,
            wanted: self.wanted,
            restored: self.restored,
            changed: self.changed,
            removed: self.removed,
            refused,
            refused_count: self.refused,
            left_out: self.left_out.clone(),
            notes: self.notes.clone(),
        }))
    }
}
