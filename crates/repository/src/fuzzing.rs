//! Ways into the parsers for fuzz targets: sealing stops arbitrary bytes, so most of these begin behind it.

use bytes::Bytes;
use futures::FutureExt;
use model::EmailRecord;
use object_store::memory::InMemory;
use prost::Message;
use proto::RowParts;
use proto::repository::{
    LogEntry, PackFooter, PackFrame, SegmentBlock, SegmentFooter, SegmentRef, TableRows,
};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::info::SnapshotInfo;
use crate::log::fold::{LogState, may_follow, newest_segments, next_head, rebase};
use crate::log::journal::{open_entry, parse_entry};
use crate::pack::reader::{parse_footer, read_pack};
use crate::rows::{Table, failure_from, object_from};
use crate::sealing::frame;
use crate::sealing::keys;
use crate::sealing::ring_file::KeyRing;
use crate::sealing::seal::{Cipher, FOOTER, HEADER, Kind, Secret, open_sealed};
use crate::segment::filter::{Filter, key_hash};
use crate::segment::merge::{Merge, MergedRow};
use crate::segment::reader::{self, SegmentReader};
use crate::segment::verify::verify;
use crate::storage::layout::{MailboxDir, Object, ObjectName};
use crate::storage::objects::{MailboxObjects, Objects};

const DIR: MailboxDir = MailboxDir([7; 16]);
const NAME: ObjectName = ObjectName([8; 16]);

fn secret() -> Secret {
    Secret::from_bytes([9; 32])
}

fn objects() -> MailboxObjects {
    MailboxObjects::new(Objects::new(Arc::new(InMemory::new()), false), DIR)
}

/// A log entry: sealed, compressed, or plain bytes of one; plain ones go on through the rules.
pub fn log_entry(data: &[u8]) {
    let _ = open_entry(&secret(), &objects(), 1, data);
    let _ = frame::decompress_object("log/1", data);
    let number = LogEntry::decode(data).map_or(1, |entry| entry.number);
    let Ok(entry) = parse_entry("log/1".to_owned(), number, data) else {
        return;
    };
    let mut state = LogState::default();
    state.apply(&entry);
    let _ = state.roots();
    let mut again = LogState::default();
    again.apply(&LogEntry {
        kind: Some(proto::repository::log_entry::Kind::Checkpoint(state.checkpoint())),
        ..entry.clone()
    });
    assert_eq!(again.snapshots, state.snapshots);
    for (number, snapshot) in &state.snapshots {
        let info = SnapshotInfo::from_disk(*number, snapshot);
        let _ = (info.is_good(), info.to_disk());
    }
    let _ = rebase(&entry, &BTreeSet::new());
    let _ = newest_segments(&entry, Some(&entry));
    if let (Some(kind), Some(head)) = (&entry.kind, &entry.head) {
        let _ = may_follow(entry.number, head, kind);
        let _ = next_head(head, entry.number, kind);
    }
}

/// A pack: sealed bytes, a plain footer, and a footer with frames that are sealed here.
pub fn pack(data: &[u8]) {
    let name = Object::Pack(NAME).relative();
    if let Ok(cipher) = Cipher::read(&secret(), data, Kind::Pack, DIR, name.clone()) {
        let _ = read_pack(&cipher, NAME, &Bytes::copy_from_slice(data), |_, _| {});
    }
    let _ = parse_footer(NAME, data, data.len());
    let Some((length, rest)) = data.split_first() else { return };
    let (footer, compressed) = rest.split_at(rest.len().min((*length).into()));
    let cipher = Cipher::fresh(&secret(), Kind::Pack, DIR, name);
    let mut bytes = cipher.header().to_vec();
    bytes.extend(sealed(&cipher, 0, compressed));
    let footer = sealed(&cipher, FOOTER, footer);
    bytes.extend_from_slice(&footer);
    bytes.extend_from_slice(&u32::try_from(footer.len()).unwrap_or(0).to_be_bytes());
    let _ = read_pack(&cipher, NAME, &Bytes::from(bytes), |at, blob| {
        assert_eq!(at.length as usize, blob.len());
    });
}

fn sealed(cipher: &Cipher, frame: u64, plain: &[u8]) -> Vec<u8> {
    let mut bytes = plain.to_vec();
    cipher.seal(frame, &mut bytes);
    bytes
}

/// A segment: sealed bytes, a plain footer, a plain block of rows, and a whole one that is put together here from the rows of
/// one block.
pub fn segment(data: &[u8]) {
    let _ = reader::parse_footer(data, (HEADER + data.len()) as u64);
    let _ = open_segment(data, data.len() as u64, Vec::new()).now_or_never();
    let filter = Filter::from_bytes(data.to_vec());
    let _ = filter.may_contain(key_hash(Table::Emails, b"key"));
    let Some((table, rows)) = data.split_first() else { return };
    let mut described = SegmentBlock { table: u32::from(*table % 5), ..SegmentBlock::default() };
    let mut rest = Bytes::copy_from_slice(rows);
    while let Ok(row) = proto::repository::Row::decode_length_delimited(&mut rest) {
        if described.rows == 0 {
            described.first_key = row.key;
        }
        described.rows += 1;
        if rest.is_empty() {
            break;
        }
    }
    if let Ok(decoded) = reader::decode_block(&described, rows.to_vec()) {
        for stored in decoded {
            if let Ok(merged) = MergedRow::new(stored, &[NAME]) {
                convert(&merged);
            }
        }
    }
    let done = whole_segment(described, rows).now_or_never();
    assert_eq!(done, Some(()), "a store in memory never makes anybody wait");
}

fn convert(merged: &MergedRow) {
    if let Ok(email) = RowParts::parse(&merged.encoded).and_then(|row| row.email()) {
        let _ = (email.folders().count(), email.attachments().count());
    }
    let _ = EmailRecord::try_from(merged.row.clone());
    let _ = object_from(merged.row.clone());
    if let Some(content) = merged.row.content.clone() {
        let _ = failure_from(&merged.row.key, content);
    }
}

async fn open_segment(
    bytes: &[u8],
    size: u64,
    rows: Vec<TableRows>,
) -> Option<(Arc<SegmentReader>, SegmentRef)> {
    let objects = objects();
    let put = objects.put(&Object::Segment(NAME), Bytes::copy_from_slice(bytes));
    put.await.ok()?;
    let reference = SegmentRef { name: Bytes::copy_from_slice(&NAME.0), bytes: size, rows };
    let segment = SegmentReader::open(&objects, &secret(), &reference).await.ok()?;
    Some((Arc::new(segment), reference))
}

async fn whole_segment(mut described: SegmentBlock, rows: &[u8]) {
    let cipher = Cipher::fresh(&secret(), Kind::Segment, DIR, Object::Segment(NAME).relative());
    let Ok(block) = frame::seal(&cipher, 0, rows) else { return };
    let Ok(filter) = frame::seal(&cipher, 1, &[0xff; 8]) else { return };
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
    described.sealed_length = length(&block);
    described.raw_length = length(rows);
    let said = TableRows { table: described.table, rows: described.rows.into() };
    let footer = SegmentFooter {
        blocks: vec![
            described,
            SegmentBlock { sealed_length: length(&filter), raw_length: 8, ..SegmentBlock::default() },
        ],
        packs: vec![Bytes::copy_from_slice(&NAME.0)],
        pack_reach: vec![1 << 20],
        pack_lengths: vec![2 << 20],
    };
    let footer = sealed(&cipher, FOOTER, &footer.encode_to_vec());
    let end = length(&footer).to_be_bytes();
    let bytes = [cipher.header().as_slice(), &block, &filter, &footer, &end].concat();
    let Some((segment, reference)) = open_segment(&bytes, bytes.len() as u64, vec![said]).await else {
        return;
    };
    let _ = verify(&segment, &reference).await;
    for table in Table::ALL {
        let _ = segment.block_of(table, b"key");
        if let Ok(mut merge) = Merge::new(&[segment.clone(), segment.clone()], table).await {
            while let Ok(Some(row)) = merge.next_present().await {
                convert(&row);
            }
        }
    }
}

/// A key object: sealed, and plain.
pub fn wrapped_key(data: &[u8]) {
    let name = Object::Key(secret().id()).relative();
    if let Ok(cipher) = Cipher::read(&secret(), data, Kind::Key, DIR, name) {
        let _ = open_sealed(&cipher, data);
    }
    let _ = keys::parse(data);
}

/// The text of a key ring; what parses comes back from its own text.
pub fn key_ring(text: &str) {
    if let Ok(ring) = text.parse::<KeyRing>() {
        let back: KeyRing = ring.to_text().parse().expect("its own text parses");
        assert_eq!(back.ids(), ring.ids());
    }
}

/// What lies unsealed on a store: its descriptor, names of objects.
pub fn clear(data: &[u8]) {
    let _ = crate::storage::bucket::parse_descriptor(data);
    let summed = [data, blake3::hash(data).as_bytes()].concat();
    let _ = crate::storage::bucket::parse_descriptor(&summed);
    if let Ok(text) = std::str::from_utf8(data) {
        if let Some(object) = Object::parse(text) {
            assert_eq!(object.relative(), text);
        }
        let _ = text.parse::<MailboxDir>();
    }
}

/// A first corpus: the target's name and an input.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = log_seeds();
    let footer =
        PackFooter { frames: vec![PackFrame { sealed_length: 13 + 16 + 9, blob_lengths: vec![10, 3] }] };
    let footer = footer.encode_to_vec();
    let frame = zstd::bulk::compress(b"hello worldxx", 3).unwrap_or_default();
    seeds.push(("pack", footer.clone()));
    seeds.push(("pack", [[u8::try_from(footer.len()).unwrap_or(0)].as_slice(), &footer, &frame].concat()));
    for (table, row) in row_seeds() {
        let table = [u8::try_from(table as u32).unwrap_or(0)];
        seeds.push(("segment", [table.as_slice(), &row.encode_length_delimited_to_vec()].concat()));
    }
    seeds.push((
        "segment",
        SegmentFooter {
            blocks: vec![SegmentBlock::default(); 3],
            packs: vec![Bytes::from_static(&[8; 16])],
            pack_reach: vec![64],
            pack_lengths: vec![96],
        }
        .encode_to_vec(),
    ));
    seeds.push(("key_ring", KeyRing::generate().rotated().to_text().as_bytes().to_vec()));
    let key = proto::repository::WrappedKey { data_key: Bytes::from_static(&[1; 32]) }.encode_to_vec();
    let cipher = Cipher::fresh(&secret(), Kind::Key, DIR, Object::Key(secret().id()).relative());
    seeds.push(("wrapped_key", crate::sealing::seal::seal_plain(&cipher, &key)));
    seeds.push(("wrapped_key", key));
    let store =
        proto::repository::StoreDescriptor { format: 1, zone: "paris".to_owned(), ..Default::default() };
    seeds.push(("wrapped_key", [b"MALLESTR".as_slice(), &store.encode_to_vec()].concat()));
    seeds.push(("wrapped_key", Object::Log(7).relative().into_bytes()));
    seeds
}

fn log_seeds() -> Vec<(&'static str, Vec<u8>)> {
    use proto::repository::{
        Checkpoint, Condemn, Erased, Forget, Head, Init, Progress, Replacement, Snapshot, Swept, log_entry,
    };
    let segment = SegmentRef {
        name: Bytes::from_static(&[8; 16]),
        bytes: 900,
        rows: vec![TableRows { table: 1, rows: 2 }],
    };
    let segments = vec![segment];
    let kinds = [
        log_entry::Kind::Init(Init { server: "s".to_owned(), ..Init::default() }),
        log_entry::Kind::Snapshot(Snapshot {
            segments: segments.clone(),
            emails: 2,
            finished_ms: -1,
            ..Snapshot::default()
        }),
        log_entry::Kind::Progress(Progress { segments: segments.clone(), ..Progress::default() }),
        log_entry::Kind::Forget(Forget { snapshots: vec![1, 2], progress: true }),
        log_entry::Kind::Condemn(Condemn {
            objects: vec![Object::Pack(NAME).relative()],
            replacements: vec![Replacement { snapshot: 2, segments }],
        }),
        log_entry::Kind::Swept(Swept { condemn: 3, kept: Vec::new() }),
        log_entry::Kind::Erased(Erased::default()),
        log_entry::Kind::Checkpoint(Checkpoint::default()),
    ];
    let mut seeds = Vec::new();
    for (number, kind) in (1..).zip(kinds) {
        let entry = LogEntry {
            number,
            head: Some(Head { snapshot: 2, ..Head::default() }),
            kind: Some(kind),
            ..LogEntry::default()
        };
        let plain = entry.encode_to_vec();
        let cipher = Cipher::fresh(&secret(), Kind::Log, DIR, Object::Log(1).relative());
        if let Ok(sealed) = frame::seal_object(&cipher, &plain) {
            seeds.push(("manifest", sealed));
        }
        seeds.push(("manifest", zstd::bulk::compress(&plain, 3).unwrap_or_default()));
        seeds.push(("manifest", plain));
    }
    seeds
}

fn row_seeds() -> Vec<(Table, proto::repository::Row)> {
    use proto::repository::row::Content;
    use proto::repository::{Blob, Email, Failure, Gone, Row};
    let row = |key: &'static [u8], content| Row { key: Bytes::from_static(key), content: Some(content) };
    let id = Bytes::from_static(&[3; 32]);
    let email =
        Email { blob: id.clone(), size: 3, folders: vec!["a".to_owned()], date: Some(1), ..Email::default() };
    let place = Blob { sealed_length: 30, raw_length: 20, start: 1, length: 3, ..Blob::default() };
    let chunks = Blob { length: 6, chunks: vec![id.clone(), id.clone()], ..Blob::default() };
    let object =
        proto::repository::Object { json: Bytes::from_static(b"{}"), blob: id.clone(), json_blob: id };
    vec![
        (Table::Emails, row(b"e1", Content::Email(email))),
        (Table::Emails, row(b"e2", Content::Gone(Gone {}))),
        (Table::Blobs, row(&[3; 32], Content::Blob(place))),
        (Table::Blobs, row(&[4; 32], Content::Blob(chunks))),
        (Table::Objects, row(b"\x01inbox", Content::Object(object))),
        (Table::Failures, row(b"\x02e3", Content::Failure(Failure::default()))),
    ]
}
