//! Emails of the account that may be some of the snapshot's: those of equal length and date, and of these those of equal bytes.
//!
//! A million of them take some 30 MB, so everything is a list of numbers: no email has a place of its own in memory.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::Range;

use model::{BlobId, EmailRecord};

use crate::restore::emails::dates;

/// Length in bytes and `receivedAt` in twelve bytes, its absence included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::restore) struct Key {
    length: NonZeroU32,
    date: [u32; 2],
}

/// Emails of 4 GB and more, which no server takes, are as long as each other.
fn length(size: u64) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(u32::try_from(size).unwrap_or(u32::MAX))
}

pub(in crate::restore) fn key(size: u64, received_at: i64) -> Key {
    // Equal or not is all that counts.
    let date = dates::comparable(received_at).to_be_bytes();
    let [high, low] = [[date[0], date[1], date[2], date[3]], [date[4], date[5], date[6], date[7]]];
    Key { length: length(size), date: [high, low].map(u32::from_be_bytes) }
}

/// The first eight bytes of a keyed hash: enough to tell emails of one length and date apart. 0 is unknown.
type Bytes = u64;

fn beginning(hash: &BlobId) -> Bytes {
    let (beginning, _) = hash.0.split_first_chunk().expect("a hash has 32 bytes");
    Bytes::from_be_bytes(*beginning).max(1)
}

/// Emails of the account by what they are.
pub(in crate::restore) struct Twins {
    keys: Vec<Option<Key>>,
    bytes: Vec<Bytes>,
    /// What tells equal emails apart: their folders and keywords; empty where that makes no difference.
    labels: Vec<u64>,
    taken: Vec<bool>,
    /// Places in `keys`, so that equal emails are neighbours, and among them in the order of ids: whoever looks twice finds
    /// the same pairs.
    order: Vec<u32>,
    /// At the first of equal ones: how many of the snapshot's are like them; after [`Twins::sort_by_bytes`] how many of them
    /// are taken.
    counts: Vec<u32>,
    /// The same at the first of those that have equal labels, too.
    label_counts: Vec<u32>,
    /// Lengths of those of the snapshot whose date cannot be told: the server found one itself, and any is right.
    undatable: BTreeSet<NonZeroU32>,
    /// Lengths of which none is left over: some of the snapshot's have such a date, and may be any of them.
    spared: BTreeSet<NonZeroU32>,
}

impl Twins {
    pub(in crate::restore) fn of(keys: Vec<Option<Key>>) -> Twins {
        let places = u32::try_from(keys.len()).expect("an account has fewer emails");
        let mut order = Vec::with_capacity(keys.len());
        order.extend((0..places).filter(|at| keys[*at as usize].is_some()));
        order.sort_unstable_by_key(|at| (keys[*at as usize], *at));
        let counts = vec![0; order.len()];
        Twins {
            taken: vec![false; keys.len()],
            keys,
            bytes: Vec::new(),
            labels: Vec::new(),
            label_counts: vec![0; order.len()],
            order,
            counts,
            undatable: BTreeSet::new(),
            spared: BTreeSet::new(),
        }
    }

    /// The neighbours in `order` of this length and date.
    fn like(&self, email: &EmailRecord) -> Range<usize> {
        let wanted = Some(key(email.size, email.received_at));
        self.neighbours(|at| self.keys[at].cmp(&wanted))
    }

    fn neighbours(&self, compare: impl Fn(usize) -> Ordering) -> Range<usize> {
        let first = self.order.partition_point(|at| compare(*at as usize).is_lt());
        let length = self.order[first..].partition_point(|at| compare(*at as usize).is_eq());
        first..first + length
    }

    /// One of the snapshot's.
    pub(in crate::restore) fn count(&mut self, email: &EmailRecord) {
        let like = self.like(email);
        if !like.is_empty() {
            self.counts[like.start] += 1;
        }
        if !dates::is_writable(email.received_at) {
            self.undatable.insert(length(email.size));
            self.spared.insert(length(email.size));
        }
    }

    /// Forgets what was counted, but keeps in doubt those of a length and date of which there are more here than in the snapshot.
    pub(in crate::restore) fn doubt_the_surplus(&mut self) {
        let mut start = 0;
        while start < self.order.len() {
            let key = self.keys[self.order[start] as usize];
            let length = self.order[start..].partition_point(|at| self.keys[*at as usize] == key);
            let count = self.counts[start] as usize;
            self.counts[start] = u32::from(count > 0 && length > count);
            start += length;
        }
        self.undatable.clear();
    }

    /// There are just as many of its length and date here as in the snapshot.
    pub(in crate::restore) fn are_as_many_as(&self, email: &EmailRecord) -> bool {
        let like = self.like(email);
        !like.is_empty() && like.len() == self.counts[like.start] as usize
    }

    /// Of each, whether some of the snapshot's may be it: what its bytes are has to be found out.
    pub(in crate::restore) fn doubtful(&self) -> Vec<bool> {
        let key_of = |at: u32| self.keys[at as usize];
        let mut doubtful = vec![false; self.keys.len()];
        let mut rest = self.order.as_slice();
        while let Some(first) = rest.first() {
            let start = self.order.len() - rest.len();
            let length = rest.partition_point(|at| key_of(*at) == key_of(*first));
            let is_odd = || key_of(*first).is_some_and(|key| self.undatable.contains(&key.length));
            if self.counts[start] > 0 || is_odd() {
                rest[..length].iter().for_each(|at| doubtful[*at as usize] = true);
            }
            rest = &rest[length..];
        }
        doubtful
    }

    /// The bytes of the `at`th of the account.
    pub(in crate::restore) fn set_bytes(&mut self, at: usize, hash: &BlobId) {
        self.bytes.resize(self.keys.len(), 0);
        self.bytes[at] = beginning(hash);
    }

    /// All bytes are known that will be. `labels`: of each of the account's; may be empty.
    pub(in crate::restore) fn sort_by_bytes(&mut self, labels: Vec<u64>) {
        self.bytes.resize(self.keys.len(), 0);
        self.labels = labels;
        self.labels.resize(self.keys.len(), 0);
        let Twins { keys, bytes, labels, order, counts, .. } = self;
        order.retain(|at| bytes[*at as usize] > 0);
        order.sort_unstable_by_key(|at| {
            let of = *at as usize;
            (keys[of], bytes[of], labels[of], *at)
        });
        counts.fill(0);
    }

    /// Takes one that is this email.
    pub(in crate::restore) fn take(&mut self, email: &EmailRecord) -> Option<usize> {
        self.take_of(key(email.size, email.received_at), beginning(&email.blob))
    }

    /// Takes one that is this email and has this label.
    pub(in crate::restore) fn take_labelled(&mut self, email: &EmailRecord, label: u64) -> Option<usize> {
        let wanted = (Some(key(email.size, email.received_at)), beginning(&email.blob), label);
        let same = self.neighbours(|at| (self.keys[at], self.bytes[at], self.labels[at]).cmp(&wanted));
        let Twins { order, taken, label_counts, .. } = self;
        next_free(order.get(same.clone())?, taken, label_counts.get_mut(same.start)?)
    }

    /// Takes one of any date, for an email whose date cannot be told; others come first.
    pub(in crate::restore) fn take_of_any_date(&mut self, email: &EmailRecord) -> Option<usize> {
        if dates::is_writable(email.received_at) {
            return None;
        }
        let wanted = Some(length(email.size));
        let as_long = self.neighbours(|at| self.keys[at].map(|key| key.length).cmp(&wanted));
        let keys: BTreeSet<Key> = as_long.filter_map(|place| self.keys[self.order[place] as usize]).collect();
        keys.into_iter().find_map(|key| self.take_of(key, beginning(&email.blob)))
    }

    /// Of emails that were taken, those that are just like them and were not: there are more of them here than in the snapshot.
    pub(in crate::restore) fn left_over(&self) -> Vec<usize> {
        let mut left = Vec::new();
        if self.bytes.is_empty() {
            return left;
        }
        let mut start = 0;
        let what = |at: u32| (self.keys[at as usize], self.bytes[at as usize]);
        while start < self.order.len() {
            let first = what(self.order[start]);
            let like = self.order[start..].partition_point(|at| what(*at) == first);
            let like_it = self.order[start..start + like].iter().map(|at| *at as usize);
            let (taken, others): (Vec<_>, Vec<_>) = like_it.partition(|at| self.taken[*at]);
            let is_spared = first.0.is_some_and(|key| self.spared.contains(&key.length));
            if !taken.is_empty() && !is_spared {
                left.extend(others);
            }
            start += like;
        }
        left
    }

    /// Some of the snapshot's emails have a date that cannot be told.
    pub(in crate::restore) fn has_undatable(&self) -> bool {
        !self.undatable.is_empty()
    }

    fn take_of(&mut self, key: Key, bytes: Bytes) -> Option<usize> {
        let wanted = (Some(key), bytes);
        let same = self.neighbours(|at| (self.keys[at], self.bytes[at]).cmp(&wanted));
        let Twins { order, taken, counts, .. } = self;
        next_free(order.get(same.clone())?, taken, counts.get_mut(same.start)?)
    }
}

/// Takes the first of these that is not taken; `looked_at` of them are.
fn next_free(same: &[u32], taken: &mut [bool], looked_at: &mut u32) -> Option<usize> {
    while let Some(at) = same.get(*looked_at as usize) {
        *looked_at += 1;
        if !std::mem::replace(&mut taken[*at as usize], true) {
            return Some(*at as usize);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use model::{EmailId, Envelope};

    use super::*;

    fn email(size: u64, received_at: i64, bytes: u8) -> EmailRecord {
        EmailRecord {
            id: EmailId::from("e"),
            blob: BlobId([bytes; 32]),
            source_hash: 0,
            received_at,
            size,
            folders: Vec::new(),
            keywords: Vec::new(),
            envelope: Envelope::default(),
        }
    }

    /// `held`: length, date and bytes of the account's emails; `None` for one that is gone.
    fn twins(held: &[Option<(u64, i64, u8)>], ours: &[EmailRecord]) -> Twins {
        let key = |held: &Option<(u64, i64, u8)>| held.map(|(size, date, _)| key(size, date));
        let mut twins = Twins::of(held.iter().map(key).collect());
        ours.iter().for_each(|email| twins.count(email));
        for (at, is_doubtful) in twins.doubtful().into_iter().enumerate() {
            let (_, _, bytes) = held[at].unwrap_or_default();
            if is_doubtful {
                twins.set_bytes(at, &BlobId([bytes; 32]));
            }
        }
        twins.sort_by_bytes(Vec::new());
        twins
    }

    #[test]
    fn each_is_taken_once_in_the_order_of_ids() {
        let held =
            [Some((9, 1, 7)), Some((5, 1, 1)), None, Some((5, 1, 2)), Some((5, 1, 1)), Some((5, 2, 1))];
        let (one, two) = (email(5, 1, 1), email(5, 1, 2));
        let mut twins = twins(&held, &[one.clone(), two.clone()]);
        let unasked = [email(5, 2, 1), email(9, 1, 7)];
        let taken = [&one, &one, &one, &two, &two, &unasked[0], &unasked[1]].map(|email| twins.take(email));
        assert_eq!(taken, [Some(1), Some(4), None, Some(3), None, None, None]);
    }

    #[test]
    fn of_equal_ones_the_one_with_the_same_label_is_taken_first() {
        let held = [Some((5, 1, 1)); 4];
        let one = email(5, 1, 1);
        let mut twins = twins(&held, std::slice::from_ref(&one));
        twins.sort_by_bytes(vec![30, 20, 10, 20]);
        let taken = [20, 20, 20, 40].map(|label| twins.take_labelled(&one, label));
        assert_eq!(taken, [Some(1), Some(3), None, None]);
        assert_eq!([(); 3].map(|()| twins.take(&one)), [Some(2), Some(0), None]);
    }

    #[test]
    fn only_what_may_be_the_same_is_doubtful() {
        let held = [Some((9, 1, 7)), Some((5, 1, 1)), Some((5, 2, 2))];
        let mut twins =
            Twins::of(held.map(|held| held.map(|(size, date, _): (u64, i64, u8)| key(size, date))).to_vec());
        let ours = email(5, 1, 3);
        twins.count(&ours);
        assert_eq!(twins.doubtful(), [false, true, false]);
        assert!(twins.are_as_many_as(&ours));
        twins.count(&ours);
        assert!(!twins.are_as_many_as(&ours) && !twins.are_as_many_as(&email(6, 1, 3)));
        twins.doubt_the_surplus();
        assert_eq!(twins.doubtful(), [false; 3]);
    }

    #[test]
    fn of_those_that_came_twice_the_later_ones_are_left_over() {
        let held = [Some((5, 1, 1)), Some((5, 1, 2)), Some((5, 1, 1)), Some((5, 1, 1)), Some((9, 1, 7))];
        let (one, two) = (email(5, 1, 1), email(5, 1, 2));
        let key = |held: &Option<(u64, i64, u8)>| held.map(|(size, date, _)| key(size, date));
        let mut counted = Twins::of(held.iter().map(key).collect());
        [&one, &two].into_iter().for_each(|email| counted.count(email));
        assert!(!counted.are_as_many_as(&one) && counted.left_over().is_empty());
        counted.doubt_the_surplus();
        assert_eq!(counted.doubtful(), [true, true, true, true, false]);
        let mut twins = twins(&held, &[one.clone(), two.clone()]);
        assert_eq!([&one, &two].map(|email| twins.take(email)), [Some(0), Some(1)]);
        assert_eq!(twins.left_over(), [2, 3]);
    }

    /// The server may have given it the date of another one of equal bytes.
    #[test]
    fn what_may_be_an_email_without_a_date_is_not_left_over() {
        let (odd, plain) = (email(5, -1, 1), email(5, 10, 1));
        let mut counted = Twins::of(vec![Some(key(5, 10)), Some(key(5, 10))]);
        [&odd, &plain].into_iter().for_each(|email| counted.count(email));
        counted.doubt_the_surplus();
        [0, 1].into_iter().for_each(|at| counted.set_bytes(at, &plain.blob));
        counted.sort_by_bytes(Vec::new());
        assert_eq!(counted.take(&plain), Some(0));
        assert!(counted.left_over().is_empty());
    }

    #[test]
    fn of_dates_that_cannot_be_written_only_bytes_count() {
        let held = [Some((5, 906_038_611_200, 1)), Some((5, -1, 2))];
        let mut twins = twins(&held, &[email(5, i64::MAX, 2)]);
        assert_eq!(twins.take(&email(5, i64::MAX, 2)), Some(1));
    }

    #[test]
    fn of_a_date_that_was_left_to_the_server_any_will_do_but_those_of_others() {
        let held = [Some((5, 10, 1)), Some((5, 20, 1)), Some((5, 20, 2)), Some((6, 20, 1))];
        let (odd, plain) = (email(5, -1, 1), email(5, 10, 1));
        let mut twins = twins(&held, &[odd.clone(), plain.clone()]);
        assert!(twins.has_undatable());
        assert_eq!((twins.take(&odd), twins.take(&plain)), (None, Some(0)));
        assert_eq!((twins.take_of_any_date(&plain), twins.take_of_any_date(&odd)), (None, Some(1)));
        assert_eq!(twins.take_of_any_date(&odd), None);
    }
}
