//! Rows of objects: what differs from what is known is stored, and content that came is fetched.

use std::collections::BTreeMap;

use jmap::JmapBlobId;
use model::DataType;
use repository::ObjectRecord;
use serde::Deserialize;

use super::found::Found;
use crate::backup::draft::Rows;
use crate::backup::fetch::step::{Subject, Wanted};
use crate::backup::run::Run;
use crate::error::Result;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithContent {
    #[serde(default)]
    blob_id: Option<JmapBlobId>,
    #[serde(default)]
    size: Option<u64>,
}

impl Run<'_> {
    /// Makes rows of what differs from what is known, which is brought up to date; what of them the server does not show.
    pub(crate) async fn put_objects(
        &mut self,
        data_type: DataType,
        mut found: Found,
        known: &mut Rows,
    ) -> Result<Option<&'static str>> {
        if found.is_all {
            let failed = self.draft.failed_of(data_type).map(|(id, _)| id);
            // What cannot be read is there, and as it was.
            let ids = known.keys().map(String::as_str).chain(failed);
            for id in ids.filter(|id| !found.unreadable.contains_key(*id)) {
                found.objects.entry(id.to_owned()).or_insert(None);
            }
        }
        for (id, reason) in found.unreadable {
            found.objects.remove(&id);
            self.draft.fail(data_type, id, reason).await?;
        }
        let (mut wanted, mut replaced) = (Vec::new(), Vec::new());
        let mut events = BTreeMap::new();
        for (id, json) in found.objects {
            let failed = self.draft.has_failed(data_type, &id);
            let old = known.get(&id);
            let Some(json) = json else {
                if known.remove(&id).is_some() {
                    self.draft.remove_object(data_type, &id).await?;
                }
                self.draft.forgive(data_type, &id).await?;
                continue;
            };
            if data_type == DataType::CalendarEvent {
                events.insert(id, json);
                continue;
            }
            if !failed && old.is_some_and(|old| old.json == json) {
                continue;
            }
            let is_same = |old: &&ObjectRecord| !failed && content_of(&old.json).0 == content_of(&json).0;
            let blob = old.filter(is_same).and_then(|old| old.blob);
            let object = ObjectRecord { data_type, id: id.clone(), json, blob };
            match content_of(&object.json) {
                (Some(content), size) if blob.is_none() => {
                    replaced.push((id.clone(), old.cloned()));
                    wanted.push(Wanted { blob: content, size, subject: Subject::Object(object.clone()) });
                }
                _ => {
                    self.draft.forgive(data_type, &id).await?;
                    self.draft.put_object(object.clone()).await?;
                }
            }
            known.insert(id, object);
        }
        self.fetch(wanted).await?;
        // What could not be fetched is as it was.
        replaced.retain(|(id, _)| self.draft.has_failed(data_type, id));
        for (id, old) in replaced {
            match old {
                Some(old) => known.insert(id, old),
                None => known.remove(&id),
            };
        }
        if events.is_empty() { Ok(None) } else { self.put_events(events, known).await }
    }
}

/// Types whose objects have bytes beside their JSON (scripts, files) name them by `blobId`.
fn content_of(json: &[u8]) -> (Option<JmapBlobId>, Option<u64>) {
    match serde_json::from_slice(json) {
        Ok(WithContent { blob_id, size }) => (blob_id, size),
        Err(_) => (None, None),
    }
}
