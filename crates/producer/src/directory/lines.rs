use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

use csv::{ByteRecord, ReaderBuilder, Terminator, Trim};
use serde::Deserialize;

use super::entry::{Entry, MailboxKind};

/// A line longer than this is none of a list of mailboxes.
const LONGEST_LINE: u64 = 64 << 10;

const COLUMNS: [&str; 8] = ["address", "account", "plan", "zone", "time_zone", "tenant", "groups", "kind"];

/// What a list says, with the line that says it.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Readable lines.
    pub entries: Vec<(u64, Entry)>,
    /// Others.
    pub bad: Vec<BadLine>,
}

impl List {
    /// Lines that name another zone than these are bad ones: no backup could go there.
    pub fn within_zones(mut self, known: &[String]) -> List {
        let usable = |entry: &Entry| entry.zone.as_ref().is_none_or(|zone| known.contains(zone));
        let (entries, others): (Vec<_>, Vec<_>) =
            self.entries.into_iter().partition(|(_, entry)| usable(entry));
        let reason = format!("zone is unknown; stores lie in {}", known.join(", "));
        self.bad.extend(others.into_iter().map(|(line, _)| BadLine::new(line, reason.as_str())));
        List { entries, ..self }
    }
}

/// Why a line of a list is of no use; never quotes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// From 1, the header of CSV counted.
    pub line: u64,
    /// For people.
    pub reason: String,
}

impl BadLine {
    pub(super) fn new(line: u64, reason: impl Into<String>) -> BadLine {
        BadLine { line, reason: reason.into() }
    }
}

/// As a line of CSV has it: what is empty is not said, groups are separated by semicolons.
#[derive(Deserialize)]
struct Record {
    address: String,
    account: Option<String>,
    plan: Option<String>,
    zone: Option<String>,
    time_zone: Option<String>,
    tenant: Option<String>,
    groups: Option<String>,
    kind: Option<String>,
}

/// Reads CSV with a header line; the columns are `address account plan zone time_zone tenant groups kind`, in any order, all but the
/// first optional.
///
/// # Errors
/// When it cannot be read, or its header names something else.
pub fn read_csv(from: impl Read) -> io::Result<List> {
    // Of a line that ends with CR LF the crate's own terminator gives a wrong number; the CR is trimmed.
    let mut reader = ReaderBuilder::new()
        .trim(Trim::All)
        .terminator(Terminator::Any(b'\n'))
        .flexible(true)
        .from_reader(from);
    let headers = reader.byte_headers()?.clone();
    if headers.is_empty() {
        let empty = format!("it is empty: its first line names the columns, of {}", COLUMNS.join(" "));
        return Err(io::Error::new(io::ErrorKind::InvalidData, empty));
    }
    let columns: BTreeSet<&[u8]> = headers.iter().collect();
    let known = columns.iter().all(|column| COLUMNS.iter().any(|known| known.as_bytes() == *column));
    if !known || columns.len() != headers.len() || !columns.contains(COLUMNS[0].as_bytes()) {
        let wrong = format!("the header names other columns than {}, or one twice", COLUMNS.join(" "));
        return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
    }
    let (mut list, mut record) = (List::default(), ByteRecord::new());
    while reader.read_byte_record(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        let holds_line = |field: &[u8]| field.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        match record.deserialize::<Record>(Some(&headers)) {
            // It would take the lines behind it for its own.
            _ if record.iter().any(holds_line) => {
                list.bad
                    .push(BadLine::new(line, "a field holds a line break: a quotation mark is not closed"));
            }
            _ if record.len() == 1 && record[0].is_empty() => (),
            _ if record.len() != headers.len() => {
                list.bad.push(BadLine::new(line, "another number of fields than the header has"));
            }
            Ok(record) => match record.entry() {
                Ok(entry) => list.entries.push((line, entry)),
                Err(reason) => list.bad.push(BadLine::new(line, reason)),
            },
            Err(_) => list.bad.push(BadLine::new(line, "text is not UTF-8")),
        }
    }
    Ok(list)
}

impl Record {
    fn entry(self) -> Result<Entry, &'static str> {
        let Record { address, account, plan, zone, time_zone, tenant, groups, kind } = self;
        let names = |groups: String| {
            let names = groups.split(';').map(str::trim).filter(|group| !group.is_empty());
            names.map(str::to_owned).collect()
        };
        let kind = match kind.as_deref() {
            None => None,
            Some("individual") => Some(MailboxKind::Individual),
            Some("group") => Some(MailboxKind::Group),
            Some(_) => return Err("kind must be individual or group"),
        };
        let groups = groups.map(names);
        Ok(Entry { address, account, plan, zone, time_zone, tenant, groups, kind, is_whole: false })
    }
}

/// Reads one JSON object a line, with the fields of [`Entry`]; empty lines are passed over.
///
/// # Errors
/// When it cannot be read.
pub fn read_json_lines(mut from: impl BufRead) -> io::Result<List> {
    let (mut list, mut line, mut number) = (List::default(), Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        if from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(list);
        }
        if line.len() as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
            list.bad.push(BadLine::new(number, "longer than 64 KiB"));
            skip_line(&mut from)?;
            continue;
        }
        let text = line.trim_ascii();
        match serde_json::from_slice(text) {
            _ if text.is_empty() => (),
            Ok(entry) => list.entries.push((number, entry)),
            // The error's own text quotes what was found.
            Err(error) => {
                let reason = format!("no JSON object of a mailbox, wrong in column {}", error.column());
                list.bad.push(BadLine::new(number, reason));
            }
        }
    }
}

fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let held = from.fill_buf()?;
        let end = held.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let (done, length) = (end.is_some() || held.is_empty(), end.unwrap_or(held.len()));
        from.consume(length);
        if done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(list: &List) -> Vec<(u64, &str)> {
        list.bad.iter().map(|bad| (bad.line, bad.reason.as_str())).collect()
    }

    #[test]
    fn csv_with_columns_in_any_order_and_bad_lines_by_number() {
        let text = b"plan,address,groups\r\nprofessional,a@x.org,one; two\n,\"b@x.org\",\nmany,fields,are,bad\n\r\n,c\xff@x.org,\n,d@x.org,\n";
        let list = read_csv(&text[..]).unwrap();
        let lines: Vec<_> =
            list.entries.iter().map(|(line, entry)| (*line, entry.address.as_str())).collect();
        assert_eq!(lines, [(2, "a@x.org"), (3, "b@x.org"), (7, "d@x.org")]);
        assert_eq!(list.entries[0].1.groups, Some(vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(list.entries[1].1.groups, None);
        assert_eq!(
            (list.entries[0].1.plan.as_deref(), &list.entries[1].1.plan),
            (Some("professional"), &None)
        );
        assert_eq!(
            bad(&list),
            [(4, "another number of fields than the header has"), (6, "text is not UTF-8")]
        );
    }

    #[test]
    fn lines_of_unknown_zones_are_bad() {
        let text = b"address,zone\na@x.org,fr-par\nb@x.org,nl-ams\nc@x.org,\n";
        let list = read_csv(&text[..]).unwrap().within_zones(&["fr-par".to_owned(), "de-fra".to_owned()]);
        assert_eq!(list.entries.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(bad(&list), [(3, "zone is unknown; stores lie in fr-par, de-fra")]);
    }

    #[test]
    fn csv_with_another_header_is_refused() {
        for text in ["adress\na@x\n", "plan\n", "address,address\n", "", "address,secret\n"] {
            let error = read_csv(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("address account plan"), "{text:?}: {error}");
        }
    }

    #[test]
    fn json_lines_and_bad_ones_by_number() {
        let long = format!("{{\"address\": \"{}@x\"}}", "l".repeat(70_000));
        let text = [
            r#"{"address": "a@x.org", "account": "c", "groups": ["one"]}"#,
            "",
            r#"{"address": "secret@x.org", "colour": "red"}"#,
            "hello",
            &long,
            r#"{"address": 7}"#,
            r#"{"address": "b@x.org"}"#,
        ];
        let list = read_json_lines(text.join("\n").as_bytes()).unwrap();
        assert_eq!(list.entries.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 7]);
        assert_eq!(list.bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert!(!format!("{:?}", list.bad).contains("secret"));
    }
}
