//! What platform people see of a fleet: mailboxes that a server names, traces, metrics, health, and nothing that is secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use catalog::{Address, Catalog, Settings};
use model::{BackupState, JobId, JobState, LogPosition, MailboxId};
use serde_json::{Value, json};
use sim_stalwart::{Effect, Fault, Target};
use tests::fleet::{Fleet, Plan, TOKEN, address};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

const LIMIT: Duration = Duration::from_secs(90);
/// Of who asks.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// Whose backups go to a store of another provider in another zone.
const FAR: u32 = 5;

/// Waits for something to be true.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < LIMIT, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{what}: {:.1} s", started.elapsed().as_secs_f32());
}

async fn terminated(mut role: Child) {
    let id = role.id().expect("it runs").to_string();
    Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs");
    assert!(role.wait().await.expect("it ends").success());
}

/// Number, address, group.
type Principal = (u64, &'static str, &'static str);

/// Accounts of a Stalwart 0.15.
#[derive(Clone, Default)]
struct Principals(Arc<Mutex<Vec<Principal>>>);

impl Principals {
    fn are(&self, principals: &[Principal]) {
        *self.0.lock().expect("nobody panics") = principals.to_vec();
    }

    async fn serve(&self) -> (String, AbortOnDropHandle<()>) {
        let list = |State(Principals(all)): State<Principals>| async move {
            let all = all.lock().expect("nobody panics").clone();
            let item = |(id, address, group): &Principal| json!({"id": id, "name": address, "emails": [address], "memberOf": [group]});
            let items: Vec<Value> = all.iter().map(item).collect();
            Json(json!({"data": {"items": items, "total": all.len()}}))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new().route("/api/principal", get(list)).with_state(self.clone());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        (url, AbortOnDropHandle::new(serving))
    }
}

/// A fleet whose configuration names a second server, which lists its mailboxes.
struct Seen {
    dir: PathBuf,
    fleet: Fleet,
    catalog: Catalog,
    principals: Principals,
    _listing: AbortOnDropHandle<()>,
}

impl Seen {
    async fn start(dir: &Path) -> Seen {
        let plan = Plan { mailboxes: 12, emails: 10, workers: 2, slots: 2, has_own_broker: true };
        let malle = env!("CARGO_BIN_EXE_malle").into();
        let fleet = Fleet::start(malle, dir.to_owned(), &plan).await.expect("starts");
        let principals = Principals::default();
        let (url, listing) = principals.serve().await;
        let more = format!(
            "[[producer.rules]]\ngroup = \"pro\"\nplan = \"professional\"\n\
             [[producer.rules]]\ndomain = \"private.example.org\"\nplan = \"personal\"\n\
             [[servers]]\nname = \"listed\"\nurl = {url:?}\nuser = \"malle@example.org\"\n\
             password = {{ file = {:?} }}\n\
             discover = {{ by = \"rest\", every_seconds = 1, missing_for_hours = 0, drop_at_most_percent = 40 }}\n\
             [[stores]]\nname = \"directory\"\nzone = \"elsewhere\"\nurl = \"file://{}\"\n",
            dir.join("agent"),
            dir.join("store").display()
        );
        let file = OpenOptions::new().append(true).open(dir.join("malle.toml"));
        file.expect("it is there").write_all(more.as_bytes()).expect("it is written");
        std::fs::write(dir.join("zones.csv"), format!("address,zone\n{},elsewhere\n", address(FAR)))
            .expect("written");
        fleet.run(&["init"]).await.expect("makes the one that is not there yet");
        let zones = dir.join("zones.csv").display().to_string();
        fleet.run(&["mailbox", "import", &zones, "--server", "simulated"]).await.expect("it is listed");
        let settings = Settings::new(fleet.postgres.url(), "test");
        let catalog = Catalog::connect(&settings).await.expect("connects");
        Seen { dir: dir.to_owned(), fleet, catalog, principals, _listing: listing }
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).expect("it is there")
    }

    /// Status and answer of a role's own port.
    async fn ready(&self, port: usize) -> (u16, Value) {
        match self.fleet.get(self.fleet.metrics[port], "/health/ready").await {
            Ok((status, body)) => (status, serde_json::from_slice(&body).expect("JSON")),
            Err(_) => (0, Value::Null),
        }
    }

    async fn all_ready(&self, ports: &[usize]) -> bool {
        for port in ports {
            if self.ready(*port).await.0 != 200 {
                return false;
            }
        }
        true
    }

    /// These roles say that this is what they lack, and nothing else.
    async fn all_lack(&self, ports: &[usize], what: &str) -> bool {
        for port in ports {
            let (status, body) = self.ready(*port).await;
            let named: Vec<&String> =
                body["failing"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
            if status != 503 || named != [what] {
                return false;
            }
        }
        true
    }

    async fn metrics(&self, port: usize) -> String {
        let (_, text) = self.fleet.get(self.fleet.metrics[port], "/metrics").await.expect("it answers");
        String::from_utf8(text).expect("text")
    }

    async fn gone(&self, address: &str) -> Option<bool> {
        let found = self.catalog.mailboxes_at(&Address::from(address)).await.expect("it answers");
        found.first().map(|mailbox| mailbox.gone_at.is_some())
    }

    async fn is(&self, job: JobId, state: JobState) -> bool {
        self.catalog.job(job).await.expect("it answers").is_some_and(|job| job.state == state)
    }

    /// A backup by hand through the command line.
    async fn enqueued(&self, mailbox: u32) -> JobId {
        let asked = self.fleet.run(&["enqueue", &address(mailbox), "--json"]).await.expect("a job");
        let asked: Value = serde_json::from_str(&asked).expect("JSON");
        JobId(asked["job"].as_u64().expect("a number"))
    }

    /// A backup by hand through the HTTP API, in the trace of who asks.
    async fn asked(&self, mailbox: u32) -> JobId {
        let head = format!(
            "POST /v1/backups HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
             Idempotency-Key: of {mailbox}\r\ntraceparent: 00-{TRACE}-{PARENT}-01"
        );
        let body = json!({"address": address(mailbox)}).to_string();
        let api = format!("127.0.0.1:{}", self.fleet.api);
        let (status, answer) = testkit::http(&api, &head, body.as_bytes()).await.expect("it answers");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(status, 202, "{answer}");
        JobId(answer["job"].as_u64().expect("a job"))
    }
}

/// One process writes to a bucket and to a directory, each in its zone; both are read when the catalogue is made anew.
async fn backups_lie_in_two_stores(seen: &Seen) {
    for (mailbox, expected) in [(1, ("far", "there")), (FAR, ("directory", "elsewhere"))] {
        let found =
            seen.catalog.mailboxes_at(&Address::from(address(mailbox).as_str())).await.expect("it answers");
        let newest = seen.catalog.backups_of(found[0].id, None, 1).await.expect("it answers").remove(0).facts;
        assert_eq!((newest.store.as_str(), newest.zone.as_str()), expected);
    }
    let read = seen.fleet.run(&["catalog", "rebuild", "--dry-run", "--json"]).await.expect("both are read");
    let read: Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!(
        (&read["mailboxes"], &read["backups"], &read["unreadable"]),
        (&json!(8), &json!(8), &json!(0))
    );
}

/// The server names mailboxes, rules give them plans, the rest is reported; what it names no more is gone.
async fn mailboxes_come_from_the_server(seen: &Seen) {
    const NAMES: [&str; 3] = ["a@corp.example.org", "b@private.example.org", "c@nowhere.example.org"];
    let all = [(7, NAMES[0], "pro"), (8, NAMES[1], ""), (9, NAMES[2], "")];
    seen.principals.are(&all);
    until("they are listed", async || seen.gone(NAMES[2]).await == Some(false)).await;
    until("one is without a plan", async || {
        let text = seen.metrics(0).await;
        text.contains("malle_unplanned_mailboxes 1\n")
            && text.contains("malle_mailboxes{plan=\"personal\"} 5\n")
    })
    .await;
    seen.principals.are(&all[1..]);
    until("who is not named is gone", async || seen.gone(NAMES[0]).await == Some(true)).await;
    assert_eq!(seen.gone(NAMES[1]).await, Some(false));
    // Half of them at once: a listing with holes.
    seen.principals.are(&all[2..]);
    until("a listing with holes is told", async || seen.log("produce-0.log").contains("more than 40 %"))
        .await;
    assert_eq!(seen.gone(NAMES[1]).await, Some(false));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names of its spans from the last upload upwards, and who is above them all.
fn way_of_the_last_upload(all: &[tests::fleet::Span]) -> (Vec<&str>, String) {
    let by_id: BTreeMap<String, _> = all.iter().map(|span| (hex(&span.span_id), span)).collect();
    let uploads = all.iter().filter(|span| span.name == "upload" && hex(&span.trace_id) == TRACE);
    let mut way = Vec::new();
    let mut at = uploads.max_by_key(|span| span.end_time_unix_nano).map(|span| hex(&span.span_id));
    let mut above = String::new();
    while let Some(span) = at.as_ref().and_then(|id| by_id.get(id)) {
        way.push(span.name.as_str());
        above = hex(&span.parent_span_id);
        at = Some(above.clone());
    }
    (way, above)
}

/// From who asks, over the API, the queue and the worker to what is uploaded; what another worker goes on with is linked.
async fn one_trace_leads_from_the_request_to_the_last_upload(seen: &Seen, worker: Child) -> Child {
    let first = seen.asked(1).await;
    until("the first is done", async || seen.is(first, JobState::Done).await).await;
    let spans = async || seen.fleet.traces.spans().expect("protobuf");
    // Each process sends its spans every few seconds.
    until("the way from the last upload to who asked is known", async || {
        let all = spans().await;
        let (way, from) = way_of_the_last_upload(&all);
        way == ["upload", "snapshot", "job", "ticket", "api"] && from == PARENT
    })
    .await;

    // Its worker is told to end while the server takes its time; another one goes on.
    let account = seen.fleet.simulator.account(&address(2)).expect("it was made");
    account.deliver(format!("Subject: news\r\n\r\nFor {}\r\n", address(2)), &[], &[]);
    let slow = Fault::new(Target::Session, Effect::Delay(Duration::from_secs(60)));
    let slow = seen.fleet.simulator.faults().add(slow);
    let second = seen.asked(2).await;
    until("it runs", async || seen.is(second, JobState::Running).await).await;
    terminated(worker).await;
    seen.fleet.simulator.faults().remove(slow);
    assert!(seen.is(second, JobState::Waiting).await, "it was put down");
    let other = seen.fleet.role("work", 2).expect("it starts");
    until("the second is done", async || seen.is(second, JobState::Done).await).await;
    let of = second.0.to_string();
    let is_of = |span: &&tests::fleet::Span| {
        span.attributes.iter().any(|one| one.key == "job" && format!("{:?}", one.value).contains(&of))
    };
    until("the later job and ticket are linked", async || {
        let all = spans().await;
        let linked = |name: &str| {
            let mut found = all.iter().filter(|span| span.name == name).filter(is_of);
            found.find(|span| hex(&span.trace_id) != TRACE && !span.links.is_empty()).cloned()
        };
        let (Some(job), Some(ticket)) = (linked("job"), linked("ticket")) else { return false };
        assert_eq!(hex(&ticket.links[0].trace_id), TRACE);
        assert_eq!(job.links[0].trace_id, ticket.trace_id);
        true
    })
    .await;
    other
}

/// The table in the README of `telemetry` is what a fleet serves.
async fn metrics_are_those_of_the_table(seen: &Seen, worker: usize) {
    // Spans leave in batches, and count once the collector has answered.
    let none = "malle_spans_exported_total 0";
    until("spans were exported", async || !seen.metrics(worker).await.lines().any(|line| line == none)).await;
    let listed: BTreeSet<&str> = include_str!("../../../telemetry/README.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.starts_with("malle_"))
        .collect();
    let (producer, worker) = (seen.metrics(0).await, seen.metrics(worker).await);
    let served: BTreeSet<&str> = producer
        .lines()
        .chain(worker.lines())
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert_eq!(served, listed);
    let value = |text: &str, series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).parse::<f64>().expect("a number")
    };
    for counted in [
        "malle_read_bytes_total",
        "malle_read_emails_total",
        "malle_stored_bytes_total",
        "malle_job_slices_total{kind=\"manual\"}",
        "malle_backups_total{state=\"good\"}",
        "malle_server_request_duration_seconds_count{server=\"simulated\"}",
        "malle_spans_exported_total",
    ] {
        assert!(value(&worker, counted) > 0.0, "{counted}");
    }
    for counted in [
        "malle_jobs_planned_total{kind=\"nightly\"}",
        "malle_tickets_published_total{kind=\"manual\"}",
        "malle_newest_good_backup_age_seconds{percentile=\"100\",plan=\"professional\"}",
        "malle_newest_backups{state=\"good\"}",
    ] {
        assert!(value(&producer, counted) > 0.0, "{counted}");
    }
}

/// What workers remember is not what the store shows, as after the store was put back to an older copy.
async fn another_history_is_accepted_when_somebody_says_so(seen: &Seen) {
    let at = seen.catalog.mailboxes_at(&address(7).as_str().into()).await.expect("it answers");
    let newest = seen.catalog.backups_of(at[0].id, None, 1).await.expect("it answers").remove(0);
    let store = newest.facts.store;
    let position =
        async || seen.catalog.log_position(at[0].id, &store).await.expect("it answers").expect("one");
    let before = position().await;
    let lost = LogPosition { number: before.number + 3, digest: [7; 32] };
    seen.catalog.remember_log(at[0].id, &store, &lost).await.expect("it is written");
    let accept = ["mailbox", "accept-history", &address(7)];
    let said = seen.fleet.run(&accept).await.expect("it is accepted");
    assert!(said.contains(&format!("log entry {} was remembered", lost.number)), "{said}");
    assert_eq!(position().await.number, before.number + 1, "behind the entry that says so");
    let again = seen.fleet.run(&accept).await.expect("nothing is left");
    assert!(again.starts_with("nothing to accept"), "{again}");
    let job = seen.enqueued(7).await;
    until("a backup behind it", async || seen.is(job, JobState::Done).await).await;
    let unknown = seen.fleet.run(&["mailbox", "accept-history", "nobody@example.org"]).await;
    assert!(unknown.expect_err("there is none").to_string().contains("no such mailbox"));
}

/// The mailbox whose store is a directory.
struct Far<'a> {
    seen: &'a Seen,
    mailbox: MailboxId,
    there: PathBuf,
}

impl<'a> Far<'a> {
    async fn of(seen: &'a Seen) -> Far<'a> {
        let at = seen.catalog.mailboxes_at(&address(FAR).as_str().into()).await.expect("it answers");
        Far { seen, mailbox: at[0].id, there: seen.dir.join("store/mailboxes") }
    }

    /// States of its backups, the newest first.
    async fn states(&self) -> Vec<BackupState> {
        let all = self.seen.catalog.backups_of(self.mailbox, None, 100).await.expect("it answers");
        all.iter().map(|backup| backup.facts.state).collect()
    }

    async fn ends(&self, state: JobState) {
        let job = self.seen.enqueued(FAR).await;
        until("it ends", async || self.seen.is(job, state).await).await;
    }

    async fn accept(&self, more: &[&str]) -> anyhow::Result<String> {
        self.seen.fleet.run(&[&["mailbox", "accept-history", &address(FAR)][..], more].concat()).await
    }
}

async fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([from, to]).status().await;
    assert!(copied.expect("cp runs").success());
}

/// A store is put back to an older copy. No worker goes on by itself.
async fn a_store_that_was_rolled_back_goes_on_when_somebody_says_so(seen: &Seen) {
    let far = Far::of(seen).await;
    let (good, old) = (far.states().await.len(), seen.dir.join("old"));
    copy(&far.there, &old).await;
    for _ in 0..3 {
        far.ends(JobState::Done).await;
    }
    std::fs::remove_dir_all(&far.there).expect("ours");
    copy(&old, &far.there).await;
    let marked = [vec![BackupState::Damaged; 3], vec![BackupState::Good; good]].concat();
    let job = seen.enqueued(FAR).await;
    until("the backup that fails marks them", async || far.states().await == marked).await;
    // It would be tried again in a minute.
    seen.catalog.cancel(job).await.expect("it answers");
    until("it is over", async || seen.is(job, JobState::Cancelled).await).await;
    let said = far.accept(&[]).await.expect("it is accepted");
    assert!(said.contains("goes on behind"), "{said}");
    for _ in 0..3 {
        // They have the log's numbers that lost ones had.
        far.ends(JobState::Done).await;
    }
    assert_eq!(far.states().await, [vec![BackupState::Good; 3], marked].concat());
}

/// A store loses everything of a mailbox. No worker starts a new history by itself.
async fn a_mailbox_that_is_gone_starts_again_when_somebody_says_so(seen: &Seen) {
    let far = Far::of(seen).await;
    let backups = far.states().await.len();
    std::fs::remove_dir_all(&far.there).expect("it was the only one there");
    far.ends(JobState::Dead).await;
    let refused = far.accept(&[]).await.expect_err("is it the right ring?").to_string();
    assert!(refused.contains("--new-history"), "{refused}");
    let said = far.accept(&["--new-history"]).await.expect("it is accepted");
    assert!(said.contains("starts a new history"), "{said}");
    assert_eq!(far.states().await, vec![BackupState::Damaged; backups]);
    far.ends(JobState::Done).await;
    assert_eq!(far.states().await[0], BackupState::Good);
}

/// Redis may be away; without Postgres or RabbitMQ nobody is ready, and says why.
async fn health_tells_what_is_away(seen: &mut Seen, worker: usize) {
    let roles = [0, worker];
    until("both are ready", async || seen.all_ready(&roles).await).await;
    seen.fleet.redis.stop();
    let job = seen.asked(4).await;
    until("a backup without Redis", async || seen.is(job, JobState::Done).await).await;
    assert!(seen.all_ready(&roles).await, "slower, never wrong");
    seen.fleet.redis.restart().await.expect("starts again");

    seen.fleet.postgres.stop().expect("stops");
    until("Postgres is missed", async || seen.all_lack(&roles, "postgres").await).await;
    seen.fleet.postgres.start_again().await.expect("starts again");
    until("both are ready with Postgres", async || seen.all_ready(&roles).await).await;

    seen.fleet.rabbitmq.stop();
    until("RabbitMQ is missed", async || seen.all_lack(&roles, "rabbitmq").await).await;
    seen.fleet.rabbitmq.restart().await.expect("starts again");
    until("both are ready with RabbitMQ", async || seen.all_ready(&roles).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fleet_shows_to_platform_people_is_true_and_tells_no_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut seen = Seen::start(dir.path()).await;
    let producer = seen.fleet.role("produce", 0).expect("it starts");
    mailboxes_come_from_the_server(&seen).await;
    let worker = seen.fleet.role("work", 1).expect("it starts");
    until("the night is over", async || {
        let newest = seen.catalog.newest_backups().await.expect("it answers");
        newest.iter().map(|(_, mailboxes)| mailboxes).sum::<u64>() >= 8
    })
    .await;
    backups_lie_in_two_stores(&seen).await;
    let worker = one_trace_leads_from_the_request_to_the_last_upload(&seen, worker).await;
    metrics_are_those_of_the_table(&seen, 2).await;
    another_history_is_accepted_when_somebody_says_so(&seen).await;
    a_store_that_was_rolled_back_goes_on_when_somebody_says_so(&seen).await;
    a_mailbox_that_is_gone_starts_again_when_somebody_says_so(&seen).await;
    health_tells_what_is_away(&mut seen, 2).await;
    seen.fleet.check_silent().await.expect("nothing secret is said");
    for role in [worker, producer] {
        terminated(role).await;
    }
    seen.fleet.check_silent().await.expect("nor at the end");
    std::fs::write(dir.path().join("careless.log"), format!("for {}", address(1))).expect("written");
    let error = seen.fleet.check_silent().await.expect_err("it would be seen").to_string();
    assert!(error.contains("careless"), "{error}");
}
