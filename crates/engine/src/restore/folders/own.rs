//! Folders that restores make for themselves: `Malle restore <id> <attempt>-<random> <phase>`.

use jmap::Id;

use crate::restore::request::RestoreId;
use crate::restore::target::Folder;

const NAME: &str = "Malle restore";

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::restore) enum Phase {
    Importing,
    Finishing,
    /// Not of a restore but of a folder: what lies in it is about to be destroyed.
    Removing,
}

impl Phase {
    const ALL: [Phase; 3] = [Phase::Importing, Phase::Finishing, Phase::Removing];

    fn word(self) -> &'static str {
        match self {
            Phase::Importing => "importing",
            Phase::Finishing => "finishing",
            Phase::Removing => "removing",
        }
    }
}

/// The name of such a folder; ordered by when the attempt began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::restore) struct Name {
    pub(in crate::restore) attempt: u32,
    pub(in crate::restore) random: String,
    pub(in crate::restore) phase: Phase,
}

impl Name {
    pub(in crate::restore) fn parse(name: &str, id: &RestoreId) -> Option<Name> {
        let rest =
            name.strip_prefix(NAME)?.strip_prefix(' ')?.strip_prefix(id.as_str())?.strip_prefix(' ')?;
        let (attempt, phase) = rest.split_once(' ')?;
        let (attempt, random) = attempt.split_once('-')?;
        let phase = Phase::ALL.into_iter().find(|known| known.word() == phase)?;
        let random = RestoreId::parse(random)?.to_string();
        let parsed = Name { attempt: attempt.parse().ok()?, random, phase };
        // Users may call a folder nearly so.
        (parsed.text(id) == name).then_some(parsed)
    }

    pub(in crate::restore) fn text(&self, id: &RestoreId) -> String {
        format!("{NAME} {id} {:04}-{} {}", self.attempt, self.random, self.phase.word())
    }
}

/// Whether a folder is one of a restore's own: only the whole form of the name says so, since users call folders what they like.
pub(in crate::restore) fn is_own(folder: &Folder) -> bool {
    id_of(folder).is_some()
}

/// The restore that a folder belongs to, if it is one of a restore's own.
pub(in crate::restore) fn id_of(folder: &Folder) -> Option<RestoreId> {
    let id = folder.name.strip_prefix(NAME)?.strip_prefix(' ')?.split(' ').next()?;
    let id = RestoreId::parse(id).filter(|_| folder.parent_id.is_none())?;
    Name::parse(&folder.name, &id).map(|_| id)
}

/// The folders of all attempts, and what they are for.
pub(in crate::restore) fn all_of(folders: &[Folder], id: &RestoreId) -> Vec<(Phase, Id)> {
    all(folders, id).into_iter().map(|(name, folder)| (name.phase, folder)).collect()
}

/// How far any of these attempts is.
pub(in crate::restore) fn furthest(attempts: &[(Name, Id)]) -> Phase {
    let phases = attempts.iter().map(|(name, _)| name.phase).filter(|phase| *phase != Phase::Removing);
    phases.max().unwrap_or(Phase::Importing)
}

/// The folders of all attempts, oldest first.
pub(in crate::restore) fn all(folders: &[Folder], id: &RestoreId) -> Vec<(Name, Id)> {
    let top = folders.iter().filter(|folder| folder.parent_id.is_none());
    let mut found: Vec<_> =
        top.filter_map(|folder| Some((Name::parse(&folder.name, id)?, folder.id.clone()))).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(u32, Phase)>) {
        let id = RestoreId::parse("ab12cd34").expect("an id");
        let found = Name::parse(text, &id);
        assert_eq!(found.as_ref().map(|name| (name.attempt, name.phase)), expected, "{text}");
        if let Some(name) = found {
            assert_eq!(name.text(&id), text);
        }
    }

    #[test]
    fn names_of_attempts() {
        check("Malle restore ab12cd34 0001-12ab34cd importing", Some((1, Phase::Importing)));
        check("Malle restore ab12cd34 0017-12ab34cd finishing", Some((17, Phase::Finishing)));
        check("Malle restore ffffffff 0001-12ab34cd importing", None);
        check("Malle restore ab12cd34 0001-x1 importing", None);
        check("Malle restore ab12cd34 1-12ab34cd importing", None);
        check("Malle restored mails", None);
        check("Malle restore ab12cd34 1 importing", None);
        check("Malle restore ab12cd34", None);
        check("Restored", None);
    }
}
