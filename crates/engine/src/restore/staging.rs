//! The folder that fences a restore.
//!
//! **Layout.** Each attempt of restore `id` makes a folder `Malle restore <id> <attempt>-<random> <phase>` of its own at the top.
//! Every email is imported into its own folders *and* this one; when all are there, they are taken out of it again, and the
//! folder goes.
//!
//! **Ordering.** An attempt first moves what earlier ones left in their folders into its own and destroys those. From then on
//! whatever an earlier attempt still sends (a process that wakes up, a request that got lost and arrives) names a folder
//! that is gone, and is refused by the server. Until then an earlier attempt that is still at work may look into its emptied
//! folder and import everything a second time: so the later one counts only when those folders are gone, and one that is written
//! down as taken over ends without a report.
//!
//! **Requests under way.** Stalwart 0.16 looks once whether the folders exist, when a request begins, and goes on with it although
//! one of them is destroyed meanwhile: emails are then in a folder that does not exist. So the folders of earlier attempts are
//! written down before they are destroyed, and an attempt that has imported everything waits some seconds and asks for emails
//! in them. Those it moves into its own folder, and another attempt counts again: of an email that came twice one copy goes.
//!
//! **A crash** leaves the folder and in it just what was imported, however the connection broke: the next attempt reads there what
//! is done. Phase `finishing` is entered when all is imported; from then on nothing is imported any more, and only the folder
//! is cleared away.
//!
//! **Removing.** Mode *exact* moves what has to go into a second folder, `… removing`, before it destroys it. Whoever takes
//! over never counts on an email in there: the attempt before may have sent the request that destroys it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jmap::{Class, DataType, Id, Set};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::{Error, Result};
use crate::restore::folders::own::{Name, Phase, all, furthest};
use crate::restore::folders::placing::aside;
use crate::restore::record::Records;
use crate::restore::request::RestoreId;
use crate::restore::target::Target;

/// Behind every folder of the user's.
const SORT_LAST: u32 = 1_000_000;
/// Rounds of moving emails that move none, and of destroying a folder that is in use.
const IDLE_ROUNDS: usize = 5;
/// Between two tries to destroy a folder that is in use.
const IN_USE: Duration = Duration::from_millis(200);

/// The folder of this attempt.
pub(super) struct Staging<'a> {
    target: Target<'a>,
    id: &'a RestoreId,
    name: Name,
    pub(super) folder: Id,
    /// The folders of what earlier attempts were removing.
    pub(super) given_up: BTreeSet<Id>,
    /// No other attempt has left a folder.
    pub(super) is_alone: bool,
    /// The folders of earlier attempts; most of them are destroyed.
    earlier: BTreeSet<Id>,
    /// When the last of them was taken over.
    took_over: Instant,
}

impl<'a> Staging<'a> {
    /// Begins an attempt and takes over what earlier ones left.
    pub(super) async fn begin(
        target: Target<'a>,
        id: &'a RestoreId,
        records: &mut Records<'_>,
    ) -> Result<Staging<'a>> {
        let earlier = all(&target.folders().await?, id);
        let name = Name {
            attempt: earlier.last().map_or(1, |(name, _)| name.attempt.saturating_add(1)),
            random: RestoreId::random().to_string(),
            phase: furthest(&earlier),
        };
        let folder = make(target, &name.text(id)).await?;
        let is_alone = earlier.is_empty();
        let mut staging = Staging { is_alone, name, ..Staging::left(target, id, folder) };
        let mut there = all(&target.folders().await?, id);
        // Of two that begin at once the later one goes on, even if it does not see this one; so this one takes nothing over.
        if there.iter().any(|(name, _)| *name > staging.name) {
            staging.clear(&staging.folder).await?;
            return Err(Error::Superseded);
        }
        there.retain(|(_, folder)| *folder != staging.folder);
        staging.is_alone &= there.is_empty();
        staging.name.phase = staging.name.phase.max(furthest(&there));
        records.take_over(there.iter().map(|(_, folder)| folder)).await?;
        staging.earlier = records.taken_over();
        staging.earlier.remove(&staging.folder);
        for (name, folder) in there {
            match name.phase {
                Phase::Removing => drop(staging.given_up.insert(folder)),
                Phase::Importing | Phase::Finishing => staging.take_over(&folder).await?,
            }
        }
        staging.took_over = Instant::now();
        staging.gather().await?;
        Ok(staging)
    }

    /// Whether any attempt has a folder in the account.
    pub(super) async fn is_there(target: Target<'_>, id: &RestoreId) -> Result<bool> {
        Ok(!all(&target.folders().await?, id).is_empty())
    }

    /// A folder that some attempt left.
    pub(super) fn left(target: Target<'a>, id: &'a RestoreId, folder: Id) -> Staging<'a> {
        let name = Name { attempt: 0, random: String::new(), phase: Phase::Finishing };
        let (given_up, earlier) = (BTreeSet::new(), BTreeSet::new());
        Staging { target, id, name, folder, given_up, is_alone: true, earlier, took_over: Instant::now() }
    }

    /// A folder for what is about to be destroyed.
    pub(super) async fn removing(&self) -> Result<Id> {
        self.assert_alive().await?;
        let name = Name { phase: Phase::Removing, ..self.name.clone() };
        make(self.target, &name.text(self.id)).await
    }

    /// Destroys a folder that is empty by now.
    pub(super) async fn clear(&self, folder: &Id) -> Result<()> {
        self.destroy(folder).await.map(drop)
    }

    /// Whether an email lies in a folder of this restore, and so came by it.
    pub(super) fn holds(&self, email: &jmap::Email) -> bool {
        email.mailbox_ids.iter().any(|id| *id == self.folder || self.given_up.contains(id))
    }

    pub(super) fn phase(&self) -> Phase {
        self.name.phase
    }

    /// Fails when another attempt has taken over.
    pub(super) async fn assert_alive(&self) -> Result<()> {
        let folders = self.target.folders().await?;
        if folders.iter().any(|folder| folder.id == self.folder) { Ok(()) } else { Err(Error::Superseded) }
    }

    /// Gives requests of earlier attempts time to end. Fails if one of them brought emails: what there is has to be counted again.
    pub(super) async fn settle(&self, under_way: Duration) -> Result<()> {
        if self.earlier.is_empty() {
            return Ok(());
        }
        sleep_until(self.took_over + under_way).await;
        match self.gather().await? {
            0 => Ok(()),
            _ => {
                let reason = "it put emails into a folder that was destroyed meanwhile";
                let source = jmap::Error::Untrue { method: "Email/import", reason };
                Err(Error::Unsettled { what: "emails", source })
            }
        }
    }

    /// Moves what came into the folders of earlier attempts, after they were destroyed, into this one; how many emails.
    async fn gather(&self) -> Result<u64> {
        let mut gathered = 0;
        let there: BTreeSet<Id> = if self.earlier.is_empty() {
            return Ok(0);
        } else {
            self.target.folders().await?.into_iter().map(|folder| folder.id).collect()
        };
        for folder in self.earlier.difference(&there) {
            gathered += match self.empty(folder, |_| vec![self.folder.clone()]).await {
                // The server refuses to search a destroyed folder, so no email can be in it.
                Err(Error::Server { source, .. })
                    if source.method_error().is_some() && source.class() == Class::Permanent =>
                {
                    0
                }
                moved => moved?,
            };
        }
        Ok(gathered)
    }

    /// Destroys copies of emails that this restore brought twice. Returns what is wrong, for people, if the server keeps any.
    pub(super) async fn destroy_copies(&self, ids: &[Id]) -> Result<Option<String>> {
        if ids.is_empty() {
            return Ok(None);
        }
        self.assert_alive().await?;
        let (mut kept, mut reason) = (0, String::new());
        for piece in ids.chunks(self.target.client.session().limits.max_objects_in_set.max(1)) {
            let mut set = Set::new();
            piece.iter().for_each(|id| set.destroy(id));
            let written = self.target.set("emails that came twice", DataType::Email, set).await?;
            for refusal in written.not_destroyed.values().filter(|refusal| refusal.kind != "notFound") {
                kept += 1;
                reason = refusal.to_string();
            }
        }
        Ok((kept > 0).then(|| format!("{kept} emails came twice, and the mail server keeps both: {reason}")))
    }

    /// Moves what is in an earlier attempt's folder into this one, and destroys that.
    async fn take_over(&self, earlier: &Id) -> Result<()> {
        loop {
            self.empty(earlier, |_| vec![self.folder.clone()]).await?;
            match self.destroy(earlier).await? {
                Destroyed::Gone => return Ok(()),
                Destroyed::NotEmpty => {}
            }
        }
    }

    /// All is imported: from now on there is only clearing away.
    pub(super) async fn finish(&mut self, home: &Id) -> Result<()> {
        if self.name.phase == Phase::Importing {
            let name = Name { phase: Phase::Finishing, ..self.name.clone() };
            let mut set = Set::new();
            set.update(&self.folder, json!({ "name": name.text(self.id) }));
            let written = self.target.set("the folder of the restore", DataType::Mailbox, set).await?;
            if !written.not_updated.is_empty() {
                return Err(Error::Superseded);
            }
            self.name = name;
        }
        self.dissolve(home).await?;
        // An attempt that was taken over may have made one since.
        for (name, folder) in all(&self.target.folders().await?, self.id) {
            if name.phase == Phase::Removing {
                self.clear(&folder).await?;
            }
        }
        Ok(())
    }

    /// Takes the emails out of the folder and destroys it.
    pub(super) async fn dissolve(&self, home: &Id) -> Result<()> {
        // What its owner took out of its folder meanwhile lies here alone, and goes where it is found.
        let alone = |email: &jmap::Email| {
            if email.mailbox_ids == [self.folder.clone()] { vec![home.clone()] } else { Vec::new() }
        };
        loop {
            self.empty(&self.folder, alone).await?;
            match self.destroy(&self.folder).await? {
                Destroyed::Gone => return Ok(()),
                Destroyed::NotEmpty => {}
            }
        }
    }

    /// Takes every email out of a folder and puts it into those that `into` names; how many moves that took.
    async fn empty(&self, folder: &Id, into: impl Fn(&jmap::Email) -> Vec<Id>) -> Result<u64> {
        let (mut idle, mut all) = (0, 0);
        loop {
            let ids = self.target.emails(Some(folder)).await?;
            if ids.len() == 0 {
                return Ok(all);
            }
            let mut moved = 0;
            for piece in self.target.pieces(&ids) {
                let emails = self.target.metadata(&piece).await?;
                // Some may have been taken out since they were listed.
                let there = emails.iter().filter(|email| email.mailbox_ids.contains(folder));
                let moves: BTreeMap<Id, Vec<Id>> =
                    there.map(|email| (email.id.clone(), into(email))).collect();
                if moves.is_empty() {
                    continue;
                }
                let asked = moves.len();
                let written = self.target.move_emails(folder, moves).await?;
                moved += asked - written.not_updated.len();
            }
            all += moved as u64;
            idle = if moved > 0 { 0 } else { idle + 1 };
            if idle == IDLE_ROUNDS {
                self.assert_alive().await?;
                return Err(Error::Refused {
                    what: "the emails' folders".to_owned(),
                    reason: format!("{} emails do not leave the folder of the restore", ids.len()),
                });
            }
        }
    }

    /// Brings out folders that were on their way through this one when an attempt was cut off. Empty ones go: what belongs
    /// to the snapshot is made again.
    async fn vacate(&self, folder: &Id) -> Result<()> {
        let folders = self.target.folders().await?;
        for child in folders.iter().filter(|child| child.parent_id.as_ref() == Some(folder)) {
            let mut set = Set::new().with("onDestroyRemoveEmails", false);
            set.destroy(&child.id);
            let destroyed = self.target.set("a folder", DataType::Mailbox, set).await?;
            if destroyed.not_destroyed.is_empty() {
                continue;
            }
            let mut set = Set::new();
            set.update(&child.id, json!({ "name": aside(&child.name), "parentId": null }));
            let moved = self.target.set("a folder", DataType::Mailbox, set).await?;
            if let Some(refusal) = moved.not_updated.get(&child.id) {
                return Err(Error::Refused {
                    what: format!("the folder {:?}", child.name),
                    reason: refusal.to_string(),
                });
            }
        }
        Ok(())
    }

    async fn destroy(&self, folder: &Id) -> Result<Destroyed> {
        for round in 1.. {
            let mut set = Set::new().with("onDestroyRemoveEmails", false);
            set.destroy(folder);
            let mut written = self.target.set("the folder of the restore", DataType::Mailbox, set).await?;
            let Some(refusal) = written.not_destroyed.remove(folder) else { return Ok(Destroyed::Gone) };
            match refusal.kind.as_str() {
                "notFound" => return Ok(Destroyed::Gone),
                "mailboxHasEmail" => return Ok(Destroyed::NotEmpty),
                "mailboxHasChild" => return self.vacate(folder).await.map(|()| Destroyed::NotEmpty),
                // 0.16 says so when another request changed it at the same moment.
                "forbidden" if round < IDLE_ROUNDS => sleep(IN_USE).await,
                _ => {
                    return Err(Error::Refused {
                        what: "the folder of the restore".to_owned(),
                        reason: refusal.to_string(),
                    });
                }
            }
        }
        unreachable!("the number of rounds is bounded")
    }
}

async fn make(target: Target<'_>, name: &str) -> Result<Id> {
    let object = json!({ "name": name, "parentId": null, "sortOrder": SORT_LAST });
    let created = target.create("the folder of the restore", DataType::Mailbox, object).await?;
    created.map_err(|refusal| Error::Refused {
        what: "the folder of the restore".to_owned(),
        reason: refusal.to_string(),
    })
}

enum Destroyed {
    Gone,
    NotEmpty,
}
