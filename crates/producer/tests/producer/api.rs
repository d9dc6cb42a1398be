use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use catalog::{ClaimAnswer, Facts, NewBackup, RateLimit};
use model::{BackupNumber, BackupState, Clock, JobId, MailboxId, Plan, SignedDuration, SnapshotNumber};
use producer::{
    Api, ApiSettings, ApiToken, Asking, Connections, RequestSettings, Rules, Scope, Secret, openapi,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::room::{DOMAIN, Room, SERVER, listed, no_leak_in_logs};

const TOKEN: &str = "a-token-of-thirty-two-characters-and-more";
const OTHER: &str = "another-token-of-thirty-two-characters-or-so";

pub(crate) struct Served {
    pub(crate) room: Room,
    address: SocketAddr,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

pub(crate) fn settings() -> ApiSettings {
    let token = |name: &str, secret| ApiToken {
        name: name.to_owned(),
        secret: Secret::new(secret),
        scopes: Scope::ALL.into(),
        tenants: None,
    };
    let rules: Rules = serde_json::from_value(json!([
        {"tenant": "acme", "plan": "professional"},
        {"domain": "ruled.example", "plan": "personal"},
    ]))
    .unwrap();
    ApiSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        connections: Connections::default(),
        tokens: vec![token("one", TOKEN), token("two", OTHER)],
        rules,
        servers: vec!["s".to_owned(), SERVER.to_owned()],
        zones: vec!["elsewhere".to_owned()],
    }
}

/// A language of one word.
fn read_selection(text: &str) -> Result<(), String> {
    text.strip_prefix("folder:").map(drop).ok_or_else(|| "it names no folder".to_owned())
}

impl Served {
    async fn new() -> Served {
        Served::with(settings()).await
    }

    pub(crate) async fn with(settings: ApiSettings) -> Served {
        let room = Room::new().await;
        let clock: std::sync::Arc<dyn Clock> = room.clock.clone();
        let limit =
            RateLimit { requests: NonZeroU32::new(3).unwrap(), interval: SignedDuration::from_hours(1) };
        let limited = RequestSettings { limit, ..RequestSettings::default() };
        let asking = Asking::new(room.catalog.clone(), clock.clone(), limited, read_selection);
        let api = Api::bind(&settings, room.catalog.clone(), asking, clock).await.unwrap();
        let (address, stop) = (api.address(), CancellationToken::new());
        let serving = tokio::spawn(api.serve(stop.clone()));
        Served { room, address, stop, serving }
    }

    pub(crate) async fn ask_as(
        &self,
        token: &str,
        line: &str,
        headers: &[&str],
        body: &Value,
    ) -> (u16, Value) {
        let mut head = format!("{line} HTTP/1.1\r\nContent-Type: application/json");
        if !token.is_empty() {
            head += &format!("\r\nAuthorization: Bearer {token}");
        }
        for header in headers {
            head += &format!("\r\n{header}");
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) =
            testkit::http(&self.address.to_string(), &head, body.as_bytes()).await.unwrap();
        let answer = if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() };
        (status, answer)
    }

    async fn ask(&self, line: &str, key: &str, body: Value) -> (u16, Value) {
        self.ask_as(TOKEN, line, &[&format!("Idempotency-Key: {key}")], &body).await
    }

    async fn backup(&self, key: &str, mailbox: MailboxId) -> (u16, Value) {
        self.ask("POST /v1/backups", key, json!({"mailbox": mailbox.0})).await
    }

    async fn refused(&self, line: &str, key: &str, body: Value, status: u16, word: &str) -> Value {
        let (found, answer) = self.ask(line, key, body).await;
        assert_eq!(
            (found, answer["type"].as_str()),
            (status, Some(&*format!("urn:malle:problem:{word}"))),
            "{answer}"
        );
        assert_eq!(answer["status"], status);
        answer
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
        no_leak_in_logs("answered", &[TOKEN, OTHER]);
    }
}

#[tokio::test]
async fn backups_by_hand_are_granted_once_a_key_and_refused_with_the_reason() {
    let served = Served::new().await;
    let ids = served.room.mailboxes(Plan::Professional, 2).await;
    let personal = served.room.mailboxes(Plan::Personal, 1).await[0];
    let first = served.backup("k1", ids[0]).await;
    assert_eq!((first.0, &first.1["new"]), (202, &json!(true)));
    let job = first.1["job"].clone();
    let again = json!({"job": job, "new": false});
    assert_eq!(served.backup("k1", ids[0]).await, (202, again.clone()), "the same key is the same request");
    assert_eq!(served.backup("k2", ids[0]).await, (202, again.clone()), "one unfinished backup by hand");
    let by_address = json!({"address": format!("PROFESSIONAL0@{DOMAIN}")});
    assert_eq!(served.ask("POST /v1/backups", "k1", by_address).await, (202, again), "by its address");

    let line = "POST /v1/backups";
    let full = json!({"mailbox": ids[0].0, "full": true});
    assert_eq!(served.ask(line, "k3", full.clone()).await, (202, json!({"job": job, "new": false})));
    let of_full = "SELECT count(*) FROM jobs WHERE parameters = '{\"full\": true}'";
    assert_eq!(served.room.number(of_full).await, 1, "it waited and becomes a full one");
    served.room.sql("UPDATE jobs SET parameters = NULL, state = 'running'").await;
    served.refused(line, "k4", full, 409, "underway").await;
    served.refused(line, "k", json!({"mailbox": 1, "full": 1}), 422, "unusable").await;
    served.room.sql("UPDATE jobs SET state = 'waiting'").await;
    let answer = served.refused(line, "k", json!({"mailbox": personal.0}), 403, "personal-plan").await;
    let detail = "the personal plan has no backups by hand: the mailbox is backed up once each weekend";
    assert_eq!(answer["detail"], detail);
    served.refused(line, "k", json!({"mailbox": 99}), 404, "unknown-mailbox").await;
    served.refused(line, "k", json!({"address": format!("nobody@{DOMAIN}")}), 404, "unknown-mailbox").await;
    served.refused(line, "k", json!({}), 422, "unusable").await;
    served.refused(line, "k", json!({"mailbox": 1, "address": "a"}), 422, "unusable").await;
    served.refused(line, "k", json!({"mailbox": 1, "plan": "gold"}), 422, "unusable").await;
    served.refused(line, &"k".repeat(201), json!({"mailbox": 1}), 400, "idempotency-key").await;
    served.refused(line, "", json!({"mailbox": 1}), 400, "idempotency-key").await;

    for (key, done) in [("r1", true), ("r2", true), ("r3", true), ("r4", false)] {
        let (status, answer) = served.backup(key, ids[1]).await;
        assert_eq!(status, if done { 202 } else { 429 }, "{key}: {answer}");
        served.room.sql("UPDATE jobs SET state = 'done', finished_at = now() WHERE state = 'waiting'").await;
    }
    served.room.pass(61);
    assert_eq!(served.backup("r4", ids[1]).await.0, 202, "an hour later");

    let twin = [listed("professional1", Some(Plan::Professional)), listed("nobody's", None)];
    served.room.catalog.list_mailboxes("other", &twin, served.room.now()).await.unwrap();
    let address = |account: &str| json!({"address": format!("{account}@{DOMAIN}")});
    served.refused(line, "k", address("professional1"), 409, "ambiguous-address").await;
    served.refused(line, "k", address("nobody's"), 409, "no-plan").await;
    served.end().await;
}

impl Room {
    async fn good_backup(&self, job: JobId) -> BackupNumber {
        let claimed = self.catalog.claim(job, "w", self.now(), SignedDuration::ZERO).await.unwrap();
        let ClaimAnswer::Claimed(claimed) = claimed else { panic!("{claimed:?}") };
        let facts = Facts {
            snapshot: SnapshotNumber(1),
            state: BackupState::Good,
            started_at: self.now(),
            finished_at: self.now(),
            store: "main".into(),
            zone: "elsewhere".into(),
            emails: 1,
            bytes: 1,
            stored_bytes: 1,
            contents: json!({}),
            digest: None,
        };
        let number = self.catalog.draw_number(&claimed.claim).await.unwrap();
        self.catalog
            .complete(&claimed.claim, Some(&NewBackup { number, facts, damaged: false }))
            .await
            .unwrap();
        number
    }
}

#[tokio::test]
async fn restores_and_jobs_are_shown_and_cancelled() {
    let served = Served::new().await;
    let mailbox = served.room.mailboxes(Plan::Professional, 1).await[0];
    let job = served.backup("k", mailbox).await.1["job"].as_u64().unwrap();
    let number = served.room.good_backup(JobId(job)).await;
    let (status, shown) = served.ask(&format!("GET /v1/jobs/{job}"), "-", Value::Null).await;
    assert_eq!((status, &shown["state"], &shown["number"]), (200, &json!("done"), &json!(number.0)));
    served.refused(&format!("DELETE /v1/jobs/{job}"), "-", Value::Null, 409, "job-over").await;
    served.refused("GET /v1/jobs/99", "-", Value::Null, 404, "unknown").await;
    served.refused("GET /v1/jobs/abc", "-", Value::Null, 400, "number").await;

    let request = |fields: Value| {
        let mut request = json!({"mailbox": mailbox.0, "number": number.0});
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        request
    };
    let missing = request(json!({"mode": "missing", "select": "folder:Archive", "wrap_refused": true}));
    let (status, answer) = served.ask("POST /v1/restores", "r", missing).await;
    assert_eq!(status, 202, "{answer}");
    let restore = answer["job"].as_u64().unwrap();
    let parameters = served.room.client().await;
    let parameters =
        parameters.query_one("SELECT parameters::text FROM jobs WHERE kind = 'restore'", &[]).await;
    let parameters: Value = serde_json::from_str(parameters.unwrap().get(0)).unwrap();
    let expected =
        json!({"number": number.0, "mode": "missing", "select": "folder:Archive", "wrap_refused": true});
    assert_eq!(parameters, expected);
    for (fields, status, word) in [
        (json!({"number": 99}), 404, "unknown-backup"),
        (json!({"mode": "sideways"}), 422, "unusable"),
        (json!({"mode": "exact", "select": "folder:Archive"}), 422, "unusable"),
        (json!({"mode": "missing", "select": "from:bob"}), 400, "selection"),
        (json!({"mailbox": null}), 422, "unusable"),
    ] {
        served.refused("POST /v1/restores", "x", request(fields), status, word).await;
    }
    let other = request(json!({"mode": "exact"}));
    served.refused("POST /v1/restores", "r", other, 409, "key-reused").await;

    let (status, answer) = served.ask(&format!("DELETE /v1/jobs/{restore}"), "-", Value::Null).await;
    assert_eq!((status, &answer["state"]), (200, &json!("cancelled")));
    let audit = "SELECT string_agg(actor || ' ' || action, ', ' ORDER BY id) FROM audit";
    let audit: String = served.room.client().await.query_one(audit, &[]).await.unwrap().get(0);
    let expected = "api:one manual.requested, api:one job.cancelled, api:one restore.requested, \
                    api:one restore.refused, api:one job.cancelled";
    assert_eq!(audit, expected, "each request once, refusals of one kind now and then");
    let private = "SELECT count(*) FROM audit WHERE details::text LIKE '%Archive%'";
    assert_eq!(served.room.number(private).await, 0, "what somebody looked for is not kept");
    let told = "SELECT count(*) FROM audit WHERE details = jsonb_build_object('number', number, 'mode', 'missing', 'select', true, 'wrap_refused', true)";
    assert_eq!(served.room.number(told).await, 1);
    served.end().await;
}

/// Each way to ask × each mailbox, by number and by address × each number that somebody may have at hand: of its own backup, of
/// one that a restore made, of another's, of one of a mailbox that is gone, of a snapshot, of nothing.
#[tokio::test]
async fn a_number_never_means_a_mailbox_that_was_not_named() {
    let served = Served::new().await;
    let room = &served.room;
    let ids = room.mailboxes(Plan::Professional, 3).await;
    room.catalog.mark_gone(ids[2], room.now()).await.unwrap();
    // Number, mailbox, snapshot: numbers of one mailbox are those of another one's snapshots.
    let backups = [
        (1, 1, 4, "manual"),
        (2, 1, 9, "nightly"),
        (4, 0, 1, "manual"),
        (9, 0, 2, "restore"),
        (50, 2, 4, "manual"),
    ];
    for (number, of, snapshot, kind) in backups {
        room.insert_backup(number, ids[of], snapshot, kind).await;
    }
    let ways = [
        ("POST /v1/restores", json!({})),
        ("POST /v1/restores", json!({"mode": "missing"})),
        ("POST /v1/restores", json!({"mode": "exact"})),
        ("POST /v1/verifications", json!({})),
    ];
    let mut asked = 0;
    for (line, fields) in &ways {
        for (at, id) in ids.iter().enumerate() {
            for name in [json!({"mailbox": id.0}), json!({"address": format!("professional{at}@{DOMAIN}")})] {
                for number in [1, 2, 4, 9, 50, 999] {
                    let mut body = fields.clone();
                    body["number"] = json!(number);
                    body.as_object_mut().unwrap().extend(name.as_object().unwrap().clone());
                    let what = format!("{line} {body}");
                    let (status, answer) = served.ask(line, &what, body).await;
                    let is_own = backups.iter().any(|(own, of, ..)| *own == number && *of == at);
                    let expected = match (is_own, at, *line) {
                        (false, ..) => 404,
                        (true, 2, "POST /v1/restores") => 410,
                        (true, ..) => 202,
                    };
                    assert_eq!(status, expected, "{what}: {answer}");
                    let ours = format!(
                        "SELECT count(*) FROM jobs WHERE mailbox = {} AND (parameters->>'number')::bigint = {number}",
                        id.0
                    );
                    let wanted = i64::from(status == 202);
                    assert_eq!((room.jobs().await, room.number(&ours).await), (wanted, wanted), "{what}");
                    room.sql("DELETE FROM jobs").await;
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(asked, 4 * 3 * 2 * 6);
    for line in ["POST /v1/restores", "POST /v1/verifications"] {
        served.refused(line, "k", json!({"number": 1}), 422, "unusable").await;
    }

    let shown = async |id: MailboxId, before: &str| {
        let (status, answer) =
            served.ask(&format!("GET /v1/mailboxes/{id}/backups{before}"), "-", Value::Null).await;
        let listed = answer["backups"].as_array().cloned().unwrap_or_default();
        (status, listed.iter().map(|backup| backup["number"].as_u64().unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(shown(ids[0], "").await, (200, vec![9, 4]));
    assert_eq!(shown(ids[0], "?before=9").await, (200, vec![4]));
    assert_eq!(shown(ids[2], "").await, (200, vec![50]), "what is gone can still be looked at");
    assert_eq!(shown(ids[0], "?before=1").await.0, 422, "another's");
    assert_eq!(shown(MailboxId(999), "").await.0, 404);
    served.end().await;
}

fn mailbox(account: &str, plan: Option<&str>) -> Value {
    json!({"address": format!("{account}@{DOMAIN}"), "account": account, "plan": plan})
}

#[tokio::test]
async fn listed_mailboxes_are_told_their_numbers_and_found_by_their_addresses() {
    let served = Served::new().await;
    let mut by_rule = mailbox("c", None);
    by_rule["tenant"] = json!("acme");
    let list =
        json!({"server": "s", "mailboxes": [mailbox("a", Some("personal")), mailbox("b", None), by_rule]});
    let (status, answer) = served.ask("PUT /v1/mailboxes", "-", list.clone()).await;
    let counts = (status, &answer["listed"], &answer["new"], &answer["unplanned"]);
    assert_eq!(counts, (200, &json!(3), &json!(3), &json!(1)));
    let numbers = BTreeMap::from_iter(answer["mailboxes"].as_array().unwrap().iter().map(|one| {
        (one["address"].as_str().unwrap().to_owned(), MailboxId(one["mailbox"].as_u64().unwrap()))
    }));
    assert_eq!(numbers.len(), 3);
    let again = served.ask("PUT /v1/mailboxes", "-", list).await.1;
    assert_eq!((&again["new"], &again["unplanned"]), (&json!(0), &json!(1)));
    let found = served.room.catalog.mailbox_of("s", &"c".into()).await.unwrap().unwrap();
    assert_eq!((found.plan, found.id), (Some(Plan::Professional), numbers[&format!("c@{DOMAIN}")]));
    let (_, unplanned) = served.ask("GET /v1/mailboxes/unplanned", "-", Value::Null).await;
    assert_eq!(unplanned["mailboxes"].as_array().unwrap().len(), 1, "{unplanned}");
    let one = &unplanned["mailboxes"][0];
    assert_eq!(
        (&one["account"], &one["server"], &unplanned["next"]),
        (&json!("b"), &json!("s"), &Value::Null)
    );
    let after = format!("GET /v1/mailboxes/unplanned?after={}", one["mailbox"]);
    assert_eq!(served.ask(&after, "-", Value::Null).await.1["mailboxes"], json!([]));
    served.refused("GET /v1/mailboxes/unplanned?after=x", "-", Value::Null, 422, "unusable").await;

    let gone = format!("DELETE /v1/mailboxes/{}", found.id);
    assert_eq!(served.ask(&gone, "-", Value::Null).await.0, 204);
    assert!(served.room.catalog.mailbox(found.id).await.unwrap().unwrap().gone_at.is_some());
    served.refused("POST /v1/backups", "k", json!({"mailbox": found.id.0}), 410, "mailbox-gone").await;
    served.refused("DELETE /v1/mailboxes/99", "-", Value::Null, 404, "unknown").await;
    let find = async |address: String| {
        let (status, found) = served.ask("POST /v1/mailboxes/find", "-", json!({"address": address})).await;
        assert_eq!(status, 200, "{found}");
        found["mailboxes"].as_array().unwrap().clone()
    };
    let [of_c] = &find(format!("C@{DOMAIN}")).await[..] else { panic!("one mailbox") };
    let shown = ["mailbox", "server", "plan", "plan_by_rule", "state"].map(|field| of_c[field].clone());
    let expected = [json!(found.id.0), json!("s"), json!("professional"), json!(true), json!("gone")];
    assert_eq!(shown, expected);
    assert!(find(format!("nobody@{DOMAIN}")).await.is_empty());

    served.end().await;
}

#[tokio::test]
async fn mailboxes_are_written_whole_or_not_at_all() {
    let served = Served::new().await;
    let unknown = json!({"server": "t", "mailboxes": [mailbox("d", None)]});
    let refused = served.refused("PUT /v1/mailboxes", "-", unknown, 422, "unusable").await;
    let detail = format!("server is unknown; the configuration has s, {SERVER}");
    assert_eq!(refused["detail"], detail);
    let mut nowhere = mailbox("d", None);
    nowhere["zone"] = json!("nowhere");
    let nowhere = json!({"server": "s", "mailboxes": [mailbox("e", None), nowhere]});
    let refused = served.refused("PUT /v1/mailboxes", "-", nowhere, 422, "unusable").await;
    let expected = json!([{"index": 1, "reason": "zone is unknown; stores lie in elsewhere"}]);
    assert_eq!(refused["errors"], expected);

    let bad = json!({"server": "s", "mailboxes": [mailbox("d", None), mailbox("e", Some("gold")), mailbox("d", None)]});
    let refused = served.refused("PUT /v1/mailboxes", "-", bad, 422, "unusable").await;
    let expected = json!([
        {"index": 1, "reason": "plan is none of personal, professional"},
        {"index": 2, "reason": "names the same mailbox as 0"},
    ]);
    assert_eq!(refused["errors"], expected);
    assert!(served.room.catalog.mailbox_of("s", &"d".into()).await.unwrap().is_none());

    let zone_alone = async |plan: Option<&str>| {
        let one = json!({"address": "z@ruled.example", "account": "z", "zone": "elsewhere", "plan": plan});
        let list = json!({"server": "s", "mailboxes": [one]});
        assert_eq!(served.ask("PUT /v1/mailboxes", "-", list).await.0, 200);
        served.room.catalog.mailbox_of("s", &"z".into()).await.unwrap().unwrap().plan
    };
    assert_eq!(zone_alone(Some("professional")).await, Some(Plan::Professional));
    assert_eq!(zone_alone(None).await, Some(Plan::Professional), "no rule takes what somebody gave");
    served.end().await;
}

#[tokio::test]
async fn what_is_known_is_paused_and_shown() {
    let served = Served::new().await;
    served.room.mailboxes(Plan::Personal, 1).await;
    let pauses = "SELECT count(*) FROM pauses";
    for (scope, query) in [
        (json!({"server": "s"}), "server=s"),
        (json!({"plan": "personal"}), "plan=personal"),
        (json!({"mailbox": 1}), "mailbox=1"),
    ] {
        assert_eq!(served.ask("POST /v1/pauses", "-", scope.clone()).await.0, 204);
        assert_eq!(served.room.number(pauses).await, 1);
        let mut paused = scope.clone();
        paused["since"] = json!(served.room.now().to_string());
        let listed = served.ask("GET /v1/pauses", "-", Value::Null).await;
        assert_eq!(listed, (200, json!({"pauses": [paused]})));
        assert_eq!(served.ask(&format!("DELETE /v1/pauses?{query}"), "-", Value::Null).await.0, 204);
        assert_eq!(served.room.number(pauses).await, 0);
    }
    served.refused("POST /v1/pauses", "-", json!({"plan": "gold"}), 422, "unusable").await;
    served.refused("POST /v1/pauses", "-", json!({"mailbox": 99}), 404, "unknown").await;
    served.refused("POST /v1/pauses", "-", json!({"server": "t"}), 404, "unknown").await;
    served.refused("DELETE /v1/pauses?colour=red", "-", Value::Null, 422, "unusable").await;
    served.end().await;
}

#[tokio::test]
async fn dead_jobs_are_driven_again_and_a_restore_tells_what_it_gave_back() {
    let served = Served::new().await;
    let mailbox = served.room.mailboxes(Plan::Professional, 1).await[0];
    let job = served.backup("k", mailbox).await.1["job"].as_u64().unwrap();
    let redrive = format!("POST /v1/jobs/{job}/redrive");
    served.refused(&redrive, "-", Value::Null, 409, "not-dead").await;
    served.refused("POST /v1/jobs/99/redrive", "-", Value::Null, 404, "unknown").await;
    let die = format!("UPDATE jobs SET state = 'dead', attempt = 9, finished_at = now() WHERE id = {job}");
    served.room.sql(&die).await;
    let waits = json!({"job": job, "state": "waiting"});
    assert_eq!(served.ask(&redrive, "-", Value::Null).await, (202, waits));
    served.room.sql(&die).await;
    let newer = served.backup("k2", mailbox).await.1["job"].as_u64().unwrap();
    assert_ne!(newer, job);
    served.refused(&redrive, "-", Value::Null, 409, "superseded").await;

    let number = served.room.good_backup(JobId(newer)).await;
    let request = json!({"mailbox": mailbox.0, "number": number.0});
    let restore = served.ask("POST /v1/restores", "r", request).await.1["job"].as_u64().unwrap();
    let shown =
        async || served.ask(&format!("GET /v1/jobs/{restore}"), "-", Value::Null).await.1["restore"].clone();
    assert_eq!(shown().await, Value::Null);
    let (catalog, now) = (&served.room.catalog, served.room.now());
    let claimed = catalog.claim(JobId(restore), "w", now, SignedDuration::ZERO).await.unwrap();
    let ClaimAnswer::Claimed(claimed) = claimed else { panic!("{claimed:?}") };
    catalog.begin_restore(&claimed.claim, number, "id", now).await.unwrap();
    assert_eq!(shown().await, Value::Null);
    let report = json!({"restored": 7, "refused": 2});
    catalog.report_restore(&claimed.claim, &report).await.unwrap();
    assert_eq!(shown().await, report);
    served.end().await;
}

#[tokio::test]
async fn what_the_catalogue_cannot_hold_is_not_to_be_asked_for_again() {
    let served = Served::new().await;
    let mailbox = served.room.mailboxes(Plan::Professional, 1).await[0];
    let nul = json!({"address": "a\0@b"});
    served.refused("POST /v1/backups", "k", nul.clone(), 422, "unusable").await;
    served.refused("POST /v1/mailboxes/find", "-", nul, 422, "unusable").await;
    let job = served.backup("k", mailbox).await.1["job"].as_u64().unwrap();
    let number = served.room.good_backup(JobId(job)).await;
    let select = json!({"number": number.0, "select": "from:\0"});
    served.refused("POST /v1/restores", "r", select, 422, "unusable").await;
    served.room.sql("ALTER TABLE pauses RENAME TO breaks").await;
    served.refused("GET /v1/pauses", "-", Value::Null, 500, "broken").await;
    served.end().await;
}

#[tokio::test]
async fn a_catalogue_that_hangs_is_said_within_seconds() {
    let served = Served::new().await;
    let mailbox = served.room.mailboxes(Plan::Professional, 1).await[0];
    let of = |fields: Value| (json!({"mailbox": mailbox.0}), fields);
    let merged = |(mut one, more): (Value, Value)| {
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    let list = json!({"server": "s", "mailboxes": [{"address": format!("x@{DOMAIN}"), "account": "x"}]});
    let frozen = served.room.postgres.freeze().unwrap();
    for (line, body) in [
        ("POST /v1/backups", merged(of(json!({})))),
        ("POST /v1/restores", merged(of(json!({"number": 1})))),
        ("POST /v1/verifications", merged(of(json!({"number": 1})))),
        ("GET /v1/jobs/1", Value::Null),
        ("GET /v1/mailboxes/1/backups", Value::Null),
        ("PUT /v1/mailboxes", list),
        ("GET /v1/pauses", Value::Null),
    ] {
        let begun = std::time::Instant::now();
        served.refused(line, "k", body, 503, "unavailable").await;
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{line}: {:?}", begun.elapsed());
    }
    drop(frozen);
    assert_eq!(served.backup("k", mailbox).await.0, 202);
    served.end().await;
}

#[tokio::test]
async fn nothing_but_the_description_is_open_to_those_without_a_token() {
    let served = Served::new().await;
    let (status, described) = served.ask_as("", "GET /v1/openapi.json", &[], &Value::Null).await;
    assert_eq!((status, &described), (200, &serde_json::from_str(openapi()).unwrap()));
    let mut tried = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|_| path != "/v1/openapi.json") {
            let line = format!("{} {}", method.to_uppercase(), path.replace(['{', '}'], ""));
            for token in ["", "wrong", &TOKEN[1..], &TOKEN.to_uppercase()] {
                let (status, answer) = served.ask_as(token, &line, &[], &json!({})).await;
                assert_eq!((status, answer["status"].as_u64()), (401, Some(401)), "{line}");
            }
            // A path that is described and not routed would be 404, a method 405.
            let (status, answer) = served.ask_as(OTHER, &line, &[], &json!({})).await;
            assert!(matches!(status, 200 | 400 | 422), "{line}: {answer}");
            tried += 1;
        }
    }
    assert_eq!(tried, 14);
    let basic = "Authorization: Basic YTph";
    assert_eq!(served.ask_as("", "GET /v1/jobs/1", &[basic], &Value::Null).await.0, 401);
    served.refused("GET /v1/nothing", "-", Value::Null, 404, "unknown").await;
    served.refused("GET /v1/backups", "-", Value::Null, 405, "method").await;
    let long = json!({"address": "a".repeat(20_000)});
    served.refused("POST /v1/backups", "k", long, 413, "too-large").await;
    served.end().await;
}

#[tokio::test]
async fn weak_tokens_and_none_are_refused_at_the_start() {
    let room = Room::new().await;
    let clock: std::sync::Arc<dyn Clock> = room.clock.clone();
    let asking = Asking::new(room.catalog.clone(), clock.clone(), RequestSettings::default(), read_selection);
    let weak = ApiToken {
        name: "ops".to_owned(),
        secret: Secret::new("hunter2hunter2"),
        scopes: Scope::ALL.into(),
        tenants: None,
    };
    let named = |name: &str, secret: &str| ApiToken {
        name: name.to_owned(),
        secret: Secret::new(format!("hunter2 {secret} and thirty-two characters")),
        ..weak.clone()
    };
    let twice = [vec![named("a", "1"), named("a", "2")], vec![named("a", "1"), named("b", "1")]];
    for tokens in [vec![named("two words", "1")], vec![named("", "1")]].into_iter().chain(twice) {
        let settings = ApiSettings { tokens, ..settings() };
        let refused = Api::bind(&settings, room.catalog.clone(), asking.clone(), clock.clone()).await;
        let shown = refused.map(drop).unwrap_err().to_string();
        assert!(shown.contains("names are words") && !shown.contains("hunter2"), "{shown}");
    }
    for tokens in [vec![], vec![weak.clone()]] {
        let settings = ApiSettings { tokens, ..settings() };
        let refused = Api::bind(&settings, room.catalog.clone(), asking.clone(), clock.clone()).await;
        let shown = refused.map(drop).unwrap_err();
        assert!(!format!("{shown} {shown:?} {settings:?}").contains("hunter2"), "{shown}");
    }
}
