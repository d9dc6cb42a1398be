//! Between vCard and the JSON of a `ContactCard` (JSContact, RFC 9555), by the library that Stalwart itself uses.

use std::panic::catch_unwind;

use calcard::jscontact::JSContact;
use calcard::vcard::VCard;
use calcard::{Entry, Parser};
use serde_json::{Map, Value};

/// Members that JMAP adds to a card.
const JMAP_ONLY: [&str; 2] = ["id", "addressBookIds"];

/// Reads a card and writes it again, with other escapes and folds; none if the text does not begin with a whole card.
pub(crate) fn read(text: &str) -> Option<String> {
    match Parser::new(text).strict().entry() {
        Entry::VCard(card) => Some(card.to_string()),
        _ => None,
    }
}

pub(crate) fn uid(text: &str) -> Option<String> {
    VCard::parse(text).ok()?.uid().map(str::to_owned)
}

/// The JSON of a card without ids. `vCard` holds what JSContact has no property for.
pub(crate) fn object(text: &str) -> Option<Map<String, Value>> {
    let card = VCard::parse(text).ok()?.into_jscontact::<String, String>();
    serde_json::from_str(&card.to_string_pretty()).ok()
}

/// The card of an object; none if the library fails at it.
pub(crate) fn text(object: &Value) -> Option<String> {
    let text = of_card(object).to_string();
    // The library asserts what odd objects do not keep to.
    let card = catch_unwind(|| JSContact::<String, String>::parse(&text).ok()?.into_vcard());
    card.ok()?.map(|card| card.to_string())
}

/// Whether the text of one object is that of another.
pub(crate) fn same_text(first: &Value, second: &Value) -> bool {
    of_card(first) == of_card(second)
}

fn of_card(object: &Value) -> Value {
    let mut card = object.clone();
    if let Some(card) = card.as_object_mut() {
        JMAP_ONLY.iter().for_each(|member| drop(card.remove(*member)));
    }
    card
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(lines: &str) -> String {
        format!("BEGIN:VCARD\nVERSION:4.0\n{lines}END:VCARD\n").replace('\n', "\r\n")
    }

    fn check(given: &str, expected: Option<&str>) {
        assert_eq!(read(given), expected.map(str::to_owned), "{given}");
    }

    #[test]
    fn texts_are_written_as_stalwart_writes_them() {
        check(&card("FN:x\nNOTE:a, b;c\\,d\n"), Some(&card("FN:x\nNOTE:a\\, b\\;c\\,d\n")));
        check(
            "begin:vcard\nTEL;HOME;type=cell:1\nversion:3.0\nend:vcard\n",
            Some("BEGIN:VCARD\r\nVERSION:3.0\r\nTEL;TYPE=HOME,CELL:1\r\nEND:VCARD\r\n"),
        );
        check(&(card("UID:a\n") + &card("UID:b\n")), Some(&card("UID:a\n")));
        for broken in ["", "hello", "BEGIN:VCARD\r\nFN:q\r\n", "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"] {
            check(broken, None);
        }
    }

    #[test]
    fn what_json_has_no_property_for_comes_back_from_it() {
        let given = card("UID:a\nFN:x\nX-OWN;X-P=q:kept\nitem1.URL:https://x/\nitem1.X-ABLABEL:home\n");
        let object = Value::Object(object(&given).unwrap());
        assert_eq!((&object["uid"], &object["name"]["full"]), (&"a".into(), &"x".into()));
        let text = text(&object).unwrap();
        for line in
            ["X-OWN;X-P=q:kept", "item1.URL;PROP-ID=k1:https://x/", "item1.X-ABLABEL:home", "VERSION:4.0"]
        {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
