//! A server's answers: the session, and the results of every kind of call.
#![no_main]

use bytes::Bytes;
use jmap::{AccountId, Batch, DataType, Id, Ids, JmapBlobId, Query, State, parse_response, parse_session};

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("jmap_response"), |data: &[u8]| {
    let _ = parse_session(data);
    let mut batch = Batch::new(&AccountId::new("adm").expect("valid"));
    let page = batch.query(DataType::Email, &Query::page(10));
    let emails = batch.emails(Ids::These(vec![Id::new("e1").expect("valid")]));
    let blobs = batch.blobs(Ids::These(vec![JmapBlobId::new("b1").expect("valid")]));
    let changes = batch.changes(DataType::Email, &State::new("s0").expect("valid"), 10);
    let folders = batch.get(DataType::Mailbox, Ids::All);
    if let Ok(answer) = parse_response(&Bytes::copy_from_slice(data), &batch, 500) {
        let _ = answer.take(page);
        let _ = answer.take(emails);
        let _ = answer.take(blobs);
        let _ = answer.take(changes);
        let _ = answer.take(folders);
    }
});
