//! The numbers of a mailbox's snapshots: the fleet's numbers of backups where a fleet makes them, the log's own elsewhere.
//! So one number means the same backup in every command, in those of the fleet and in its API. Numbers that `malle catalog rebuild`
//! gives to snapshots made by hand stand in the catalogue alone; here these are called by their own.

use std::collections::BTreeMap;

use model::SnapshotNumber;
use repository::SnapshotInfo;

use crate::args::snapshot_name::SnapshotName;

/// What a snapshot is called that no fleet made.
pub(crate) fn of_handmade(snapshot: SnapshotNumber, is_of_fleet: bool) -> String {
    if is_of_fleet { format!("s{snapshot}") } else { snapshot.to_string() }
}

/// What the snapshots of one mailbox are called.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// The fleet's numbers; none: no fleet made any of the snapshots.
    backups: BTreeMap<SnapshotNumber, u64>,
}

impl Numbers {
    /// Of two snapshots with one number the later one came too late for the fleet: it is called by its own.
    pub(crate) fn of(snapshots: &[SnapshotInfo]) -> Numbers {
        let mut taken = BTreeMap::new();
        for info in snapshots {
            if let Some(number) = info.summary.origin.backup_number {
                taken.entry(number.0).or_insert(info.number);
            }
        }
        Numbers { backups: taken.into_iter().map(|(number, snapshot)| (snapshot, number)).collect() }
    }

    /// The number that people know; `None`: the fleet has none for it.
    pub(crate) fn number(&self, snapshot: SnapshotNumber) -> Option<u64> {
        if self.backups.is_empty() { Some(snapshot.0) } else { self.backups.get(&snapshot).copied() }
    }

    /// `41`, or `s7`.
    pub(crate) fn name(&self, snapshot: SnapshotNumber) -> String {
        self.number(snapshot).map_or_else(|| of_handmade(snapshot, true), |number| number.to_string())
    }

    /// Whether a fleet made any of the snapshots.
    pub(crate) fn is_of_fleet(&self) -> bool {
        !self.backups.is_empty()
    }

    /// The snapshot that is meant; `None`: the fleet has given this number to none of them.
    pub(crate) fn find(&self, name: SnapshotName) -> Option<SnapshotNumber> {
        match name {
            SnapshotName::Own(snapshot) => Some(snapshot),
            SnapshotName::Number(number) if self.backups.is_empty() => Some(SnapshotNumber(number)),
            SnapshotName::Number(number) => {
                self.backups.iter().find(|(_, backup)| **backup == number).map(|(snapshot, _)| *snapshot)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(backups: &[(u64, u64)], name: &str, expected: Option<(u64, &str)>) {
        let backups = backups.iter().map(|(snapshot, number)| (SnapshotNumber(*snapshot), *number)).collect();
        let numbers = Numbers { backups };
        let found = numbers.find(name.parse().expect(name));
        assert_eq!(
            found.map(|snapshot| (snapshot.0, numbers.name(snapshot))),
            expected.map(|(snapshot, name)| (snapshot, name.to_owned()))
        );
    }

    #[test]
    fn a_number_is_the_fleets_where_a_fleet_gave_any() {
        check(&[], "7", Some((7, "7")));
        check(&[], "s7", Some((7, "7")));
        let fleets = [(1, 40), (2, 7)];
        check(&fleets, "7", Some((2, "7")));
        check(&fleets, "40", Some((1, "40")));
        check(&fleets, "s1", Some((1, "40")));
        check(&fleets, "s3", Some((3, "s3")));
        check(&fleets, "2", None);
    }
}
