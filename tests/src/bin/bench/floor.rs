//! The floor: everything is fetched the fastest way found, and thrown away.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt;
use jmap::{
    AccountRef, Batch, Client, Config, Counters, Credentials, DataType, Download, Email, Id, Ids, Query,
};
use tokio::task::JoinSet;

use crate::{Bench, PASSWORD, USER};

impl Bench {
    pub(crate) async fn client(&self) -> Result<Client> {
        let config = Config::new(self.server.url().parse()?, Credentials::basic(USER, PASSWORD.to_owned()));
        Ok(Client::connect(config).await?)
    }

    /// The fastest way found to read everything: ids, metadata by 500, small blobs by 2 MiB, big ones streamed, four at once.
    pub(crate) async fn floor(&self) -> Result<(Duration, Counters)> {
        let start = Instant::now();
        let client = self.client().await?;
        let account = client.resolve_account(&AccountRef::Own).await?.id;
        let mut ids: Vec<Id> = Vec::new();
        loop {
            let mut batch = Batch::new(&account);
            let query = Query::page(5_000);
            let query = match ids.last() {
                Some(last) => query.after(last),
                None => query,
            };
            let call = batch.query(DataType::Email, &query);
            let page = client.call(&batch).await?.take(call)?.ids;
            if page.is_empty() {
                break;
            }
            ids.extend(page);
        }
        let mut reading = JoinSet::new();
        let mut listing: VecDeque<_> = VecDeque::new();
        let mut chunks = ids.chunks(500).map(<[Id]>::to_vec);
        loop {
            while listing.len() < 2 {
                let Some(chunk) = chunks.next() else { break };
                listing.push_back(tokio::spawn(metadata(client.clone(), account.clone(), chunk)));
            }
            let Some(listed) = listing.pop_front() else { break };
            for emails in by_bytes(listed.await??) {
                while reading.len() >= 4 {
                    reading.join_next().await.context("one is running")???;
                }
                let (client, account) = (client.clone(), account.clone());
                reading.spawn(async move { read(&client, &account, emails).await });
            }
        }
        while let Some(done) = reading.join_next().await {
            done??;
        }
        Ok((start.elapsed(), client.counters()))
    }
}

async fn metadata(client: Client, account: jmap::AccountId, ids: Vec<Id>) -> Result<Vec<Email>, jmap::Error> {
    let mut batch = Batch::new(&account);
    let call = batch.emails(Ids::These(ids));
    Ok(client.call(&batch).await?.take(call)?.list)
}

async fn read(client: &Client, account: &jmap::AccountId, emails: Vec<Email>) -> Result<u64, jmap::Error> {
    if let [big] = emails.as_slice() {
        let mut pieces = Box::pin(client.download(Download::new(account, &big.blob_id, big.size + 1)));
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            bytes += piece?.len() as u64;
        }
        return Ok(bytes);
    }
    let mut batch = Batch::new(account);
    let call = batch.blobs(Ids::These(emails.into_iter().map(|e| e.blob_id).collect()));
    let blobs = client.call(&batch).await?.take(call)?;
    Ok(blobs.list.iter().map(|b| b.data.len() as u64).sum())
}

fn by_bytes(emails: Vec<Email>) -> Vec<Vec<Email>> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for email in emails {
        if email.size > 256 << 10 {
            batches.push(vec![email]);
            continue;
        }
        bytes += email.size;
        batch.push(email);
        if bytes > 2 << 20 {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
    }
    batches.push(batch);
    batches.retain(|batch| !batch.is_empty());
    batches
}
