use std::collections::BTreeMap;
use std::fmt;

use model::DataType;

use crate::Format;

/// How many items are named for one topic; the others are counted.
const MOST_NAMED: usize = 50;
/// Longest text kept of one name, in characters.
const MOST_TEXT: usize = 160;

/// Something that a format could not carry as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// A folder, script or file has another name in the export.
    Renamed,
    /// A folder or file whose parent is missing or in a circle.
    Orphaned,
    /// An email in no folder that exists, a contact in no address book, an event in no calendar.
    Homeless,
    /// An email that was also in a folder that does not exist.
    UnknownFolder,
    /// An email's date that the format cannot write.
    DateChanged,
    /// Keywords that only the side files have.
    KeywordsBeside,
    /// The format has no place for a type; the objects are beside.
    OnlyBeside,
    /// The format has no place for it, not even beside.
    LeftOut,
    /// A role, a name, an active script or a uid that may exist only once in the format.
    MadeUnique,
    /// A contact or event that could not be turned into `.vcf` or `.ics`.
    NotConverted,
    /// A time zone that an event names and the table of zones lacks.
    UnknownZone,
    /// Bytes that the backup does not hold.
    NoContent,
    /// More bytes than the format takes.
    TooLarge,
    /// An email in several folders, stored more than once.
    Copied,
    /// What the backup has lost ([`crate::Writer::lost`]).
    Lost,
    /// What the backup never had ([`crate::Writer::lacks`]).
    Lacking,
}

impl Topic {
    /// What happened to them, in a few words.
    pub fn heading(self) -> &'static str {
        match self {
            Topic::Renamed => "Renamed, because the name cannot be a file name (original: in the export)",
            Topic::Orphaned => "Moved to the top, because the folder above is missing or inside itself",
            Topic::Homeless => {
                "In no folder, calendar or address book; you find them in the one that is named here"
            }
            Topic::UnknownFolder => "Emails that were also in a folder that does not exist",
            Topic::DateChanged => "Dates beyond what this format can write; the nearest one was written",
            Topic::KeywordsBeside => "Emails with tags that this format has no flag for",
            Topic::OnlyBeside => {
                "No place for it in this format; it is kept beside (contacts also as .vcf, events as .ics), where malle reads it back"
            }
            Topic::LeftOut => "Left out",
            Topic::MadeUnique => "Changed, because it may exist only once in this format",
            Topic::NotConverted => "Contacts and events that could not be converted; they are kept as JSON",
            Topic::UnknownZone => {
                "Events in a time zone that is not defined in the backup; programs take their times for those of their own zone"
            }
            Topic::NoContent => "Contents that the backup does not hold",
            Topic::TooLarge => "Too large for this format; left out",
            Topic::Copied => "Emails in several folders; each folder has a copy of its own",
            Topic::Lost => "Lost: damaged or missing in the backup itself, whatever the format",
            Topic::Lacking => "Not in the backup, or not as it was then: the mail server did not give it",
        }
    }
}

/// The items of one topic: how many there are, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// How many.
    pub count: u64,
    /// The first ones, one line of text each.
    pub named: Vec<String>,
}

/// What an export holds, and what its format could not carry. `Display` is the text of `REPORT.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Lines for people that say which account and snapshot this is.
    pub about: Vec<String>,
    /// The format written.
    pub format: Format,
    /// Emails written.
    pub emails: u64,
    /// Bytes of those emails.
    pub bytes: u64,
    /// Objects written, by type.
    pub objects: BTreeMap<DataType, u64>,
    /// What is not as it was.
    pub notes: BTreeMap<Topic, Note>,
}

impl Report {
    pub(crate) fn new(format: Format) -> Report {
        Report {
            about: Vec::new(),
            format,
            emails: 0,
            bytes: 0,
            objects: BTreeMap::new(),
            notes: BTreeMap::new(),
        }
    }

    pub(crate) fn note(&mut self, topic: Topic, what: impl FnOnce() -> String) {
        let note = self.notes.entry(topic).or_default();
        note.count += 1;
        if note.named.len() < MOST_NAMED {
            note.named.push(one_line(&what()));
        }
    }
}

/// Printable and bounded, whatever it was.
fn one_line(text: &str) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut line: String = text.chars().take(MOST_TEXT).map(printable).collect();
    if text.chars().nth(MOST_TEXT).is_some() {
        line.push('…');
    }
    line
}

fn plural(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Mailbox => "folders",
        DataType::Email => "emails",
        DataType::Identity => "sender identities",
        DataType::VacationResponse => "vacation responses",
        DataType::SieveScript => "filter scripts",
        DataType::AddressBook => "address books",
        DataType::ContactCard => "contacts",
        DataType::Calendar => "calendars",
        DataType::CalendarEvent => "events",
        DataType::ParticipantIdentity => "participant identities",
        DataType::FileNode => "files and directories",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "This is an export in the format `{}`.", self.format)?;
        for line in &self.about {
            writeln!(f, "{}", one_line(line))?;
        }
        writeln!(f, "\nIt holds:")?;
        writeln!(f, "  {} emails, {} bytes", self.emails, self.bytes)?;
        for (data_type, count) in &self.objects {
            writeln!(f, "  {count} {}", plural(*data_type))?;
        }
        if self.notes.is_empty() {
            return writeln!(f, "\nNothing of that was left out or changed.");
        }
        writeln!(f, "\nWhat is not as it was:")?;
        for (topic, note) in &self.notes {
            writeln!(f, "\n{}: {}", topic.heading(), note.count)?;
            for line in &note.named {
                writeln!(f, "  - {line}")?;
            }
            let more = note.count.saturating_sub(u64::try_from(note.named.len()).unwrap_or(u64::MAX));
            if more > 0 {
                writeln!(f, "  - and {more} more")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_bounded_and_printable() {
        let mut report = Report::new(Format::Mbox);
        assert!(report.to_string().ends_with("Nothing of that was left out or changed.\n"));
        report.about.push("of\nalice".to_owned());
        for i in 0..1_000_000 {
            report.note(Topic::Renamed, || format!("\u{1b}[2J{i} {}", "x".repeat(10_000)));
        }
        let text = report.to_string();
        assert!(text.len() < 20_000, "{}", text.len());
        assert!(!text.contains('\u{1b}') && text.contains("and 999950 more"), "{text}");
        assert!(text.contains("of\u{fffd}alice\n"), "{text}");
    }
}
