use std::io;

use rusqlite::{Connection, MAIN_DB, OptionalExtension, params};

use super::schema::WRITING;
use crate::Result;
use crate::content::Replay;
use crate::error::{Doing, DoingSql};

/// Longer blobs are written piece by piece.
const AT_ONCE: u64 = 1 << 20;
/// SQLite takes rows of up to a billion bytes.
const MOST: u64 = 999_000_000;

/// The row of a blob, new or not; `None` if it is too long for SQLite.
pub(crate) fn intern(db: &Connection, content: &mut Replay) -> Result<Option<i64>> {
    if content.size > MOST {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut content.reader()?, &mut hasher).doing_to("read", "a temporary file")?;
    let hash = *hasher.finalize().as_bytes();
    if let Some(known) = find(db, &hash).doing(WRITING)? {
        return Ok(Some(known));
    }
    if content.size <= AT_ONCE {
        let data = content.start(AT_ONCE)?;
        let sql = "INSERT INTO blobs (hash, data) VALUES (?1, ?2)";
        let insert = db.prepare_cached(sql).and_then(|mut insert| insert.execute(params![hash, data]));
        insert.doing(WRITING)?;
        return Ok(Some(db.last_insert_rowid()));
    }
    insert_long(db, &hash, content).map(Some)
}

fn find(db: &Connection, hash: &[u8; 32]) -> rusqlite::Result<Option<i64>> {
    let mut find = db.prepare_cached("SELECT id FROM blobs WHERE hash = ?1")?;
    find.query_row([hash], |row| row.get(0)).optional()
}

fn insert_long(db: &Connection, hash: &[u8; 32], content: &mut Replay) -> Result<i64> {
    let size = i64::try_from(content.size).unwrap_or(i64::MAX);
    let sql = "INSERT INTO blobs (hash, data) VALUES (?1, zeroblob(?2))";
    db.execute(sql, params![hash, size]).doing(WRITING)?;
    let row = db.last_insert_rowid();
    let mut blob = db.blob_open(MAIN_DB, "blobs", "data", row, false).doing(WRITING)?;
    io::copy(&mut content.reader()?, &mut blob).doing_to("write", "the archive's database")?;
    blob.close().doing(WRITING)?;
    Ok(row)
}
