//! Which segments the next commit merges, as a pure function.

use proto::repository::SegmentRef;

use crate::rows::Table;
use crate::sizes::Sizes;

/// More segments than this are never left, unless so many full ones are needed.
const MANY: u64 = 96;

/// Index of the first segment to merge with everything newer, `fresh` bytes of new rows included; `None`: merge nothing.
///
/// A segment is taken along when all that is newer has together grown as large as it is. So a row is rewritten about
/// log2(n) times in its life, and log2(n) small segments are left.
///
/// `live_rows` are the emails and objects of the snapshot. Rows of blobs do not count: they are never replaced, so merging
/// them gains nothing.
pub(crate) fn first_to_merge(
    segments: &[SegmentRef],
    fresh: u64,
    live_rows: u64,
    sizes: Sizes,
) -> Option<usize> {
    let all = segments.iter().flat_map(|s| &s.rows);
    let rows: u64 = all.filter(|t| t.table != Table::Blobs as u32).map(|t| t.rows).sum();
    let bytes: u64 = segments.iter().map(|s| s.bytes).sum();
    let many = MANY.max(2 * bytes / sizes.segment as u64);
    if !segments.is_empty() && (segments.len() as u64 > many || rows > 3 * live_rows + 10_000) {
        return Some(0);
    }
    let mut newer = fresh;
    let mut first = None;
    for (index, segment) in segments.iter().enumerate().rev() {
        if segment.bytes >= sizes.full_segment {
            break;
        }
        if segment.bytes <= newer {
            first = Some(index);
        }
        newer += segment.bytes;
    }
    first
}

#[cfg(test)]
mod tests {
    use proto::repository::TableRows;

    use super::*;

    const FULL: u64 = 4 << 20;

    fn segment(bytes: u64) -> SegmentRef {
        SegmentRef { bytes, ..SegmentRef::default() }
    }

    fn check(segments: &[u64], fresh: u64, expected: Option<usize>) {
        let segments: Vec<_> = segments.iter().map(|bytes| segment(*bytes)).collect();
        assert_eq!(
            first_to_merge(&segments, fresh, 1000, Sizes::default()),
            expected,
            "{segments:?} + {fresh}"
        );
    }

    #[test]
    fn small_ones_are_merged_like_a_binary_counter() {
        check(&[], 10, None);
        check(&[10], 10, Some(0));
        check(&[20], 10, None);
        check(&[40, 20, 10], 10, Some(0));
        check(&[1000, 20, 10], 10, Some(1));
        check(&[FULL, 10], 10, Some(1));
        check(&[FULL, FULL], FULL, None);
    }

    #[test]
    fn a_year_of_nights_leaves_few_segments_and_rewrites_little() {
        let (mut segments, mut written) = (vec![segment(3 << 20)], 0);
        for _ in 0..365 {
            let fresh = 10_000;
            let merged: u64 = match first_to_merge(&segments, fresh, 1_000_000, Sizes::default()) {
                Some(first) => segments.drain(first..).map(|s| s.bytes).sum(),
                None => 0,
            };
            segments.push(segment(fresh + merged));
            written += fresh + merged;
            assert!(segments.len() <= 12);
        }
        assert!(written < 10 * 365 * 10_000 + (10 << 20), "{written}");
    }

    #[test]
    fn outdated_rows_lead_to_a_full_merge() {
        let full = |table| SegmentRef { rows: vec![TableRows { table, rows: 50_000 }], ..segment(FULL) };
        let check = |table, expected| {
            let segments = [full(table), full(table)];
            assert_eq!(first_to_merge(&segments, 10, 20_000, Sizes::default()), expected);
        };
        check(Table::Emails as u32, Some(0));
        check(Table::Blobs as u32, None);
    }

    #[test]
    fn a_mailbox_that_needs_many_full_segments_is_not_rewritten_every_night() {
        let segments = vec![segment(16 << 20); 1000];
        assert_eq!(first_to_merge(&segments, 10, 1 << 30, Sizes::default()), None);
        let spilled = vec![segment(FULL); 97];
        assert_eq!(first_to_merge(&spilled, 10, 1 << 30, Sizes::default()), Some(0));
    }
}
