//! What a server holds, read by plain JMAP.

use std::collections::BTreeMap;

use model::DataType;
use repository::{Snapshot, TypeStatus};
use tests::truth::{Mails, Things, assert_counts, difference, mails_of, things_of};
use tests::{Bed, Plain};

use crate::place::{ALICE, Place, User};

/// Every email and every object of every type, as one user sees them.
pub(crate) struct Truth {
    pub(crate) mails: Mails,
    pub(crate) things: BTreeMap<DataType, Things>,
}

impl Truth {
    /// As Alice herself sees them.
    pub(crate) async fn of<P: Place>(place: &P) -> Truth {
        Truth::seen_by(place, ALICE).await
    }

    pub(crate) async fn seen_by<P: Place>(place: &P, user: User) -> Truth {
        let plain: Plain = place.plain(user).await;
        let mails = plain.mails().await.expect("the server answers");
        let mut things = BTreeMap::new();
        for data_type in P::TYPES.iter().filter(|t| **t != DataType::Email) {
            things.insert(*data_type, plain.things(*data_type).await.expect("the server answers"));
        }
        Truth { mails, things }
    }

    /// The snapshot holds exactly this, and says of every other type that the server does not offer it. Its emails.
    pub(crate) async fn assert_is(&self, snapshot: &Snapshot) -> Mails {
        let mails = mails_of(snapshot).await;
        assert_eq!(difference(&mails, &self.mails), None);
        assert_counts(snapshot, &mails);
        for data_type in DataType::ALL.into_iter().filter(|t| *t != DataType::Email) {
            let known = snapshot.info().type_state(data_type).expect("every type is accounted for");
            let found = things_of(snapshot, data_type).await;
            let Some(expected) = self.things.get(&data_type) else {
                assert_eq!((known.status, found.len()), (TypeStatus::NotOffered, 0), "{data_type}");
                continue;
            };
            assert_eq!(found, *expected, "{data_type}");
            assert_eq!(
                (known.status, known.count),
                (TypeStatus::Complete, found.len() as u64),
                "{data_type}"
            );
        }
        mails
    }
}

/// A backup that must be good and hold exactly what the server holds now.
pub(crate) async fn good_backup<P: Place>(place: &P, bed: &Bed) -> engine::Report {
    let report = bed.backup(&place.url()).await.expect("backs up");
    assert_eq!(report.state, model::BackupState::Good, "{report:?}");
    Truth::of(place).await.assert_is(&bed.newest(&place.url()).await.1).await;
    report
}
