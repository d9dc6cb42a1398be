//! Stores that fail, fill up, are damaged, or come from the future.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sim_stalwart::Simulator;
use testkit::seaweedfs::{ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFs};

use crate::home::{ALICE, Ended, Home, alice, end, file_url, files};

/// A small file system of its own, unmounted when dropped; `None` where mounting is not allowed.
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    pub(crate) fn mount(at: PathBuf, options: &str) -> Option<Tmpfs> {
        fs::create_dir_all(&at).expect("writable");
        let mounted = mount(&["-t", "tmpfs", "-o", options, "tmpfs"], &at);
        if !mounted {
            eprintln!("SKIPPED: this test mounts a small tmpfs, and mounting is not allowed here");
        }
        mounted.then_some(Tmpfs(at))
    }

    pub(crate) fn remount(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.0));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    let output = Command::new("mount").args(args).arg(at).output();
    output.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_damages_nothing_and_the_next_run_completes() {
    let home = Home::without_store(Simulator::builder().account(alice())).await;
    let Some(disk) = Tmpfs::mount(home.store(), "size=1m") else { return };
    home.run(&["init"]).await.good();
    home.back_up().await;
    home.alice().deliver_large(3_000_000);
    let args = ["backup", "--account", ALICE];
    home.run(&args).await.refused(13, &["full", "free space"]);
    home.run(&["check", "--read-data"]).await.good();
    disk.remount("size=32m");
    assert_eq!(home.back_up().await["emails"], 41);
    home.run(&["check", "--read-data"]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_directory_is_said_so() {
    let home = Home::new().await;
    let Some(disk) = Tmpfs::mount(home.path("disk"), "size=8m") else { return };
    let url = file_url(&home.path("disk"));
    let args = ["backup", "--account", ALICE, "--store", &url];
    home.run(&["init", "--store", &url]).await.good();
    home.run(&args).await.good();
    disk.remount("ro");
    home.run(&args).await.refused(7, &["writable"]);
    home.run(&["verify", "--read-data", "--account", ALICE, "--store", &url]).await.good();
    let below = format!("{url}/new");
    home.run(&["init", "--store", &below]).await.refused(7, &["make the store's directory"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_named() {
    let home = Home::new().await;
    home.back_up().await;
    let is_pack = |path: &Path| path.parent().is_some_and(|dir| dir.ends_with("packs"));
    let (pack, content) =
        files(&home.store()).into_iter().find(|(path, _)| is_pack(path)).expect("there is a pack");
    let mut damaged = content.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&pack, damaged).expect("writable");
    home.run(&["verify", "--account", ALICE]).await.good();
    for args in [vec!["verify", "--account", ALICE, "--read-data"], vec!["check", "--read-data"]] {
        let ended = home.run(&args).await;
        assert_eq!(ended.code, 9, "{ended:?}");
        assert!(ended.out.contains("DAMAGED") && ended.out.contains("packs/"), "{ended:?}");
    }
    fs::remove_file(&pack).expect("removable");
    let ended = home.run(&["check", "--json"]).await;
    assert_eq!(ended.code, 9, "{ended:?}");
    assert_eq!(ended.objects()[0]["ok"], false);
    fs::write(&pack, content).expect("writable");
    home.run(&["check", "--read-data"]).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_descriptor_is_damage() {
    let home = Home::new().await;
    home.back_up().await;
    let args = ["list", "--account", ALICE];
    fs::write(home.store().join("malle-store"), "MALLESTRgarbage").expect("writable");
    home.run(&args).await.good();
    fs::write(home.store().join("malle-store-copy"), "MALLESTRgarbage").expect("writable");
    home.run(&args).await.refused(9, &["malle-store"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_newer_format_is_left_alone() {
    let home = Home::new().await;
    home.back_up().await;
    // The magic, protobuf field 1 (`format`) = 99, and the sum over both.
    let mut descriptor = b"MALLESTR\x08\x63".to_vec();
    let sum = blake3::hash(&descriptor);
    descriptor.extend_from_slice(sum.as_bytes());
    fs::write(home.store().join("malle-store"), descriptor).expect("writable");
    let before = files(&home.store());
    for args in [vec!["backup", "--account", ALICE], vec!["list", "--account", ALICE], vec!["check"]] {
        home.run(&args).await.refused(11, &["format 99", "newer malle"]);
    }
    assert!(files(&home.store()) == before, "the store was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_nobody_serves_is_said_so() {
    let home = Home::new().await;
    let mut command = home.malle(&["list", "--account", ALICE, "--store", "s3://bucket/prefix"]);
    command
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_ACCESS_KEY_ID", "an id")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
        .env("AWS_MAX_RETRIES", "0");
    let ended = end(command.spawn().expect("runs")).await;
    ended.refused(7, &["s3://bucket", "check --store"]);
    assert!(!ended.err.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_store() {
    let home = Home::new().await;
    let s3 = SeaweedFs::start().await.expect("SeaweedFS starts");
    let url = format!("s3://{BUCKET}/some/prefix");
    let run = async |args: &[&str], secret: &str| -> Ended {
        let mut command = home.malle(args);
        command
            .args(["--store", &url])
            .env("AWS_ENDPOINT_URL", s3.endpoint())
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", secret);
        end(command.spawn().expect("malle runs")).await
    };
    let backup = ["backup", "--account", ALICE];
    run(&backup, "wrong").await.refused(7, &[BUCKET, "credentials"]);
    run(&backup, SECRET_KEY).await.refused(12, &["malle init"]);
    run(&["init"], SECRET_KEY).await.good();
    run(&backup, SECRET_KEY).await.good();
    home.alice().deliver("Subject: new\r\n\r\nnew\r\n", &[], &[]);
    run(&backup, SECRET_KEY).await.good();
    let list = run(&["list", "--account", ALICE, "--json"], SECRET_KEY).await.good();
    assert_eq!(list.objects()[1]["emails"], 41);
    run(&["verify", "--account", ALICE, "--read-data"], SECRET_KEY).await.good();
    run(&["check"], SECRET_KEY).await.good();
    let missing = ["list", "--store", "s3://no-such-bucket/x"];
    let mut command = home.malle(&missing);
    command
        .env("AWS_ENDPOINT_URL", s3.endpoint())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    end(command.spawn().expect("malle runs")).await.refused(7, &["does not exist", "create it"]);
}
