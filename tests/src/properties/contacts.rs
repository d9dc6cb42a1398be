//! Cards: the properties of JSContact (RFC 9553), of its conversion from vCard (RFC 9555) and of vendors.

use model::DataType::ContactCard;
use serde_json::{Value, json};

use super::{Case, LINES, ODD, case, case_with, long};

fn of(property: &'static str, oddity: &'static str, value: Value) -> Case {
    case(ContactCard, property, oddity, value)
}

pub(super) fn cases() -> Vec<Case> {
    [metadata(), names(), reachable(), addresses(), resources(), more(), foreign()].concat()
}

fn metadata() -> Vec<Case> {
    let group = json!({ "urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af": true, "some other card": true });
    vec![
        of("created", "set", json!("2019-06-05T04:03:02Z")),
        of("created", "old", json!("1901-01-01T00:00:00Z")),
        of("kind", "org", json!("org")),
        of("kind", "device", json!("device")),
        of("language", "set", json!("de-AT")),
        of("language", "unusual", json!("zh-Hant-TW-x-private")),
        case_with(ContactCard, "members", "set", group, json!({ "kind": "group" })),
        case_with(ContactCard, "members", "empty", json!({}), json!({ "kind": "group" })),
        of("prodId", "set", json!("-//Example//Contacts 1.0//EN")),
        of(
            "relatedTo",
            "set",
            json!({ "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6": { "relation": { "friend": true } } }),
        ),
        of("relatedTo", "bare", json!({ "someone@example.org": { "relation": {} } })),
        of(
            "relatedTo",
            "many",
            json!({ "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf7": { "relation": { "spouse": true, "co-worker": true, "muse": true } } }),
        ),
    ]
}

fn names() -> Vec<Case> {
    let part = |kind: &str, value: &str| json!({ "kind": kind, "value": value });
    let full = json!([
        part("title", "Dr."),
        part("given", "Zoë"),
        part("given2", "Å."),
        part("surname", "van der Ö, Jr."),
        part("surname2", "Ñandú"),
        part("generation", "III"),
        part("credential", "Ph.D."),
    ]);
    let ordered = json!([part("surname", "山田"), part("separator", "\u{3000}"), part("given", "太郎"),]);
    let phonetic = json!([
        { "kind": "surname", "value": "山田", "phonetic": "やまだ" }, { "kind": "given", "value": "太郎", "phonetic": "たろう" },
    ]);
    vec![
        of("name", "components", json!({ "components": full })),
        of("name", "full", json!({ "full": ODD })),
        of(
            "name",
            "ordered",
            json!({ "components": ordered, "isOrdered": true, "defaultSeparator": "" , "full": "山田　太郎" }),
        ),
        of(
            "name",
            "sorted",
            json!({ "components": [part("given", "Robert"), part("surname", "du Lac")], "sortAs": { "surname": "Lac", "given": "Robert" } }),
        ),
        of(
            "name",
            "phonetic",
            json!({ "components": phonetic, "phoneticSystem": "ipa", "phoneticScript": "Hira" }),
        ),
        of(
            "name",
            "unusual part",
            json!({ "components": [part("given", "A"), part("example.com:nobiliary", "von")] }),
        ),
        of("name", "longest", json!({ "full": long(2_000) })),
        of(
            "nicknames",
            "set",
            json!({ "n1": { "name": "Johnny" }, "n2": { "name": ODD, "contexts": { "work": true, "private": true }, "pref": 1 } }),
        ),
        of(
            "organizations",
            "set",
            json!({ "o1": { "name": "ABC, Inc.", "units": [{ "name": "North; East", "sortAs": "NE" }, { "name": "Marketing" }], "sortAs": "ABC", "contexts": { "work": true } } }),
        ),
        of("organizations", "units alone", json!({ "o1": { "units": [{ "name": "North" }] } })),
        of(
            "speakToAs",
            "set",
            json!({ "grammaticalGender": "neuter", "pronouns": { "p1": { "pronouns": "they/them", "contexts": { "work": true }, "pref": 2 }, "p2": { "pronouns": "xe/xir" } } }),
        ),
        of("speakToAs", "gender", json!({ "grammaticalGender": "feminine" })),
        of(
            "titles",
            "set",
            json!({ "t1": { "name": "Research, Scientist", "kind": "title" }, "t2": { "name": "Project Leader", "kind": "role", "organizationId": "o2" } }),
        ),
    ]
}

fn reachable() -> Vec<Case> {
    vec![
        of(
            "emails",
            "set",
            json!({ "e1": { "address": "jqpublic@example.org", "contexts": { "work": true } }, "e2": { "address": "jane@example.org", "pref": 1, "label": ODD } }),
        ),
        of("emails", "non-ASCII", json!({ "ä/~": { "address": "ä@exämple.org" } })),
        of(
            "onlineServices",
            "set",
            json!({ "x1": { "uri": "xmpp:alice@example.org" }, "x2": { "service": "Mastodon", "user": "@alice@example.org", "uri": "https://example.org/@alice", "contexts": { "private": true }, "pref": 3, "label": "fun" } }),
        ),
        of("onlineServices", "user alone", json!({ "x1": { "service": "Example", "user": "alice" } })),
        of(
            "phones",
            "set",
            json!({ "p0": { "number": "tel:+1-555-555-5555;ext=5555", "contexts": { "private": true }, "features": { "voice": true, "mobile": true }, "pref": 1 }, "p1": { "number": "(0)123 / 456-78 x9", "features": { "fax": true }, "label": "Kanzlei" } }),
        ),
        of(
            "phones",
            "unusual feature",
            json!({ "p0": { "number": "112", "features": { "textphone": true, "main-number": true, "example.com:sat": true } } }),
        ),
        of(
            "preferredLanguages",
            "set",
            json!({ "l1": { "language": "en", "contexts": { "work": true }, "pref": 1 }, "l2": { "language": "fr", "pref": 100 } }),
        ),
        of(
            "calendars",
            "set",
            json!({ "c1": { "uri": "webcal://calendar.example.org/jane.ics", "kind": "calendar", "mediaType": "text/calendar" }, "c2": { "uri": "https://calendar.example.org/busy", "kind": "freeBusy", "label": "b" } }),
        ),
        of(
            "schedulingAddresses",
            "set",
            json!({ "s1": { "uri": "mailto:jane@example.org", "contexts": { "work": true }, "pref": 1, "label": "desk" } }),
        ),
    ]
}

fn addresses() -> Vec<Case> {
    let part = |kind: &str, value: &str| json!({ "kind": kind, "value": value });
    let every: Vec<Value> = [
        "room",
        "apartment",
        "floor",
        "building",
        "number",
        "name",
        "block",
        "subdistrict",
        "district",
        "locality",
        "region",
        "postcode",
        "country",
        "direction",
        "landmark",
        "postOfficeBox",
    ]
    .into_iter()
    .map(|kind| part(kind, &format!("the {kind}")))
    .collect();
    vec![
        of(
            "addresses",
            "set",
            json!({ "a1": {
            "components": [part("number", "54321"), part("separator", " "), part("name", "Oak St"), part("locality", "Reston"), part("postcode", "20190")],
            "isOrdered": true, "defaultSeparator": ", ", "countryCode": "US", "coordinates": "geo:38.9,-77.3", "timeZone": "America/New_York",
            "contexts": { "work": true, "billing": true }, "pref": 1, "full": "54321 Oak St\nReston",
        } }),
        ),
        of("addresses", "every part", json!({ "a1": { "components": every } })),
        of(
            "addresses",
            "full alone",
            json!({ "a1": { "full": format!("{ODD}{LINES}"), "contexts": { "delivery": true } } }),
        ),
        of(
            "addresses",
            "phonetic",
            json!({ "a1": { "components": [{ "kind": "locality", "value": "東京", "phonetic": "とうきょう" }], "phoneticScript": "Hira" } }),
        ),
    ]
}

fn resources() -> Vec<Case> {
    let picture = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(400));
    vec![
        of(
            "cryptoKeys",
            "set",
            json!({ "k1": { "uri": "https://www.example.org/keys/jdoe.cer", "mediaType": "application/pgp-keys", "label": "old" } }),
        ),
        of(
            "cryptoKeys",
            "data",
            json!({ "k1": { "uri": "data:application/pgp-keys;base64,LS0tLS1CRUdJTiBSU0E=" } }),
        ),
        of(
            "directories",
            "set",
            json!({ "d1": { "uri": "https://dir.example.org/jane.vcf", "kind": "entry" }, "d2": { "uri": "ldap://ldap.example/o=Example%20Tech", "kind": "directory", "listAs": 3, "pref": 1 } }),
        ),
        of(
            "links",
            "set",
            json!({ "l1": { "uri": "mailto:contact@example.org", "kind": "contact", "pref": 1 }, "l2": { "uri": "https://example.org/?a=b&c=d;e,f", "label": ODD } }),
        ),
        of(
            "media",
            "set",
            json!({ "m1": { "uri": "https://www.example.org/logo.svg", "kind": "logo", "mediaType": "image/svg+xml" }, "m2": { "uri": "https://example.org/a.ogg", "kind": "sound" } }),
        ),
        of("media", "picture", json!({ "m1": { "uri": picture, "kind": "photo" } })),
    ]
}

fn more() -> Vec<Case> {
    vec![
        of(
            "localizations",
            "set",
            json!({ "ja": { "name": { "full": "やまだたろう" }, "titles": { "t1": { "name": "工学博士" } } } }),
        ),
        case_with(
            ContactCard,
            "localizations",
            "patch",
            json!({ "uk-Latn": { "titles/t1/name": "Direktor" } }),
            json!({ "titles": { "t1": { "name": "Director" } } }),
        ),
        of(
            "anniversaries",
            "birth",
            json!({ "k8": { "kind": "birth", "date": { "@type": "PartialDate", "year": 1953, "month": 4, "day": 15 }, "place": { "full": "at home" } } }),
        ),
        of(
            "anniversaries",
            "timestamp",
            json!({ "k9": { "kind": "death", "date": { "@type": "Timestamp", "utc": "2019-10-15T23:10:00Z" } } }),
        ),
        of(
            "anniversaries",
            "partial",
            json!({ "k1": { "kind": "wedding", "date": { "@type": "PartialDate", "month": 4, "day": 15 } }, "k2": { "kind": "birth", "date": { "@type": "PartialDate", "year": 1953 } } }),
        ),
        of(
            "anniversaries",
            "calendar",
            json!({ "k1": { "kind": "birth", "date": { "@type": "PartialDate", "year": 5713, "month": 8, "day": 30, "calendarScale": "hebrew" } } }),
        ),
        of("keywords", "set", json!({ "internet": true, "IETF": true })),
        of("keywords", "odd", json!({ ODD: true, "a,b": true })),
        of(
            "notes",
            "set",
            json!({ "n1": { "note": "Open office hours", "created": "2022-11-23T15:01:32Z", "author": { "name": "John", "uri": "mailto:john@example.org" } }, "n2": { "note": format!("{ODD}{LINES}") } }),
        ),
        of("notes", "longest", json!({ "n1": { "note": long(20_000) } })),
        of(
            "personalInfo",
            "set",
            json!({ "pi1": { "kind": "expertise", "value": "chemistry", "level": "high", "listAs": 1 }, "pi2": { "kind": "hobby", "value": ODD, "level": "low", "label": "x" }, "pi3": { "kind": "interest", "value": "r&b" } }),
        ),
    ]
}

fn foreign() -> Vec<Case> {
    vec![
        of("example.com:customprop", "set", json!({ "nested": [1, 2.5, null, { "a": "é" }] })),
        of("vCardProps", "set", json!([["x-foo", { "x-bar": "Hello" }, "unknown", "World!"]])),
        of(
            "emails",
            "vendor member",
            json!({ "e1": { "address": "a@example.org", "example.com:checked": true } }),
        ),
        of(
            "emails",
            "vCard parameters",
            json!({ "e1": { "address": "b@example.org", "vCardParams": { "x-foo": "Bar" } } }),
        ),
    ]
}
