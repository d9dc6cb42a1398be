//! Address books, calendars, participant identities, files and directories.

use model::DataType::{AddressBook, Calendar, FileNode, ParticipantIdentity};
use serde_json::{Value, json};

use super::{Case, LINES, ODD, case, case_with, long};

pub(super) fn cases() -> Vec<Case> {
    [address_books(), calendars(), participants(), files()].concat()
}

fn address_books() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(AddressBook, property, oddity, value);
    vec![
        of("name", "odd", json!(ODD)),
        of("name", "longest", json!(long(100))),
        of("description", "set", json!("those")),
        of("description", "odd", json!(format!("{ODD}{LINES}"))),
        of("description", "empty", json!("")),
        of("sortOrder", "set", json!(7)),
        of("sortOrder", "largest", json!(2_147_483_647)),
        of("isSubscribed", "true", json!(true)),
        of("isSubscribed", "false", json!(false)),
        case_with(
            AddressBook,
            "isDefault",
            "dressed",
            json!(true),
            json!({ "description": "words", "sortOrder": 3 }),
        ),
        of("shareWith", "set", json!({ "{other}": { "mayRead": true } })),
    ]
}

fn calendars() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(Calendar, property, oddity, value);
    let alert = |trigger: Value, action: &str| json!({ "a1": { "@type": "Alert", "trigger": trigger, "action": action } });
    let offset = |offset: &str| json!({ "@type": "OffsetTrigger", "offset": offset });
    vec![
        of("name", "odd", json!(ODD)),
        of("name", "longest", json!(long(100))),
        of("description", "set", json!("those")),
        of("description", "odd", json!(format!("{ODD}{LINES}"))),
        of("color", "set", json!("#aa3377")),
        of("color", "named", json!("rebeccapurple")),
        of("sortOrder", "set", json!(7)),
        of("sortOrder", "largest", json!(2_147_483_647)),
        of("isSubscribed", "true", json!(true)),
        of("isSubscribed", "false", json!(false)),
        of("isVisible", "false", json!(false)),
        of("includeInAvailability", "none", json!("none")),
        of("includeInAvailability", "attending", json!("attending")),
        of("timeZone", "set", json!("Europe/Berlin")),
        of("timeZone", "unusual", json!("America/Argentina/ComodRivadavia")),
        of("defaultAlertsWithTime", "set", alert(offset("-PT15M"), "display")),
        of(
            "defaultAlertsWithTime",
            "two",
            json!({
                "a": { "@type": "Alert", "trigger": offset("PT0S"), "action": "email" },
                "b": { "@type": "Alert", "trigger": { "@type": "OffsetTrigger", "offset": "P1DT2H3M4S", "relativeTo": "end" } },
            }),
        ),
        of("defaultAlertsWithoutTime", "set", alert(offset("-P1D"), "display")),
        case_with(
            Calendar,
            "isDefault",
            "dressed",
            json!(true),
            json!({ "description": "words", "sortOrder": 3, "color": "#aa3377", "timeZone": "Europe/Berlin", "isVisible": false }),
        ),
        of("shareWith", "set", json!({ "{other}": { "mayReadItems": true } })),
    ]
}

/// Of the one that the server makes of the account's address.
fn participants() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(ParticipantIdentity, property, oddity, value);
    vec![of("name", "set", json!("Someone")), of("name", "odd", json!(ODD)), of("name", "empty", json!(""))]
}

/// `content`: the text that `blobId` leads to; none makes a directory.
fn files() -> Vec<Case> {
    let of = |property, oddity, value: Value| case(FileNode, property, oddity, value);
    vec![
        of("name", "odd", json!("Ünï e\u{301} 漢 🗂 \"q\" \\ : * ? < > | .")),
        of("name", "longest", json!(long(100))),
        of("name", "hidden", json!(".hidden")),
        of("content", "set", json!("words")),
        of("content", "empty", json!("")),
        of("content", "long", json!("0123456789abcdef".repeat(20_000))),
        of("parentId", "set", json!("{directory}")),
        of("type", "set", json!("text/plain")),
        of("type", "odd", json!("application/x-a.b+c")),
        of("type", "longest", json!("application/vnd.oasis.opendocument.text")),
        of("executable", "true", json!(true)),
        of("executable", "false", json!(false)),
        of("created", "old", json!("1999-12-31T23:59:59Z")),
        of("modified", "old", json!("2001-02-03T04:05:06Z")),
        of("modified", "late", json!("2099-02-03T04:05:06Z")),
        of("role", "set", json!("documents")),
        of("isSubscribed", "true", json!(true)),
        of("shareWith", "set", json!({ "{other}": { "mayRead": true } })),
    ]
}
