//! Every mistake for every key of the configuration: it is refused with the key's name, its line and what is allowed, and what is
//! allowed is taken. The mistakes are generated from the settings' types.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::settings::Allowed;

use super::manual::{Described, example, keys};
use super::settings::config::Config;

/// What keys that must be set are set to, and what else a whole file needs.
const BASE: [(&str, &str, &str); 21] = [
    ("", "production_zone", "\"eu-west\""),
    ("", "key_file", "\"/ring.key\""),
    ("", "time_zone", "\"Europe/Paris\""),
    ("postgres", "url", "\"postgres://malle@db/malle\""),
    ("rabbitmq", "url", "\"amqp://malle@mq/malle\""),
    ("redis", "url", "\"redis://redis/0\""),
    ("servers", "name", "\"mail\""),
    ("servers", "url", "\"https://mail.example.org\""),
    ("servers", "user", "\"malle\""),
    ("servers", "password", "{ env = \"P\" }"),
    ("servers.discover", "by", "\"jmap\""),
    ("stores", "name", "\"north\""),
    ("stores", "zone", "\"eu-north\""),
    ("stores", "url", "\"s3://bucket\""),
    ("producer.tokens", "name", "\"panel\""),
    ("producer.tokens", "secret", "{ env = \"T\" }"),
    ("producer.tokens", "scopes", "[\"read\"]"),
    ("producer.rules", "plan", "\"personal\""),
    ("plan", "attempts", "12"),
    ("producer", "connections", "512"),
    ("worker", "manual", "2"),
];

/// Tables that may be there several times.
const LISTS: [&str; 4] = ["servers", "stores", "producer.tokens", "producer.rules"];

/// A file in which a key is written so often, with this value; and the line of the last time.
fn file(key: &Described, values: &[&str]) -> (String, usize) {
    let mut sections: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (section, name, value) in BASE {
        let keys = sections.entry(section).or_default();
        if section != key.section || name != key.key {
            keys.push((name, value));
        }
    }
    let keys = sections.entry(&key.section).or_default();
    keys.extend(values.iter().map(|value| (key.key.as_str(), *value)));
    let (mut text, mut at) = (String::new(), 0);
    for (section, keys) in sections {
        let _ = match section {
            "" => Ok(()),
            list if LISTS.contains(&list) => writeln!(text, "[[{list}]]"),
            table => writeln!(text, "[{table}]"),
        };
        for (name, value) in keys {
            let _ = writeln!(text, "{name} = {value}");
            if section == key.section && name == key.key {
                at = text.lines().count();
            }
        }
    }
    (text, at)
}

/// Values of a key, and whether each may be written.
fn cases(key: &Described) -> Vec<(String, bool)> {
    let number = |number: u64| number.to_string();
    let bounds = |least: u64, most: u64| {
        let below = least.checked_sub(1).map_or("-1".to_owned(), number);
        vec![(number(least), true), (number(most), true), (below, false), (number(most + 1), false)]
    };
    let (mut cases, takes_zero) = match &key.allowed {
        Allowed::Whole(_, least, most) => (bounds(*least, *most), *least == 0),
        Allowed::Share => {
            let values = [("0.0", true), ("1", true), ("0.25", true), ("-0.01", false), ("1.01", false)];
            (values.map(|(value, good)| (value.to_owned(), good)).to_vec(), true)
        }
        Allowed::Flag => (vec![("true".to_owned(), true), ("\"true\"".to_owned(), false)], false),
        Allowed::Words(words) => {
            let words = words.iter().map(|word| (format!("{word:?}"), true));
            (words.chain([("\"perhaps\"".to_owned(), false)]).collect(), false)
        }
        Allowed::List(of) => {
            let of = if let Allowed::Words(words) = &**of { words[0] } else { "some" };
            let lists = [
                (format!("[{of:?}]"), true),
                (format!("[{of:?}, {of:?}]"), false),
                ("[\"\"]".to_owned(), false),
                ("[7]".to_owned(), false),
                (format!("{of:?}"), false),
            ];
            (lists.to_vec(), false)
        }
        Allowed::Table(_) => {
            let tables = [
                ("{ file = \"/s\" }", true),
                ("{ env = \"S\" }", true),
                ("{ file = \"\" }", false),
                ("{ file = 7 }", false),
                ("{ file = \"/s\", env = \"S\" }", false),
                ("{ file = \"/s\", mode = 7 }", false),
                ("\"hunter2\"", false),
                ("4711", false),
                ("{ password = \"hunter2\" }", false),
            ];
            (tables.map(|(value, good)| (value.to_owned(), good)).to_vec(), false)
        }
        Allowed::Text(words) => {
            let secret = words.contains("URL").then(|| ("\"x://u:hunter2@host\"".to_owned(), false));
            (secret.into_iter().collect(), false)
        }
    };
    cases.extend(key.usual.clone().map(|usual| (usual, true)));
    cases.push(("0".to_owned(), takes_zero));
    let never =
        ["-1", "4.5", "9223372036854775807", "99999999999999999999999999999999999999999999", "nan", "-inf"];
    let empty = ["\"\"", "[]", "{}", "[{}]", "[1]", "{ a = 1 }", "2026-01-01", "[\"\", \"\"]"];
    cases.extend(never.into_iter().chain(empty).map(|value| (value.to_owned(), false)));
    if !matches!(key.allowed, Allowed::Flag) {
        cases.push(("true".to_owned(), false));
    }
    if matches!(key.allowed, Allowed::Whole(..) | Allowed::Share) {
        cases.push(("\"2\"".to_owned(), false));
    }
    cases
}

/// A value that may be written.
fn good(key: &Described) -> String {
    let of_base = BASE.iter().find(|(section, name, _)| *section == key.section && *name == key.key);
    let of_case = || cases(key).into_iter().find(|(_, good)| *good).map(|(value, _)| value);
    // What has no usual value stands in the example.
    let of_example = || {
        let start = format!("{} = ", key.key);
        let text = example(true);
        let (_, rest) = text.split_once(&format!("\n{start}"))?;
        rest.split(['\n', '#']).next().map(|value| value.trim().to_owned())
    };
    of_base
        .map(|(_, _, value)| (*value).to_owned())
        .or_else(of_case)
        .or_else(of_example)
        .unwrap_or("\"some\"".to_owned())
}

fn read(text: &str) -> Result<Config, String> {
    Config::read(text, []).map_err(|mistakes| mistakes.join("; "))
}

#[test]
fn every_mistake_with_every_key_is_refused_with_its_name_its_line_and_what_is_allowed() {
    let (keys, mut tried) = (keys(), 0);
    for key in &keys {
        let (name, allowed) = (key.name(), key.allowed.to_string());
        let (text, at) = file(key, &[&good(key)]);
        read(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        for (value, is_good) in cases(key) {
            let (text, at) = file(key, &[&value]);
            tried += 1;
            match (read(&text), is_good) {
                (Ok(_), true) => {}
                (Err(error), false) => {
                    let is_named = error.contains(&name) && error.contains(&format!("(line {at})"));
                    assert!(is_named && error.contains(&allowed), "{name} = {value}: {error}");
                    assert!(!error.contains(';'), "one mistake: {error}");
                    assert!(
                        !error.contains("hunter2") && !error.contains("4711"),
                        "{name} = {value}: {error}"
                    );
                }
                (read, _) => panic!("{name} = {value}: {:?}", read.map(drop)),
            }
        }
        let (text, _) = file(key, &[]);
        match read(&text) {
            Ok(_) => assert!(!key.is_required, "{name} is left out"),
            Err(error) => {
                assert!(key.is_required && error.contains(&name) && error.contains(&allowed), "{error}")
            }
        }
        let (text, at_second) = file(key, &[&good(key), &good(key)]);
        let error = read(&text).expect_err(&name);
        assert!(
            error.contains(&name) && error.contains(&format!("line {at_second}")) && at_second > at,
            "{error}"
        );
        tried += 3;
    }
    assert!(keys.len() >= 75 && tried >= 1_500, "{} keys, {tried} cases", keys.len());
    eprintln!("{} keys, {tried} cases", keys.len());
}

/// What stands in a variable is a text, and an empty one is a mistake with every key.
#[test]
fn variables_are_checked_as_the_file_is() {
    let scalar =
        |key: &&Described| !key.section.starts_with("servers") && !LISTS.contains(&key.section.as_str());
    for key in keys().iter().filter(scalar) {
        let name = key.name();
        let variable = format!("MALLE__{}", name.replace('.', "__").to_uppercase());
        let (text, _) = file(key, &[]);
        let error = Config::read(&text, [(variable.clone(), String::new())]).expect_err(&name).join("; ");
        assert!(error.contains(&format!("{name} ({variable}) has to be")), "{error}");
        if let Some(usual) = &key.usual {
            let value = usual.trim_matches('"').to_owned();
            Config::read(&text, [(variable, value)])
                .unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
        }
    }
}

#[test]
fn keys_that_nobody_knows_and_names_that_two_have_are_refused() {
    let (base, _) = file(&keys()[0], &["\"eu-west\""]);
    for (more, named) in [
        ("[worker]\nnigthly = 3".to_owned(), "worker.nigthly (line"),
        ("[redis]\nprefix = \"x\"".to_owned(), "redis (line"),
        ("[workers]\nnightly = 3".to_owned(), "workers (line"),
        ("[[servers]]\nname = \"mail\"\nurl = \"https://b\"".to_owned(), "servers.name (line"),
        ("[[stores]]\nname = \"north\"\nzone = \"z\"\nurl = \"s3://c\"".to_owned(), "stores.name (line"),
        ("[[servers]]\nname = \"other\"\nurl = \"https://b\"\ncolour = 1".to_owned(), "servers.colour (line"),
    ] {
        // The base has a section [worker] already.
        let text = format!("{}\n{more}", base.replace("[worker]\nmanual = 2\n", ""));
        let error = read(&text).expect_err(&more);
        assert!(error.contains(named), "{error}");
    }
    for (from, to, named) in
        [("[redis]", "[redis.x]", "redis.url"), ("[[stores]]", "[stores]", "stores (line")]
    {
        let said = read(&base.replace(from, to)).err().unwrap_or_default();
        assert!(said.contains(named), "{said}");
    }
}
