//! Objects of the table, made in an account and changed there.

use std::collections::BTreeMap;

use model::DataType;
use serde_json::{Map, Value, json};

use super::side::{Side, text};
use crate::properties::{Case, Made};

/// What objects lie in.
const TOP: &str = "round trip";
/// Of which an account has one object.
pub const SINGLETONS: [DataType; 2] = [DataType::VacationResponse, DataType::ParticipantIdentity];

/// A case and the object that stands for it.
#[derive(Debug, Clone)]
pub struct Specimen {
    /// The case.
    pub case: Case,
    /// It lacks the property until the account is changed.
    pub is_absent: bool,
    /// The server's id; `None`: of a text, which is known by its UID.
    id: Option<String>,
    /// Unique among all.
    number: usize,
}

impl Specimen {
    /// Names it in failures and on the server.
    pub fn label(&self) -> String {
        let absent = if self.is_absent { "absent, then " } else { "" };
        format!("#{} {absent}{}", self.number, self.case.label())
    }

    fn uid(&self) -> String {
        format!("round-trip-{}", self.number)
    }
}

/// Places that values refer to.
#[derive(Debug)]
struct Places {
    names: BTreeMap<&'static str, String>,
    calendar_path: String,
    cards_path: String,
}

/// Makes objects.
#[derive(Debug)]
pub struct Maker<'a> {
    side: &'a Side,
    places: Places,
    /// What the server does not take, by case, with its reason.
    pub refused: BTreeMap<String, String>,
}

impl<'a> Maker<'a> {
    /// With places of its own. `other`: who things are shared with.
    pub async fn in_account(side: &'a Side, other: &Side) -> Maker<'a> {
        let mut names = BTreeMap::new();
        for (data_type, name) in [
            (DataType::Mailbox, "{parent}"),
            (DataType::AddressBook, "{book}"),
            (DataType::Calendar, "{calendar}"),
            (DataType::FileNode, "{directory}"),
        ] {
            let answer = side.set(data_type, json!({ "create": { "c": { "name": TOP } } })).await;
            let id = text(&answer["created"]["c"]["id"]);
            assert!(!id.is_empty(), "{answer}");
            names.insert(name, id);
        }
        let folders = side.objects(DataType::Mailbox).await;
        let inbox = folders.iter().find(|folder| folder["role"] == "inbox").expect("every account has one");
        names.insert("{inbox}", text(&inbox["id"]));
        names.insert("{other}", other.plain.account.clone());
        names.insert("{address}", side.address.clone());
        let calendar_path = place(side, "cal").await.expect("its calendars are there by CalDAV");
        let cards_path = place(side, "card").await.expect("its address books are there by CardDAV");
        let places = Places { names, calendar_path, cards_path };
        Maker { side, places, refused: BTreeMap::new() }
    }

    /// Makes an object for each case, and one that lacks it. Those whose value the server does not take are left out.
    pub async fn make(&mut self, cases: &[Case]) -> Vec<Specimen> {
        let mut specimens = Vec::new();
        for case in cases {
            let is_new = !specimens.iter().any(|one: &Specimen| {
                (one.case.data_type, one.case.property) == (case.data_type, case.property)
            });
            // What is named otherwise is another object.
            let can_lack = is_new && case.property != "name" && !SINGLETONS.contains(&case.data_type);
            for is_absent in [Some(false), can_lack.then_some(true)].into_iter().flatten() {
                let number = specimens.len();
                let mut specimen = Specimen { case: case.clone(), is_absent, id: None, number };
                match self.create(&specimen).await {
                    Ok(id) => specimen.id = id,
                    Err(reason) => {
                        self.refused.insert(specimen.label(), reason);
                        continue;
                    }
                }
                specimens.push(specimen);
            }
        }
        specimens
    }

    async fn create(&self, specimen: &Specimen) -> Result<Option<String>, String> {
        let case = &specimen.case;
        match &case.made {
            Made::Text { .. } => {
                self.put(specimen, !specimen.is_absent).await?;
                Ok(None)
            }
            Made::Member { .. } if case.data_type == DataType::Email => self.import(specimen).await.map(Some),
            Made::Member { value, with } => {
                let mut object = self.bare(specimen).await;
                object.extend(members(&self.placed(with)));
                let mut arguments = json!({});
                if !specimen.is_absent {
                    self.add(case, value, &mut object, &mut arguments).await;
                }
                if SINGLETONS.contains(&case.data_type) {
                    let id = self.singleton(case.data_type).await;
                    arguments["update"] = json!({ &id: object });
                    let answer = self.side.set(case.data_type, arguments).await;
                    return taken(&answer, "notUpdated", &id).map(|()| Some(id));
                }
                arguments["create"] = json!({ "c": object });
                let answer = self.side.set(case.data_type, arguments).await;
                taken(&answer, "notCreated", "c")?;
                Ok(Some(text(&answer["created"]["c"]["id"])))
            }
        }
    }

    async fn singleton(&self, data_type: DataType) -> String {
        let objects = self.side.objects(data_type).await;
        text(&objects.first().expect("there is one")["id"])
    }

    /// Puts the property into an object, or into the arguments that go with it.
    async fn add(&self, case: &Case, value: &Value, object: &mut Map<String, Value>, arguments: &mut Value) {
        match (case.data_type, case.property) {
            (_, "content") => {
                let blob = self.side.blob(text(value).as_bytes()).await;
                object.insert("blobId".to_owned(), json!(blob));
            }
            (DataType::SieveScript, "isActive") => arguments["onSuccessActivateScript"] = json!("#c"),
            (_, "isDefault") => arguments["onSuccessSetIsDefault"] = json!("#c"),
            (_, property) => {
                object.insert(property.to_owned(), self.placed(value));
            }
        }
    }

    /// What every object of the type needs.
    async fn bare(&self, specimen: &Specimen) -> Map<String, Value> {
        let (label, uid) = (specimen.label(), specimen.uid());
        let place = |name: &str| &self.places.names[name];
        members(&match specimen.case.data_type {
            DataType::Identity => json!({ "name": label, "email": self.side.address }),
            DataType::SieveScript => json!({ "name": label, "blobId": self.side.blob(b"keep;\r\n").await }),
            DataType::Mailbox | DataType::AddressBook | DataType::Calendar => json!({ "name": label }),
            // Real servers give a date where none is said, the simulator does not.
            DataType::FileNode => json!({
                "name": label, "blobId": self.side.blob(label.as_bytes()).await, "parentId": null,
                "created": "2024-01-02T03:04:05Z", "modified": "2024-01-02T03:04:06Z",
            }),
            DataType::ContactCard => json!({
                "@type": "Card", "version": "1.0", "uid": uid, "name": { "full": label }, "addressBookIds": { place("{book}"): true },
            }),
            DataType::CalendarEvent => json!({
                "@type": "Event", "uid": uid, "title": label, "start": "2026-05-04T10:00:00", "calendarIds": { place("{calendar}"): true },
            }),
            DataType::VacationResponse | DataType::ParticipantIdentity | DataType::Email => json!({}),
        })
    }

    async fn import(&self, specimen: &Specimen) -> Result<String, String> {
        let raw = format!(
            "From: a@example.org\r\nSubject: {}\r\nMessage-ID: <{}@example.org>\r\n\r\nwords\r\n",
            specimen.label(),
            specimen.uid()
        );
        let mut email = json!({ "blobId": self.side.blob(raw.as_bytes()).await, "mailboxIds": { &self.places.names["{parent}"]: true } });
        if let (Made::Member { value, .. }, false) = (&specimen.case.made, specimen.is_absent) {
            email[specimen.case.property] = self.placed(value);
        }
        let answer = self.side.plain.ask("Email/import", json!({ "emails": { "c": email } })).await;
        let answer = answer.map_err(|error| error.to_string())?;
        taken(&answer, "notCreated", "c")?;
        Ok(text(&answer["created"]["c"]["id"]))
    }

    async fn put(&self, specimen: &Specimen, with_lines: bool) -> Result<(), String> {
        let Made::Text { component, lines, beside } = &specimen.case.made else { return Ok(()) };
        let (label, uid) = (specimen.label(), specimen.uid());
        let lines = if with_lines { lines.as_str() } else { "DTSTART:20260505T100000Z" };
        let beside = if with_lines { *beside } else { "" };
        let (path, media_type, text) = match *component {
            "VCARD" => {
                let lines = if with_lines { lines } else { "NOTE:nothing" };
                let text = format!("BEGIN:VCARD\nVERSION:4.0\nUID:{uid}\nFN:{label}\n{lines}\nEND:VCARD\n");
                (format!("{}{uid}.vcf", self.places.cards_path), "text/vcard", text)
            }
            _ => {
                let text = format!(
                    "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\nBEGIN:{component}\nUID:{uid}\nDTSTAMP:20260101T000000Z\nSUMMARY:{label}\n{lines}\nEND:{component}\n{beside}END:VCALENDAR\n"
                );
                (format!("{}{uid}.ics", self.places.calendar_path), "text/calendar", text)
            }
        };
        let text = text.replace("{}", &uid).replace("{address}", &self.side.address).replace('\n', "\r\n");
        self.side.put(&path, media_type, &text).await
    }

    /// Takes away what is set, and sets what is not; those that the server does not change so.
    pub async fn change(&self, specimens: &[Specimen]) -> Vec<String> {
        let mut unchanged = Vec::new();
        for specimen in specimens {
            if let Err(reason) = self.change_one(specimen).await {
                unchanged.push(format!("{}: {reason}", specimen.label()));
            }
        }
        unchanged
    }

    async fn change_one(&self, specimen: &Specimen) -> Result<(), String> {
        let case = &specimen.case;
        let Made::Member { value, .. } = &case.made else {
            return self.put(specimen, specimen.is_absent).await;
        };
        let id = specimen.id.as_ref().expect("it was made");
        let (mut patch, mut arguments) = (Map::new(), json!({}));
        match (case.data_type, case.property, specimen.is_absent) {
            (_, "name", _) => return Ok(()),
            (data_type, "isDefault" | "isActive", is_absent) => {
                let argument = match (data_type, is_absent) {
                    (DataType::SieveScript, true) => ("onSuccessActivateScript", json!(id)),
                    (DataType::SieveScript, false) => ("onSuccessDeactivateScript", json!(true)),
                    (_, true) => ("onSuccessSetIsDefault", json!(id)),
                    (_, false) => return Ok(()),
                };
                arguments[argument.0] = argument.1;
                self.side.set(data_type, arguments).await;
                return Ok(());
            }
            (_, _, true) => self.add(case, value, &mut patch, &mut arguments).await,
            (DataType::FileNode | DataType::SieveScript, "content", false) => {
                patch.insert("blobId".to_owned(), json!(self.side.blob(b"# other\r\nkeep;\r\n").await));
            }
            (DataType::Email, "keywords", false) => {
                drop(patch.insert("keywords".to_owned(), json!({ "other": true })))
            }
            (DataType::Email, "mailboxIds", false) => {
                let only = json!({ &self.places.names["{inbox}"]: true });
                patch.insert("mailboxIds".to_owned(), only);
            }
            (_, property, false) => {
                let other = match value {
                    Value::Bool(is) => json!(!is),
                    Value::Number(_) => json!(5),
                    _ => Value::Null,
                };
                patch.insert(property.to_owned(), other);
            }
        }
        arguments["update"] = json!({ id: patch });
        let answer = self.side.set(case.data_type, arguments).await;
        taken(&answer, "notUpdated", id)
    }

    /// Places instead of their names, in keys and values.
    fn placed(&self, value: &Value) -> Value {
        let mut text = value.to_string();
        for (name, id) in &self.places.names {
            text = text.replace(name, id);
        }
        serde_json::from_str(&text).expect("names hold no quotes")
    }
}

/// The path of this round trip's calendar or address book.
async fn place(side: &Side, kind: &str) -> Option<String> {
    for path in side.listed(&format!("/dav/{kind}/{}/", side.address)).await {
        let body = b"<propfind xmlns=\"DAV:\"><prop><displayname/></prop></propfind>";
        let more = "\r\nDepth: 0\r\nContent-Type: application/xml";
        let told = side.plain.http("PROPFIND", &path, more, body).await.expect("it answers").1;
        if String::from_utf8_lossy(&told).contains(&format!(">{TOP}<")) {
            return Some(path);
        }
    }
    None
}

fn members(object: &Value) -> Map<String, Value> {
    object.as_object().cloned().unwrap_or_default()
}

fn taken(answer: &Value, refusals: &str, id: &str) -> Result<(), String> {
    match &answer[refusals][id] {
        Value::Null => Ok(()),
        refusal => Err(refusal.to_string()),
    }
}
