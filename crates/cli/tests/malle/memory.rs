//! How much memory the process takes, measured by the kernel, whatever the mailbox is like.

use sim_stalwart::{AccountHandle, AccountSpec, Limits, Simulator, Sizes, Version};

use crate::home::{ALICE, Home, PASSWORD};
use crate::measured::Measured;

/// No command may take more.
pub(crate) const MOST: f64 = 128.0;

/// A home whose mailbox has so many emails.
pub(crate) async fn home_of(emails: u32, sizes: Sizes) -> Home {
    let alice = AccountSpec::new(ALICE, PASSWORD).emails(emails).sizes(sizes);
    Home::with(Simulator::builder().seed(7).account(alice)).await
}

#[track_caller]
pub(crate) fn small(measured: &Measured, most: f64) {
    assert!(measured.peak > 1.0, "nothing was measured");
    assert!(measured.peak < most, "{:.1} MiB are not below {most}: {measured:#?}", measured.peak);
}

/// The million is backed up by `make soak`; a fifth of it has a bound of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_backup_of_many_emails_takes_less_than_128_mib() {
    let (emails, most) = if testkit::is_soak() { (1_000_000, MOST) } else { (200_000, 104.0) };
    let measured = home_of(emails, Sizes::tiny()).await.measured_backup(&[]).await;
    println!("{emails} emails: {:.1} MiB", measured.peak);
    small(&measured, most);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_mailbox_of_100_000_emails_takes_less_than_64_mib() {
    let home = home_of(100_000, Sizes::tiny()).await;
    small(&home.measured_backup(&[]).await, MOST);
    let unchanged = home.measured_backup(&[]).await;
    small(&unchanged, 64.0);
    assert!(unchanged.requests <= 10 && unchanged.written <= 16_000, "{unchanged:#?}");
}

/// The simulated test of the same size counts what is read.
#[tokio::test(flavor = "multi_thread")]
async fn finding_among_100_000_emails_takes_less_than_64_mib() {
    let home = home_of(100_000, Sizes::tiny()).await;
    home.measured_backup(&[]).await;
    for query in ["from:bob subject:e before:2020", "", "nowhere to be found"] {
        let found = home.measure(&["find", "--account", ALICE, "--json", query]).await;
        assert_eq!((found.ended.code, found.requests, found.written), (0, 0, 0), "{found:#?}");
        small(&found, 64.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_email_of_100_mb_takes_less_than_128_mib() {
    let home = home_of(10, Sizes::tiny()).await;
    home.alice().deliver_large(100_000_000);
    let full = home.measured_backup(&[]).await;
    assert_eq!(full.ended.objects()[0]["emails"], 11);
    assert!(full.written > 50_000_000, "it was not stored: {full:#?}");
    small(&full, MOST);
    small(&home.measure(&["verify", "--account", ALICE, "--read-data"]).await, MOST);
}

/// What people have: mostly short emails, some with attachments of 0.1 to 6 MB.
#[tokio::test(flavor = "multi_thread")]
async fn mail_with_large_attachments_takes_less_than_128_mib() {
    let home = home_of(5_000, Sizes::light()).await;
    for number in 0..40 {
        home.alice().deliver_large(100_000 + number * 150_000);
    }
    small(&home.measured_backup(&[]).await, MOST);
    small(&home.measured_backup(&["--full"]).await, MOST);
    small(&home.measure(&["check", "--read-data"]).await, MOST);
}

const BOB: &str = "bob@example.org";

/// Bob, who has nothing, at a server that keeps no bytes of what he is given. As 0.15 it takes what is no email, too.
pub(crate) fn add_bob(home: &Home) -> AccountHandle {
    home.sim.set_version(Version::V0_15);
    home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).bare().forget_bytes())
}

/// Alice's newest snapshot given to bob.
pub(crate) async fn measured_restore(home: &Home, more: &[&str]) -> Measured {
    let to = ["--to-account", BOB, "--user", BOB, "--only", "emails", "--json"];
    let args = [&["restore", "--account", ALICE][..], &to].concat();
    let measured = home.measure(&[&args[..], more].concat()).await;
    assert_eq!(measured.ended.code, 0, "{measured:#?}");
    measured
}

/// Peaks of giving a mailbox of so many emails back: to an account where nothing is, and once more where everything is.
async fn restores_of(emails: u32) -> [f64; 2] {
    let home = home_of(emails, Sizes::tiny()).await;
    home.measured_backup(&[]).await;
    let bob = add_bob(&home);
    let beside = measured_restore(&home, &[]).await;
    assert_eq!(
        (bob.email_count(), &beside.ended.objects()[0]["restored"]),
        (emails as usize, &emails.into())
    );
    // The smaller of two: beside other work, buffers of the same command are sometimes larger.
    let mut least = f64::MAX;
    for _ in 0..2 {
        let missing = measured_restore(&home, &["--mode", "missing"]).await;
        assert_eq!(missing.ended.objects()[0]["present"], emails);
        least = least.min(missing.peak);
    }
    [beside.peak, least]
}

/// Importing fills buffers until there are some 200,000 emails, so that its slope says nothing yet: it has a bound here, and
/// `make soak` shows the million. Looking for what is there grows evenly.
#[tokio::test(flavor = "multi_thread")]
async fn by_the_slope_looking_for_a_million_emails_takes_less_than_128_mib_and_importing_some_less_than_80() {
    const FEW: u32 = 20_000;
    const MANY: u32 = 3 * FEW;
    let ([_, few], [importing, many]) = (restores_of(FEW).await, restores_of(MANY).await);
    let slope = ((many - few) / f64::from(MANY - FEW)).max(0.0);
    let million = many + slope * f64::from(1_000_000 - MANY);
    println!("{:.0} bytes an email; a million would take {million:.1} MiB", slope * f64::from(1 << 20));
    assert!(few > 1.0 && million < MOST, "{few} MiB, {many} MiB: a million would take {million} MiB");
    assert!(importing < 80.0, "{importing} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_back_one_email_of_100_mb_takes_less_than_128_mib() {
    let home = home_of(10, Sizes::tiny()).await;
    let large = home.alice().deliver_large(100_000_000);
    home.measured_backup(&[]).await;
    // He keeps the bytes: exactly is restored only what can be backed up before.
    home.sim.set_version(Version::V0_15);
    let bob = home.sim.add_account(&AccountSpec::new(BOB, PASSWORD).bare());
    let limits = Limits { max_size_upload: 200_000_000, ..Limits::default() };
    home.sim.set_limits(limits);
    for mode in ["beside", "exact"] {
        small(&measured_restore(&home, &["--mode", mode, "--yes"]).await, MOST);
        let given = bob.emails().into_iter().max_by_key(|email| email.size).expect("it is there");
        assert_eq!(bob.digest(&given.id), home.alice().digest(&large), "{mode}");
    }
}
