//! Objects on their way to the server: content is uploaded, then a few are created or changed by one request.

use std::collections::BTreeMap;

use model::DataType;
use repository::Located;
use serde_json::{Map, Value, json};

use jmap::{Id, MethodErrorKind, Set, SetError, State, Written};

use super::losses::{otherwise, without};
use super::pairs::{JmapObject, creation, not_kept};
use super::properties::{Difference, has_own_components};
use super::{NEW, Objects, is_as_before, read_object, rules};
use crate::error::{Error, Result};
use crate::restore::emails::upload_target::UploadTarget;
use crate::restore::report::RestoredObjects;
use crate::restore::request::{Act, Mode, Planned};
use crate::restore::uploads::{Content, MOST_BYTES, Uploaded, Uploads};
use crate::server::account::is_fatal;
use crate::server::types::to_jmap;

/// Objects in one request.
const MOST_OBJECTS: usize = 100;
/// Looks at what is about to be changed, where others change something of the type each time.
const MOST_LOOKS: u32 = 5;

/// An object of the account, what people call it, and members that were written.
pub(super) type Unkept = (String, String, Map<String, Value>);

/// One object to be created or changed.
pub(super) struct Step {
    thing: JmapObject,
    /// The account's object that is changed, as it was when it was last looked at; `None`: it is created.
    of: Option<JmapObject>,
    object: Map<String, Value>,
    has_content: bool,
    /// What follows by CalDAV or CardDAV.
    properties: Difference,
    /// The account's id of what was made by CalDAV.
    made: Option<String>,
    /// What was left away because the server does not take it.
    dropped: Vec<String>,
}

impl Step {
    pub(super) fn create(data_type: DataType, thing: JmapObject) -> Step {
        let object = creation(&thing, &rules::rules(data_type));
        let has_content = thing.json.get("blobId").is_some_and(|blob| !blob.is_null());
        let properties = Difference::of_new(&thing);
        Step { thing, of: None, object, has_content, properties, made: None, dropped: Vec::new() }
    }

    pub(super) fn change(
        thing: JmapObject,
        of: JmapObject,
        patch: Map<String, Value>,
        has_content: bool,
    ) -> Step {
        let (of, properties) = (Some(of), Difference::default());
        Step { thing, of, object: patch, has_content, properties, made: None, dropped: Vec::new() }
    }

    pub(super) fn with(self, properties: Difference) -> Step {
        Step { properties, ..self }
    }

    /// The account's object that the request is about; `None`: it creates one.
    fn updates(&self) -> Option<Id> {
        let id = self.of.as_ref().map(|of| &of.id).or(self.made.as_ref())?;
        Id::new(id).ok()
    }

    pub(super) fn creates(&self) -> bool {
        self.of.is_none()
    }

    /// Leaves away what the server does not take; false if the rest makes no sense.
    fn reduce(&mut self, refusal: &SetError) -> bool {
        let refused =
            refusal.properties.iter().map(|property| property.split('/').next().unwrap_or_default());
        let refused: Vec<&str> = refused.collect();
        if refusal.kind != "invalidProperties" || refused.iter().any(|member| rules::is_essential(member)) {
            return false;
        }
        let before = self.dropped.len();
        for member in refused {
            self.dropped.extend(self.object.remove(member).map(|_| member.to_owned()));
        }
        self.dropped.len() > before
    }
}

impl Objects<'_> {
    /// Creates and changes what the steps say, and tells what became of each.
    pub(super) async fn take(
        &mut self,
        data_type: DataType,
        steps: Vec<Step>,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        if self.seam.is_rehearsed() {
            for step in steps {
                let act = if step.of.is_some() { Act::Change } else { Act::Create };
                let id = step.of.as_ref().map_or(&step.thing.id, |of| &of.id);
                self.seam.tells(&Planned { act, data_type, id: id.trim(), name: &step.thing.name() });
                self.succeeded(data_type, &step, None, report);
            }
            return Ok(());
        }
        let content: Vec<_> =
            steps.iter().filter(|step| step.has_content).filter_map(|step| step.thing.content).collect();
        let places = self.snapshot.locate(&content).await?;
        let limits = self.target.client.session().limits;
        // A script may have to be activated by the request that creates it.
        let most =
            if data_type == DataType::SieveScript { 1 } else { MOST_OBJECTS.min(limits.max_objects_in_set) };
        let most_bytes = MOST_BYTES.min(limits.max_size_request / 2);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for step in steps {
            let place =
                step.thing.content.filter(|_| step.has_content).and_then(|blob| places.get(&blob).cloned());
            let size = Value::from(step.object.clone()).to_string().len() as u64;
            let size = size + place.as_ref().map_or(0, Located::length);
            if !batch.is_empty() && (batch.len() == most || bytes + size > most_bytes) {
                self.send(data_type, std::mem::take(&mut batch), report).await?;
                bytes = 0;
            }
            bytes += size;
            batch.push((step, place));
        }
        self.send(data_type, batch, report).await
    }

    async fn send(
        &mut self,
        data_type: DataType,
        batch: Vec<(Step, Option<Located>)>,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let (mut open, failure) = self.upload(data_type, batch, report).await?;
        for step in open.iter_mut().filter(|step| step.of.is_none() && has_own_components(&step.thing)) {
            step.made = self.make_by_dav(&step.thing, &step.object, report).await?;
        }
        let mut looks = 0;
        while !open.is_empty() {
            let state;
            (open, state) = self.leave_touched(data_type, open, report).await?;
            let mut set = self.set_of(data_type, &open).await?;
            if let Some(state) = state.filter(|_| looks < MOST_LOOKS) {
                set = set.with("ifInState", state.as_str());
            }
            if open.is_empty() {
                break;
            }
            let written = self.target.set(rules::plural(data_type), to_jmap(data_type), set).await;
            let mut written = match written {
                // Somebody changed something of the type since.
                Err(Error::Write { source, .. }) if is_of_state(&source) && looks < MOST_LOOKS => {
                    looks += 1;
                    continue;
                }
                // Too long, or nothing that this server does: the others may get through.
                Err(Error::Write { source, .. }) if matches!(source.class(), jmap::Class::Permanent) => {
                    open.iter().for_each(|step| refuse(step, &source.to_string(), report));
                    break;
                }
                written => written?,
            };
            let (mut again, mut done) = (Vec::new(), Vec::new());
            for (n, mut step) in open.into_iter().enumerate() {
                match take_refusal(&mut written, &step, n) {
                    None => {
                        let id = written.created.remove(&n.to_string()).map(|created| created.id.to_string());
                        let id = id.or_else(|| step.made.clone());
                        let of = step.of.as_ref().map(|of| of.id.clone());
                        self.succeeded(data_type, &step, id.clone(), report);
                        done.extend(id.or(of).map(|id| (id, step)));
                    }
                    Some(refusal) if step.reduce(&refusal) => again.push(step),
                    Some(refusal) => self.refused(step, &refusal, report).await?,
                }
            }
            open = again;
            let properties = done.iter().map(|(id, step)| (id.as_str(), &step.properties)).collect();
            self.give_properties(data_type, properties, report).await?;
            self.note_unkept(data_type, done, report).await?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Leaves out what its owner has changed since it was looked at (mode *exact*), and tells the state of the type in which nothing
    /// else was.
    async fn leave_touched(
        &self,
        data_type: DataType,
        steps: Vec<Step>,
        report: &mut RestoredObjects,
    ) -> Result<(Vec<Step>, Option<State>)> {
        let ids: Vec<Id> = steps.iter().filter_map(|step| Id::new(&step.of.as_ref()?.id).ok()).collect();
        if ids.is_empty() || self.how.mode != Mode::Exact {
            return Ok((steps, None));
        }
        let now = self.target.objects_at(to_jmap(data_type), ids).await?;
        let state = now.state.clone();
        let now = now.list.iter().filter_map(|object| read_object(object.id.as_str(), &object.json));
        let mut now: Vec<JmapObject> = now.collect();
        self.target.add_properties(data_type, &mut now).await?;
        let now: BTreeMap<String, JmapObject> =
            now.into_iter().map(|thing| (thing.id.clone(), thing)).collect();
        let (mut open, mut touched) = (Vec::new(), Vec::new());
        for step in steps {
            let live = step.of.as_ref().and_then(|of| Some((of, now.get(&of.id)?)));
            match live {
                Some((of, live)) if !is_as_before(data_type, of, live) => touched.push(live.name()),
                _ => open.push(step),
            }
        }
        report.notes.extend(
            touched.iter().map(|name| format!("{name} was changed meanwhile, and was left as it is")),
        );
        Ok((open, state))
    }

    /// Reads again what was written, and remembers of what the server took something and does not keep it.
    async fn note_unkept(
        &mut self,
        data_type: DataType,
        done: Vec<(String, Step)>,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let written = done.into_iter().map(|(id, step)| (id, step.thing.name(), step.object));
        let unkept = self.not_kept(data_type, written.collect(), report).await?;
        self.unkept.extend(unkept);
        Ok(())
    }

    /// Tells what the server took and does not keep, even now that texts are in their places.
    pub(super) async fn tell_unkept(
        &mut self,
        data_type: DataType,
        report: &mut RestoredObjects,
    ) -> Result<()> {
        let unkept = std::mem::take(&mut self.unkept);
        for (_, name, object) in self.not_kept(data_type, unkept, report).await? {
            let members: Vec<&str> = object.keys().map(String::as_str).collect();
            report.note(otherwise(&name, &members));
        }
        Ok(())
    }

    /// The members of what was written that the server keeps otherwise, or not at all. What cannot be read now came all the same.
    async fn not_kept(
        &self,
        data_type: DataType,
        written: Vec<Unkept>,
        report: &mut RestoredObjects,
    ) -> Result<Vec<Unkept>> {
        let rules = rules::rules(data_type);
        let most = MOST_OBJECTS.min(self.target.client.session().limits.max_objects_in_get);
        let mut unkept = Vec::new();
        for written in written.chunks(most) {
            let ids = written.iter().filter_map(|(id, ..)| Id::new(id).ok()).collect();
            let found = match self.target.objects_of(to_jmap(data_type), ids).await {
                Err(Error::Server { source, .. }) if !is_passing(&source) => {
                    let (n, plural) = (written.len(), rules::plural(data_type));
                    report.note(format!("{n} {plural} came back, and could not be compared: {source}"));
                    continue;
                }
                found => found?,
            };
            for object in found {
                let Some(now) = read_object(object.id.as_str(), &object.json) else { continue };
                let Some((id, name, sent)) = written.iter().find(|(id, ..)| *id == now.id) else { continue };
                let lost = not_kept(sent, &now, &rules);
                let lost = lost
                    .into_iter()
                    .filter_map(|member| Some((member.to_owned(), sent.get(member)?.clone())));
                let lost: Map<String, Value> = lost.collect();
                if !lost.is_empty() {
                    unkept.push((id.clone(), name.clone(), lost));
                }
            }
        }
        Ok(unkept)
    }

    async fn set_of(&self, data_type: DataType, open: &[Step]) -> Result<Set> {
        let mut set = Set::new();
        for (n, step) in open.iter().enumerate() {
            let object = Value::Object(step.object.clone());
            match step.updates() {
                Some(id) => set.update(&id, object),
                None => set.create(n.to_string(), object),
            }
        }
        let activates = |step: &Step| step.of.is_none() && step.thing.is("isActive");
        let may_activate = data_type == DataType::SieveScript && self.how.mode == Mode::Missing;
        if may_activate && open.iter().any(activates) && !self.has_active_filter().await? {
            return Ok(set.with("onSuccessActivateScript", "#0"));
        }
        Ok(set)
    }

    /// Uploads what the steps need, and leaves out what cannot be.
    async fn upload(
        &self,
        data_type: DataType,
        batch: Vec<(Step, Option<Located>)>,
        report: &mut RestoredObjects,
    ) -> Result<(Vec<Step>, Option<Error>)> {
        let (media_type, what) = ("application/octet-stream", rules::plural(data_type));
        let upload_target = &UploadTarget::own(self.target.account);
        let uploads =
            Uploads { target: self.target, upload_target, snapshot: self.snapshot, media_type, what };
        let mut contents = Vec::new();
        for (_, place) in batch.iter().filter(|(step, _)| step.has_content) {
            contents.push(Content::read(self.snapshot, place.clone()).await?);
        }
        let (uploaded, failure) = if contents.is_empty() {
            (Vec::new(), None)
        } else {
            uploads.send(&contents.iter().collect::<Vec<_>>()).await?
        };
        let mut uploaded: std::vec::IntoIter<Uploaded> = uploaded.into_iter();
        let mut ready = Vec::new();
        for (mut step, _) in batch {
            if !step.has_content {
                ready.push(step);
                continue;
            }
            match uploaded.next().flatten() {
                Some(Ok(blob)) => {
                    step.object.insert("blobId".to_owned(), json!(blob));
                    ready.push(step);
                }
                Some(Err(refusal)) => refuse(&step, &refusal.to_string(), report),
                None => {}
            }
        }
        Ok((ready, failure))
    }

    fn succeeded(
        &mut self,
        data_type: DataType,
        step: &Step,
        created: Option<String>,
        report: &mut RestoredObjects,
    ) {
        match &step.of {
            // It is counted as what came back.
            Some(of) if self.is_ours(data_type, &of.id) => {}
            Some(of) => {
                report.changed += 1;
                if data_type == DataType::CalendarEvent {
                    self.changed.insert(of.id.clone());
                }
            }
            None => {
                // Of a dry run: an id that nothing has.
                let id = created.unwrap_or_else(|| format!("{NEW}{}", step.thing.id));
                if rules::contents_of(data_type).is_some() {
                    self.made.insert((data_type, id.clone()), step.thing.name());
                }
                self.ids.insert((data_type, step.thing.id.clone()), id);
                report.restored += 1;
            }
        }
        if !step.dropped.is_empty() {
            let dropped: Vec<&str> = step.dropped.iter().map(String::as_str).collect();
            report.notes.push(without(&step.thing.name(), &dropped));
        }
    }

    async fn refused(&self, step: Step, refusal: &SetError, report: &mut RestoredObjects) -> Result<()> {
        match refusal.kind.as_str() {
            "overQuota" => Err(Error::Refused {
                what: step.thing.name(),
                reason: format!("{refusal}: make room in the account, then resume"),
            }),
            // Its owner has just destroyed it.
            "notFound" if step.of.is_some() => Ok(()),
            _ => {
                refuse(&step, &refusal.to_string(), report);
                Ok(())
            }
        }
    }
}

/// A failure that another attempt may not meet, or that would meet everything else.
fn is_passing(error: &jmap::Error) -> bool {
    matches!(error.class(), jmap::Class::Transient { .. } | jmap::Class::Cancelled) || is_fatal(error)
}

/// The state of the type is another one than the call said.
fn is_of_state(error: &jmap::Error) -> bool {
    error.method_error().is_some_and(|error| error.kind == MethodErrorKind::StateMismatch)
}

fn take_refusal(written: &mut Written, step: &Step, n: usize) -> Option<SetError> {
    match step.updates() {
        Some(id) => written.not_updated.remove(&id),
        None => written.not_created.remove(&n.to_string()),
    }
}

fn refuse(step: &Step, reason: &str, report: &mut RestoredObjects) {
    let thing = &step.thing;
    report.refuse(&thing.id, thing.name(), reason, &thing.json, thing.content);
}
