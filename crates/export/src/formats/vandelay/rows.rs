//! One kept object, one row.

use model::DataType;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value, json};

use super::unique::Unique;
use crate::layout::Out;
use crate::report::Topic;

/// Properties of an event that have columns of their own, or are what the server computes.
const NOT_OF_AN_EVENT: [&str; 9] = [
    "id",
    "calendarIds",
    "isDraft",
    "useDefaultAlerts",
    "method",
    "utcStart",
    "utcEnd",
    "isOrigin",
    "baseEventId",
];

/// An object as it was handed over.
pub(crate) struct Kept {
    pub(crate) row: i64,
    pub(crate) id: String,
    pub(crate) map: Map<String, Value>,
    blob: Option<i64>,
}

impl Kept {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Kept> {
        let json: String = row.get(2)?;
        let map = serde_json::from_str(&json).unwrap_or_default();
        Ok(Kept { row: row.get(0)?, id: row.get(1)?, map, blob: row.get(3)? })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    fn text_or_empty(&self, key: &str) -> &str {
        self.text(key).unwrap_or_default()
    }

    fn flag(&self, key: &str, absent: bool) -> bool {
        self.map.get(key).and_then(Value::as_bool).unwrap_or(absent)
    }

    fn number(&self, key: &str) -> i64 {
        self.map.get(key).and_then(Value::as_i64).unwrap_or_default()
    }
}

/// The object of a type that follows a row.
pub(crate) fn next(db: &Connection, data_type: DataType, after: i64) -> rusqlite::Result<Option<Kept>> {
    let sql = "SELECT id, jmap_id, json, blob_id FROM malle_objects NOT INDEXED \
        WHERE id > ?2 AND type_name = ?1 ORDER BY id LIMIT 1";
    db.prepare_cached(sql)?.query_row(params![data_type.name(), after], Kept::from_row).optional()
}

pub(crate) fn find(db: &Connection, data_type: DataType, id: &str) -> rusqlite::Result<Kept> {
    let sql = "SELECT id, jmap_id, json, blob_id FROM malle_objects WHERE type_name = ?1 AND jmap_id = ?2";
    db.prepare_cached(sql)?.query_row(params![data_type.name(), id], Kept::from_row)
}

/// What is needed to turn objects into rows.
pub(crate) struct Rows<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) names: &'a mut Unique,
    pub(crate) out: &'a mut Out,
}

type Local = rusqlite::Result<Option<i64>>;

impl Rows<'_> {
    /// The row that an object became, if the format has a place for it.
    pub(crate) fn insert(&mut self, data_type: DataType, kept: &Kept, parent: Option<i64>) -> Local {
        match data_type {
            DataType::Identity => self.identity(kept),
            DataType::SieveScript => self.script(kept),
            DataType::AddressBook => self.address_book(kept),
            DataType::ContactCard => self.contact(kept),
            DataType::Calendar => self.calendar(kept),
            DataType::CalendarEvent => self.event(kept),
            DataType::ParticipantIdentity => self.participant(kept),
            DataType::FileNode => self.file(kept, parent),
            DataType::Mailbox | DataType::Email | DataType::VacationResponse => Ok(None),
        }
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Local {
        self.db.prepare_cached(sql)?.execute(values)?;
        Ok(Some(self.db.last_insert_rowid()))
    }

    fn unique(&mut self, scope: &str, name: &str) -> String {
        let unique = self.names.claim(scope, name);
        if unique != name {
            self.out.note(Topic::MadeUnique, || format!("{scope}: `{name}` is `{unique}`"));
        }
        unique
    }

    fn identity(&mut self, kept: &Kept) -> Local {
        let sql = "INSERT INTO identities (name, email, reply_to, bcc, text_signature, html_signature) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let text = |key| kept.text_or_empty(key);
        let (reply_to, bcc) = (json_column(&kept.map, "replyTo"), json_column(&kept.map, "bcc"));
        let (plain, html) = (text("textSignature"), text("htmlSignature"));
        // Name and address tell identities apart.
        let name = self.unique(&format!("identity of {}", text("email")), text("name"));
        self.run(sql, params![name, text("email"), reply_to, bcc, plain, html])
    }

    fn script(&mut self, kept: &Kept) -> Local {
        let raw = kept.text_or_empty("name");
        if raw.eq_ignore_ascii_case("vacation") {
            return Ok(None);
        }
        let Some(blob) = kept.blob else {
            self.out.note(Topic::NoContent, || format!("script `{raw}`"));
            return Ok(None);
        };
        let name = self.unique("script", raw);
        let wants_to_be_active = kept.flag("isActive", false);
        let is_active = wants_to_be_active && self.names.claim("the active script", "").is_empty();
        if wants_to_be_active && !is_active {
            self.out.note(Topic::MadeUnique, || format!("script `{name}` is no second active one"));
        }
        let sql = "INSERT INTO sieve_scripts (name, is_active, blob_id) VALUES (?1, ?2, ?3)";
        self.run(sql, params![name, is_active, blob])
    }

    fn address_book(&self, kept: &Kept) -> Local {
        let sql = "INSERT INTO address_books (name, description, sort_order, is_default, is_subscribed) \
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let (is_default, is_subscribed) = (kept.flag("isDefault", false), kept.flag("isSubscribed", true));
        let (name, description) = (kept.text_or_empty("name"), kept.text("description"));
        self.run(sql, params![name, description, kept.number("sortOrder"), is_default, is_subscribed])
    }

    fn contact(&mut self, kept: &Kept) -> Local {
        let uid = self.unique("contact", kept.text("uid").unwrap_or(&kept.id));
        let books = self.homes(DataType::AddressBook, kept, "addressBookIds")?;
        let data = self.data(kept, &["id", "uid", "addressBookIds"]).to_string();
        let sql = "INSERT INTO contact_cards (uid, address_book_ids, data) VALUES (?1, ?2, ?3)";
        self.run(sql, params![uid, books, data])
    }

    fn calendar(&self, kept: &Kept) -> Local {
        let sql = "INSERT INTO calendars (name, description, color, sort_order, is_subscribed, is_visible, is_default, \
            include_in_availability, default_alerts_with_time, default_alerts_without_time, time_zone) \
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let known = ["all", "attending", "none"];
        let included = kept.text("includeInAvailability").filter(|value| known.contains(value));
        self.run(
            sql,
            params![
                kept.text_or_empty("name"),
                kept.text("description"),
                kept.text("color"),
                kept.number("sortOrder"),
                kept.flag("isSubscribed", true),
                kept.flag("isVisible", true),
                kept.flag("isDefault", false),
                included.unwrap_or("all"),
                json_column(&kept.map, "defaultAlertsWithTime"),
                json_column(&kept.map, "defaultAlertsWithoutTime"),
                kept.text("timeZone"),
            ],
        )
    }

    fn event(&mut self, kept: &Kept) -> Local {
        let calendars = self.homes(DataType::Calendar, kept, "calendarIds")?;
        // An account takes a uid once; occurrences without their series have it in common.
        let mut data = self.data(kept, &NOT_OF_AN_EVENT);
        if let Some(uid) = kept.text("uid") {
            data["uid"] = self.unique(&format!("event {}", kept.text_or_empty("recurrenceId")), uid).into();
        }
        let sql = "INSERT INTO calendar_events (calendar_ids, is_draft, use_default_alerts, data) \
            VALUES (?1, ?2, ?3, ?4)";
        let (is_draft, default_alerts) = (kept.flag("isDraft", false), kept.flag("useDefaultAlerts", false));
        self.run(sql, params![calendars, is_draft, default_alerts, data.to_string()])
    }

    fn participant(&self, kept: &Kept) -> Local {
        let sql =
            "INSERT INTO participant_identities (name, calendar_address, is_default) VALUES (?1, ?2, ?3)";
        let (name, address) = (kept.text_or_empty("name"), kept.text_or_empty("calendarAddress"));
        self.run(sql, params![name, address, kept.flag("isDefault", false)])
    }

    fn file(&mut self, kept: &Kept, parent: Option<i64>) -> Local {
        let has_bytes = kept.blob.is_some() || kept.text("blobId").is_some();
        let kind = match kept.text("nodeType") {
            Some(kind @ ("file" | "directory" | "symlink")) => kind,
            _ if has_bytes => "file",
            _ => "directory",
        };
        let raw = kept.text_or_empty("name");
        if kind == "file" && kept.blob.is_none() {
            self.out.note(Topic::NoContent, || format!("file `{raw}`"));
            return Ok(None);
        }
        let name = self.unique(&format!("file below {}", parent.unwrap_or_default()), raw);
        let sql = "INSERT INTO file_nodes (parent_id, node_type, blob_id, target, name, media_type, created, modified, \
            is_subscribed, role) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let created = kept.text("created").unwrap_or("1970-01-01T00:00:00Z");
        self.run(
            sql,
            params![
                parent,
                kind,
                kept.blob.filter(|_| kind == "file"),
                json_column(&kept.map, "target"),
                name,
                kept.text("type"),
                created,
                kept.text("modified"),
                kept.flag("isSubscribed", true),
                kept.text("role"),
            ],
        )
    }

    /// What an item lies in; the server takes none that lies in nothing, so one is made for these.
    fn homes(&mut self, data_type: DataType, kept: &Kept, key: &str) -> rusqlite::Result<String> {
        let locals = self.locals(data_type, kept, key)?;
        if locals != "[]" {
            return Ok(locals);
        }
        let (table, name) = match data_type {
            DataType::Calendar => ("calendars", "No calendar"),
            _ => ("address_books", "No address book"),
        };
        self.out.note(Topic::Homeless, || format!("{} is in `{name}`", kept.text("uid").unwrap_or(&kept.id)));
        let find = format!("SELECT id FROM {table} WHERE name = ?1 LIMIT 1");
        let found = self.db.query_row(&find, params![name], |row| row.get::<_, i64>(0)).optional()?;
        let home = match found {
            Some(home) => home,
            None => {
                self.db.execute(&format!("INSERT INTO {table} (name) VALUES (?1)"), params![name])?;
                self.db.last_insert_rowid()
            }
        };
        Ok(json!([home]).to_string())
    }

    /// The rows that a set of ids became, as a JSON array.
    fn locals(&self, data_type: DataType, kept: &Kept, key: &str) -> rusqlite::Result<String> {
        let ids = kept.map.get(key).and_then(Value::as_object).into_iter().flatten();
        let mut locals: Vec<i64> = Vec::new();
        for (id, _) in ids.filter(|(_, is_in)| **is_in == Value::Bool(true)) {
            let sql = "SELECT local_id FROM malle_objects WHERE type_name = ?1 AND jmap_id = ?2 LIMIT 1";
            let mut find = self.db.prepare_cached(sql)?;
            let local: Option<Option<i64>> =
                find.query_row(params![data_type.name(), id], |row| row.get(0)).optional()?;
            locals.extend(local.flatten());
        }
        Ok(json!(locals).to_string())
    }

    /// An object without what has columns of its own, and without blobs of the mail server, which the backup does not hold: the content of
    /// an event is its text as iCalendar.
    fn data(&mut self, kept: &Kept, without: &[&str]) -> Value {
        let mut map = kept.map.clone();
        map.retain(|key, _| !without.contains(&key.as_str()));
        let mut data = Value::Object(map);
        if drop_blobs(&mut data) {
            self.out.note(Topic::NoContent, || format!("attachment of `{}`", kept.text_or_empty("uid")));
        }
        data
    }
}

/// Removes references to the server's blobs; returns whether there was one that no URI stood beside.
fn drop_blobs(value: &mut Value) -> bool {
    match value {
        Value::Object(map) => {
            let mut is_lost = false;
            if map.get("blobId").is_some_and(Value::is_string) {
                map.remove("blobId");
                is_lost =
                    !["uri", "href"].iter().any(|member| map.get(*member).is_some_and(Value::is_string));
            }
            map.values_mut().fold(is_lost, |is_lost, value| drop_blobs(value) | is_lost)
        }
        Value::Array(values) => values.iter_mut().fold(false, |is_lost, value| drop_blobs(value) | is_lost),
        _ => false,
    }
}

/// A JSON column: `NULL` when there is nothing to say.
fn json_column(map: &Map<String, Value>, key: &str) -> Option<String> {
    map.get(key).filter(|value| !value.is_null()).map(Value::to_string)
}
