//! Which segments the next commit merges, as a pure function.

use proto::repository::SegmentRef;

/// Segments from this length on are merged only when much of what they hold is outdated.
const FULL: u64 = 4 << 20;
/// More segments than this are never left.
const MANY: usize = 96;

/// Index of the first segment to merge with everything newer, `fresh` bytes of new rows included; `None`: merge nothing.
///
/// A segment is taken along when all that is newer has together grown as large as it is. So a row is rewritten about
/// log2(n) times in its life, and log2(n) small segments are left.
pub(crate) fn first_to_merge(segments: &[SegmentRef], fresh: u64, live_rows: u64) -> Option<usize> {
    let rows: u64 = segments.iter().flat_map(|s| &s.rows).map(|t| t.rows).sum();
    if !segments.is_empty() && (segments.len() > MANY || rows > 3 * live_rows + 10_000) {
        return Some(0);
    }
    let mut newer = fresh;
    let mut first = None;
    for (index, segment) in segments.iter().enumerate().rev() {
        if segment.bytes >= FULL {
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

    fn segment(bytes: u64) -> SegmentRef {
        SegmentRef {
            bytes,
            ..SegmentRef::default()
        }
    }

    fn check(segments: &[u64], fresh: u64, expected: Option<usize>) {
        let segments: Vec<_> = segments.iter().map(|bytes| segment(*bytes)).collect();
        assert_eq!(
            first_to_merge(&segments, fresh, 1000),
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
            let merged: u64 = match first_to_merge(&segments, fresh, 1_000_000) {
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
        let mut full = segment(FULL);
        full.rows = vec![TableRows {
            table: 1,
            rows: 50_000,
        }];
        assert_eq!(first_to_merge(&[full.clone(), full], 10, 20_000), Some(0));
    }
}
