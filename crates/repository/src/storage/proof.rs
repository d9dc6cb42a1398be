//! Reads back what was just written, and decides whether the store kept it.
//!
//! Three things are compared: the tag of the answer to the PUT where it is an MD5, the length, and a sample of the bytes
//! as a later reader will get them. A tag that differs proves nothing by itself (encrypted buckets have tags of another
//! kind), so the whole object is read then.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::try_join_all;
use md5::{Digest, Md5};
use object_store::PutPayload;

use crate::error::{Error, Result};
use crate::sealing::seal::random;

/// Objects up to this length are read back whole: one request, few bytes.
const SMALL: usize = 64 << 10;
/// Longer ones are hashed beside the runtime.
const HASHED_HERE: usize = 64 << 10;

/// Whether the tags of this store are MD5 sums, as far as this process has seen.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    are_something_else: AtomicBool,
}

impl Tags {
    /// Whether a tag says that the store holds other bytes than `payload`. Only reading back can tell for sure.
    pub(crate) async fn doubt(&self, tag: Option<&str>, payload: &PutPayload) -> Result<bool> {
        let Some(tag) = tag.and_then(md5_shaped) else { return Ok(false) };
        if self.are_something_else.load(Ordering::Relaxed) {
            return Ok(false);
        }
        Ok(md5(payload.clone()).await? != tag)
    }

    /// A tag differed and the bytes were right.
    pub(crate) fn prove_nothing(&self) {
        self.are_something_else.store(true, Ordering::Relaxed);
    }
}

/// An MD5 in hex, with or without quotes.
fn md5_shaped(tag: &str) -> Option<[u8; 16]> {
    let mut sum = [0; 16];
    hex::decode_to_slice(tag.trim_matches('"'), &mut sum).ok()?;
    Some(sum)
}

async fn md5(payload: PutPayload) -> Result<[u8; 16]> {
    let is_short = payload.content_length() <= HASHED_HERE;
    let hash = move || {
        let mut md5 = Md5::new();
        for part in &payload {
            md5.update(part);
        }
        md5.finalize().into()
    };
    if is_short {
        return Ok(hash());
    }
    tokio::task::spawn_blocking(hash).await.map_err(|_| Error::Stopped)
}

/// The ranges of an object that are read back: the first part (its header), the last two (its footer) and one of those in
/// between, chosen at random; all of it if it is short. Ranges that touch become one request.
pub(crate) fn sample(parts: &[Bytes]) -> Vec<Range<usize>> {
    let length = parts.iter().map(Bytes::len).sum();
    let inner = parts.len().saturating_sub(3);
    if length <= SMALL || inner == 0 {
        return std::iter::once(0..length).collect();
    }
    let frame = 1 + usize::try_from(u64::from_be_bytes(random::<8>()) % inner as u64).unwrap_or_default();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for (i, part) in parts.iter().enumerate() {
        let end = start + part.len();
        if i == 0 || i == frame || i + 2 >= parts.len() {
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        start = end;
    }
    ranges
}

/// Asks for these ranges at once and says what differs from `payload`; `None` if all is as it was sent. `read` returns the
/// bytes of a range and the length of the whole object.
pub(crate) async fn differs<F>(
    payload: &PutPayload,
    ranges: &[Range<usize>],
    read: impl Fn(Range<u64>) -> F,
) -> Result<Option<&'static str>>
where
    F: Future<Output = Result<(Bytes, u64)>>,
{
    let length = payload.content_length() as u64;
    let reading = ranges.iter().map(|range| read(range.start as u64..range.end as u64));
    let found = match try_join_all(reading).await {
        Ok(found) => found,
        Err(Error::Missing { .. }) => return Ok(Some("it is not there")),
        Err(Error::Corrupt { .. }) => return Ok(Some("it is shorter than what was sent")),
        Err(error) => return Err(error),
    };
    for (range, (bytes, total)) in ranges.iter().zip(&found) {
        if *total != length {
            return Ok(Some("it has another length than what was sent"));
        }
        if !is_part(payload.as_ref(), range, bytes) {
            return Ok(Some("it reads back as other bytes than were sent"));
        }
    }
    Ok(None)
}

/// Whether `bytes` are the given range of all parts, one behind the other.
fn is_part(parts: &[Bytes], range: &Range<usize>, bytes: &[u8]) -> bool {
    let mut start = 0;
    let mut rest = bytes;
    for part in parts {
        let end = start + part.len();
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            let Some(after) = rest.strip_prefix(&part[from - start..to - start]) else { return false };
            rest = after;
        }
        start = end;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parts(lengths: &[usize]) -> Vec<Bytes> {
        lengths.iter().zip(1..).map(|(length, byte)| Bytes::from(vec![byte; *length])).collect()
    }

    #[test]
    fn short_objects_are_read_whole() {
        let ranges = sample(&parts(&[32, 1000, 20, 4]));
        assert!(matches!(&ranges[..], [all] if *all == (0..1056)), "{ranges:?}");
    }

    #[test]
    fn of_long_ones_header_footer_and_each_frame_in_its_turn_are_read() {
        let parts = parts(&[32, 50_000, 60_000, 70_000, 500, 4]);
        let mut seen = BTreeSet::new();
        // Three frames: that one of them is never chosen has a probability of 3 in 10^36.
        for _ in 0..200 {
            let ranges: Vec<(usize, usize)> = sample(&parts).iter().map(|r| (r.start, r.end)).collect();
            seen.insert(ranges);
        }
        let expected = [
            vec![(0, 32), (50_032, 110_032), (180_032, 180_536)],
            vec![(0, 32), (110_032, 180_536)],
            vec![(0, 50_032), (180_032, 180_536)],
        ];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn any_difference_is_noticed() {
        let payload = PutPayload::from_iter(parts(&[3, 4, 5]));
        let whole: Vec<u8> = payload.iter().flat_map(|part| part.to_vec()).collect();
        let check = async |stored: Vec<u8>, expected: Option<&str>| {
            let total = stored.len() as u64;
            let read = |range: Range<u64>| {
                let range =
                    usize::try_from(range.start).expect("short")..usize::try_from(range.end).expect("short");
                let bytes = stored.get(range).map(Bytes::copy_from_slice);
                let bytes = bytes.ok_or_else(|| Error::corrupt("it", "it is short"));
                async move { Ok((bytes?, total)) }
            };
            let found = differs(&payload, &[0..2, 5..12], read).await.expect("answers");
            assert_eq!(found.map(|what| what.split(' ').nth(2).expect("words")), expected, "{stored:?}");
        };
        check(whole.clone(), None).await;
        check(whole[..11].to_vec(), Some("shorter")).await;
        check([whole.as_slice(), &[9]].concat(), Some("another")).await;
        for i in [0, 1, 5, 6, 11] {
            let mut changed = whole.clone();
            changed[i] ^= 1;
            check(changed, Some("back")).await;
        }
    }

    #[tokio::test]
    async fn a_tag_raises_doubt_only_where_it_looks_like_an_md5_and_is_not_ours() {
        let tags = Tags::default();
        let payload = PutPayload::from_static(b"hello");
        for (tag, expected) in [
            (None, false),
            (Some("\"5d41402abc4b2a76b9719d911017c592\""), false),
            (Some("5d41402abc4b2a76b9719d911017c592"), false),
            (Some("\"5d41402abc4b2a76b9719d911017c593\""), true),
            (Some("\"5d41402abc4b2a76b9719d911017c593-2\""), false),
            (Some("0x8DD5C1A2B3C4D5E"), false),
        ] {
            assert_eq!(tags.doubt(tag, &payload).await.expect("hashes"), expected, "{tag:?}");
        }
        tags.prove_nothing();
        let wrong = Some("5d41402abc4b2a76b9719d911017c593");
        assert!(!tags.doubt(wrong, &payload).await.expect("hashes"));
    }
}
