//! Conversions between columns and the house's types, at the edge and nowhere else.

use std::str::FromStr;

use model::{BackupNumber, Epoch, JobId, MailboxId, SnapshotNumber, UnknownWord};
use tokio_postgres::{Row, types::FromSql};

use crate::error::{Error, Result};

/// A column of Postgres' own types.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &'static str) -> Result<T> {
    row.try_get(column).map_err(|source| Error::Unreadable { column, source: source.into() })
}

/// A column of words.
pub(crate) fn word<T: FromStr<Err = UnknownWord>>(row: &Row, column: &'static str) -> Result<T> {
    known(column, get(row, column)?)
}

/// A column of words that may be null.
pub(crate) fn maybe_word<T: FromStr<Err = UnknownWord>>(
    row: &Row,
    column: &'static str,
) -> Result<Option<T>> {
    get::<Option<&str>>(row, column)?.map(|text| known(column, text)).transpose()
}

fn known<T: FromStr<Err = UnknownWord>>(column: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|source: UnknownWord| Error::Unreadable { column, source: source.into() })
}

/// A column that counts and is never negative.
pub(crate) fn count(row: &Row, column: &'static str) -> Result<u64> {
    Ok(get::<i64>(row, column)?.cast_unsigned())
}

/// The same in 32 bits.
pub(crate) fn small_count(row: &Row, column: &'static str) -> Result<u32> {
    Ok(get::<i32>(row, column)?.cast_unsigned())
}

/// A column of 32 bytes.
pub(crate) fn digest(row: &Row, column: &'static str) -> Result<[u8; 32]> {
    maybe_digest(row, column)?.ok_or_else(|| Error::Unreadable { column, source: "it is null".into() })
}

/// A column of 32 bytes that may be null.
pub(crate) fn maybe_digest(row: &Row, column: &'static str) -> Result<Option<[u8; 32]>> {
    let digest = get::<Option<&[u8]>>(row, column)?.map(TryInto::try_into).transpose();
    digest.map_err(|_| Error::Unreadable { column, source: "it is not 32 bytes".into() })
}

/// A text that Postgres can hold, cut to a length that a row can bear.
pub(crate) fn storable(text: &str) -> String {
    const LONGEST: usize = 4000;
    text.chars().map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).take(LONGEST).collect()
}

/// A number as Postgres holds it: signed, 64 bits.
pub(crate) trait Number: Sized {
    fn sql(self) -> i64;
    fn from_sql(number: i64) -> Self;

    fn of(row: &Row, column: &'static str) -> Result<Self> {
        get(row, column).map(Self::from_sql)
    }

    fn maybe(row: &Row, column: &'static str) -> Result<Option<Self>> {
        Ok(get::<Option<i64>>(row, column)?.map(Self::from_sql))
    }
}

macro_rules! numbers {
    ($($name:ident)*) => {$(
        impl Number for $name {
            fn sql(self) -> i64 {
                self.0.cast_signed()
            }

            fn from_sql(number: i64) -> Self {
                $name(number.cast_unsigned())
            }
        }
    )*};
}

numbers!(BackupNumber Epoch JobId MailboxId SnapshotNumber);
