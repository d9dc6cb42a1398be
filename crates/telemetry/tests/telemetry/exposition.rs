//! A strict reader of Prometheus' text format, version 0.0.4; stricter than Prometheus itself.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Name, labels, value; in the order of the text.
    pub(crate) samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Family {
    pub(crate) fn labels(&self) -> BTreeSet<&str> {
        let names = self.samples.iter().flat_map(|(_, labels, _)| labels.keys());
        names.map(String::as_str).filter(|name| *name != "le").collect()
    }

    pub(crate) fn value(&self, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found: Vec<_> = self.samples.iter().filter(|(_, own, _)| *own == labels).collect();
        let [(_, _, value)] = found[..] else { panic!("{labels:?}: {found:?}") };
        *value
    }
}

/// Panics at whatever is not as the format wants it.
pub(crate) fn read(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line ends");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            let family = Family { help: help.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(name == current && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let family = families.get_mut(name).expect("HELP comes first");
            assert!(family.kind.is_empty() && family.samples.is_empty(), "{line}");
            family.kind = kind.to_owned();
        } else {
            let sample = sample(line);
            let family = families.get_mut(&current).expect("a family first");
            let suffix = sample.0.strip_prefix(&current).expect("samples stand below their family");
            let fits = match family.kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                _ => suffix.is_empty(),
            };
            assert!(fits, "{line}");
            let twice =
                family.samples.iter().any(|(name, labels, _)| (name, labels) == (&sample.0, &sample.1));
            assert!(!twice, "{line}");
            family.samples.push(sample);
        }
    }
    for (name, family) in &families {
        assert!(!family.samples.is_empty(), "{name} has no series");
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
    families
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("one space").parse().expect("a number");
    (name.to_owned(), labels, value)
}

/// What the quotes hold, and what comes after them.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                other => panic!("no such escape: {other:?}"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}")
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

/// Buckets grow, end at +Inf, and that one is the count.
fn check_histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        if sample.ends_with("_bucket") {
            let mut labels = labels.clone();
            let bound = labels.remove("le").expect("a bound").parse().expect("a number");
            series.entry(labels).or_default().push((bound, *value));
        }
    }
    for (labels, buckets) in series {
        let grow = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let (bound, all) = *buckets.last().expect("a bucket");
        let count =
            family.samples.iter().find(|(sample, own, _)| sample.ends_with("_count") && *own == labels);
        assert!(
            grow && bound.is_infinite() && count.is_some_and(|(_, _, count)| *count == all),
            "{name} {labels:?}"
        );
    }
}
