//! The program's rules, each of which can be broken on purpose to see that the search would notice.

use std::collections::BTreeSet;

use proto::repository::log_entry::Kind;
use proto::repository::{Condemn, Head, LogEntry, Replacement};
use repository::log::fold::{self, LogState, Rebase};
use repository::log::prune_rules::{self, Footers, Pin};
use repository::{Object, ObjectName};

/// One rule that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    /// A writer goes behind whatever took its number.
    AlwaysNext,
    /// A writer goes behind a condemnation without looking at what is doomed.
    BlindToCondemn,
    /// A writer goes behind a condemnation that rewrote its base.
    BlindToRewriting,
    /// A writer goes behind the entry that abandons its chain.
    BlindToForgottenProgress,
    /// A writer that starts again takes its old pack along without looking at the entries in between.
    ReusesBlindly,
    /// A writer that starts again does not look whether its slot has been committed.
    IgnoresSlot,
    /// A condemnation that lost is tried at the next number as it is.
    CondemnsStale,
    /// The live progress chain is no root.
    NoProgressRoots,
    /// Pins are looked at by nobody.
    NoPins,
    /// Pins are looked at when condemning, not before each deletion.
    NoRecheckOfPins,
    /// A reader goes on without reading the log again after it pinned.
    NoReread,
    /// A pin names the snapshot only.
    PinBySnapshot,
    /// The newest snapshot may be forgotten.
    ForgetsNewest,
    /// The base of a live chain may be rewritten.
    RewritesChainBase,
    /// `Head.rewritten` is not kept.
    NoRewritten,
    /// A sweep does not wait for readers without a pin.
    NoGrace,
    /// Entries before a checkpoint are deleted.
    DeletesEntries,
    /// A time-out of a create is taken for "it did not happen".
    TrustsTimeout,
    /// Writers do not care for `Erased`.
    IgnoresErased,
    /// Rewrapping does not look at the log after it put its copy.
    RewrapsUnchecked,
    /// Rewrapping does not wait for entry 1 to settle which data key is the mailbox's.
    RewrapsBeforeEntryOne,
    /// A backup number is made from the log instead of the sequence.
    NumberFromLog,
    /// Entries that cannot be read do not keep a prune from condemning and a sweep from deleting.
    PrunesTorn,
    /// A writer goes behind an entry that notes damage.
    BlindToDamaged,
    /// A writer goes behind an entry that does not open.
    BlindToBroken,
    /// A writer goes behind an entry that accepts another history.
    BlindToReset,
    /// A writer takes what is noted as damaged for held.
    DoesNotHeal,
    /// A writer stores again what is lost and leaves older segments that name lost packs as they are.
    HealsWithoutMerging,
    /// A base that was found around a broken entry is not compared with a listing.
    DoubtsNothing,
    /// The rows of a base that was found around a broken entry are not compared with each other.
    TrustsRows,
    /// A snapshot that grew from an older one names it as its base.
    NamesOldBase,
    /// A checkpoint is written over entries that cannot be read.
    CheckpointsTorn,
    /// A *Damaged* entry that does not open is taken for none.
    NoLostNote,
    /// Another entry in the place of a *Damaged* one ends every look and every backup.
    StopsWithoutNote,
    /// A *Damaged* entry names only what is new.
    DamagedForgets,
    /// What is remembered is not compared with the log.
    IgnoresMemory,
    /// That the remembered entry is gone is no reason to stop.
    IgnoresRollback,
    /// That another entry stands in the place of the remembered one is no reason to stop.
    IgnoresFork,
    /// An entry behind another one than it says is taken as it is.
    IgnoresPrevious,
    /// The first number without an entry is taken for the end of the log.
    WalksIntoHoles,
    /// A writer that got no answer says that it did nothing.
    GivesUpAsNotDone,
}

/// The rules that everybody goes by: the program's, but for the flaw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    pub(crate) flaw: Option<Flaw>,
}

impl Rules {
    pub(crate) fn broken(self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// `None`: the entry does not open.
    pub(crate) fn rebase(self, found: Option<&LogEntry>, uses: &BTreeSet<Object>) -> Rebase {
        let Some(found) = found else {
            return if self.broken(Flaw::BlindToBroken) { Rebase::Next } else { Rebase::Lost };
        };
        match (self.flaw, &found.kind) {
            (Some(Flaw::BlindToDamaged), Some(Kind::Damaged(_)))
            | (Some(Flaw::BlindToReset), Some(Kind::Reset(_))) => Rebase::Next,
            (Some(Flaw::AlwaysNext), _) => Rebase::Next,
            (Some(Flaw::BlindToCondemn), Some(Kind::Condemn(c))) if c.replacements.is_empty() => Rebase::Next,
            (Some(Flaw::BlindToRewriting), Some(Kind::Condemn(c))) if !c.replacements.is_empty() => {
                Rebase::Next
            }
            (Some(Flaw::BlindToForgottenProgress), Some(Kind::Forget(_))) => Rebase::Next,
            (Some(Flaw::IgnoresErased), Some(Kind::Erased(_))) => Rebase::Next,
            _ => fold::rebase(found, uses),
        }
    }

    pub(crate) fn next_head(self, before: &Head, number: u64, kind: &Kind) -> Head {
        let mut head = fold::next_head(before, number, kind);
        if self.broken(Flaw::NoRewritten) {
            head.rewritten = 0;
        }
        head
    }

    pub(crate) fn may_follow(self, number: u64, before: &Head, kind: &Kind) -> bool {
        use Flaw as F;
        match (self.flaw, kind) {
            (Some(F::ForgetsNewest), Kind::Forget(_)) | (Some(F::RewritesChainBase), Kind::Condemn(_)) => {
                true
            }
            (
                Some(F::AlwaysNext | F::BlindToForgottenProgress | F::BlindToRewriting | F::IgnoresErased),
                Kind::Snapshot(_) | Kind::Progress(_),
            ) => true,
            _ => fold::may_follow(number, before, kind),
        }
    }

    pub(crate) fn condemnation(
        self,
        state: &LogState,
        replacements: Vec<Replacement>,
        stored: &BTreeSet<Object>,
        footers: &Footers,
        pins: &[Pin],
    ) -> Result<Condemn, ObjectName> {
        let pins = self.pins_of(state, pins);
        prune_rules::condemnation(&self.roots_of(state), replacements, stored, footers, &pins)
    }

    pub(crate) fn may_delete(
        self,
        state: &LogState,
        condemn: u64,
        object: &Object,
        footers: &Footers,
        pins: &[Pin],
    ) -> Result<bool, ObjectName> {
        let pins = if self.broken(Flaw::NoRecheckOfPins) { Vec::new() } else { self.pins_of(state, pins) };
        prune_rules::may_delete(&self.roots_of(state), condemn, object, footers, &pins)
    }

    fn roots_of(self, state: &LogState) -> LogState {
        let mut state = state.clone();
        if self.broken(Flaw::NoProgressRoots) {
            state.progress.clear();
        }
        state
    }

    fn pins_of(self, state: &LogState, pins: &[Pin]) -> Vec<Pin> {
        match self.flaw {
            Some(Flaw::NoPins) => Vec::new(),
            Some(Flaw::PinBySnapshot) => {
                pins.iter().map(|pin| Pin::on(state, pin.snapshot).unwrap_or_else(|| pin.clone())).collect()
            }
            _ => pins.to_vec(),
        }
    }

    pub(crate) fn pin_holds(self, state: &LogState, pin: &Pin) -> bool {
        match self.flaw {
            Some(Flaw::NoReread) => true,
            Some(Flaw::PinBySnapshot) => state.snapshots.contains_key(&pin.snapshot),
            _ => pin.holds(state),
        }
    }
}
