//! Our Stalwart serves what `tests/stalwart/README.md` says it serves.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::stalwart::{ADMIN, ADMIN_PASSWORD, Stalwart};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ALICE: &str = "alice@example.org";
const PASSWORD: &str = "alice's password";
const MESSAGE: &str = "From: bob@example.org\r\nSubject: hello\r\n\r\nHello Alice\r\n";

struct Home {
    server: Stalwart,
    alice: String,
    _dir: TempDir,
}

async fn home(settings: &[(&str, &str)]) -> Home {
    let dir = TempDir::new().unwrap();
    let server = Stalwart::start_with(dir.path(), settings).await.unwrap();
    let alice = server.create_account(ALICE, PASSWORD).await.unwrap();
    Home { server, alice, _dir: dir }
}

impl Home {
    /// One method call on Alice's account by `user`.
    async fn call(
        &self,
        (user, password): (&str, &str),
        method: &str,
        mut arguments: Value,
    ) -> (String, Value) {
        arguments["accountId"] = json!(self.alice);
        let (status, answer) = self.server.jmap(user, password, &request(method, &arguments)).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let [name, result, _] = answer["methodResponses"][0].as_array().unwrap().as_slice() else {
            panic!("{answer}");
        };
        (name.as_str().unwrap().to_owned(), result.clone())
    }

    async fn alice(&self, method: &str, arguments: Value) -> Value {
        let (name, result) = self.call((ALICE, PASSWORD), method, arguments).await;
        assert_eq!(name, method, "{result}");
        result
    }

    async fn error(&self, method: &str, arguments: Value) -> Value {
        let (name, result) = self.call((ALICE, PASSWORD), method, arguments).await;
        assert_eq!(name, "error", "{result}");
        result["type"].clone()
    }

    /// Imports `MESSAGE` into the inbox; the email's id.
    async fn import(&self) -> String {
        let blob = json!({"b": {"data": [{"data:asText": MESSAGE}], "type": "message/rfc822"}});
        let uploaded = self.alice("Blob/upload", json!({ "create": blob })).await;
        let folders = self.alice("Mailbox/get", json!({"properties": ["role"]})).await;
        let mut folders = folders["list"].as_array().unwrap().iter();
        let inbox = folders.find(|folder| folder["role"] == "inbox").unwrap()["id"].as_str().unwrap();
        let email = json!({"blobId": uploaded["created"]["b"]["id"], "mailboxIds": {inbox: true},
            "keywords": {"$seen": true}, "receivedAt": "2020-01-02T03:04:05Z"});
        let imported = self.alice("Email/import", json!({"emails": {"e": email}})).await;
        imported["created"]["e"]["id"].as_str().unwrap().to_owned()
    }
}

fn request(method: &str, arguments: &Value) -> Value {
    let using = ["core", "mail", "blob", "sieve", "vacationresponse", "submission"];
    let using = using.map(|name| format!("urn:ietf:params:jmap:{name}"));
    json!({ "using": using, "methodCalls": [[method, arguments, "0"]] })
}

/// One command after the other: Stalwart does not wait for a LOGIN before it looks at what follows.
async fn imap(address: &str, commands: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut said = String::new();
    for (tag, command) in commands.iter().enumerate() {
        stream.write_all(format!("t{tag} {command}\r\n").as_bytes()).await.unwrap();
        while !said.contains(&format!("t{tag} OK")) {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            assert_ne!(count, 0, "hung up after {said}");
            said += &String::from_utf8_lossy(&bytes[..count]);
        }
    }
    said
}

/// Says everything at once and listens until the server hangs up.
async fn talk(address: &str, words: &str) -> String {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, user: &str, password: &str) -> String {
    let basic = STANDARD.encode(format!("{user}:{password}"));
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn an_imported_email_comes_back_by_blob_by_url_and_by_imap() {
    let home = home(&[]).await;
    let id = home.import().await;
    let newest_first = json!({"sort": [{"property": "receivedAt", "isAscending": false}]});
    let listed = home.alice("Email/query", newest_first).await;
    assert_eq!(listed["ids"], json!([id]));
    let email = home.alice("Email/get", json!({"ids": [id], "properties": ["blobId", "receivedAt"]})).await;
    let email = &email["list"][0];
    assert_eq!(email["receivedAt"], "2020-01-02T03:04:05Z");

    let blob = home.alice("Blob/get", json!({"ids": [email["blobId"]]})).await;
    assert_eq!(blob["list"][0]["data:asText"], MESSAGE);
    let path = format!("/jmap/download/{}/{}/a.eml", home.alice, email["blobId"].as_str().unwrap());
    let download = talk(home.server.url(), &get(&path, ALICE, PASSWORD)).await;
    assert!(download.ends_with(&format!("\r\n\r\n{MESSAGE}")), "{download}");
    let login = format!("LOGIN {ALICE} \"{PASSWORD}\"");
    let said = imap(home.server.imap(), &[&login, "SELECT INBOX", "FETCH 1 BODY.PEEK[]"]).await;
    assert!(said.contains(MESSAGE), "{said}");
}

#[tokio::test]
async fn folders_scripts_vacation_and_identities_can_be_set_and_read() {
    let home = home(&[]).await;
    let name = "Ärger / 2026.11";
    let folder = home.alice("Mailbox/set", json!({"create": {"f": {"name": name}}})).await;
    let folder = home.alice("Mailbox/get", json!({"ids": [folder["created"]["f"]["id"]]})).await;
    assert_eq!(folder["list"][0]["name"], name);

    let none = home.alice("VacationResponse/get", json!({})).await;
    assert_eq!((&none["list"], &none["notFound"]), (&json!([]), &json!(["singleton"])));
    let away = json!({"singleton": {"isEnabled": true, "subject": "Away", "textBody": "Later"}});
    home.alice("VacationResponse/set", json!({ "update": away })).await;
    let vacation = home.alice("VacationResponse/get", json!({})).await;
    assert_eq!(vacation["list"][0]["subject"], "Away");
    let scripts = home.alice("SieveScript/get", json!({})).await;
    assert_eq!(scripts["list"][0]["name"], "vacation");
    let identities = home.alice("Identity/get", json!({})).await;
    assert_eq!(identities["list"][0]["email"], ALICE);
}

#[tokio::test]
async fn administrators_and_impersonators_read_other_accounts_and_nobody_else_does() {
    let home = home(&[]).await;
    let id = home.import().await;
    let (carol, dave) = ("carol@example.org", "dave@example.org");
    home.server.create_impersonator(carol, PASSWORD).await.unwrap();
    home.server.create_account(dave, PASSWORD).await.unwrap();

    for reader in [(ADMIN, ADMIN_PASSWORD), (carol, PASSWORD)] {
        let (_, listed) = home.call(reader, "Email/query", json!({})).await;
        assert_eq!(listed["ids"], json!([id]), "{reader:?}");
    }
    let (name, refusal) = home.call((dave, PASSWORD), "Email/query", json!({})).await;
    assert_eq!((name.as_str(), &refusal["type"]), ("error", &json!("forbidden")));
}

#[tokio::test]
async fn a_restart_finds_the_same_data_at_the_same_address() {
    let mut home = home(&[]).await;
    let id = home.import().await;
    let before = (home.server.url().to_owned(), home.alice("Email/get", json!({"ids": [id]})).await);
    home.server = home.server.restart().await.unwrap();
    let after = (home.server.url().to_owned(), home.alice("Email/get", json!({"ids": [id]})).await);
    assert_eq!(before, after);
    assert!(home.server.memory_peak().unwrap() > 1 << 20);
}

#[tokio::test]
async fn a_truncated_history_cannot_calculate_except_from_the_initial_state() {
    let home = home(&[("changes.max-history", "1")]).await;
    let id = home.import().await;
    let state = home.alice("Email/get", json!({"ids": []})).await["state"].clone();
    for keyword in ["one", "two", "three"] {
        home.alice("Email/set", json!({"update": {&id: {format!("keywords/{keyword}"): true}}})).await;
    }
    let known = home.alice("Email/changes", json!({"sinceState": state})).await;
    assert_eq!(known["updated"], json!([id]));

    home.server.truncate_history(ALICE).await.unwrap();
    // The server truncates in the background.
    while home.call((ALICE, PASSWORD), "Email/changes", json!({"sinceState": state})).await.0 != "error" {
        tokio::task::yield_now().await;
    }
    assert_eq!(home.error("Email/changes", json!({"sinceState": state})).await, "cannotCalculateChanges");
    let initial = home.alice("Email/changes", json!({"sinceState": "n"})).await;
    assert_eq!((&initial["created"], &initial["updated"]), (&json!([]), &json!([id])));
    for method in ["SieveScript/changes", "VacationResponse/changes"] {
        assert_eq!(home.error(method, json!({"sinceState": "n"})).await, "unknownMethod");
    }
}

#[tokio::test]
async fn a_wrong_password_and_too_many_requests_are_refused() {
    let home = home(&[("http.rate-limit.account", "5/1h")]).await;
    let wrong = talk(home.server.url(), &get("/jmap/session", ALICE, "wrong")).await;
    assert!(wrong.starts_with("HTTP/1.1 401"), "{wrong}");
    let echo = request("Core/echo", &json!({}));
    let mut status = 200;
    for _ in 0..6 {
        status = home.server.jmap(ALICE, PASSWORD, &echo).await.unwrap().0;
    }
    assert_eq!(status, 429);
    let refused = talk(home.server.url(), &get("/jmap/session", ALICE, PASSWORD)).await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(!refused.to_lowercase().contains("retry-after"), "{refused}");
}
