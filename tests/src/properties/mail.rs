//! Folders, emails, identities, the vacation response, scripts.

use model::DataType::{Email, Identity, Mailbox, SieveScript, VacationResponse};
use serde_json::{Value, json};

use super::{Case, LINES, ODD, case, long};

pub(super) fn cases() -> Vec<Case> {
    [folders(), emails(), identities(), vacation(), scripts()].concat()
}

fn folders() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(Mailbox, property, oddity, value);
    vec![
        of("name", "odd", json!(ODD)),
        of("name", "longest", json!(long(101))),
        of("name", "dots", json!("..")),
        of("role", "set", json!("archive")),
        of("role", "unusual", json!("important")),
        of("sortOrder", "set", json!(7)),
        of("sortOrder", "largest", json!(2_147_483_647)),
        of("isSubscribed", "true", json!(true)),
        of("isSubscribed", "false", json!(false)),
        of("parentId", "set", json!("{parent}")),
        of("shareWith", "set", json!({ "{other}": { "mayReadItems": true } })),
    ]
}

fn emails() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(Email, property, oddity, value);
    vec![
        of("keywords", "set", json!({ "$seen": true, "$flagged": true })),
        of(
            "keywords",
            "unusual",
            json!({ "$draft": true, "$forwarded": true, "x-[]!#&'+,-./:;<=>?@^_`|}~": true }),
        ),
        of("keywords", "longest", json!({ "k".repeat(128): true })),
        of("keywords", "many", (0..60).map(|n| (format!("label-{n}"), json!(true))).collect()),
        of("receivedAt", "old", json!("1970-01-01T00:00:01Z")),
        of("receivedAt", "late", json!("9999-12-31T23:59:59Z")),
        of("receivedAt", "leap", json!("2024-02-29T23:59:59Z")),
        of("mailboxIds", "two", json!({ "{parent}": true, "{inbox}": true })),
    ]
}

fn identities() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(Identity, property, oddity, value);
    let address = |name: Value| json!([{ "name": name, "email": "else@example.org" }]);
    vec![
        of("name", "odd", json!(ODD)),
        of("name", "longest", json!(long(101))),
        of("replyTo", "set", address(json!("Else, where"))),
        of("replyTo", "nameless", address(Value::Null)),
        of(
            "replyTo",
            "two",
            json!([{ "name": ODD, "email": "a@example.org" }, { "name": null, "email": "b@example.org" }]),
        ),
        of("replyTo", "empty", json!([])),
        of("bcc", "set", address(json!("Archive"))),
        of("bcc", "non-ASCII", json!([{ "name": "Ä", "email": "ä@exämple.org" }])),
        of("textSignature", "set", json!("-- \nA.")),
        of("textSignature", "odd", json!(format!("{ODD}{LINES}"))),
        of("textSignature", "longest", json!(long(800))),
        of("htmlSignature", "set", json!("<p>A. &amp; <b>B</b></p>")),
        of("htmlSignature", "odd", json!(format!("{ODD}{LINES}"))),
    ]
}

/// One a round: there is a single object.
fn vacation() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(VacationResponse, property, oddity, value);
    vec![
        of("isEnabled", "true", json!(true)),
        of("isEnabled", "false", json!(false)),
        of("fromDate", "set", json!("2026-07-01T00:00:00Z")),
        of("fromDate", "old", json!("1970-01-01T00:00:00Z")),
        of("toDate", "set", json!("2026-07-31T12:34:56Z")),
        of("toDate", "late", json!("9999-12-31T23:59:59Z")),
        of("subject", "set", json!("Away")),
        of("subject", "odd", json!(ODD)),
        of("textBody", "set", json!("En congé")),
        of("textBody", "odd", json!(format!("{ODD}{LINES}"))),
        of("htmlBody", "set", json!("<p>En congé</p>")),
        of("htmlBody", "odd", json!(format!("{ODD}{LINES}"))),
    ]
}

fn scripts() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(SieveScript, property, oddity, value);
    vec![
        of("name", "odd", json!("Ünï e\u{301} 漢 / .. \"q\"")),
        of("name", "longest", json!(long(160))),
        of("content", "usual", json!("require [\"fileinto\"];\r\nfileinto \"A\";\r\n")),
        of("content", "odd", json!(format!("# {ODD}\n# bare line feed\r\nkeep;"))),
        of("content", "long", json!(format!("{}keep;\r\n", "# many words of no meaning\r\n".repeat(1_000)))),
        of("isActive", "true", json!(true)),
    ]
}
