//! What the account has and the snapshot does not goes (mode *exact*).

use std::collections::BTreeMap;

use jmap::{Id, Set};
use model::DataType;

use super::pairs::{JmapObject, levels};
use super::{DESTROYED_AT_ONCE, Objects, is_as_before, read_object, rules};
use crate::error::{Error, Result};
use crate::restore::report::RestoredObjects;
use crate::restore::request::{Act, Planned};
use crate::server::types::to_jmap;

impl Objects<'_> {
    /// Destroys what the snapshot does not have and the safety backup holds, what lies in something first. Nothing of a type of which
    /// something was refused.
    pub(in crate::restore) async fn remove(
        &self,
        done: &mut BTreeMap<DataType, RestoredObjects>,
    ) -> Result<()> {
        for (data_type, surplus) in self.surplus.iter().rev() {
            let Some(report) = done.get_mut(data_type) else { continue };
            // What is too much may be the very thing that the server takes the refused one for.
            if report.refused_count > 0 && !surplus.is_empty() {
                let (n, plural) = (surplus.len(), rules::plural(*data_type));
                report.notes.push(format!(
                    "{n} {plural} that the snapshot has not are still there, because not everything came back"
                ));
                continue;
            }
            if self.seam.is_rehearsed() {
                report.removed += surplus.len() as u64;
                for thing in surplus {
                    let (act, name) = (Act::Remove, thing.name());
                    self.seam.tells(&Planned { act, data_type: *data_type, id: &thing.id, name: &name });
                }
                continue;
            }
            let most = self.target.client.session().limits.max_objects_in_set;
            for level in levels(surplus.clone()).iter().rev() {
                for things in level.chunks(DESTROYED_AT_ONCE.min(most).max(1)) {
                    self.destroy(*data_type, things, report).await?;
                }
            }
        }
        Ok(())
    }

    async fn destroy(
        &self,
        data_type: DataType,
        things: &[JmapObject],
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let ids = things.iter().filter_map(|thing| Id::new(&thing.id).ok()).collect();
        let mut set = Set::new();
        let found = self.target.objects_of(to_jmap(data_type), ids).await?;
        let read = found.iter().filter_map(|object| read_object(object.id.as_str(), &object.json));
        let mut now: Vec<JmapObject> = read.collect();
        self.target.add_properties(data_type, &mut now).await?;
        for now in &now {
            let Some(doomed) = things.iter().find(|doomed| doomed.id == now.id) else { continue };
            if !is_as_before(data_type, doomed, now) {
                report.note(format!("{} was changed meanwhile, and was left as it is", now.name()));
                continue;
            }
            match self.is_irreplaceable(doomed).await? {
                None => set.destroy(&Id::new(&now.id).map_err(|_| Error::Stopped)?),
                Some(reason) => report.notes.push(format!("{} is still there: {reason}", doomed.name())),
            }
        }
        if set.is_empty() {
            return Ok(());
        }
        self.seam.assert_alive().await?;
        let written = self.target.set(rules::plural(data_type), to_jmap(data_type), set).await?;
        report.removed += written.destroyed.len() as u64;
        // What lies in something arrived meanwhile, and stays with it.
        let stays = |kind: &str| kind == "notFound" || kind.contains("Has");
        for (id, refusal) in written.not_destroyed.iter().filter(|(_, refusal)| !stays(&refusal.kind)) {
            let name =
                things.iter().find(|thing| thing.id == id.as_str()).map(JmapObject::name).unwrap_or_default();
            report.notes.push(format!("{name} is still there: {refusal}"));
        }
        Ok(())
    }
}
