use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use model::DataType;
use rusqlite::{Connection, params};
use serde_json::json;

use super::schema::WRITING;
use super::unique::Unique;
use super::{blobs, rows, schema};
use crate::content::{Replay, Spool};
use crate::error::DoingSql;
use crate::head::{Head, MOST_HEAD};
use crate::item::{Email, Origin};
use crate::layout::{Layout, Out, Parsed};
use crate::name::SafePath;
use crate::report::Topic;
use crate::tree::{Folder, Tree};
use crate::{Result, dates};

/// The archive's name inside an export.
pub(crate) const ARCHIVE: &str = "archive.sqlite";
const CREATING: &str = "create the archive's database";

pub(crate) struct Vandelay {
    db: Connection,
    path: PathBuf,
    /// The row that says where this comes from, if that is known.
    source: Option<i64>,
    /// Row of each folder, by its index.
    folders: BTreeMap<usize, i64>,
    roles: HashSet<String>,
    names: Unique,
}

impl Vandelay {
    pub(crate) fn create(spool: &mut Spool, origin: &Origin) -> Result<Vandelay> {
        let path = spool.path();
        let db = Connection::open(&path).doing(CREATING)?;
        db.set_prepared_statement_cache_capacity(32);
        for sql in [schema::PRAGMAS, schema::TABLES, "BEGIN"] {
            db.execute_batch(sql).doing(CREATING)?;
        }
        let source = source(&db, origin).doing(CREATING)?;
        let (roles, names) = (HashSet::new(), Unique::default());
        Ok(Vandelay { db, path, source, folders: BTreeMap::new(), roles, names })
    }

    /// Notes which row an object became.
    fn became(&self, data_type: DataType, id: &str, local: i64) -> rusqlite::Result<()> {
        let sql = "UPDATE malle_objects SET local_id = ?3 WHERE type_name = ?1 AND jmap_id = ?2";
        self.db.prepare_cached(sql)?.execute(params![data_type.name(), id, local])?;
        self.synced(data_type, id, local)
    }

    fn synced(&self, data_type: DataType, id: &str, local: i64) -> rusqlite::Result<()> {
        let Some(source) = self.source else { return Ok(()) };
        let sql = "INSERT OR IGNORE INTO sync_id_jmap VALUES (?1, ?2, ?3, ?4)";
        self.db.prepare_cached(sql)?.execute(params![source, data_type.name(), id, local])?;
        Ok(())
    }

    /// Turns every object of a type into a row.
    fn convert(&mut self, data_type: DataType, out: &mut Out) -> Result<()> {
        let mut last = 0;
        while let Some(kept) = rows::next(&self.db, data_type, last).doing(WRITING)? {
            last = kept.row;
            self.convert_one(data_type, &kept, None, out)?;
        }
        Ok(())
    }

    fn convert_one(
        &mut self,
        data_type: DataType,
        kept: &rows::Kept,
        parent: Option<i64>,
        out: &mut Out,
    ) -> Result<Option<i64>> {
        let mut rows = rows::Rows { db: &self.db, names: &mut self.names, out };
        let local = rows.insert(data_type, kept, parent).doing(WRITING)?;
        if let Some(local) = local {
            self.became(data_type, &kept.id, local).doing(WRITING)?;
        }
        Ok(local)
    }

    /// Files refer to each other as folders do.
    fn convert_files(&mut self, out: &mut Out) -> Result<()> {
        let mut tree = Tree::default();
        let mut last = 0;
        while let Some(kept) = rows::next(&self.db, DataType::FileNode, last).doing(WRITING)? {
            last = kept.row;
            tree.add(Folder::from_json(&kept.id, &kept.map));
        }
        let mut locals: HashMap<usize, i64> = HashMap::new();
        for index in tree.settle(&mut out.report) {
            let node = tree.get(index);
            let parent = node.parent.and_then(|parent| locals.get(&parent).copied());
            let kept = rows::find(&self.db, DataType::FileNode, &node.id).doing(WRITING)?;
            if let Some(local) = self.convert_one(DataType::FileNode, &kept, parent, out)? {
                locals.insert(index, local);
            }
        }
        Ok(())
    }

    fn insert_folder(&mut self, folder: &Folder, out: &mut Out) -> rusqlite::Result<i64> {
        let parent = folder.parent.map(|parent| self.folders[&parent]);
        let scope = format!("mailboxes {}", parent.unwrap_or_default());
        let name = self.names.claim(&scope, &folder.name);
        if name != folder.name {
            out.note(Topic::MadeUnique, || format!("folder `{}` is `{name}`", folder.name));
        }
        let role = folder.role.clone().filter(|role| self.roles.insert(role.clone()));
        if role != folder.role {
            let role = folder.role.clone().unwrap_or_default();
            out.note(Topic::MadeUnique, || format!("folder `{name}` is no second `{role}`"));
        }
        let sort_order = i64::try_from(folder.sort_order).unwrap_or(i64::MAX);
        let sql = "INSERT INTO mailboxes (name, parent_id, role, sort_order, is_subscribed) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.db.execute(sql, params![name, parent, role, sort_order, folder.is_subscribed])?;
        let local = self.db.last_insert_rowid();
        self.became(DataType::Mailbox, &folder.id, local)?;
        Ok(local)
    }

    fn insert_email(
        &self,
        email: &Email<'_>,
        blob: i64,
        received: &str,
        folders: &[i64],
        matched: &str,
    ) -> rusqlite::Result<()> {
        let sql = "INSERT INTO emails (blob_id, received_at, mailbox_ids, keywords, message_match) \
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let (ids, keywords) = (json!(folders).to_string(), json!(email.keywords).to_string());
        self.db.prepare_cached(sql)?.execute(params![blob, received, ids, keywords, matched])?;
        let local = self.db.last_insert_rowid();
        let ids: Vec<&str> = email.folders.iter().map(model::FolderId::as_str).collect();
        let ids = json!(ids).to_string();
        let sql = "INSERT INTO malle_emails VALUES (?1, ?2, ?3, ?4)";
        self.db.prepare_cached(sql)?.execute(params![local, email.id.as_str(), email.received_at, ids])?;
        self.synced(DataType::Email, email.id.as_str(), local)
    }
}

fn source(db: &Connection, origin: &Origin) -> rusqlite::Result<Option<i64>> {
    let (Some(url), Some(account)) = (&origin.session_url, &origin.account_id) else { return Ok(None) };
    let user = origin.user_name.as_deref().unwrap_or_default();
    let sql = "INSERT INTO sources (kind, session_url, account_id, account_name, username) \
        VALUES ('jmap', ?1, ?2, ?3, ?4)";
    db.execute(sql, params![url, account, origin.account_name, user])?;
    let source = db.last_insert_rowid();
    for (data_type, state) in &origin.states {
        let sql = "INSERT OR REPLACE INTO sync_state_jmap VALUES (?1, ?2, ?3)";
        db.execute(sql, params![source, data_type.name(), state])?;
    }
    Ok(Some(source))
}

impl Layout for Vandelay {
    fn forget_state(&mut self, data_type: DataType) -> Result<()> {
        let sql = "DELETE FROM sync_state_jmap WHERE type_name = ?1";
        self.db.execute(sql, params![data_type.name()]).doing(WRITING)?;
        Ok(())
    }

    fn object(&mut self, object: &Parsed<'_>, content: Option<&mut Replay>, out: &mut Out) -> Result<()> {
        let blob = match content {
            Some(content) => blobs::intern(&self.db, content)?,
            None => None,
        };
        if object.data_type == DataType::VacationResponse {
            out.note(Topic::OnlyBeside, || object.describe());
        }
        let sql = "INSERT INTO malle_objects (type_name, jmap_id, json, blob_id) VALUES (?1, ?2, ?3, ?4)";
        let values = params![object.data_type.name(), object.id, object.json, blob];
        self.db.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).doing(WRITING)?;
        Ok(())
    }

    fn objects_end(&mut self, out: &mut Out) -> Result<()> {
        self.convert_files(out)?;
        for data_type in [
            DataType::Identity,
            DataType::SieveScript,
            DataType::AddressBook,
            DataType::ContactCard,
            DataType::Calendar,
            DataType::CalendarEvent,
            DataType::ParticipantIdentity,
        ] {
            self.convert(data_type, out)?;
        }
        Ok(())
    }

    fn folder(&mut self, index: usize, folder: &Folder, out: &mut Out) -> Result<()> {
        let local = self.insert_folder(folder, out).doing(WRITING)?;
        self.folders.insert(index, local);
        Ok(())
    }

    fn email(
        &mut self,
        email: &Email<'_>,
        folders: &[usize],
        content: &mut Replay,
        out: &mut Out,
    ) -> Result<()> {
        let Some(blob) = blobs::intern(&self.db, content)? else {
            out.note(Topic::TooLarge, || format!("email {}: {} bytes", email.id, email.size));
            return self.forget_state(DataType::Email);
        };
        let received = dates::rfc3339(email.received_at);
        if received.is_clamped {
            out.note(Topic::DateChanged, || format!("email {}", email.id));
        }
        let folders: Vec<i64> = folders.iter().map(|index| self.folders[index]).collect();
        let matched = Head::read(&content.start(MOST_HEAD)?).message_match();
        self.insert_email(email, blob, &received.text, &folders, &matched).doing(WRITING)
    }

    fn finish(self: Box<Self>, _: &Tree, out: &mut Out) -> Result<()> {
        self.db.execute_batch("COMMIT").doing(WRITING)?;
        self.db.close().map_err(|(_, error)| error).doing(WRITING)?;
        out.sink.adopt(&SafePath::top(ARCHIVE), dates::now(), &self.path)
    }
}
