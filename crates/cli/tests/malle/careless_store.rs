//! Buckets that are not as they should be, and buckets nobody gave credentials for. What each quirk ends in is a table in
//! `testkit::quirk`, run through the library; here it is seen from outside.

use sim_stalwart::Kinds;
use testkit::quirk::{Change, Refusal, Times};
use testkit::{Quirk, S3, s3};

use crate::home::{ALICE, Ended, Home, end};

async fn run(s3: &S3, home: &Home, args: &[&str]) -> Ended {
    let mut command = home.malle(args);
    command
        .args(["--store", &format!("s3://{}", s3::BUCKET)])
        .env("AWS_ENDPOINT_URL", s3.endpoint())
        .env("AWS_ACCESS_KEY_ID", "an id")
        .env("AWS_SECRET_ACCESS_KEY", "a secret");
    end(command.spawn().expect("malle runs")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_overwrites_is_refused_unless_there_is_a_single_writer() {
    let home = Home::new().await;
    let backup = ["backup", "--account", ALICE];
    let alone = [&backup[..], &["--single-writer"]].concat();
    for quirk in [Quirk::IgnoresConditions, Quirk::NoConditions] {
        let s3 = S3::start(quirk).await.expect("listens");
        run(&s3, &home, &["init"]).await.refused(12, &["--single-writer", "another store"]);
        run(&s3, &home, &["init", "--single-writer"]).await.good();
        run(&s3, &home, &alone).await.good();
        home.alice().mutate(5, 1, Kinds::Emails);
        run(&s3, &home, &alone).await.good();
        // It was promised when the store was made, and has to be promised by every writer; readers promise nothing.
        run(&s3, &home, &backup).await.refused(12, &["--single-writer", "made for a single writer"]);
        let list = run(&s3, &home, &["list", "--account", ALICE, "--json"]).await.good();
        assert_eq!(list.objects().len(), 2);
        run(&s3, &home, &["verify", "--account", ALICE, "--read-data"]).await.good();
        run(&s3, &home, &["check"]).await.good();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_refuses_is_said_in_one_line_with_what_to_do() {
    let (home, s3) = (Home::new().await, S3::start(Quirk::Honest).await.expect("listens"));
    let backup = ["backup", "--account", ALICE];
    run(&s3, &home, &["init"]).await.good();
    run(&s3, &home, &backup).await.good();
    let refuses = |status, code| Quirk::Refuses(Refusal::Code(status, code));
    let full = Quirk::RefusesWrites(Refusal::Code(403, "QuotaExceeded"));
    for (quirk, code, says) in [
        (full, 13, ["quota", "free space"]),
        (refuses(404, "NoSuchBucket"), 7, ["does not exist", "create it"]),
        (refuses(403, "RequestTimeTooSkewed"), 7, ["clocks", "timedatectl"]),
        (refuses(400, "ExpiredToken"), 7, ["expired", "AWS_SESSION_TOKEN"]),
        (Quirk::Refuses(Refusal::OtherRegion), 7, ["eu-west-1", "AWS_REGION"]),
        (Quirk::Refuses(Refusal::Page(200)), 7, ["web page", "sign in to this network"]),
        (Quirk::ForbidsAbsent, 7, ["may not list", "s3:ListBucket"]),
        (Quirk::Bytes(Change::InTheStore, Times::Always), 9, ["other bytes", "not called good"]),
    ] {
        home.alice().mutate(5, 1, Kinds::Emails);
        s3.set(quirk);
        let ended = run(&s3, &home, &backup).await;
        ended.refused(code, &says);
        assert!(!ended.err.contains("Generic") && !ended.err.contains("retries"), "{ended:#?}");
    }
    s3.set(Quirk::Honest);
    run(&s3, &home, &backup).await.good();
    run(&s3, &home, &["check", "--read-data"]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_librarys_own_words_are_for_those_who_ask() {
    let quirk = Quirk::Refuses(Refusal::Code(403, "AccessDenied"));
    let (home, s3) = (Home::new().await, S3::start(quirk).await.expect("listens"));
    let ended = run(&s3, &home, &["list", "--verbose"]).await;
    assert_eq!(ended.code, 7, "{ended:#?}");
    let lines: Vec<&str> = ended.err.lines().collect();
    assert!(
        matches!(lines[..], [first, second] if !first.contains("Generic") && second.contains("Generic")),
        "{ended:#?}"
    );
    assert!(lines[1].contains("403 AccessDenied") && !ended.err.contains("a secret"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_without_usable_credentials_are_refused_with_what_to_set() {
    let home = Home::new().await;
    std::fs::write(home.path("account.json"), "not what Google gave out: hunter2").expect("writable");
    let google = home.path("account.json").display().to_string();
    for (url, variable, value, says) in [
        ("gs://bucket/prefix", "GOOGLE_SERVICE_ACCOUNT", google.as_str(), "GOOGLE_"),
        ("gs://bucket", "GOOGLE_SERVICE_ACCOUNT", "/nowhere/at/all", "GOOGLE_"),
        ("az://container/prefix", "AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==", "AZURE_"),
    ] {
        let mut command = home.malle(&["list", "--store", url]);
        let ended = end(command.env(variable, value).spawn().expect("malle runs")).await;
        ended.refused(2, &["set up the store", says]);
        assert!(!ended.err.contains("hunter2") && !ended.err.contains("aHVudGVyMg"), "{ended:?}");
    }
}
