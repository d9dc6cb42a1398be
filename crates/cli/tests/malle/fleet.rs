//! The fleet's roles and commands as processes, on services of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use catalog::{Catalog, ClaimAnswer, Failure, Settings};
use model::{Clock, ErrorClass, JobId, JobState, SignedDuration, SystemClock};
use serde_json::Value;
use testkit::stride;
use tests::fleet::{Fleet, Plan, TOKEN, chaos, drain, night};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;
use url::Url;

use crate::door::{Door, certify};

fn malle() -> PathBuf {
    env!("CARGO_BIN_EXE_malle").into()
}

fn small() -> Plan {
    Plan { mailboxes: 12, emails: 10, workers: 1, slots: 2, has_own_broker: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_makes_one_good_backup_for_each_slot_that_is_due() {
    let table = night(malle(), Plan { workers: 2, ..Plan::night(60) }).await.expect("a night");
    println!("{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_drain_lose_no_attempt_and_no_work() {
    let table = drain(malle()).await.expect("a drain");
    println!("{table}");
}

/// A test for each seed: they may run apart, and one that failed is named.
macro_rules! chaos_of_seeds {
    ($($name:ident $seed:literal)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if !$seed.is_multiple_of(stride(5)) {
                println!("SKIPPED: `make soak` runs it");
                return;
            }
            match chaos::chaos(malle(), $seed as u64).await {
                Ok(outcome) => println!("{outcome}"),
                Err(error) => panic!("{error:?}"),
            }
        }
    )*};
}

chaos_of_seeds! {
    chaos_of_seed_0 0_usize chaos_of_seed_1 1_usize chaos_of_seed_2 2_usize chaos_of_seed_3 3_usize chaos_of_seed_4 4_usize
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_ask_is_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut fleet = Fleet::start(malle(), dir.path().to_owned(), &small()).await.expect("starts");
    let checked = fleet.run(&["config", "check", "--json"]).await.expect("nothing is wrong");
    assert!(checked.lines().count() >= 8, "{checked}");
    assert!(checked.lines().all(|line| line.contains("\"ok\":true")), "{checked}");

    // Every third mailbox is on a personal plan: no backups by hand.
    let restore = ["enqueue", "user1@example.org", "--restore", "1", "--mode"];
    for (args, code, said) in [
        (vec!["enqueue", "user0@example.org"], 18, "personal plan"),
        (vec!["enqueue", "nobody@example.org"], 6, "no such mailbox"),
        ([&restore[..], &["exact"]].concat(), 2, "--yes"),
        ([&restore[..], &["missing", "--select", " "]].concat(), 2, "empty"),
        ([&restore[..], &["missing"]].concat(), 6, "no backup of this number"),
        (vec!["dlq", "drop", "nothing"], 6, "not there"),
        (vec!["dlq", "redrive", "nothing"], 6, "not there"),
    ] {
        let ended = fleet.malle(&args).output().await.expect("malle runs");
        let err = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.code() == Some(code) && err.contains(said),
            "{args:?}: {:?} {err}",
            ended.status
        );
    }
    let first = fleet.run(&["enqueue", "user1@example.org", "--key", "k", "--json"]).await.expect("a job");
    let again = fleet.run(&["enqueue", "user1@example.org", "--key", "k", "--json"]).await.expect("the same");
    let job = |answer: &str| serde_json::from_str::<Value>(answer).expect("JSON")["job"].clone();
    assert_eq!(job(&first), job(&again));

    let top: Value = serde_json::from_str(&fleet.run(&["top", "--json"]).await.expect("top")).expect("JSON");
    assert_eq!(top["jobs"]["manual"]["waiting"], 1, "{top}");
    assert!(fleet.run(&["top"]).await.expect("top").contains("manual"));
    assert_eq!(fleet.run(&["dlq", "list"]).await.expect("no dead letters"), "");
    assert_eq!(fleet.run(&["dlq", "redrive", "--all"]).await.expect("none to redrive"), "0 redriven\n");
    let kept = fleet.run(&["mailbox", "expired"]).await.expect_err("they are kept for ever").to_string();
    assert!(kept.contains("plan.keep_gone_days"), "{kept}");
    let a_day = fleet.launcher.clone().with(&[("MALLE__PLAN__KEEP_GONE_DAYS", "1")]);
    assert_eq!(a_day.run(&["mailbox", "expired"]).await.expect("none is gone"), "");
    // Again: nothing to do.
    assert!(fleet.run(&["migrate"]).await.expect("migrates").starts_with("0 migrations"));

    dead_jobs_are_listed_redriven_and_dropped(&fleet, JobId(job(&first).as_u64().expect("a number"))).await;
    is_told_line_by_line_what_is_wrong(&fleet).await;
    is_told_what_roles_would_refuse(&fleet).await;
    keys_of_the_store_itself_count(&fleet).await;
    watching_goes_on_without_postgres(&mut fleet).await;
    services_behind_tls(&mut fleet, dir.path()).await;
}

/// On a terminal, which `script` makes.
async fn watching_goes_on_without_postgres(fleet: &mut Fleet) {
    let command = format!("{} top", malle().display());
    let mut watching = tokio::process::Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
        .envs(fleet.environment())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("script begins");
    let mut screen = BufReader::new(watching.stdout.take().expect("piped")).lines();
    let mut shows = async |what: &str| {
        let found = async {
            while let Some(line) = screen.next_line().await.expect("UTF-8") {
                if line.contains(what) {
                    return;
                }
            }
            panic!("it ended before it showed {what:?}");
        };
        timeout(Duration::from_secs(60), found).await.unwrap_or_else(|_| panic!("it never showed {what:?}"));
    };
    shows("OVERDUE  personal 0").await;
    fleet.postgres.stop().expect("stops");
    shows("failed to ask Postgres").await;
    fleet.postgres.start_again().await.expect("starts again");
    shows("OVERDUE  personal 0").await;
}

async fn dead_jobs_are_listed_redriven_and_dropped(fleet: &Fleet, job: JobId) {
    let catalog = Catalog::connect(&Settings::new(fleet.postgres.url(), "test")).await.expect("connects");
    let dies = async || {
        let claimed =
            catalog.claim(job, "w", SystemClock.now(), SignedDuration::from_secs(9)).await.expect("claims");
        let ClaimAnswer::Claimed(claimed) = claimed else { panic!("not claimed: {claimed:?}") };
        let failure = Failure { class: ErrorClass::Permanent, text: "no\nroute" };
        catalog.bury(&claimed.claim, &failure).await.expect("it is held");
    };
    assert_eq!(fleet.run(&["job", "dead"]).await.expect("none"), "");
    dies().await;
    let listed = fleet.run(&["job", "dead", "--json"]).await.expect("one");
    let listed: Value = serde_json::from_str(&listed).expect("one line of JSON");
    assert_eq!((&listed["job"], &listed["kind"]), (&job.0.into(), &"manual".into()), "{listed}");
    assert_eq!((&listed["class"], &listed["error"]), (&"permanent".into(), &"no\nroute".into()));
    assert!(listed["at"].is_string() && listed["mailbox"].is_u64(), "{listed}");
    let line = fleet.run(&["job", "dead"]).await.expect("one");
    assert!(line.lines().count() == 1 && line.contains("permanent: no route"), "{line}");

    assert_eq!(fleet.run(&["job", "dead", "--kind", "nightly"]).await.expect("none"), "");
    let other = fleet.run(&["job", "redrive", "--all", "--kind", "nightly"]).await;
    assert_eq!(other.expect("none to redrive"), "0 redriven\n");
    let number = job.0.to_string();
    for again in [&["job", "redrive", "--all"], &["job", "redrive", number.as_str()]] {
        assert_eq!(fleet.run(again).await.expect("it waits again"), "1 redriven\n");
        let lives = fleet.run(&["job", "drop", &number]).await.expect_err("it waits").to_string();
        assert!(lives.contains("there is no dead job"), "{lives}");
        dies().await;
    }
    assert_eq!(fleet.run(&["job", "drop", &number]).await.expect("it was dead"), "1 dropped\n");
    let over = catalog.job(job).await.expect("it answers").expect("it is kept a while");
    assert_eq!(over.state, JobState::Cancelled);
}

async fn is_told_line_by_line_what_is_wrong(fleet: &Fleet) {
    let wrong = [
        ("MALLE__PRODUCTION_ZONE", "there"),
        ("MALLE__REDIS__URL", "redis://127.0.0.1:9"),
        ("MALLE__PRODUCER__SILENT_SECONDS", "44"),
    ];
    let (code, failed) = checked(fleet, &wrong.map(|(name, value)| (name, value.to_owned()))).await;
    assert_eq!((code, failed.len()), (Some(2), 3), "{failed:?}");
    for (line, what) in failed.iter().zip(["silent_seconds", "production's own zone", "redis"]) {
        assert!(line.contains(what), "{failed:?}");
    }
}

/// What lets a role end at once is found before.
async fn is_told_what_roles_would_refuse(fleet: &Fleet) {
    let token = fleet.launcher.dir().join("token");
    std::fs::write(&token, "too short").expect("written");
    let slots =
        ["MANUAL", "RESTORE", "NIGHTLY", "WEEKEND", "VERIFY"].map(|kind| format!("MALLE__WORKER__{kind}"));
    let wrong = slots.iter().map(|name| (name.as_str(), "0".to_owned())).chain([
        ("MALLE__TELEMETRY__LOG", "malle=loudly".to_owned()),
        ("MALLE__TELEMETRY__LISTEN", "192.0.2.1:9464".to_owned()),
    ]);
    let (_, failed) = checked(fleet, &wrong.collect::<Vec<_>>()).await;
    assert_eq!(failed.len(), 4, "{failed:?}");
    for (line, what) in failed.iter().zip(["shorter than 32", "no slot", "malle=loudly", "192.0.2.1"]) {
        assert!(line.contains(what), "{failed:?}");
    }
    std::fs::write(&token, TOKEN).expect("written");

    let one_for_two = ("MALLE__TELEMETRY__LISTEN", format!("0.0.0.0:{}", fleet.api));
    let (_, failed) = checked(fleet, &[("MALLE__TELEMETRY__OTLP", "no url".to_owned()), one_for_two]).await;
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0].contains("traces") && failed[1].contains("both"), "{failed:?}");
}

/// What the environment says of buckets is for stores without keys of their own.
async fn keys_of_the_store_itself_count(fleet: &Fleet) {
    let misleading = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"];
    let (_, failed) = checked(fleet, &misleading.map(|name| (name, "misleading".to_owned()))).await;
    assert_eq!(failed, [""; 0]);
}

/// Postgres' own TLS, and a door before each of the others.
async fn services_behind_tls(fleet: &mut Fleet, dir: &Path) {
    let certified = certify(dir);
    fleet.postgres.restart_with_tls(&certified.certificate, &certified.key).await.expect("starts again");
    let redis = Door::open(&certified, &fleet.redis.address()).await;
    let rabbitmq = Door::open(&certified, &fleet.rabbitmq.address()).await;
    let postgres = Url::parse(&fleet.postgres.url()).expect("a URL").port().expect("a port");
    let uri = Url::parse(&fleet.rabbitmq.uri(tests::fleet::VHOST)).expect("a URL");
    let vhost = uri.path();
    let urls = [
        (
            "MALLE__POSTGRES__URL",
            format!("postgres://malle@127.0.0.1:{postgres}/postgres?sslmode=verify-full"),
        ),
        ("MALLE__REDIS__URL", format!("rediss://{}", redis.address)),
        ("MALLE__RABBITMQ__URL", format!("amqps://malle@{}{vhost}", rabbitmq.address)),
    ];
    let (code, failed) = checked(fleet, &urls).await;
    assert_eq!(
        (code, failed.len()),
        (Some(2), 3),
        "an authority that nobody named is not trusted: {failed:?}"
    );
    for line in &failed {
        assert!(line.contains("certificate"), "{line}");
    }
    let authority = certified.authority.display().to_string();
    let files = ["POSTGRES", "REDIS", "RABBITMQ"].map(|service| format!("MALLE__{service}__CA_FILE"));
    let trusting =
        files.iter().map(|name| (name.as_str(), authority.clone())).chain(urls).collect::<Vec<_>>();
    assert_eq!(checked(fleet, &trusting).await, (Some(0), Vec::new()));
    // Whoever names an authority wants TLS.
    let plain = [
        (files[0].as_str(), authority.clone()),
        ("MALLE__POSTGRES__URL", format!("postgres://malle@127.0.0.1:{postgres}/postgres?sslmode=disable")),
    ];
    let (_, failed) = checked(fleet, &plain).await;
    assert!(failed.len() == 1 && failed[0].contains("forbids TLS"), "{failed:?}");
}

/// How `malle config check` ends in this environment, and its lines about what is wrong.
async fn checked(fleet: &Fleet, environment: &[(&str, String)]) -> (Option<i32>, Vec<String>) {
    let mut command = fleet.malle(&["config", "check"]);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let ended = command.output().await.expect("it runs");
    let said = String::from_utf8(ended.stdout).expect("UTF-8");
    let failed = said.lines().filter(|line| line.starts_with("FAILED")).map(str::to_owned);
    (ended.status.code(), failed.collect())
}
