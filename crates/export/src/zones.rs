//! Time zones of a calendar file as `VTIMEZONE` (RFC 5545, section 3.6.5). Readers have no table of zones, or another one, and
//! take a `TZID` without its definition for their own time.
//!
//! Offsets come from the table of zones that is compiled in (IANA's), as lists of dates: rules of governments change, and a
//! list says what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use calcard::common::timezone::Tz;
use jiff::civil::{DateTime, date};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// Series without an end go on: after this year, or the last one that is named, their zone stays as it is then.
const LAST_YEAR: i16 = 2050;
/// Nobody knows more than the rule of today.
const LATEST_YEAR: i16 = 2200;

/// Lines that begin an event, a task or a journal.
const ITEMS: [&str; 3] = ["\r\nBEGIN:VEVENT\r\n", "\r\nBEGIN:VTODO\r\n", "\r\nBEGIN:VJOURNAL\r\n"];

/// Whether there is an event, a task or a journal in the text.
pub(crate) fn has_items(text: &str) -> bool {
    ITEMS.iter().any(|item| text.contains(item))
}

/// Zones of the table that a calendar file names and does not define itself, with the first and the last year that matter.
#[derive(Debug, Default)]
pub(crate) struct Zones(BTreeMap<String, (i16, i16)>);

impl Zones {
    pub(crate) fn of(text: &str) -> Zones {
        let mut zones = Zones::default();
        for (name, year) in undefined(&unfolded(text)) {
            if zone(name).is_some() {
                zones.extend(name, (year, year.saturating_add(1).clamp(LAST_YEAR, LATEST_YEAR)));
            }
        }
        zones
    }

    fn extend(&mut self, name: &str, (first, last): (i16, i16)) {
        let years = self.0.entry(name.to_owned()).or_insert((first, last));
        *years = (years.0.min(first), years.1.max(last));
    }

    /// Takes those of another file in.
    pub(crate) fn add(&mut self, other: &Zones) {
        other.0.iter().for_each(|(name, years)| self.extend(name, *years));
    }

    /// Definitions of those that are wanted.
    pub(crate) fn definitions(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        let wanted = self.0.iter().filter(|(name, _)| is_wanted(name));
        wanted.filter_map(|(name, years)| definition(name, *years)).collect()
    }

    /// The text with their definitions, before its first event, task or journal.
    pub(crate) fn defined_in(&self, text: &str) -> String {
        let begins = ITEMS.iter().filter_map(|item| text.find(item)).min();
        match begins.map(|at| at + "\r\n".len()) {
            Some(at) => format!("{}{}{}", &text[..at], self.definitions(|_| true), &text[at..]),
            None => text.to_owned(),
        }
    }
}

/// Zones that a text names, and that neither it nor the table defines.
pub(crate) fn unknown_in(text: &str) -> BTreeSet<String> {
    let unfolded = unfolded(text);
    let names = undefined(&unfolded).map(|(name, _)| name).filter(|name| zone(name).is_none());
    names.map(str::to_owned).collect()
}

fn unfolded(text: &str) -> String {
    text.replace("\r\n ", "").replace("\r\n\t", "")
}

/// Zones that a text does not define itself, with the years of times in them.
fn undefined(unfolded: &str) -> impl Iterator<Item = (&str, i16)> {
    let own = unfolded.lines().filter_map(|line| line.strip_prefix("TZID:"));
    let own: BTreeSet<String> = own.map(|name| name.replace("\\,", ",").replace("\\;", ";")).collect();
    unfolded.lines().filter_map(zone_of).filter(move |(name, _)| !own.contains(*name))
}

/// The zone of a property's time, and the year.
fn zone_of(line: &str) -> Option<(&str, i16)> {
    let (_, rest) = line.split_once(";TZID=")?;
    let (name, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => rest.split_at(rest.find([';', ':'])?),
    };
    let (_, value) = rest.split_once(':')?;
    Some((name, value.get(..4)?.parse().ok()?))
}

/// Times at which clocks change from one offset to another, by the name of the time that they change to.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    from: Offset,
    to: Offset,
    name: String,
    is_daylight: bool,
}

/// Whether times in a zone of this name are written with it.
pub(crate) fn is_known(name: &str) -> bool {
    name.parse::<Tz>().is_ok_and(|zone| zone.name().is_some())
}

/// The zone of this name, or the one that Windows calls so.
fn zone(name: &str) -> Option<TimeZone> {
    let table = TimeZoneDatabase::bundled();
    let alias = || table.get(&name.parse::<Tz>().ok()?.name()?).ok();
    table.get(name).ok().or_else(alias)
}

fn definition(name: &str, (first_year, last_year): (i16, i16)) -> Option<String> {
    let zone = zone(name)?;
    let begin = date(first_year.clamp(1, LAST_YEAR) - 1, 1, 1).to_zoned(TimeZone::UTC).ok()?.timestamp();
    let end = date(last_year, 12, 31).to_zoned(TimeZone::UTC).ok()?.timestamp();
    let mut changes: BTreeMap<Change, Vec<DateTime>> = BTreeMap::new();
    // What is in force at first began before.
    let before = zone.preceding(begin).next();
    let earliest = before.as_ref().map_or(begin, jiff::tz::TimeZoneTransition::timestamp);
    let mut from =
        zone.to_offset_info(earliest.checked_sub(jiff::SignedDuration::from_secs(1)).ok()?).offset();
    if before.is_none() {
        let info = zone.to_offset_info(begin);
        from = info.offset();
        let change =
            Change { from, to: from, name: info.abbreviation().to_owned(), is_daylight: info.dst().is_dst() };
        changes.entry(change).or_default().push(from.to_datetime(begin));
    }
    let following = zone.following(begin).take_while(|change| change.timestamp() <= end);
    for transition in before.into_iter().chain(following) {
        let to = transition.offset();
        let change = Change {
            from,
            to,
            name: transition.abbreviation().to_owned(),
            is_daylight: transition.dst().is_dst(),
        };
        changes.entry(change).or_default().push(from.to_datetime(transition.timestamp()));
        from = to;
    }
    let mut text = format!("BEGIN:VTIMEZONE\r\nTZID:{name}\r\n");
    for (change, times) in changes {
        let kind = if change.is_daylight { "DAYLIGHT" } else { "STANDARD" };
        let stamps: Vec<String> =
            times.iter().map(|time| time.strftime("%Y%m%dT%H%M%S").to_string()).collect();
        let first = stamps.first()?;
        let (from, to) = (offset(change.from), offset(change.to));
        let _ = write!(
            text,
            "BEGIN:{kind}\r\nDTSTART:{first}\r\nTZOFFSETFROM:{from}\r\nTZOFFSETTO:{to}\r\nTZNAME:{}\r\n",
            change.name
        );
        // Thunderbird's library reads the first date of a line alone, and where there is one it leaves out `DTSTART`.
        for date in stamps.iter().filter(|_| stamps.len() > 1) {
            let _ = write!(text, "RDATE:{date}\r\n");
        }
        let _ = write!(text, "END:{kind}\r\n");
    }
    text.push_str("END:VTIMEZONE\r\n");
    Some(text)
}

/// As in `+0530`, with seconds where there are some.
fn offset(offset: Offset) -> String {
    let seconds = offset.seconds();
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match rest {
        0 => format!("{sign}{hours:02}{minutes:02}"),
        rest => format!("{sign}{hours:02}{minutes:02}{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use calcard::icalendar::ICalendar;

    use super::*;

    fn defined(text: &str) -> String {
        Zones::of(text).defined_in(text)
    }

    fn calendar(events: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n")
    }

    fn event(start: &str) -> String {
        format!("BEGIN:VEVENT\r\nUID:u\r\nDTSTART;{start}\r\nEND:VEVENT\r\n")
    }

    #[test]
    fn each_zone_that_is_named_is_defined_once_before_the_first_event() {
        let one = event("TZID=America/Phoenix:20260101T090000");
        let other = event("VALUE=DATE-TIME;TZID=\"Europe/Berlin\":20260701T090000");
        let text = defined(&calendar(&format!("{one}{other}{one}")));
        for zone in ["America/Phoenix", "Europe/Berlin"] {
            assert_eq!(text.matches(&format!("TZID:{zone}\r\n")).count(), 1, "{text}");
        }
        assert!(text.rfind("END:VTIMEZONE") < text.find("BEGIN:VEVENT"), "{text}");
        assert!(text.contains("TZOFFSETTO:-0700\r\nTZNAME:MST"), "{text}");
        assert!(text.contains("DTSTART:20250330T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 75), "{text}");
        assert!(ICalendar::parse(&text).is_ok(), "{text}");
        assert_eq!(defined(&text), text, "defined once");
    }

    #[test]
    fn names_that_nobody_knows_and_texts_without_zones_stay() {
        for start in
            ["TZID=Mars/Olympus:20260101T090000", "VALUE=DATE:20260101", "TZID=:x", "TZID=Europe/Berlin"]
        {
            let text = calendar(&event(start));
            assert_eq!(defined(&text), text);
        }
    }

    /// Every zone of the table: at the changes that follow the beginning of a year, a second before and just then.
    #[test]
    fn definitions_agree_with_the_table() {
        for name in TimeZoneDatabase::bundled().available() {
            for year in [1890_i16, 1970, 2026] {
                let text = defined(&calendar(&event(&format!("TZID={name}:{year}0701T000000"))));
                assert!(text.contains("BEGIN:VTIMEZONE"), "{name}");
                let zone = TimeZoneDatabase::bundled().get(name.as_str()).unwrap();
                let begin = date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp();
                let mut from = zone.to_offset(begin);
                let noon = from.to_datetime(begin).checked_add(jiff::Span::new().hours(12)).unwrap();
                if zone.following(begin).next().is_none() {
                    assert_eq!(in_force(&text, noon), offset(from), "{name} {year}\n{text}");
                }
                for change in zone.following(begin).take(4).filter(|change| change.timestamp() < end()) {
                    let local = from.to_datetime(change.timestamp());
                    let before = local.checked_sub(jiff::Span::new().seconds(1)).unwrap();
                    assert_eq!(in_force(&text, before), offset(from), "{name} before {local}\n{text}");
                    from = change.offset();
                    assert_eq!(in_force(&text, local), offset(from), "{name} at {local}\n{text}");
                }
            }
        }
    }

    fn end() -> jiff::Timestamp {
        date(LAST_YEAR, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp()
    }

    /// `TZOFFSETTO` of the latest change before the moment.
    fn in_force(text: &str, moment: DateTime) -> String {
        let (mut latest, mut found) = (String::new(), String::new());
        let moment = moment.strftime("%Y%m%dT%H%M%S").to_string();
        let (mut dates, mut to) = (Vec::new(), String::new());
        for line in text.lines() {
            match line.split_once(':') {
                Some(("BEGIN", "STANDARD" | "DAYLIGHT")) => dates.clear(),
                Some(("DTSTART" | "RDATE", value)) => dates.extend(value.split(',').map(str::to_owned)),
                Some(("TZOFFSETTO", value)) => value.clone_into(&mut to),
                Some(("END", "STANDARD" | "DAYLIGHT")) => {
                    for date in dates
                        .iter()
                        .filter(|date| **date <= moment && **date > latest)
                        .cloned()
                        .collect::<Vec<_>>()
                    {
                        (latest, found) = (date, to.clone());
                    }
                }
                _ => {}
            }
        }
        found
    }
}
