//! Files and directories that stand in the places of others (mode *exact*).

use std::collections::BTreeMap;

use jmap::{Id, Set};
use model::DataType;
use serde_json::{Map, json};

use super::pairs::JmapObject;
use super::there::There;
use super::{DESTROYED_AT_ONCE, Objects, rules};
use crate::error::Result;
use crate::restore::folders::placing::aside;

impl Objects<'_> {
    /// Renames files and directories that stand in the places of others: servers refuse a second one of a name. They get their own
    /// names when it is their turn, or go at the end. What its owner made there meanwhile stays, and is taken for the snapshot's.
    pub(super) async fn make_room(
        &self,
        coming: &[JmapObject],
        pairs: &mut [Option<usize>],
        there: &mut There,
        free: &mut [bool],
    ) -> Result<()> {
        let place = |thing: &JmapObject| (thing.text("parentId").to_owned(), thing.text("name").to_owned());
        let occupied: BTreeMap<_, _> =
            there.things.iter().enumerate().map(|(at, thing)| (place(thing), at)).collect();
        let mut in_the_way = Vec::new();
        for (thing, pair) in coming.iter().zip(pairs) {
            let Some(at) = occupied.get(&place(thing)).copied().filter(|at| Some(*at) != *pair) else {
                continue;
            };
            if there.is_held[at] {
                in_the_way.push(at);
            } else if pair.is_none() && free[at] && rules::are_of_one_kind(thing, &there.things[at]) {
                (*pair, free[at]) = (Some(at), false);
            }
        }
        for chunk in in_the_way.chunks(DESTROYED_AT_ONCE) {
            self.rename(chunk, there).await?;
        }
        Ok(())
    }

    /// Where a name is refused, what comes is refused, too, and is named.
    async fn rename(&self, chunk: &[usize], there: &mut There) -> Result<()> {
        let (mut set, mut names) = (Set::new(), Vec::new());
        for at in chunk {
            let thing = &there.things[*at];
            let Ok(id) = Id::new(&thing.id) else { continue };
            let name = aside(thing.text("name"));
            let mut patch = Map::from_iter([("name".to_owned(), json!(name))]);
            rules::keep_modified(&mut patch, thing);
            set.update(&id, patch.into());
            names.push((*at, id, name));
        }
        if set.is_empty() {
            return Ok(());
        }
        let written = self.seam.set(self.target, DataType::FileNode, set).await?;
        for (at, id, name) in names {
            if !written.not_updated.contains_key(&id) {
                there.things[at].json.insert("name".to_owned(), json!(name));
            }
        }
        Ok(())
    }
}
