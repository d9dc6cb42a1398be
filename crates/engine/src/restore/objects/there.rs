//! What the account holds of a type: now, by the safety backups, and before the first attempt.

use std::collections::{BTreeMap, BTreeSet};

use jmap::JmapBlobId;
use model::{BlobId, DataType};
use repository::{ObjectRecord, Snapshot};
use serde_json::Value;

use super::pairs::{JmapObject, Rules, creation, not_kept, patch};
use super::properties::{differ, has_properties, is_partly_unknown};
use super::rules;
use super::{Objects, is_as_before, jmap_object, jmap_objects, losses};
use crate::error::Result;
use crate::restore::content::hash_blob;
use crate::restore::exact::prove;
use crate::restore::report::RestoredObjects;
use crate::restore::request::Mode;
use crate::restore::uploads::is_damage;
use crate::server::properties::MEMBER;
use crate::server::types::to_jmap;

/// What the account holds of a type.
pub(super) struct There {
    pub(super) things: Vec<JmapObject>,
    /// Whether the safety backups hold it, the latest just so.
    pub(super) is_held: Vec<bool>,
    /// Before the first attempt (mode *exact*, from the second attempt on).
    pub(super) first: BTreeMap<String, JmapObject>,
}

impl Objects<'_> {
    pub(super) async fn there(
        &self,
        data_type: DataType,
        wanted: &[JmapObject],
        report: &mut RestoredObjects,
    ) -> Result<There> {
        let mut live: Vec<JmapObject> = Vec::new();
        for object in self.target.objects(to_jmap(data_type)).await? {
            live.extend(jmap_object(object.id.as_str(), &object.json, None));
        }
        live.retain(|thing| !rules::is_hidden(data_type, thing));
        let matters = match self.how.mode {
            Mode::Exact => true,
            Mode::Missing => live.iter().any(|thing| rules::is_pristine(data_type, thing)),
            Mode::Beside => false,
        };
        if matters || wanted.iter().any(has_properties) {
            self.target.add_properties(data_type, &mut live).await?;
        }
        let Some(safety) = self.seam.safety() else {
            // Nothing will be touched.
            let is_held = vec![true; live.len()];
            return Ok(There { things: live, is_held, first: BTreeMap::new() });
        };
        let (held, lost) = readable(&safety.now, data_type).await?;
        for (id, reason) in lost.into_iter().filter(|(id, _)| live.iter().any(|thing| thing.id == *id)) {
            report.notes.push(format!("{id} was left as it is: {reason}"));
        }
        let (held, first) = (jmap_objects(&held), jmap_objects(&readable(&safety.first, data_type).await?.0));
        let mut first: BTreeMap<String, JmapObject> =
            first.into_iter().map(|thing| (thing.id.clone(), thing)).collect();
        first.retain(|_, thing| !rules::is_hidden(data_type, thing));
        let held: BTreeMap<&str, &JmapObject> = held.iter().map(|thing| (thing.id.as_str(), thing)).collect();
        let mut is_held = Vec::with_capacity(live.len());
        for thing in &mut live {
            let known = held.get(thing.id.as_str());
            let touched = known.filter(|known| !is_as_before(data_type, known, thing));
            if touched.is_some() {
                report.notes.push(format!("{} was changed meanwhile, and was left as it is", thing.name()));
            }
            let known = known.filter(|_| touched.is_none());
            if known.is_some_and(|known| is_partly_unknown(data_type, known)) {
                thing.json.remove(MEMBER);
            }
            (thing.content, thing.text) = known.map_or((None, None), |known| (known.content, known.text));
            is_held.push(known.is_some() && first.contains_key(thing.id.as_str()));
        }
        // Earlier attempts removed what is not there any more, unless it is wanted: then its owner did, and it comes back.
        let there: BTreeSet<&str> = live.iter().map(|thing| thing.id.as_str()).collect();
        let owners = wanted.iter().filter(|_| self.how.same_account).map(|thing| thing.id.as_str());
        let there: BTreeSet<&str> = there.into_iter().chain(owners).collect();
        report.removed += first.keys().filter(|id| !there.contains(id.as_str())).count() as u64;
        if safety.is_first() {
            first.clear();
        }
        Ok(There { things: live, is_held, first })
    }

    /// Whether an earlier attempt created this object of the account.
    pub(super) fn is_ours(&self, data_type: DataType, id: &str) -> bool {
        self.seam.before().is_some_and(|before| !before.has(data_type, id))
    }

    /// Whether an earlier attempt put something into an object that was there and empty.
    pub(super) fn was_filled(&self, data_type: DataType, wanted: &JmapObject, now: &JmapObject) -> bool {
        let was_pristine = self.seam.before().is_some_and(|before| before.was_pristine(data_type, &now.id));
        was_pristine && !rules::is_pristine(data_type, wanted)
    }

    /// Whether an earlier attempt changed an object that is now as the snapshot has it.
    pub(super) async fn was_changed(
        &self,
        wanted: &JmapObject,
        now: &JmapObject,
        there: &There,
        rules: &Rules,
    ) -> Result<bool> {
        let Some(first) = there.first.get(&now.id) else { return Ok(false) };
        Ok(!patch(wanted, first, rules).is_empty()
            || differ(wanted, first)
            || self.has_other_content(wanted, first).await?)
    }

    /// Why the content of an object of the account must not go: the store cannot give it back.
    pub(super) async fn is_irreplaceable(&self, thing: &JmapObject) -> Result<Option<String>> {
        let content = thing.content.or(thing.text);
        let (Some(safety), Some(content)) = (self.seam.safety(), content) else { return Ok(None) };
        let place = safety.now.locate(&[content]).await?.remove(&content);
        prove(&safety.now, place).await
    }

    pub(super) async fn has_other_content(&self, wanted: &JmapObject, now: &JmapObject) -> Result<bool> {
        let same_account = self.how.same_account;
        match (wanted.content, now.content, self.seam.safety()) {
            (None, ..) => Ok(false),
            (Some(wanted), Some(now), _) if same_account => Ok(wanted != now),
            // Another mailbox names the same bytes otherwise.
            (Some(wanted), Some(now), Some(safety)) => {
                Ok(self.hash_for(&safety.now, &wanted).await != Some(now))
            }
            // A dry run knows no hash of the account's, and a file that came back has another id of its bytes.
            (Some(_), ..) if same_account && wanted.text("blobId") == now.text("blobId") => Ok(false),
            (Some(wanted), ..) => {
                let Ok(blob) = JmapBlobId::new(now.text("blobId")) else { return Ok(true) };
                let hasher = self.snapshot.hasher();
                Ok(hash_blob(self.target, &hasher, &blob).await? != Some(wanted))
            }
        }
    }

    /// What another mailbox calls these bytes; `None` if they cannot be read.
    async fn hash_for(&self, other: &Snapshot, blob: &BlobId) -> Option<BlobId> {
        let mut pieces = self.snapshot.blob_reader(blob).await.ok()?;
        let hasher = other.hasher();
        let mut hash = hasher.stream();
        while let Some(piece) = pieces.next().await.ok()? {
            hash.update(&piece);
        }
        Some(BlobId(*hash.finalize().as_bytes()))
    }
}

/// The objects of a type that can be read, and why others cannot.
pub(super) async fn readable(
    snapshot: &Snapshot,
    data_type: DataType,
) -> Result<(Vec<ObjectRecord>, Vec<(String, String)>)> {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    let mut each = snapshot.each_object().await?;
    while let Some(next) = each.next().await? {
        match next.object {
            _ if next.data_type != data_type => {}
            Ok(object) => found.push(object),
            Err(error) if is_damage(&error) => {
                lost.push((next.id, format!("its copy in the store does not open: {error}")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((found, lost))
}

/// What an object that an earlier attempt created lacks: the server did not take it.
pub(super) fn came_without(wanted: &JmapObject, now: &JmapObject, rules: &Rules) -> Option<String> {
    let sent = creation(wanted, rules);
    let is_there = |name: &&str| !now.json.get(*name).unwrap_or(&Value::Null).is_null();
    let (others, missing): (Vec<&str>, Vec<&str>) =
        not_kept(&sent, now, rules).into_iter().partition(is_there);
    match (missing.is_empty(), others.is_empty()) {
        (true, true) => None,
        (false, true) => Some(losses::without(&wanted.name(), &missing)),
        (_, false) => Some(losses::otherwise(&wanted.name(), &[missing, others].concat())),
    }
}
