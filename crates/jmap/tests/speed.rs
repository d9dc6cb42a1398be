//! How fast answers are parsed. Prints numbers and asserts nothing: `cargo test --release -p jmap --test speed -- --ignored --nocapture`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints, and may fail anywhere")]

use std::time::{Duration, Instant};

use base64::Engine;
use bytes::Bytes;
use jmap::{AccountId, Batch, Ids, parse_response};

/// The best of several runs, as MB/s of the answer.
fn report(name: &str, body: &Bytes, run: impl Fn() -> usize) {
    let best = (0..10)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(run());
            start.elapsed()
        })
        .min()
        .unwrap_or(Duration::MAX);
    let megabytes = f64::from(u32::try_from(body.len()).unwrap()) / 1e6;
    println!("{name}: {megabytes:.1} MB in {best:?}: {:.0} MB/s", megabytes / best.as_secs_f64());
}

fn blobs_answer(elements: impl Iterator<Item = String>) -> Bytes {
    let list = elements.collect::<Vec<_>>().join(",");
    Bytes::from(format!(
        r#"{{"methodResponses":[["Blob/get",{{"accountId":"a","list":[{list}]}},"0"]],"sessionState":"s"}}"#
    ))
}

fn parse_blobs(body: &Bytes) -> usize {
    let mut batch = Batch::new(&AccountId::new("a").unwrap());
    let call = batch.blobs(Ids::All);
    let blobs = parse_response(body, &batch, 500).unwrap().take(call).unwrap();
    assert!(blobs.failures.is_empty(), "{:?}", blobs.failures);
    blobs.list.iter().map(|blob| blob.data.len()).sum()
}

#[test]
#[ignore = "a measurement"]
fn parsing_speed() {
    let line = "Received: from a.example.org by b.example.org with ESMTPS id 1234; Sun, 22 Nov 2026 14:25:01 +0000\r\n";
    let mail = line.repeat(200);
    let french =
        "Voilà déjà l'été où l'élève révise ses leçons ; ça va être très agréable, n'est-ce pas ?\r\n"
            .repeat(200);
    for (name, text) in [("ASCII mail", &mail), ("French mail", &french)] {
        let quoted = serde_json::to_string(text).unwrap();
        let body = blobs_answer(
            (0..500).map(|n| format!(r#"{{"id":"b{n}","data:asText":{quoted},"size":{}}}"#, text.len())),
        );
        report(name, &body, || parse_blobs(&body));
    }
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let body = blobs_answer((0..40).map(|n| {
        format!(
            r#"{{"id":"b{n}","data:asBase64":"{encoded}","isEncodingProblem":true,"size":{}}}"#,
            bytes.len()
        )
    }));
    report("base64", &body, || parse_blobs(&body));

    let list: Vec<_> = (0..10_000)
        .map(|n| {
            format!(
                r#"{{"id":"eaaaa{n}","blobId":"cbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb{n}","size":3512,"mailboxIds":{{"a":true}},
                "keywords":{{"$seen":true,"$junk":true}},"receivedAt":"2026-11-22T14:25:01Z"}}"#
            )
        })
        .collect();
    let body = Bytes::from(format!(
        r#"{{"methodResponses":[["Email/get",{{"accountId":"a","list":[{}]}},"0"]],"sessionState":"s"}}"#,
        list.join(",")
    ));
    report("10,000 emails' metadata", &body, || {
        let mut batch = Batch::new(&AccountId::new("a").unwrap());
        let call = batch.emails(Ids::All);
        parse_response(&body, &batch, 500).unwrap().take(call).unwrap().list.len()
    });
}
