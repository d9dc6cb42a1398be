//! The only place that knows bincode (RUSTSEC-2025-0141: unmaintained). What it writes lives for minutes in Redis and nowhere else.
//! An entry is a magic byte, a version, and the fields in bincode's standard encoding; whatever is not exactly that is a
//! cache miss.

use bincode::{Decode, Encode};
use model::{JobId, MailboxId, Timestamp};

use crate::Progress;

const MAGIC: u8 = b'M';
const VERSION: u8 = 1;
const LONGEST_TEXT: usize = 64;
/// Far above what two texts and numbers need, far below what a hostile length could ask for.
const LIMIT: usize = 1024;

#[derive(Encode, Decode)]
struct Fields {
    job: u64,
    kind: String,
    mailbox: u64,
    phase: String,
    emails_done: u64,
    emails_expected: Option<u64>,
    bytes: u64,
    worker: String,
    started_ms: i64,
}

fn configuration() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<LIMIT>()
}

pub(crate) fn seal(progress: &Progress) -> Vec<u8> {
    let fields = Fields {
        job: progress.job.0,
        kind: progress.kind.as_str().to_owned(),
        mailbox: progress.mailbox.0,
        phase: cut(&progress.phase),
        emails_done: progress.emails_done,
        emails_expected: progress.emails_expected,
        bytes: progress.bytes,
        worker: cut(&progress.worker),
        started_ms: progress.started.as_millisecond(),
    };
    let body =
        bincode::encode_to_vec(fields, configuration()).expect("short texts and numbers can be written");
    [&[MAGIC, VERSION], &body[..]].concat()
}

pub(crate) fn open(bytes: &[u8]) -> Option<Progress> {
    let body = bytes.strip_prefix(&[MAGIC, VERSION])?;
    let (fields, read): (Fields, usize) = bincode::decode_from_slice(body, configuration()).ok()?;
    if read != body.len() {
        return None;
    }
    Some(Progress {
        job: JobId(fields.job),
        kind: fields.kind.parse().ok()?,
        mailbox: MailboxId(fields.mailbox),
        phase: fields.phase,
        emails_done: fields.emails_done,
        emails_expected: fields.emails_expected,
        bytes: fields.bytes,
        worker: fields.worker,
        started: Timestamp::from_millisecond(fields.started_ms).ok()?,
    })
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_TEXT)].to_owned()
}

#[cfg(test)]
mod tests {
    use model::JobKind;
    use proptest::prelude::*;

    use super::*;

    fn progress() -> Progress {
        Progress {
            job: JobId(300),
            kind: JobKind::Nightly,
            mailbox: MailboxId(7),
            phase: "fetching".to_owned(),
            emails_done: 70_000,
            emails_expected: Some(5),
            bytes: 1 << 40,
            worker: "w1".to_owned(),
            started: Timestamp::from_millisecond(1_800_000_000_000).expect("a time"),
        }
    }

    /// Written by version 1 of this module; never edited.
    const GOLDEN: &[u8] = b"M\x01\xfb\x2c\x01\x07nightly\x07\x08fetching\xfc\x70\x11\x01\x00\x01\x05\xfd\x00\x00\x00\x00\x00\x01\x00\x00\x02w1\xfd\x00\xa0\xb8\x30\x46\x03\x00\x00";

    #[test]
    fn golden_bytes_of_an_entry() {
        assert_eq!(seal(&progress()), GOLDEN);
        assert_eq!(open(GOLDEN), Some(progress()));
    }

    #[test]
    fn another_version_or_magic_trailing_bytes_and_cut_ones_are_cache_misses() {
        let changed = |index: usize, byte: u8| {
            let mut bytes = GOLDEN.to_vec();
            bytes[index] = byte;
            open(&bytes)
        };
        assert_eq!((changed(0, b'N'), changed(1, 2)), (None, None));
        assert_eq!(open(&[GOLDEN, b"\0"].concat()), None);
        for length in 0..GOLDEN.len() {
            assert_eq!(open(&GOLDEN[..length]), None, "cut after {length} bytes");
        }
        let absurd_length = [&GOLDEN[..5], &[0xfd, 255, 255, 255, 255, 255, 255, 255, 127]].concat();
        assert_eq!(open(&absurd_length), None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = Progress { phase: "é".repeat(40), worker: "w".repeat(100), ..progress() };
        let read = open(&seal(&long)).expect("readable");
        assert_eq!((read.phase.len(), read.worker.len()), (64, 64));
        let odd = Progress { phase: format!("a{}", "é".repeat(40)), ..progress() };
        assert_eq!(open(&seal(&odd)).expect("readable").phase.len(), 63);
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_a_cache_miss_or_an_entry(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&[MAGIC, VERSION], &body[..]].concat();
            if let Some(read) = open(&bytes) {
                prop_assert_eq!(open(&seal(&read)).map(|again| again.job), Some(read.job));
            }
        }
    }
}
