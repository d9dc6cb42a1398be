//! What an export holds is what the snapshot does, in every format, and texts of events are files as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use engine::{Export, Silent};
use export::{Email, Format, Limits, Object, Options, Receiver, Target};
use model::DataType;
use repository::Snapshot;
use serde_json::Value;

use super::side::lines;

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
        }
    }
}

/// Each event's text is a file; zones that it names may be added.
fn compare_texts(place: &Path, expected: &Contents, lost: &mut BTreeSet<String>) {
    let files = fs::read_dir(place).expect("it is there").map(|file| file.expect("a file").path());
    let texts: Vec<Vec<String>> =
        files.map(|file| lines(&fs::read_to_string(file).expect("reads"))).collect();
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
