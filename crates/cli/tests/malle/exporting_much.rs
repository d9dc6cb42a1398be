//! How much memory exports take, measured by the kernel.

use sim_stalwart::Sizes;
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
