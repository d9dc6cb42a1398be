use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use crate::Error;

/// The time zone of this IANA name, from the database in the binary and no other, so that all roles of a release agree.
pub fn zone(name: &str) -> Result<TimeZone, Error> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| Error::UnknownZone { name: name.to_owned() })
}

/// The first instant at which a clock on the wall shows this time or a later one: in a repeated hour the first of the
/// two, in a skipped hour the moment of the skip. Later times never come earlier.
pub(crate) fn first_instant(zone: &TimeZone, local: DateTime) -> Timestamp {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => instant(offset, local),
        AmbiguousOffset::Fold { before, .. } => instant(before, local),
        AmbiguousOffset::Gap { after, .. } => {
            let before_skip = instant(after, local);
            let mut changes = zone.following(before_skip).map(|change| change.timestamp());
            changes.find(|at| zone.to_datetime(*at) >= local).unwrap_or(before_skip)
        }
    }
}

fn instant(offset: Offset, local: DateTime) -> Timestamp {
    let edge = if local.year() > 0 { Timestamp::MAX } else { Timestamp::MIN };
    offset.to_timestamp(local).unwrap_or(edge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ErrorClass;

    fn check(name: &str, local: &str, instant: &str) {
        let zone = zone(name).unwrap();
        let found = first_instant(&zone, local.parse().unwrap());
        assert_eq!(found, instant.parse().unwrap(), "{local} in {name}");
    }

    #[test]
    fn repeated_and_skipped_times_have_one_instant() {
        check("Europe/Paris", "2026-07-01T22:00", "2026-07-01T20:00Z");
        check("Europe/Paris", "2026-03-29T02:30", "2026-03-29T01:00Z");
        check("Europe/Paris", "2026-03-29T02:00", "2026-03-29T01:00Z");
        check("Europe/Paris", "2026-03-29T03:00", "2026-03-29T01:00Z");
        check("Europe/Paris", "2026-10-25T02:30", "2026-10-25T00:30Z");
        check("Europe/Paris", "2026-10-25T03:00", "2026-10-25T02:00Z");
        check("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30Z");
        check("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45Z");
        check("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00Z");
        check("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T03:00Z");
    }

    #[test]
    fn an_unknown_zone_is_named() {
        let error = zone("Europe/Lutetia").unwrap_err();
        assert_eq!(
            error.to_string(),
            "time zone \"Europe/Lutetia\" is unknown: names are written like Europe/Paris"
        );
        assert_eq!(error.class(), ErrorClass::Permanent);
    }
}
