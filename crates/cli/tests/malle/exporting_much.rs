//! How much memory exports take, measured by the kernel.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use export::{Email, Limits, Object, Receiver};
use sim_stalwart::{AccountHandle, Sizes};
use testkit::stride;

use crate::home::{ALICE, Home};
use crate::measured::Measured;
use crate::memory::{MOST, home_of, small};

const FORMATS: [&str; 4] = ["account-directory", "vandelay", "maildir", "mbox"];

/// One that must be good.
async fn measured_export(home: &Home, format: &str, to: &str, more: &[&str]) -> Measured {
    let to = home.path(to).display().to_string();
    let args = ["export", "--account", ALICE, "--json", "--format", format, "--to", &to];
    let measured = home.measure(&[&args[..], more].concat()).await;
    assert_eq!((measured.ended.code, measured.requests, measured.written), (0, 0, 0), "{measured:#?}");
    measured
}

#[tokio::test(flavor = "multi_thread")]
async fn exporting_one_email_of_100_mb_takes_less_than_128_mib() {
    let home = home_of(10, Sizes::tiny()).await;
    home.alice().deliver_large(100_000_000);
    home.back_up().await;
    for (row, format) in FORMATS.into_iter().enumerate() {
        for (column, to) in ["dir", "mail.tar.zst", "mail.zip"].into_iter().enumerate() {
            // In the usual run one place for each format.
            if !(row + column).is_multiple_of(stride(3)) {
                continue;
            }
            let export = measured_export(&home, format, &format!("{format}-{to}"), &[]).await;
            assert!(export.ended.objects()[0]["bytes"].as_u64() > Some(90_000_000), "{export:#?}");
            small(&export, MOST);
        }
    }
}

/// A selection of few among many emails: each lies in a frame with hundreds of others.
#[tokio::test(flavor = "multi_thread")]
async fn exporting_50_000_emails_takes_less_than_128_mib() {
    let home = home_of(50_000, Sizes::tiny()).await;
    home.back_up().await;
    // In the usual run each second format; `export` measures what writes each of them.
    for format in FORMATS.into_iter().step_by(stride(2)) {
        small(&measured_export(&home, format, &format!("{format}.tar.zst"), &[]).await, MOST);
    }
    small(
        &measured_export(&home, "mbox", "few.zip", &["--select", "before:2020 has:attachment"]).await,
        MOST,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exporting_a_million_emails_takes_less_than_128_mib() {
    if std::env::var_os("MALLE_SOAK").is_none() {
        println!("SKIPPED: `make soak` runs it");
        return;
    }
    let home = home_of(1_000_000, Sizes::tiny()).await;
    home.back_up().await;
    for format in FORMATS {
        let to = format!("{format}.tar.zst");
        let export = measured_export(&home, format, &to, &[]).await;
        assert_eq!(export.ended.objects()[0]["emails"], 1_000_000);
        let file = std::fs::metadata(home.path(&to)).expect("it is there");
        println!("{format}: {} bytes", file.len());
        std::fs::remove_file(home.path(&to)).expect("removable");
        small(&export, MOST);
    }
}

/// 5.2 GB in one folder; in the usual run a hundredth of that.
#[tokio::test(flavor = "multi_thread")]
async fn an_mbox_of_5_gb_is_split_into_files_of_4_gb_in_less_than_128_mib() {
    let (emails, split, most) =
        if testkit::is_soak() { (52_000, "4G", 4_000_000_000) } else { (520, "40M", 40_000_000) };
    let home = home_of(emails, Sizes::between(20_000, 180_000)).await;
    let alice = home.alice();
    let folder = alice.create_folder("All", None);
    for email in alice.emails() {
        assert!(alice.move_to(&email.id, &[&folder]));
    }
    home.back_up().await;
    let export = measured_export(&home, "mbox", "split", &["--split", split]).await;
    assert_eq!(export.ended.objects()[0]["emails"], emails);
    small(&export, MOST);

    let place = home.path("split");
    let length = |name: &str| std::fs::metadata(place.join("mail").join(name)).expect("it is there").len();
    let lengths = [length("All.mbox"), length("All.part2.mbox")];
    println!("mbox files of {lengths:?} bytes");
    // The second one began because the next email had no room in the first.
    assert!(lengths[0] <= most && lengths[0] + 200_000 > most && lengths[1] < most, "{lengths:?}");
    assert!(digests_in(&place) == digests_of(&alice), "other emails, or in another order");
}

/// Digests of emails in the order of their dates and ids, each with the line break that ends it in an mbox.
fn digests_of(account: &AccountHandle) -> Vec<blake3::Hash> {
    let mut emails = account.emails();
    emails.sort_by(|one, other| (&one.received_at, &one.id).cmp(&(&other.received_at, &other.id)));
    let digest = |id: &str| {
        let raw = account.raw(id).expect("it is there");
        let mut hasher = blake3::Hasher::new();
        hasher.update(&raw);
        if !raw.ends_with(b"\n") {
            hasher.update(b"\n");
        }
        hasher.finalize()
    };
    emails.iter().map(|email| digest(&email.id)).collect()
}

/// Digests of emails in the files of an mbox, by the file's name.
#[derive(Default)]
struct Digests(BTreeMap<String, Vec<blake3::Hash>>);

impl Receiver for Digests {
    fn object(&mut self, _: Object<'_>) -> export::Result<()> {
        Ok(())
    }

    fn email(&mut self, email: &Email<'_>, content: &mut dyn Read) -> export::Result<()> {
        let (mut content, mut hasher, mut line) =
            (BufReader::new(content), blake3::Hasher::new(), Vec::new());
        // What the mbox says of its status stands before its own header.
        while line.is_empty()
            || [&b"Status:"[..], b"X-Status:", b"X-Keywords:"].iter().any(|name| line.starts_with(name))
        {
            line.clear();
            content.read_until(b'\n', &mut line).expect("readable");
        }
        hasher.update(&line);
        io::copy(&mut content, &mut hasher).expect("readable");
        self.0.entry(email.folders[0].to_string()).or_default().push(hasher.finalize());
        Ok(())
    }
}

/// As the files say, without what lies beside them; `A.part2.mbox` is behind `A.mbox`.
fn digests_in(place: &Path) -> Vec<blake3::Hash> {
    std::fs::remove_dir_all(place.join("malle")).expect("removable");
    let (temporary, mut digests) = (tempfile::tempdir().expect("a directory"), Digests::default());
    export::read(place, temporary.path(), Limits::GENEROUS, &mut digests).expect("reads");
    digests.0.into_values().flatten().collect()
}
