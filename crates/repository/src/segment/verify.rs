//! Reads a whole segment and compares it with itself: everything a reader relies on holds.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use proto::repository::SegmentRef;

use crate::error::Result;
use crate::rows::Table;
use crate::segment::builder::FILTER_TABLE;
use crate::segment::filter::{Filter, key_hash};
use crate::segment::merge::MergedRow;
use crate::segment::reader::{SegmentReader, TableScan};

/// Every block opens, rows ascend, their number is the one in the log, no row is denied by the filter, no blob lies in a
/// pack that the footer does not name.
pub(crate) fn verify<'a>(
    segment: &'a Arc<SegmentReader>,
    reference: &'a SegmentRef,
) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let mut tables: Vec<u32> = segment.tables().collect();
        tables.dedup();
        let filter_last = tables.pop() == Some(FILTER_TABLE);
        let known = |table: &u32| Table::ALL.iter().any(|t| *t as u32 == *table);
        if !filter_last || !tables.iter().all(known) || !tables.is_sorted_by(|a, b| a < b) {
            return Err(segment.damaged("its tables are not in order"));
        }
        let filter = segment.filter().await?;
        for table in Table::ALL {
            let rows = verify_table(segment, table, &filter).await?;
            let said = reference.rows.iter().filter(|t| t.table == table as u32);
            if rows != said.map(|t| t.rows).sum::<u64>() {
                return Err(segment.damaged("it has not as many rows as the log says"));
            }
        }
        Ok(())
    })
}

async fn verify_table(segment: &Arc<SegmentReader>, table: Table, filter: &Filter) -> Result<u64> {
    let mut scan = TableScan::new(segment.clone(), table);
    let (mut last, mut count) = (None::<Bytes>, 0);
    while let Some(rows) = scan.next_block().await? {
        count += rows.len() as u64;
        for stored in rows {
            let key = stored.key().clone();
            if last.is_some_and(|last| last >= key) {
                return Err(segment.damaged("its rows are not in order"));
            }
            if !filter.may_contain(key_hash(table, &key)) {
                return Err(segment.damaged("its filter denies one of its rows"));
            }
            MergedRow::new(stored, segment.packs())?;
            last = Some(key);
        }
    }
    Ok(count)
}
