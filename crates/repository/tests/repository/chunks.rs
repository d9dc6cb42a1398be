//! Blobs longer than one piece, empty ones, and long JSON.

use bytes::{Bytes, BytesMut};
use model::{BlobId, DataType};
use repository::{Depth, Error, MAX_BLOB, ObjectRecord, Sizes};

use crate::support::{Mailbox, SMALL, Site, assert_clean, clock, noise, record, summary};

/// Stores bytes cut into pieces of `piece`, and an email that consists of them.
async fn store_cut(site: &Site, id: &str, bytes: &Bytes, piece: usize) -> BlobId {
    let repository = site.open().await;
    let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
    let hasher = writer.hasher();
    let pieces: Vec<Bytes> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
    let ids: Vec<BlobId> = pieces.iter().map(|piece| hasher.id(piece)).collect();
    let blobs = ids.iter().copied().zip(pieces).collect();
    writer.add_blobs(blobs).await.expect("adds");
    let email = record(id, bytes, &hasher);
    let blob = email.blob;
    writer.add_chunked(blob, ids, bytes.len() as u64).await.expect("adds");
    writer.put_email(email).await.expect("puts");
    let mailbox = Mailbox::from([(id.to_owned(), bytes.clone())]);
    writer.commit(summary(&mailbox), &clock()).await.expect("commits");
    blob
}

#[tokio::test]
async fn a_long_blob_comes_back_piece_by_piece_and_whole() {
    let site = Site::new(Sizes::default());
    let bytes = noise(7, 5 << 20);
    let blob = store_cut(&site, "big", &bytes, 300_000).await;
    let repository = site.open().await;
    let snapshot = repository.snapshot(None).await.expect("opens");
    assert_eq!(snapshot.blob(&blob).await.expect("reads"), bytes);
    let mut reader = snapshot.blob_reader(&blob).await.expect("opens");
    let (mut whole, mut longest) = (BytesMut::new(), 0);
    while let Some(piece) = reader.next().await.expect("reads") {
        longest = longest.max(piece.len());
        whole.extend_from_slice(&piece);
    }
    assert_eq!(whole, bytes);
    assert_eq!(longest, 300_000);
    assert_clean(&repository, "chunked").await;
}

#[tokio::test]
async fn chunks_in_a_wrong_order_are_noticed_by_the_reader() {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
    let hasher = writer.hasher();
    let (a, b) = (noise(1, 500), noise(2, 500));
    let right = Bytes::from([a.as_ref(), b.as_ref()].concat());
    let ids = [hasher.id(&a), hasher.id(&b)];
    writer.add_blobs(vec![(ids[0], a), (ids[1], b)]).await.expect("adds");
    let email = record("x", &right, &hasher);
    let blob = email.blob;
    writer.add_chunked(blob, vec![ids[1], ids[0]], 1000).await.expect("adds");
    writer.put_email(email).await.expect("puts");
    let mailbox = Mailbox::from([("x".to_owned(), right)]);
    writer.commit(summary(&mailbox), &clock()).await.expect("commits");
    let snapshot = repository.snapshot(None).await.expect("opens");
    let error = snapshot.blob(&blob).await.expect_err("is refused");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_wrong_length_of_a_chunked_blob_is_found_by_check() {
    let site = Site::new(SMALL);
    let repository = site.open().await;
    let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
    let hasher = writer.hasher();
    let bytes = noise(3, 900);
    let ids = vec![hasher.id(&bytes[..400]), hasher.id(&bytes[400..])];
    let pieces = vec![(ids[0], bytes.slice(..400)), (ids[1], bytes.slice(400..))];
    writer.add_blobs(pieces).await.expect("adds");
    let mut email = record("x", &bytes, &hasher);
    email.size = 901;
    writer.add_chunked(email.blob, ids, 901).await.expect("adds");
    writer.put_email(email).await.expect("puts");
    let mut counted = summary(&Mailbox::from([("x".to_owned(), bytes)]));
    counted.email_bytes = 901;
    writer.commit(counted, &clock()).await.expect("commits");
    let report = repository.check(None, Depth::Structure).await.expect("checks");
    assert_eq!(report.problems.len(), 1, "{report:?}");
}

#[tokio::test]
async fn an_empty_email_and_a_blob_at_the_limit_come_back_and_a_longer_one_is_refused() {
    let site = Site::new(Sizes::default());
    let repository = site.open().await;
    let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
    let hasher = writer.hasher();
    let mut mailbox = Mailbox::new();
    for (id, length) in [("empty", 0), ("one", 1), ("limit", MAX_BLOB)] {
        let bytes = noise(9, length);
        let email = record(id, &bytes, &hasher);
        writer.add_blobs(vec![(email.blob, bytes.clone())]).await.expect("adds");
        writer.put_email(email).await.expect("puts");
        mailbox.insert(id.to_owned(), bytes);
    }
    let long = noise(9, MAX_BLOB + 1);
    let refused = writer.add_blobs(vec![(hasher.id(&long), long)]).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    writer.commit(summary(&mailbox), &clock()).await.expect("commits");
    assert_eq!(crate::support::read(&repository, None).await.expect("reads"), mailbox);
    assert_clean(&repository, "edges").await;
}

/// A contact with a photograph in it may be larger than any block of rows.
#[tokio::test]
async fn json_of_any_length_comes_back_and_is_stored_once() {
    let site = Site::new(Sizes::default());
    let repository = site.open().await;
    let object = |id: &str, length: usize| {
        let photo: String = noise(length as u64, length / 2).iter().map(|b| format!("{b:02x}")).collect();
        ObjectRecord {
            data_type: DataType::ContactCard,
            id: id.to_owned(),
            json: Bytes::from(format!(r#"{{"id":"{id}","photo":"{photo}"}}"#)),
            blob: None,
        }
    };
    let objects = [object("a", 10), object("b", 64 << 10), object("c", 700 << 10), object("d", 20 << 20)];
    for night in 0..2 {
        let mut writer = repository.begin_snapshot(&clock()).await.expect("begins");
        for object in objects.clone() {
            writer.put_object(object).await.expect("puts");
        }
        let committed = writer.commit(summary(&Mailbox::new()), &clock()).await.expect("commits");
        assert_eq!(committed.stored_bytes > 1 << 20, night == 0, "{committed:?}");
    }
    let snapshot = repository.snapshot(None).await.expect("opens");
    assert!(snapshot.objects().await.expect("reads") == objects);
    let one = snapshot.find_object(DataType::ContactCard, "d").await.expect("looks");
    assert!(one.as_ref() == objects.last());
    assert_clean(&repository, "long json").await;
}
