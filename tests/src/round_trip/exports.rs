//! What an export holds is what the snapshot does, in every format; texts of events are files as they are, and those of cards say all that the
//! server does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use engine::{Export, Silent};
use export::{Email, Format, Limits, Object, Options, Receiver, Target};
use model::DataType;
use repository::Snapshot;
use serde_json::Value;

use super::side::{lines, text};

/// What was read back: JSON and content by type and id; emails by id.
#[derive(Default)]
struct Contents {
    objects: BTreeMap<(DataType, String), (Value, Vec<u8>)>,
    emails: BTreeMap<String, Letter>,
}

/// Folders, keywords, date and bytes of an email.
type Letter = (BTreeSet<String>, BTreeSet<String>, i64, Vec<u8>);

impl Receiver for Contents {
    fn object(&mut self, object: Object<'_>) -> export::Result<()> {
        let mut content = Vec::new();
        if let Some(given) = object.content {
            given.bytes.read_to_end(&mut content).expect("reads");
        }
        let json = serde_json::from_slice(object.json).expect("JSON");
        self.objects.insert((object.data_type, object.id.to_owned()), (json, content));
        Ok(())
    }

    fn email(&mut self, email: &Email<'_>, content: &mut dyn Read) -> export::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).expect("reads");
        let folders = email.folders.iter().map(ToString::to_string).collect();
        let keywords = email.keywords.iter().cloned().collect();
        self.emails.insert(email.id.to_string(), (folders, keywords, email.received_at, bytes));
        Ok(())
    }
}

/// Tells what an export lacks of a snapshot.
pub(super) async fn compare(snapshot: &Snapshot, lost: &mut BTreeSet<String>) {
    let mut expected = Contents::default();
    for data_type in DataType::ALL.into_iter().filter(|data_type| *data_type != DataType::Email) {
        for row in snapshot.objects_of(data_type).await.expect("reads") {
            let content = match row.blob {
                Some(blob) => snapshot.blob(&blob).await.expect("reads").to_vec(),
                None => Vec::new(),
            };
            let json = serde_json::from_slice(&row.json).expect("JSON");
            expected.objects.insert((data_type, row.id), (json, content));
        }
    }
    let mut emails = snapshot.emails().await.expect("reads");
    while let Some(email) = emails.next().await.expect("reads") {
        let folders = email.folders.iter().map(ToString::to_string).collect();
        let bytes = snapshot.blob(&email.blob).await.expect("reads").to_vec();
        let keywords = email.keywords.iter().cloned().collect();
        expected.emails.insert(email.id.to_string(), (folders, keywords, email.received_at, bytes));
    }
    for format in Format::ALL {
        let place = tempfile::tempdir().expect("a directory");
        let how = Export {
            format,
            target: Target::Folder(place.path().join("export")),
            options: Options::default(),
            spool: place.path(),
            source: None,
            selection: None,
            about: Vec::new(),
            progress: &Silent,
        };
        let exported = engine::export(snapshot, how).await.expect("exports");
        assert_eq!(exported.lost.count, 0, "{:?}", exported.lost);
        let mut found = Contents::default();
        export::read(&place.path().join("export"), place.path(), Limits::GENEROUS, &mut found)
            .expect("reads");
        for ((data_type, id), wanted) in &expected.objects {
            let found = found.objects.get(&(*data_type, id.clone()));
            if found != Some(wanted) {
                lost.insert(format!("{format}: {data_type} {id} is {found:?} instead of {wanted:?}"));
            }
        }
        for (id, wanted) in &expected.emails {
            let found = found.emails.get(id);
            if found != Some(wanted) {
                lost.insert(format!("{format}: email {id} is {found:?} instead of {wanted:?}"));
            }
        }
        if format == Format::AccountDirectory {
            compare_texts(&place.path().join("export/calendars/single"), &expected, lost);
            compare_cards(&place.path().join("export/contacts/single"), &expected, lost);
        }
    }
}

/// The lines of each file of a directory.
fn texts(place: &Path) -> Vec<Vec<String>> {
    let files = fs::read_dir(place).expect("it is there").map(|file| file.expect("a file").path());
    files.map(|file| lines(&fs::read_to_string(file).expect("reads"))).collect()
}

/// Each event's text is a file; zones that it names may be added.
fn compare_texts(place: &Path, expected: &Contents, lost: &mut BTreeSet<String>) {
    let texts = texts(place);
    for ((data_type, id), (_, content)) in &expected.objects {
        if *data_type != DataType::CalendarEvent || content.is_empty() {
            continue;
        }
        let wanted = lines(&String::from_utf8_lossy(content));
        let has_all = |text: &Vec<String>| wanted.iter().all(|line| text.contains(line));
        if !texts.iter().any(has_all) {
            lost.insert(format!("no .ics has all lines of {id}: {wanted:?}"));
        }
    }
}

/// Each card is a file, with the lines that the server gives beside its JSON (`vCard`).
fn compare_cards(place: &Path, expected: &Contents, lost: &mut BTreeSet<String>) {
    let plain = |line: &String| line.replace("\\n", "\n").replace('\\', "");
    let texts: Vec<Vec<String>> =
        texts(place).iter().map(|lines| lines.iter().map(plain).collect()).collect();
    for ((data_type, id), (json, _)) in &expected.objects {
        if *data_type != DataType::ContactCard {
            continue;
        }
        let given = json["vCard"]["properties"].as_array().into_iter().flatten();
        // A file of version 4.0 is made of a card of each version.
        let mut wanted: Vec<String> = given.filter(|line| line[0] != "version").map(line).collect();
        wanted.extend(json["uid"].as_str().map(|uid| format!("UID:{uid}")));
        let wanted: Vec<String> =
            wanted.iter().flat_map(|line| lines(line)).map(|line| plain(&line)).collect();
        let has_all = |text: &Vec<String>| wanted.iter().all(|line| text.contains(line));
        if !texts.iter().any(has_all) {
            lost.insert(format!("no .vcf has all lines of {id}: {wanted:?}"));
        }
    }
}

/// The line of a jCard property: `[name, parameters, type, value, …]` (RFC 7095).
fn line(property: &Value) -> String {
    let words = |value: &Value, between: &str| match value {
        Value::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join(between),
        one => text(one),
    };
    let parameters = property[1].as_object().into_iter().flatten();
    let group = property[1]["group"].as_str().map(|group| format!("{group}.")).unwrap_or_default();
    let mut line = group + &text(&property[0]).to_uppercase();
    for (name, value) in parameters.filter(|(name, _)| *name != "group") {
        line.push_str(&format!(";{}={}", name.to_uppercase(), words(value, ",")));
    }
    let values = property.as_array().into_iter().flatten().skip(3);
    let values: Vec<String> = values.map(|value| words(value, ";")).collect();
    format!("{line}:{}", values.join(",").replace('\n', "\\n"))
}
