//! iCalendar (RFC 5545) as a tree of components and content lines.

/// A component such as `VCALENDAR` or `VEVENT`; its name is in upper case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) properties: Vec<Property>,
    pub(crate) components: Vec<Self>,
}

/// An unfolded content line; the name and those of the parameters are in upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) parameters: Vec<(String, String)>,
    /// The value as it is written, escapes included.
    pub(crate) value: String,
}

/// Properties whose value is one text.
const TEXTS: [&str; 5] = ["SUMMARY", "DESCRIPTION", "LOCATION", "COMMENT", "CONTACT"];

impl Property {
    pub(crate) fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), parameters: Vec::new(), value: value.into() }
    }

    /// A property whose value is a text that is yet to be escaped.
    pub(crate) fn text(name: &str, value: &str) -> Self {
        Self::new(name, escaped(value))
    }

    pub(crate) fn with(mut self, parameter: &str, value: &str) -> Self {
        self.parameters.push((parameter.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the value is a date without a time.
    pub(crate) fn is_date(&self) -> bool {
        self.parameter("VALUE") == Some("DATE") || self.value.len() == 8
    }

    /// Reads `NAME;PARAMETER=value:value`; none without a colon. A text is escaped again, as Stalwart does.
    fn parse(line: &str) -> Option<Self> {
        let mut quoted = false;
        let colon = line.find(|letter| {
            quoted ^= letter == '"';
            letter == ':' && !quoted
        })?;
        let (head, value) = (&line[..colon], &line[colon + 1..]);
        let mut steps = split_unquoted(head, ';').into_iter();
        let name = steps.next()?.to_ascii_uppercase();
        let parameter = |step: &str| {
            let (name, value) = step.split_once('=')?;
            let (name, value) = (name.to_ascii_uppercase(), value.trim_matches('"'));
            let value = if name == "VALUE" { value.to_ascii_uppercase() } else { value.to_owned() };
            Some((name, value))
        };
        let parameters = steps.filter_map(parameter).collect();
        let value =
            if TEXTS.contains(&name.as_str()) { escaped(&unescaped(value)) } else { value.to_owned() };
        Some(Self { name, parameters, value })
    }

    fn line(&self) -> String {
        let mut line = self.name.clone();
        for (name, value) in &self.parameters {
            let quote = if value.contains([' ', ':', ';', ',']) { "\"" } else { "" };
            line.push_str(&format!(";{name}={quote}{value}{quote}"));
        }
        line.push(':');
        line.push_str(&self.value);
        line
    }
}

fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let is_separator = |letter: char| {
        quoted ^= letter == '"';
        letter == separator && !quoted
    };
    text.split(is_separator).collect()
}

/// Escapes a text (RFC 5545 §3.3.11).
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace(',', "\\,").replace(';', "\\;");
    text.replace('\n', "\\n")
}

/// Undoes the escapes of a text.
pub(crate) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, if letter == '\\' { letters.next() } else { None }) {
            (_, Some('n' | 'N')) => out.push('\n'),
            (_, Some(escaped)) => out.push(escaped),
            (plain, None) => out.push(plain),
        }
    }
    out
}

impl Component {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Reads a calendar; none if the text does not begin with `BEGIN`. As in Stalwart, what is not closed ends with the
    /// text, what follows the calendar is ignored, and an item may stand alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut open: Vec<Self> = Vec::new();
        for line in unfolded(text) {
            let Some(property) = Property::parse(&line) else {
                if open.is_empty() && !line.trim().is_empty() {
                    return None;
                }
                continue;
            };
            match (property.name.as_str(), open.len()) {
                ("BEGIN", _) => open.push(Self::new(&property.value.trim().to_ascii_uppercase())),
                (_, 0) => return None,
                ("END", 1) => break,
                ("END", _) => close(&mut open),
                _ => open.last_mut()?.properties.push(property),
            }
        }
        while open.len() > 1 {
            close(&mut open);
        }
        let root = open.pop()?;
        let whole = |item: Self| Self { components: vec![item], ..Self::new("VCALENDAR") };
        Some(if root.name == "VCALENDAR" { root } else { whole(root) })
    }

    /// The text, folded, with CRLF.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        fold(&format!("BEGIN:{}", self.name), out);
        self.properties.iter().for_each(|property| fold(&property.line(), out));
        self.components.iter().for_each(|component| component.write(out));
        fold(&format!("END:{}", self.name), out);
    }

    pub(crate) fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.property(name).map(|property| property.value.as_str())
    }

    /// Whether it stands for one instance of a series.
    pub(crate) fn is_override(&self) -> bool {
        self.property("RECURRENCE-ID").is_some()
    }

    /// Whether it is what a resource of a calendar is about, and not a time zone.
    pub(crate) fn is_item(&self) -> bool {
        matches!(self.name.as_str(), "VEVENT" | "VTODO" | "VJOURNAL" | "VFREEBUSY")
    }

    /// The UID that all items share; none if they are of several types, have several UIDs or there are none
    /// (RFC 4791 §4.1).
    pub(crate) fn uid(&self) -> Option<&str> {
        let mut items = self.components.iter().filter(|component| component.is_item());
        let first = items.next()?;
        let uid = first.value("UID").filter(|uid| !uid.is_empty())?;
        items.all(|item| item.name == first.name && item.value("UID") == Some(uid)).then_some(uid)
    }
}

/// Moves the innermost open component into the one around it.
fn close(open: &mut Vec<Component>) {
    if let Some(inner) = open.pop()
        && let Some(outer) = open.last_mut()
    {
        outer.components.push(inner);
    }
}

fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Appends a line in pieces of at most 75 bytes.
fn fold(line: &str, out: &mut String) {
    const MOST: usize = 75;
    let mut left = MOST;
    for letter in line.chars() {
        if letter.len_utf8() > left {
            out.push_str("\r\n ");
            left = MOST - 1;
        }
        out.push(letter);
        left -= letter.len_utf8();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let text = text.replace('\n', "\r\n");
        let written = Component::parse(&text).map(|calendar| calendar.text());
        assert_eq!(written, expected.map(|expected| expected.replace('\n', "\r\n")), "{text}");
    }

    #[test]
    fn texts_are_written_as_stalwart_writes_them() {
        let plain = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\nEND:VEVENT\nEND:VCALENDAR\n";
        check(plain, Some(plain));
        check(&plain.to_ascii_lowercase(), Some(plain));
        check(&format!("{plain}tail\n"), Some(plain));
        check("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\n", Some(plain));
        check("BEGIN:VEVENT\nUID:a\nEND:VEVENT\n", Some(plain));
        check("hello", None);
        check("", None);
        check(
            "BEGIN:VCALENDAR\nSUMMARY:a, b\\; c\nDTSTART;tzid=My Zone:1\nEND:VCALENDAR\n",
            Some("BEGIN:VCALENDAR\nSUMMARY:a\\, b\\; c\nDTSTART;TZID=\"My Zone\":1\nEND:VCALENDAR\n"),
        );
        let (long, folded) = ("é".repeat(70), format!("{}\n {}", "é".repeat(33), "é".repeat(37)));
        check(
            &format!("BEGIN:VCALENDAR\nSUMMARY:{long}\nEND:VCALENDAR\n"),
            Some(&format!("BEGIN:VCALENDAR\nSUMMARY:{folded}\nEND:VCALENDAR\n")),
        );
        check(
            &format!("BEGIN:VCALENDAR\nSUMMARY:{folded}\nEND:VCALENDAR\n"),
            Some(&format!("BEGIN:VCALENDAR\nSUMMARY:{folded}\nEND:VCALENDAR\n")),
        );
    }

    #[test]
    fn items_of_one_resource_share_a_uid() {
        let uid = |body: &str| {
            let calendar = Component::parse(&format!("BEGIN:VCALENDAR\n{body}END:VCALENDAR\n")).unwrap();
            calendar.uid().map(str::to_owned)
        };
        let item = |name: &str, uid: &str| format!("BEGIN:{name}\n{uid}\nEND:{name}\n");
        assert_eq!(uid(&item("VEVENT", "UID:a")).as_deref(), Some("a"));
        assert_eq!(uid(&(item("VEVENT", "UID:a") + &item("VEVENT", "UID:b"))), None);
        assert_eq!(uid(&(item("VEVENT", "UID:a") + &item("VTODO", "UID:a"))), None);
        assert_eq!(uid(&item("VEVENT", "SUMMARY:a")), None);
        assert_eq!(uid(&item("VTIMEZONE", "UID:a")), None);
    }
}
