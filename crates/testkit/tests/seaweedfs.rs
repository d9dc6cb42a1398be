//! Our S3 server answers as the repository needs it.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, aws::AmazonS3Builder, path::Path,
};
use testkit::seaweedfs::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SeaweedFs};

fn store(server: &SeaweedFs, secret: &str) -> impl ObjectStore {
    let _ = rustls::crypto::ring::default_provider().install_default();
    AmazonS3Builder::new()
        .with_endpoint(server.endpoint())
        .with_allow_http(true)
        .with_region(REGION)
        .with_bucket_name(BUCKET)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(secret)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_fresh_server_creates_once_reads_ranges_and_refuses_a_wrong_secret() {
    let server = SeaweedFs::start().await.unwrap();
    let ours = store(&server, SECRET_KEY);
    let path = Path::from("log/1");
    let create = PutOptions::from(PutMode::Create);

    ours.put_opts(&path, "first".into(), create.clone()).await.unwrap();
    let again = ours.put_opts(&path, "second".into(), create).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    assert_eq!(&ours.get_range(&path, 1..4).await.unwrap()[..], b"irs");

    let absent = ours.get(&Path::from("log/2")).await;
    assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
    let forged = store(&server, "not the secret").get(&path).await;
    assert!(matches!(forged, Err(Error::PermissionDenied { .. })), "{forged:?}");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut server = SeaweedFs::start().await.unwrap();
    let ours = store(&server, SECRET_KEY);
    let paths: Vec<Path> = (0..40).map(|n| Path::from(format!("packs/{n}"))).collect();
    for path in &paths {
        ours.put(path, path.to_string().into()).await.unwrap();
    }
    server.restart().await.unwrap();
    for path in &paths {
        let bytes = ours.get(path).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, path.to_string());
    }
}

#[tokio::test]
async fn several_servers_run_side_by_side() {
    let (one, two) = tokio::join!(SeaweedFs::start(), SeaweedFs::start());
    assert_ne!(one.unwrap().endpoint(), two.unwrap().endpoint());
}
