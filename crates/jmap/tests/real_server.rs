//! The client against a real server: `MALLE_TEST_URL`, `MALLE_TEST_USER`, `MALLE_TEST_PASSWORD` and `MALLE_TEST_ACCOUNT` say which;
//! `cargo test -p jmap --test real_server -- --ignored --nocapture`. It only reads.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a trial run prints, and may fail anywhere")]

use std::collections::BTreeMap;
use std::time::Instant;

use futures::TryStreamExt;
use jmap::{
    Account, AccountRef, Batch, Client, Config, Credentials, DataType, Download, Emails, Id, Ids, JmapBlobId,
    Query,
};

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

async fn connect() -> (Client, Account) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credentials = Credentials::basic(setting("MALLE_TEST_USER"), setting("MALLE_TEST_PASSWORD"));
    let client =
        Client::connect(Config::new(setting("MALLE_TEST_URL").parse().unwrap(), credentials)).await.unwrap();
    println!("limits {:?}", client.session().limits);
    println!("capabilities {:?}", client.session().capabilities().collect::<Vec<_>>());
    println!("warnings {:?}", client.warnings());
    let account = client.resolve_account(&AccountRef::Named(setting("MALLE_TEST_ACCOUNT"))).await.unwrap();
    println!("account {} {:?}", account.id, account.name);
    (client, account)
}

/// The ids of all emails, by anchored pages.
async fn list(client: &Client, account: &Account) -> Vec<Id> {
    let mut ids: Vec<Id> = Vec::new();
    loop {
        let mut query = Query::page(1000).with_total();
        if let Some(last) = ids.last() {
            query = query.after(last);
        }
        let mut batch = Batch::new(&account.id);
        let call = batch.query(DataType::Email, &query);
        let page = client.call(&batch).await.unwrap().take(call).unwrap();
        println!(
            "page of {} at {:?} of {:?}, state {:?}",
            page.ids.len(),
            page.position,
            page.total,
            page.query_state
        );
        if page.ids.is_empty() {
            return ids;
        }
        ids.extend(page.ids);
    }
}

async fn fetch(client: &Client, account: &Account, ids: &[Id]) -> (Emails, BTreeMap<JmapBlobId, Vec<u8>>) {
    let mut batch = Batch::new(&account.id);
    let emails = batch.emails(Ids::These(ids.to_vec()));
    let blobs = batch.blobs(Ids::Of(emails.blob_ids()));
    let answer = client.call(&batch).await.unwrap();
    let emails = answer.take(emails).unwrap();
    assert!(emails.failures.is_empty(), "{:?}", emails.failures);
    let blobs = answer.take(blobs).unwrap();
    assert!(blobs.failures.is_empty(), "{:?}", blobs.failures);
    (emails, blobs.list.into_iter().map(|blob| (blob.id, blob.data.to_vec())).collect())
}

#[tokio::test]
#[ignore = "needs a real server"]
async fn a_real_mailbox_reads_the_same_by_batch_and_by_download() {
    let (client, account) = connect().await;
    let ids = list(&client, &account).await;
    let start = Instant::now();
    let (mut bytes, mut odd_sizes) = (0, 0);
    for (n, chunk) in ids.chunks(50).enumerate() {
        let (emails, blobs) = fetch(&client, &account, chunk).await;
        assert_eq!(emails.list.len(), chunk.len());
        for email in &emails.list {
            let data = &blobs[&email.blob_id];
            bytes += data.len();
            odd_sizes += usize::from(data.len() as u64 != email.size);
        }
        let first = &emails.list[0];
        if n % 10 == 0 {
            let download = Download::new(&account.id, &first.blob_id, 1 << 30);
            let whole: Vec<_> = client.download(download).try_collect().await.unwrap();
            assert_eq!(whole.concat(), blobs[&first.blob_id]);
        }
    }
    println!(
        "{} emails, {bytes} bytes in {:?}; Email.size differs for {odd_sizes}",
        ids.len(),
        start.elapsed()
    );
    println!("{:?}", client.counters());
}

#[tokio::test]
#[ignore = "needs a real server"]
async fn a_real_server_answers_for_every_type() {
    let (client, account) = connect().await;
    for &data_type in DataType::ALL {
        if !account.offers(data_type) {
            println!("{data_type}: not offered");
            continue;
        }
        let mut batch = Batch::new(&account.id);
        let state = batch.state(data_type);
        let all = batch.get(data_type, Ids::All);
        let query = data_type.has_query().then(|| batch.query(data_type, &Query::page(10)));
        let answer = client.call(&batch).await.unwrap();
        let state = answer.take(state).map(|objects| objects.state);
        let all = answer.take(all).map(|objects| (objects.list.len(), objects.not_found, objects.may_be_cut));
        let found = query.map(|query| answer.take(query).map(|page| page.ids.len()));
        println!("{data_type}: state {state:?} all {all:?} query {found:?}");
        if let (true, Ok(Some(state))) = (data_type.has_changes(), state) {
            let mut batch = Batch::new(&account.id);
            let changes = batch.changes(data_type, &state, 10);
            println!(
                "  changes {:?}",
                client.call(&batch).await.unwrap().take(changes).map(|changes| changes.new_state)
            );
        }
    }
}
