//! A month of a changing mailbox.

use anyhow::Result;
use bytes::Bytes;
use jmap::{AccountRef, Batch, DataType, Id, Query};
use tests::{Importer, Message};

use crate::{Bench, PASSWORD, USER, mb, size_of};

const NIGHTS: usize = 30;

impl Bench {
    /// A changing mailbox, night after night: new mail, flags, deletions.
    pub(crate) async fn nights(&self, bytes: u64) -> Result<()> {
        let client = self.client().await?;
        let account = client.resolve_account(&AccountRef::Own).await?;
        let mut importer = Importer::new(&self.server, USER, PASSWORD, account.id.as_str());
        let (ours_before, theirs_before) =
            (size_of(&self.dir.join("store"))?, size_of(&self.dir.join("restic"))?);
        let (mut ours_s, mut theirs_s) = (0.0, 0.0);
        for night in 0..NIGHTS {
            let fresh: Vec<Message> =
                (0..60).map(|i| Message { folder: "nightly", raw: letter(night * 60 + i) }).collect();
            importer.import(&fresh).await?;
            let mut batch = Batch::new(&account.id);
            let call = batch.query(DataType::Email, &Query::page(5_000));
            let ids = client.call(&batch).await?.take(call)?.ids;
            let picked: Vec<&Id> = ids.iter().skip(night * 37).step_by(61).take(60).collect();
            let flags: serde_json::Map<_, _> = picked[..40]
                .iter()
                .map(|id| (id.as_str().to_owned(), serde_json::json!({ "keywords/$flagged": true })))
                .collect();
            let gone: Vec<&str> = picked[40..].iter().map(|id| id.as_str()).collect();
            let set =
                serde_json::json!({ "accountId": account.id.as_str(), "update": flags, "destroy": gone });
            importer.call(serde_json::json!([["Email/set", set, "0"]])).await?;
            ours_s += self.malle("store", &["backup", "--json"]).await?.seconds;
            theirs_s += self.peers().await?.seconds;
        }
        let (ours, theirs) = (size_of(&self.dir.join("store"))?, size_of(&self.dir.join("restic"))?);
        println!(
            "\n| {NIGHTS} nights of 60 new, 40 flagged, 20 deleted on {:.0} MB | malle | mbsync + restic | ratio | goal |\n|---|---|---|---|---|",
            mb(bytes)
        );
        println!(
            "| repository, MB | {:.2} | {:.2} | {:.2} | ≤ 0.75 |",
            mb(ours),
            mb(theirs),
            ours as f64 / theirs as f64
        );
        let (grown, peer_grown) = (ours - ours_before, theirs - theirs_before);
        println!(
            "| of it by the {NIGHTS} nights | {:.2} | {:.2} | {:.2} | |",
            mb(grown),
            mb(peer_grown),
            grown as f64 / peer_grown as f64
        );
        println!("| seconds, all nights | {ours_s:.1} | {theirs_s:.1} | {:.3} | |", ours_s / theirs_s);
        Ok(())
    }
}

fn letter(seed: usize) -> Bytes {
    let words = [
        "meeting", "invoice", "holiday", "report", "garden", "server", "music", "Tuesday", "coffee", "train",
    ];
    let body: Vec<&str> = (0..300).map(|i| words[(seed * 31 + i * i + i / 7) % words.len()]).collect();
    let lines: Vec<String> = body.chunks(10).map(|line| line.join(" ")).collect();
    Bytes::from(format!(
        "From: n{seed}@example.org\r\nTo: alice@example.org\r\nSubject: Letter {seed}\r\nMessage-ID: <l{seed}@example.org>\r\n\r\n{}\r\n",
        lines.join("\r\n")
    ))
}
