//! Many segments walked through at once in order of their keys, each read once and only as far as it is needed.
//!
//! Segments of one backup hardly overlap, so a segment is not touched before its first key is reached, and as long as a
//! segment alone has the smallest keys, its rows are passed by without being compared one by one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::error::Result;
use crate::segment::reader::SegmentReader;
use crate::segment::scan::{Batch, Wanted, batches};

/// What the segments have under one key. Segments are named by their place in the list that was given.
pub(crate) enum Group {
    /// One segment alone has a row, and it is wanted.
    One(usize, Bytes),
    /// Several have; the bytes of those rows that are wanted.
    Several(Vec<(usize, Option<Bytes>)>),
}

/// The groups of all keys, but for those that one segment alone has and nobody wants.
pub(crate) struct Groups {
    sources: Vec<Source>,
    /// The next key of each segment that is not at its end.
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    /// Rows whose keys no other segment has.
    run: Option<(usize, Range<usize>)>,
}

struct Source {
    segment: Arc<SegmentReader>,
    /// Blocks behind `batch`.
    left: Range<usize>,
    batches: BoxStream<'static, Result<Batch>>,
    batch: Batch,
    at: usize,
}

impl Groups {
    /// Of each segment these blocks.
    pub(crate) fn new(
        segments: impl IntoIterator<Item = (Arc<SegmentReader>, Range<usize>)>,
        wanted: &Wanted,
    ) -> Groups {
        let mut groups = Groups { sources: Vec::new(), heads: BinaryHeap::new(), run: None };
        for (number, (segment, left)) in segments.into_iter().enumerate() {
            let batches = batches(&segment, left.clone(), wanted);
            groups.sources.push(Source { segment, left, batches, batch: Batch::default(), at: 0 });
            groups.push_head(number);
        }
        groups
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Group>> {
        loop {
            if let Some((source, encoded)) = self.next_of_run() {
                return Ok(Some(Group::One(source, encoded)));
            }
            let Some(Reverse((key, number))) = self.heads.pop() else {
                return Ok(None);
            };
            let source = &mut self.sources[number];
            if !source.is_loaded() {
                source.load().await?;
                self.push_head(number);
                continue;
            }
            let end = match self.heads.peek() {
                Some(Reverse((next, _))) if *next == key => {
                    return Ok(Some(Group::Several(self.several(&key, number).await?)));
                }
                Some(Reverse((next, _))) => source.batch.seek(source.at, next).max(source.at + 1),
                None => source.batch.len(),
            };
            self.run = Some((number, source.at..end));
        }
    }

    /// The next wanted row of the run; at its end its segment goes back among the others.
    fn next_of_run(&mut self) -> Option<(usize, Bytes)> {
        let (number, rows) = self.run.as_mut()?;
        let (number, source) = (*number, &mut self.sources[*number]);
        if let Some((row, encoded)) = source.batch.wanted(rows.clone()).first() {
            rows.start = row + 1;
            return Some((number, encoded.clone()));
        }
        source.at = rows.end;
        self.run = None;
        self.push_head(number);
        None
    }

    async fn several(&mut self, key: &[u8], first: usize) -> Result<Vec<(usize, Option<Bytes>)>> {
        let mut rows = vec![(first, self.take(first))];
        while let Some(Reverse((next, number))) = self.heads.peek() {
            let number = *number;
            if next != key {
                break;
            }
            self.heads.pop();
            if self.sources[number].is_loaded() {
                rows.push((number, self.take(number)))
            } else {
                self.sources[number].load().await?;
                self.push_head(number);
            }
        }
        Ok(rows)
    }

    fn take(&mut self, number: usize) -> Option<Bytes> {
        let source = &mut self.sources[number];
        let row = source.at;
        source.at += 1;
        let encoded = source.batch.wanted(row..row + 1).first().map(|(_, encoded)| encoded.clone());
        self.push_head(number);
        encoded
    }

    fn push_head(&mut self, number: usize) {
        let source = &self.sources[number];
        if source.is_loaded() {
            self.heads.push(Reverse((source.batch.key(source.at).to_vec(), number)));
        } else if !source.left.is_empty() {
            let first = source.segment.block(source.left.start).first_key.to_vec();
            self.heads.push(Reverse((first, number)));
        }
    }
}

impl Source {
    fn is_loaded(&self) -> bool {
        self.at < self.batch.len()
    }

    fn load<'a>(&'a mut self) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.left.start = self.segment.read_ahead(self.left.clone()).end;
            self.at = 0;
            self.batch = match self.batches.next().await {
                Some(batch) => batch?,
                None => Batch::default(),
            };
            Ok(())
        })
    }
}
