//! Which address book, calendar or participant identity is the default one.

use jmap::Set;
use model::DataType;
use serde_json::{Map, Value};

use super::pairs::JmapObject;
use super::there::There;
use super::{Objects, rules};
use crate::error::Result;
use crate::restore::report::RestoredObjects;

impl Objects<'_> {
    /// The default address book or calendar of the snapshot is that of the account, whatever that is called. It keeps a name that its
    /// owner gave it, which is told.
    pub(super) fn keep_name(
        &self,
        wanted: &JmapObject,
        now: &JmapObject,
        may_change: bool,
        patch: &mut Map<String, Value>,
        report: &mut RestoredObjects,
    ) {
        if rules::are_servers_names(wanted, now) {
            patch.remove("name");
        } else if !(may_change && rules::is_servers_name(now, &self.target.account.name)) {
            let kept: Vec<&str> =
                if may_change { vec!["name"] } else { patch.keys().map(String::as_str).collect() };
            let (name, kept) = (now.name(), kept.join(", "));
            report.note(format!(
                "{} is {name} here, the default one, which keeps its own {kept}",
                wanted.name()
            ));
            patch.remove("name");
        }
    }

    pub(super) async fn choose_default(
        &self,
        data_type: DataType,
        default: Option<String>,
        there: &There,
    ) -> Result<()> {
        let chosen = default.and_then(|id| self.ids.get(&(data_type, id)));
        let now = there.things.iter().find(|thing| thing.is("isDefault")).map(|thing| &thing.id);
        let Some(chosen) = chosen.filter(|id| rules::has_default(data_type) && Some(*id) != now) else {
            return Ok(());
        };
        self.make_default(data_type, chosen).await
    }

    /// Chooses what is the default one because there is no other: Stalwart 0.16 calls it so only until a second one comes, and then none
    /// is.
    pub(super) async fn keep_default(&self, data_type: DataType, there: &There) -> Result<()> {
        match there.things.as_slice() {
            [only] if rules::has_default(data_type) && only.is("isDefault") => {
                self.make_default(data_type, &only.id).await
            }
            _ => Ok(()),
        }
    }

    async fn make_default(&self, data_type: DataType, id: &str) -> Result<()> {
        let set = Set::new().with("onSuccessSetIsDefault", id);
        self.seam.set(self.target, data_type, set).await.map(drop)
    }
}
