//! A million emails, every command: `make soak`.

use sim_stalwart::{Kinds, Sizes};

use crate::home::ALICE;
use crate::memory::{MOST, home_of, small};

const EMAILS: u32 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_million_emails_take_less_than_128_mib_whatever_is_done_with_them() {
    if std::env::var_os("MALLE_SOAK").is_none() {
        println!("SKIPPED: `make soak` runs it");
        return;
    }
    let home = home_of(EMAILS, Sizes::tiny()).await;
    let full = home.measured_backup(&[]).await;
    assert_eq!(full.ended.objects()[0]["emails"], EMAILS);
    let unchanged = home.measured_backup(&[]).await;
    home.alice().mutate(EMAILS / 100, 7, Kinds::Emails);
    let changed = home.measured_backup(&[]).await;
    assert_eq!(changed.ended.objects()[0]["emails"], home.alice().email_count());
    let mut all = vec![full, unchanged, changed, home.measured_backup(&["--full"]).await];
    for args in [
        &["list", "--account", ALICE][..],
        &["show", "--account", ALICE],
        &["verify", "--account", ALICE],
        &["verify", "--account", ALICE, "--read-data"],
        &["check"],
        &["check", "--read-data"],
    ] {
        let measured = home.measure(args).await;
        assert_eq!(measured.ended.code, 0, "{measured:#?}");
        all.push(measured);
    }
    assert!(all[1].requests <= 10 && all[1].written <= 16_000, "{:#?}", all[1]);
    all.iter().for_each(|measured| small(measured, MOST));
}
