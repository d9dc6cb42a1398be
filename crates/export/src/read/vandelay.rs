//! Vandelay archives, ours and others'. The database is opened read-only, with views, triggers and everything that a schema
//! could make run switched off.

use std::path::Path;

use model::{DataType, EmailId, FolderId};
use rusqlite::blob::Blob;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, MAIN_DB, OpenFlags, Row};

use super::limits::Limits;
use crate::error::{Doing, DoingSql};
use crate::item::{Content, Email, Object, Receiver};
use crate::{Error, Result, dates};

const READING: &str = "read the archive's database";
/// Rows of up to a gigabyte, as SQLite itself allows.
const LONGEST_ROW: i32 = 1_000_000_000;

/// Our own table: id, JSON, blob.
const KEPT: &str = "SELECT jmap_id, json, blob_id, type_name FROM malle_objects ORDER BY id";

/// What a foreign archive has: id, JSON, blob.
const FOREIGN: [(DataType, &str, &str); 10] = [
    (
        DataType::Mailbox,
        "mailboxes",
        "SELECT id, json_object('id', CAST(id AS TEXT), 'name', name, 'parentId', CAST(parent_id AS TEXT), 'role', role, \
         'sortOrder', sort_order, 'isSubscribed', json(iif(is_subscribed, 'true', 'false'))), NULL FROM mailboxes ORDER BY id",
    ),
    (
        DataType::AddressBook,
        "address_books",
        "SELECT id, json_object('id', CAST(id AS TEXT), 'name', name, 'description', description, 'sortOrder', sort_order, \
         'isDefault', json(iif(is_default, 'true', 'false')), 'isSubscribed', json(iif(is_subscribed, 'true', 'false'))), \
         NULL FROM address_books ORDER BY id",
    ),
    (
        DataType::Calendar,
        "calendars",
        "SELECT id, json_object('id', CAST(id AS TEXT), 'name', name, 'description', description, 'color', color, \
         'sortOrder', sort_order, 'isSubscribed', json(iif(is_subscribed, 'true', 'false')), \
         'isVisible', json(iif(is_visible, 'true', 'false')), 'isDefault', json(iif(is_default, 'true', 'false')), \
         'includeInAvailability', include_in_availability, 'defaultAlertsWithTime', json(default_alerts_with_time), \
         'defaultAlertsWithoutTime', json(default_alerts_without_time), 'timeZone', time_zone), NULL \
         FROM calendars ORDER BY id",
    ),
    (
        DataType::FileNode,
        "file_nodes",
        "SELECT id, json_object('id', CAST(id AS TEXT), 'parentId', CAST(parent_id AS TEXT), 'nodeType', node_type, \
         'blobId', CAST(blob_id AS TEXT), 'target', json(target), 'name', name, 'type', media_type, 'created', created, \
         'modified', modified, 'isSubscribed', json(iif(is_subscribed, 'true', 'false')), 'role', role), blob_id \
         FROM file_nodes ORDER BY id",
    ),
    (
        DataType::Identity,
        "identities",
        "SELECT id, json_object('id', CAST(id AS TEXT), 'name', name, 'email', email, 'replyTo', json(reply_to), \
         'bcc', json(bcc), 'textSignature', text_signature, 'htmlSignature', html_signature), NULL FROM identities ORDER BY id",
    ),
    (
        DataType::SieveScript,
        "sieve_scripts",
        "SELECT id, json_object('id', CAST(id AS TEXT), 'name', name, 'isActive', json(iif(is_active, 'true', 'false')), \
         'blobId', CAST(blob_id AS TEXT)), blob_id FROM sieve_scripts ORDER BY id",
    ),
    (
        DataType::ParticipantIdentity,
        "participant_identities",
        "SELECT id, json_object('id', CAST(id AS TEXT), 'name', name, 'calendarAddress', calendar_address, \
         'isDefault', json(iif(is_default, 'true', 'false'))), NULL FROM participant_identities ORDER BY id",
    ),
    (
        DataType::ContactCard,
        "contact_cards",
        "SELECT id, json_patch(data, json_object('id', CAST(id AS TEXT), 'uid', uid, 'addressBookIds', \
         (SELECT json_group_object(value, json('true')) FROM json_each(address_book_ids)))), NULL \
         FROM contact_cards ORDER BY id",
    ),
    (
        DataType::CalendarEvent,
        "calendar_events",
        "SELECT id, json_patch(data, json_object('id', CAST(id AS TEXT), 'isDraft', json(iif(is_draft, 'true', 'false')), \
         'useDefaultAlerts', json(iif(use_default_alerts, 'true', 'false')), 'calendarIds', \
         (SELECT json_group_object(value, json('true')) FROM json_each(calendar_ids)))), NULL \
         FROM calendar_events ORDER BY id",
    ),
    (DataType::Email, "emails", ""),
];

const OUR_EMAILS: &str = "SELECT m.jmap_id, e.blob_id, m.received_at, m.mailbox_ids, e.keywords \
    FROM emails e JOIN malle_emails m ON m.local_id = e.id ORDER BY e.id";
const FOREIGN_EMAILS: &str = "SELECT id, blob_id, received_at, mailbox_ids, keywords FROM emails ORDER BY id";

pub(super) fn read(path: &Path, limits: Limits, receiver: &mut dyn Receiver) -> Result<()> {
    let db = open(path)?;
    if is_table(&db, "malle_objects")? && is_table(&db, "malle_emails")? {
        objects(&db, None, KEPT, limits, receiver)?;
        return emails(&db, OUR_EMAILS, limits, receiver);
    }
    for (data_type, table, sql) in FOREIGN {
        match (is_table(&db, table)?, data_type) {
            (false, _) => {}
            (true, DataType::Email) => emails(&db, FOREIGN_EMAILS, limits, receiver)?,
            (true, _) => objects(&db, Some(data_type), sql, limits, receiver)?,
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let path = path.canonicalize().doing("find", path)?;
    let db = Connection::open_with_flags(path, flags).doing("open the archive's database")?;
    for (setting, is_on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        db.set_db_config(setting, is_on).doing(READING)?;
    }
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, LONGEST_ROW),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        db.set_limit(limit, value).doing(READING)?;
    }
    db.execute_batch("PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;")
        .doing(READING)?;
    Ok(db)
}

fn is_table(db: &Connection, name: &str) -> Result<bool> {
    let sql =
        "SELECT count(*) FROM sqlite_schema WHERE name = ?1 AND type = 'table' AND sql NOT LIKE '%VIRTUAL%'";
    db.query_row(sql, [name], |row| row.get(0)).doing(READING)
}

fn objects(
    db: &Connection,
    data_type: Option<DataType>,
    sql: &str,
    limits: Limits,
    receiver: &mut dyn Receiver,
) -> Result<()> {
    let mut select = db.prepare(sql).doing(READING)?;
    let mut rows = select.query([]).doing(READING)?;
    while let Some(row) = rows.next().doing(READING)? {
        object(db, data_type, row, limits, receiver)?;
    }
    Ok(())
}

fn object(
    db: &Connection,
    data_type: Option<DataType>,
    row: &Row<'_>,
    limits: Limits,
    receiver: &mut dyn Receiver,
) -> Result<()> {
    let data_type = match data_type {
        Some(data_type) => data_type,
        None => named(&bounded(row, 3, limits)?)?,
    };
    let (id, json) = (bounded(row, 0, limits)?, bounded(row, 1, limits)?);
    let mut blob = match row.get::<_, Option<i64>>(2).doing(READING)? {
        Some(blob) => Some(blob_at(db, blob)?),
        None => None,
    };
    let content = blob.as_mut().map(|blob| Content { length: blob.len() as u64, bytes: blob });
    receiver.object(Object { data_type, id: &id, json: json.as_bytes(), content })
}

fn named(name: &str) -> Result<DataType> {
    let known = DataType::ALL.into_iter().find(|known| known.name() == name);
    known
        .ok_or_else(|| Error::corrupt("malle_objects", format!("there is no type `{}`", name.escape_debug())))
}

/// A text, or a number as one.
fn bounded(row: &Row<'_>, column: usize, limits: Limits) -> Result<String> {
    let value = row.get_ref(column).doing(READING)?;
    if let Ok(number) = value.as_i64() {
        return Ok(number.to_string());
    }
    let text = value.as_str().map_err(|error| Error::corrupt("the archive", error.to_string()))?;
    if text.len() as u64 > limits.description {
        let (file, limit) = ("the archive".to_owned(), limits.description);
        return Err(Error::TooLarge { file, what: "a column", limit });
    }
    Ok(text.to_owned())
}

fn blob_at(db: &Connection, row: i64) -> Result<Blob<'_>> {
    db.blob_open(MAIN_DB, "blobs", "data", row, true).doing("read a blob of the archive")
}

fn emails(db: &Connection, sql: &str, limits: Limits, receiver: &mut dyn Receiver) -> Result<()> {
    let mut select = db.prepare(sql).doing(READING)?;
    let mut rows = select.query([]).doing(READING)?;
    while let Some(row) = rows.next().doing(READING)? {
        email(db, row, limits, receiver)?;
    }
    Ok(())
}

fn email(db: &Connection, row: &Row<'_>, limits: Limits, receiver: &mut dyn Receiver) -> Result<()> {
    let mut blob = blob_at(db, row.get(1).doing(READING)?)?;
    let received = bounded(row, 2, limits)?;
    let received_at = received.parse().ok().or_else(|| dates::seconds(&received)).unwrap_or_default();
    let folders = list(&bounded(row, 3, limits)?)?.into_iter().map(FolderId::from).collect::<Vec<_>>();
    let email = Email {
        id: &EmailId::from(bounded(row, 0, limits)?),
        folders: &folders,
        keywords: &list(&bounded(row, 4, limits)?)?,
        received_at,
        size: blob.len() as u64,
    };
    receiver.email(&email, &mut blob)
}

/// A JSON array of texts or numbers.
fn list(json: &str) -> Result<Vec<String>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(json)
        .map_err(|error| Error::corrupt("emails", format!("a column is no JSON array: {error}")))?;
    Ok(values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect())
}
