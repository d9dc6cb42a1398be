//! Rows of older segments and fresh ones on their way into new segments: of one key the fresh one.

use std::cmp::Ordering;
use std::collections::btree_map;
use std::iter::Peekable;

use bytes::Bytes;

use crate::error::Result;
use crate::rows::{NewContent, NewRow, Table};
use crate::segment::builder::SegmentBuilder;
use crate::segment::merge::{Merge, MergedRow};
use crate::snapshot::Snapshot;

/// Rows of older segments, those of blobs whose pack is lost taken out.
pub(crate) struct OldRows<'a> {
    pub(crate) rows: Merge,
    pub(crate) base: Option<&'a Snapshot>,
}

impl OldRows<'_> {
    async fn next(&mut self) -> Result<Option<MergedRow>> {
        while let Some(row) = self.rows.next().await? {
            let is_lost =
                self.base.is_some_and(|base| row.place.as_ref().is_some_and(|place| base.is_lost(place)));
            if !is_lost {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

pub(crate) type FreshRows = Peekable<btree_map::IntoIter<(Table, Bytes), NewContent>>;

/// Rows of one table, old and fresh, in order; of two with one key the fresh one. Removals need to be kept only while
/// an older segment may hold what they remove.
pub(crate) async fn merge_table(
    builder: &mut SegmentBuilder<'_>,
    table: Table,
    mut old: OldRows<'_>,
    fresh: &mut FreshRows,
    drops_gone: bool,
) -> Result<()> {
    let mut old_row = old.next().await?;
    loop {
        let fresh_key = fresh.peek().filter(|((t, _), _)| *t == table).map(|((_, key), _)| key);
        let order = match (&old_row, fresh_key) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(key)) => old.row.key.cmp(key),
        };
        let row = if order == Ordering::Less {
            std::mem::replace(&mut old_row, old.next().await?).map(|old| again(table, old))
        } else {
            if order == Ordering::Equal {
                old_row = old.next().await?;
            }
            fresh.next().map(|((table, key), content)| NewRow { table, key, content })
        };
        if let Some(row) = row.filter(|row| !(drops_gone && matches!(row.content, NewContent::Gone))) {
            builder.push(row).await?;
        }
    }
}

/// A row of an older segment on its way to a new one.
fn again(table: Table, old: MergedRow) -> NewRow {
    let key = old.row.key.clone();
    let content = match old.place {
        Some(place) => NewContent::Blob(place),
        None if old.is_gone() => NewContent::Gone,
        None => NewContent::Encoded(old.encoded),
    };
    NewRow { table, key, content }
}
