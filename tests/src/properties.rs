//! What an account can hold: each property of each type that the RFCs, the drafts or the server define, with values to be backed up
//! and given back.
//!
//! RFC 8620 and 8621 (mail), 9610 (JMAP for contacts), 9553 and 9555 (cards), 8984 and its successor (events and tasks), the drafts of JMAP for
//! calendars, sharing and files, RFC 5545, 7986, 9073 and 9253 (iCalendar), 6350 (vCard). Each value is put into an object of its own; that object lacks every
//! other property of the table.

mod contacts;
mod events;
mod files;
mod mail;
mod texts;

use model::DataType;
use serde_json::{Value, json};

/// What an object is made of.
#[derive(Debug, Clone)]
pub enum Made {
    /// A member of a JMAP object, and members without which it would be invalid.
    Member {
        /// Its value.
        value: Value,
        /// The others.
        with: Value,
    },
    /// Lines of an iCalendar component or a vCard. `{}` in place of the UID.
    Text {
        /// `VEVENT`, `VTODO`, `VJOURNAL` or `VCARD`.
        component: &'static str,
        /// The component's own lines.
        lines: String,
        /// Components beside it: time zones, occurrences.
        beside: &'static str,
    },
}

/// One value of one property.
#[derive(Debug, Clone)]
pub struct Case {
    /// The type.
    pub data_type: DataType,
    /// The property; of a text the name of its line.
    pub property: &'static str,
    /// What is odd about the value.
    pub oddity: &'static str,
    /// How the object comes to have it.
    pub made: Made,
}

impl Case {
    /// Names the case in failures, and its object on the server.
    pub fn label(&self) -> String {
        let place = match &self.made {
            Made::Member { .. } => "",
            Made::Text { component, .. } => component,
        };
        format!("{}{place} {} {}", self.data_type, self.property, self.oddity)
    }
}

/// The table.
pub fn properties() -> Vec<Case> {
    let mut cases = mail::cases();
    cases.extend(contacts::cases());
    cases.extend(events::cases());
    cases.extend(files::cases());
    cases.extend(texts::cases());
    cases
}

fn case(data_type: DataType, property: &'static str, oddity: &'static str, value: Value) -> Case {
    case_with(data_type, property, oddity, value, json!({}))
}

fn case_with(
    data_type: DataType,
    property: &'static str,
    oddity: &'static str,
    value: Value,
    with: Value,
) -> Case {
    Case { data_type, property, oddity, made: Made::Member { value, with } }
}

/// Letters of several scripts, a composed and a decomposed accent, a sign beyond 16 bits, quotes and separators of every format.
const ODD: &str = "Ünïcode e\u{301} 漢字 עברית 🗂 \"q\" 'a' \\ , ; : / ~1 <b>&amp; %25 |";
/// Lines, a blank at the end of one, a tab.
const LINES: &str = "first \nsecond\n\n\tthird\\n no line";

/// A text of many characters, none of them ASCII.
fn long(characters: usize) -> String {
    "ä漢".chars().cycle().take(characters).collect()
}
