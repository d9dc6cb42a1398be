//! Every route of the API × every scope, for tokens of one tenant and of all × an object of that tenant, of another one, and
//! none at all.

use std::collections::BTreeSet;

use model::{MailboxId, Plan};
use producer::{ApiSettings, ApiToken, Scope, Secret, openapi};
use serde_json::{Value, json};

use crate::api::{Served, settings};
use crate::room::{DOMAIN, SERVER};

const OWN: usize = 0;
const FOREIGN: usize = 1;
const ABSENT: usize = 2;
/// Mailboxes that there are, and one that there is not.
const NOBODY: u64 = 999;

/// What is asked about.
struct Thing {
    mailbox: u64,
    account: String,
    job: u64,
    number: u64,
}

/// What a route is asked, and its answers to a token that may: about its own, another tenant's, and what is not there.
struct Asked {
    line: String,
    body: Value,
    statuses: [u16; 3],
}

fn asked(method: &str, path: &str, of: &Thing) -> Asked {
    let Thing { mailbox, account, job, number } = of;
    let address = format!("{account}@{DOMAIN}");
    let (query, body, statuses) = match (method, path) {
        ("post", "/v1/backups") => ("", json!({"mailbox": mailbox}), [202, 404, 404]),
        ("post", "/v1/restores") => ("", json!({"mailbox": mailbox, "number": number}), [202, 404, 404]),
        ("post", "/v1/verifications") => ("", json!({"address": address, "number": number}), [202, 404, 404]),
        ("get", "/v1/jobs/{job}") => ("", Value::Null, [200, 404, 404]),
        ("delete", "/v1/jobs/{job}") => ("", Value::Null, [200, 404, 404]),
        ("post", "/v1/jobs/{job}/redrive") => ("", Value::Null, [202, 404, 404]),
        ("put", "/v1/mailboxes") => {
            let one = json!({"address": address, "account": account, "tenant": "acme"});
            ("", json!({"server": SERVER, "mailboxes": [one]}), [200, 403, 403])
        }
        ("post", "/v1/mailboxes/find") => ("", json!({"address": address}), [200, 200, 200]),
        ("get", "/v1/mailboxes/unplanned") => ("", Value::Null, [200, 200, 200]),
        ("delete", "/v1/mailboxes/{mailbox}") => ("", Value::Null, [204, 404, 404]),
        ("get", "/v1/mailboxes/{mailbox}/backups") => ("", Value::Null, [200, 404, 404]),
        ("get", "/v1/pauses") => ("", Value::Null, [200, 200, 200]),
        ("post", "/v1/pauses") => ("", json!({"mailbox": mailbox}), [204, 404, 404]),
        ("delete", "/v1/pauses") => ("?mailbox=", Value::Null, [204, 404, 404]),
        _ => panic!("{method} {path} has no row here"),
    };
    let query = if query.is_empty() { String::new() } else { format!("{query}{mailbox}") };
    let path = path.replace("{job}", &job.to_string()).replace("{mailbox}", &mailbox.to_string());
    Asked { line: format!("{} {path}{query}", method.to_uppercase()), body, statuses }
}

/// One connection for all cases: opening one costs more than all that is asked over it.
struct Desk(tokio_postgres::Client);

impl Desk {
    async fn sql(&self, sql: &str) {
        self.0.batch_execute(sql).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        self.0.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// As if nothing had been asked: two mailboxes with a backup, a job and a pause each.
    async fn things(&self, ids: &[MailboxId], job_state: &str) -> [Thing; 3] {
        let mut things = Vec::new();
        self.sql(
            "DELETE FROM jobs; DELETE FROM pauses; UPDATE mailboxes SET state = 'active', gone_at = NULL",
        )
        .await;
        self.sql(&format!("DELETE FROM mailboxes WHERE account = 'nobody{NOBODY}'")).await;
        for (at, tenant) in ["acme", "other"].iter().enumerate() {
            let id = ids[at].0;
            let row = format!(
                "UPDATE mailboxes SET tenant = '{tenant}', plan = 'professional' WHERE id = {id}; \
                 INSERT INTO pauses (scope, name, since) VALUES ('mailbox', '{id}', now()); \
                 INSERT INTO jobs (kind, mailbox, state, run_at, created_at, finished_at) VALUES \
                     ('verify', {id}, '{job_state}', now(), now(), CASE WHEN '{job_state}' = 'dead' THEN now() END)"
            );
            self.sql(&row).await;
            let job = self.number(&format!("SELECT id FROM jobs WHERE mailbox = {id}")).await.cast_unsigned();
            things.push(Thing {
                mailbox: id,
                account: format!("professional{at}"),
                job,
                number: 70 + at as u64,
            });
        }
        let nothing =
            Thing { mailbox: NOBODY, account: format!("nobody{NOBODY}"), job: 1 << 40, number: 999 };
        let [own, foreign] = <[Thing; 2]>::try_from(things).ok().unwrap();
        [own, foreign, nothing]
    }
}

impl Desk {
    /// Whether the other tenant's mailbox, its job and its pause are as they were.
    async fn is_untouched(&self, id: MailboxId, job_state: &str) -> bool {
        let sql = format!(
            "SELECT count(*) FROM mailboxes m WHERE id = {id} AND state = 'active' AND tenant = 'other' \
                 AND address = 'professional1@{DOMAIN}' \
                 AND (SELECT count(*) FROM jobs WHERE mailbox = {id} AND state = '{job_state}') = 1 \
                 AND (SELECT count(*) FROM pauses WHERE name = '{id}') = 1"
        );
        self.number(&sql).await == 1
    }
}

fn secret(scope: Scope, is_bound: bool) -> String {
    format!("{}-{is_bound}-{}", scope.as_str(), "x".repeat(32))
}

fn tokens() -> Vec<ApiToken> {
    let token = |scope: Scope, is_bound: bool| ApiToken {
        name: format!("{}-{is_bound}", scope.as_str()),
        secret: Secret::new(secret(scope, is_bound)),
        scopes: BTreeSet::from([scope]),
        tenants: is_bound.then(|| BTreeSet::from(["acme".to_owned()])),
    };
    Scope::ALL.iter().flat_map(|scope| [token(*scope, true), token(*scope, false)]).collect()
}

/// What a bound token is told of others.
fn tells_of(answer: &Value, of: &Thing) -> bool {
    let listed = ["mailboxes", "pauses"].iter().filter_map(|field| answer[field].as_array());
    listed.flatten().any(|one| one["mailbox"] == json!(of.mailbox))
}

#[tokio::test]
async fn each_route_answers_each_scope_and_each_tenant_as_its_row_says() {
    let served = Served::with(ApiSettings { tokens: tokens(), ..settings() }).await;
    let room = &served.room;
    let ids = room.mailboxes(Plan::Professional, 2).await;
    for (number, id) in (70..).zip(&ids) {
        room.insert_backup(number, *id, 1, "manual").await;
    }
    let desk = Desk(room.client().await);
    let described: Value = serde_json::from_str(openapi()).unwrap();
    let mut cases = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(needed) = operation["x-scope"].as_str() else { continue };
            let job_state = if path.ends_with("redrive") { "dead" } else { "waiting" };
            for scope in Scope::ALL {
                for is_bound in [true, false] {
                    for kind in [OWN, FOREIGN, ABSENT] {
                        let things = desk.things(&ids, job_state).await;
                        let Asked { line, body, statuses } = asked(method, path, &things[kind]);
                        let key = format!("Idempotency-Key: {cases}");
                        let token = secret(scope, is_bound);
                        let (status, answer) = served.ask_as(&token, &line, &[&key], &body).await;
                        let what = format!("{line} by {} ({is_bound}) of {kind}: {answer}", scope.as_str());
                        // For a token of all tenants the other tenant's are as its own.
                        let as_what = if !is_bound && kind == FOREIGN { OWN } else { kind };
                        let may = scope.as_str() == needed;
                        // Who is bound to nobody may resume and list what there is not yet.
                        let makes_it = !is_bound && kind == ABSENT;
                        let expected = match may {
                            false => 403,
                            true if makes_it && line.starts_with("DELETE /v1/pauses") => 204,
                            true if makes_it && line.starts_with("PUT") => 200,
                            true => statuses[as_what],
                        };
                        assert_eq!(status, expected, "{what}");
                        if !may {
                            assert_eq!(answer["type"], "urn:malle:problem:scope", "{what}");
                        }
                        if is_bound {
                            assert!(!tells_of(&answer, &things[FOREIGN]), "{what}");
                            assert!(desk.is_untouched(ids[1], job_state).await, "{what}");
                        }
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 14 * 5 * 2 * 3);

    served.end().await;
}

#[tokio::test]
async fn a_token_of_one_tenant_gets_nothing_that_is_everybodys_or_anothers() {
    let served = Served::with(ApiSettings { tokens: tokens(), ..settings() }).await;
    let ids = served.room.mailboxes(Plan::Professional, 2).await;
    Desk(served.room.client().await).things(&ids, "waiting").await;
    let (token, all) = (secret(Scope::Operate, true), secret(Scope::Operate, false));
    for body in [json!({"server": SERVER}), json!({"plan": "personal"})] {
        assert_eq!(served.ask_as(&token, "POST /v1/pauses", &[], &body).await.0, 403, "{body}");
        assert_eq!(served.ask_as(&all, "POST /v1/pauses", &[], &body).await.0, 204, "{body}");
    }
    // Nobody takes or makes a mailbox by its account, by its address, or by naming a tenant.
    let token = secret(Scope::Directory, true);
    for one in [
        json!({"account": "new", "address": format!("professional1@{DOMAIN}"), "tenant": "acme"}),
        json!({"account": "professional1", "address": format!("new@{DOMAIN}"), "tenant": "acme"}),
        json!({"account": "professional1", "address": format!("professional0@{DOMAIN}"), "tenant": "acme"}),
        json!({"account": "professional0", "address": format!("professional1@{DOMAIN}"), "tenant": "acme"}),
        json!({"account": "professional0", "address": format!("renamed@{DOMAIN}"), "tenant": "acme"}),
        json!({"account": "new", "address": format!("new@{DOMAIN}"), "tenant": "acme"}),
        json!({"address": format!("new@{DOMAIN}"), "tenant": "acme"}),
        json!({"address": format!("professional0@{DOMAIN}"), "tenant": "other"}),
    ] {
        let list = json!({"server": SERVER, "mailboxes": [one]});
        let (status, answer) = served.ask_as(&token, "PUT /v1/mailboxes", &[], &list).await;
        assert_eq!((status, &answer["errors"][0]["index"]), (403, &json!(0)), "{list}: {answer}");
    }
    let own = json!({"address": format!("PROFESSIONAL0@{DOMAIN}"), "plan": "personal"});
    let list = json!({"server": SERVER, "mailboxes": [own]});
    assert_eq!(served.ask_as(&token, "PUT /v1/mailboxes", &[], &list).await.0, 200, "what is its tenant's");
    // Who may only operate does not repeat a restore.
    let dead = format!(
        "INSERT INTO jobs (kind, mailbox, state, run_at, created_at, finished_at) \
         VALUES ('restore', {}, 'dead', now(), now(), now()) RETURNING id",
        ids[0]
    );
    let job = served.room.number(&dead).await;
    let redrive = format!("POST /v1/jobs/{job}/redrive");
    assert_eq!(served.ask_as(&all, &redrive, &[], &Value::Null).await.0, 403);
    served.end().await;
}

/// Tokens × the mailbox that a backup is of × the mailbox that gets it.
#[tokio::test]
async fn a_backup_goes_to_another_mailbox_of_its_customer_only() {
    let tokens = [(false, true), (false, false), (true, true), (true, false)].map(|(operates, is_bound)| {
        let mut scopes = BTreeSet::from([Scope::Restore]);
        scopes.extend(operates.then_some(Scope::Operate));
        let name = format!("{operates}-{is_bound}");
        let tenants = is_bound.then(|| BTreeSet::from(["acme".to_owned()]));
        ApiToken { secret: Secret::new(name.repeat(8)), name, scopes, tenants }
    });
    let served = Served::with(ApiSettings { tokens: tokens.to_vec(), ..settings() }).await;
    let room = &served.room;
    let tenants = [Some("acme"), Some("acme"), Some("acme"), Some("other"), None, None];
    let ids = room.mailboxes(Plan::Professional, 6).await;
    const GONE: usize = 2;
    for (at, tenant) in tenants.iter().enumerate() {
        room.insert_backup(70 + at as u64, ids[at], 1, "manual").await;
        let tenant = tenant.map_or("NULL".to_owned(), |tenant| format!("'{tenant}'"));
        room.sql(&format!("UPDATE mailboxes SET tenant = {tenant} WHERE id = {}", ids[at])).await;
    }
    room.catalog.mark_gone(ids[GONE], room.now()).await.unwrap();
    let mut cases = 0;
    for token in &tokens {
        for from in 0..ids.len() {
            for to in 0..ids.len() {
                let body = json!({"mailbox": ids[from].0, "number": 70 + from, "mode": "missing", "to_mailbox": ids[to].0});
                let key = format!("Idempotency-Key: {cases}");
                let (status, answer) =
                    served.ask_as(token.secret.expose(), "POST /v1/restores", &[&key], &body).await;
                let is_hidden = |at: usize| token.tenants.is_some() && tenants[at] != Some("acme");
                let is_one_customer = tenants[from].is_some() && tenants[from] == tenants[to];
                let expected = match token.scopes.contains(&Scope::Operate) {
                    _ if is_hidden(from) || is_hidden(to) => 404,
                    _ if to == GONE => 410,
                    operates if operates || from == to || is_one_customer => 202,
                    _ => 403,
                };
                assert_eq!(status, expected, "{} of {body}: {answer}", token.name);
                let is_named = match from == to {
                    true => "NOT parameters ? 'from_mailbox'".to_owned(),
                    false => format!("(parameters->>'from_mailbox')::bigint = {}", ids[from]),
                };
                let sql = format!("SELECT count(*) FROM jobs WHERE mailbox = {} AND {is_named}", ids[to]);
                assert_eq!(
                    (room.jobs().await, room.number(&sql).await),
                    (i64::from(status == 202), i64::from(status == 202))
                );
                room.sql("DELETE FROM jobs").await;
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 4 * 6 * 6);

    // The mailbox that is to get it is named once, and refusals say that it is meant.
    let asks = async |fields: Value| {
        let mut body = json!({"mailbox": ids[0].0, "number": 70});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let token = tokens[3].secret.expose();
        let (status, answer) =
            served.ask_as(token, "POST /v1/restores", &["Idempotency-Key: k"], &body).await;
        (status, answer["detail"].as_str().unwrap_or_default().to_owned())
    };
    let (both, unknown) = (json!({"to_mailbox": 1, "to_address": "a@b"}), json!({"to_address": "nobody@b"}));
    let gone = json!({"to_address": format!("professional{GONE}@{DOMAIN}")});
    for (fields, expected, word) in
        [(both, 422, "to_address"), (unknown, 404, "to get it"), (gone, 410, "to get it")]
    {
        let (status, detail) = asks(fields).await;
        assert!(status == expected && detail.contains(word), "{status} {detail}");
    }
    let by_address = json!({"to_address": format!("PROFESSIONAL1@{DOMAIN}")});
    assert_eq!(asks(by_address).await.0, 202);
    served.end().await;
}
