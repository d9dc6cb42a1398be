//! What happens to arriving mail: which script is active, and the vacation response.
//!
//! Of all scripts and the vacation response at most one is active: some servers keep the response as a script, so that switching one
//! on switches the other off. The response is therefore set before a script is activated, and after one is deactivated.

use jmap::{Id, Set};
use model::DataType;
use serde_json::{Map, Value, json};

use super::pairs::{JmapObject, patch};
use super::there::readable;
use super::{Objects, jmap_object, jmap_objects, rules};
use crate::error::{Error, Result};
use crate::restore::report::RestoredObjects;
use crate::restore::request::{Act, Mode, Planned};
use crate::server::types::to_jmap;

const SINGLETON: &str = "singleton";
const RESPONSE: &str = "the vacation response";

impl Objects<'_> {
    /// Gives the vacation response back, and in mode *exact* activates the script that was active.
    pub(super) async fn give_vacation(&mut self, report: &mut RestoredObjects) -> Result<()> {
        let data_type = DataType::VacationResponse;
        let kept = jmap_objects(&readable(self.snapshot, data_type).await?.0).pop();
        report.wanted = u64::from(kept.is_some() && self.how.mode != Mode::Beside);
        if !self.target.account.offers(to_jmap(data_type)) {
            report.left_out = kept.map(|_| "the mail server does not offer it".to_owned());
            return Ok(());
        }
        let now = self.target.objects(to_jmap(data_type)).await?;
        let now = now.first().and_then(|object| jmap_object(object.id.as_str(), &object.json, None));
        let now = now.unwrap_or_else(nothing);
        match self.how.mode {
            Mode::Beside => self.leave_vacation(kept, &now, report).await,
            Mode::Missing => match kept {
                Some(kept) if rules::is_pristine(data_type, &now) => {
                    let may_be_on = !self.has_active_filter().await?;
                    self.set_vacation(&kept, &now, may_be_on, report).await
                }
                Some(kept) if self.was_vacation_filled(&kept, &now) => {
                    report.restored += 1;
                    Ok(())
                }
                _ => Ok(()),
            },
            Mode::Exact => {
                let active = self.wanted_script().await?;
                let before = self.active_script().await?;
                if active.is_none() && before.is_some() {
                    self.set_scripts(Set::new().with("onSuccessDeactivateScript", true)).await?;
                }
                self.set_vacation(&kept.unwrap_or_else(nothing), &now, true, report).await?;
                match active.filter(|id| before.as_ref() != Some(id)) {
                    Some(id) => self.set_scripts(Set::new().with("onSuccessActivateScript", id)).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// There is only one: beside it lies, at best, the script that the server made of it.
    async fn leave_vacation(
        &self,
        kept: Option<JmapObject>,
        now: &JmapObject,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let Some(kept) = kept else { return Ok(()) };
        let is_same = patch(&kept, now, &rules::rules(DataType::VacationResponse)).is_empty();
        let scripts = jmap_objects(&readable(self.snapshot, DataType::SieveScript).await?.0);
        let is_script = scripts.iter().any(|script| rules::is_hidden(DataType::SieveScript, script));
        if !is_same && !is_script && !rules::is_pristine(DataType::VacationResponse, &kept) {
            report.left_out =
                Some("an account has only one: modes missing and exact give it back".to_owned());
        }
        Ok(())
    }

    async fn set_vacation(
        &self,
        kept: &JmapObject,
        now: &JmapObject,
        may_be_on: bool,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let is_on = kept.is("isEnabled") && may_be_on;
        let rules = rules::rules(DataType::VacationResponse);
        let is_as_kept =
            |thing: &JmapObject| patch(kept, thing, &rules).is_empty() && is_on == thing.is("isEnabled");
        if is_as_kept(now) {
            let first = self.vacation_before().await?;
            if let Some(first) = first.filter(|first| !is_as_kept(first)) {
                count(rules::is_pristine(DataType::VacationResponse, &first), report);
            }
            return Ok(());
        }
        let mut patch = patch(kept, now, &rules);
        // Without it, Stalwart switches the response off.
        patch.insert("isEnabled".to_owned(), json!(is_on));
        let is_pristine = rules::is_pristine(DataType::VacationResponse, now);
        let act = if is_pristine { Act::Create } else { Act::Change };
        let data_type = DataType::VacationResponse;
        if !self.seam.tells(&Planned { act, data_type, id: SINGLETON, name: RESPONSE }) {
            let id = Id::new(SINGLETON).map_err(|_| Error::Stopped)?;
            let mut set = Set::new();
            set.update(&id, patch.into());
            let written = self.seam.set(self.target, data_type, set).await?;
            if let Some(refusal) = written.not_updated.get(&id) {
                report.refuse(SINGLETON, RESPONSE.to_owned(), refusal.to_string(), &kept.json, None);
                return Ok(());
            }
        }
        let first = self.vacation_before().await?;
        count(
            first.map_or(is_pristine, |first| rules::is_pristine(DataType::VacationResponse, &first)),
            report,
        );
        Ok(())
    }

    /// What the account's was before the first attempt, as far as that is known and may differ.
    async fn vacation_before(&self) -> Result<Option<JmapObject>> {
        let data_type = DataType::VacationResponse;
        if let Some(safety) = self.seam.safety() {
            let first = jmap_objects(&readable(&safety.first, data_type).await?.0).pop();
            return Ok((!safety.is_first()).then(|| first.unwrap_or_else(nothing)));
        }
        Ok(None)
    }

    /// Whether an earlier attempt put the snapshot's into one that was empty (mode *missing*).
    fn was_vacation_filled(&self, kept: &JmapObject, now: &JmapObject) -> bool {
        let data_type = DataType::VacationResponse;
        let was_empty = self.seam.before().is_some_and(|before| {
            before.was_pristine(data_type, SINGLETON) || !before.has(data_type, SINGLETON)
        });
        was_empty && patch(kept, now, &rules::rules(data_type)).is_empty()
    }

    /// The account's id of the script that was active, as far as it came back.
    async fn wanted_script(&self) -> Result<Option<String>> {
        let scripts = jmap_objects(&readable(self.snapshot, DataType::SieveScript).await?.0);
        let active = scripts.into_iter().find(|script| script.is("isActive"));
        Ok(active.and_then(|script| self.ids.get(&(DataType::SieveScript, script.id)).cloned()))
    }

    /// The script that is active now, the server's own for the vacation response aside.
    async fn active_script(&self) -> Result<Option<String>> {
        let scripts = self.scripts().await?;
        let is_it =
            |script: &&JmapObject| script.is("isActive") && !rules::is_hidden(DataType::SieveScript, script);
        Ok(scripts.iter().find(is_it).map(|script| script.id.clone()))
    }

    /// Whether any script or the vacation response is active.
    pub(super) async fn has_active_filter(&self) -> Result<bool> {
        if self.scripts().await?.iter().any(|script| script.is("isActive")) {
            return Ok(true);
        }
        let data_type = to_jmap(DataType::VacationResponse);
        if !self.target.account.offers(data_type) {
            return Ok(false);
        }
        let responses = self.target.objects(data_type).await?;
        let mut responses =
            responses.iter().filter_map(|object| jmap_object(object.id.as_str(), &object.json, None));
        Ok(responses.any(|response| response.is("isEnabled")))
    }

    async fn scripts(&self) -> Result<Vec<JmapObject>> {
        let data_type = to_jmap(DataType::SieveScript);
        if !self.target.account.offers(data_type) {
            return Ok(Vec::new());
        }
        let scripts = self.target.objects(data_type).await?;
        Ok(scripts.iter().filter_map(|object| jmap_object(object.id.as_str(), &object.json, None)).collect())
    }

    async fn set_scripts(&self, set: Set) -> Result<()> {
        self.seam.set(self.target, DataType::SieveScript, set).await.map(drop)
    }
}

fn count(was_pristine: bool, report: &mut RestoredObjects) {
    if was_pristine { report.restored += 1 } else { report.changed += 1 }
}

fn nothing() -> JmapObject {
    let json: Map<String, Value> = Map::from_iter([("isEnabled".to_owned(), json!(false))]);
    JmapObject { id: SINGLETON.to_owned(), json, content: None, text: None }
}
