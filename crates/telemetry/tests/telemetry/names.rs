//! Names of metrics: Prometheus' conventions, and the table in the README.

use std::collections::BTreeSet;

use crate::all;
use crate::exposition::read;

#[test]
fn the_readme_lists_every_metric_with_its_type_labels_and_meaning() {
    let registered = read(&all().registry.text());
    let rows = registered.iter().map(|(name, family)| {
        let labels: Vec<_> = family.labels().into_iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(" ") };
        format!("| `{name}` | {} | {labels} | {} |", family.kind, family.help)
    });
    let registered: Vec<String> = rows.collect();
    let listed: Vec<&str> =
        include_str!("../../README.md").lines().filter(|line| line.starts_with("| `malle_")).collect();
    assert!(listed == registered, "the table should be:\n{}", registered.join("\n"));
}

/// An alarm on a metric, or on a value of a label, that is not there would never ring.
#[test]
fn alarms_name_series_that_are_there() {
    let registered = read(&all().registry.text());
    let rules = include_str!("../../../../deploy/alerts.yaml");
    let named: BTreeSet<_> = rules.split(is_no_word).filter(|word| word.starts_with("malle_")).collect();
    assert!(named.len() > 6, "{named:?}");
    for name in named {
        assert!(registered.contains_key(name), "{name} is not registered");
    }
    let selectors: Vec<_> = rules.lines().filter_map(selector).collect();
    assert!(selectors.len() > 3, "{selectors:?}");
    // A registry is of one role.
    for (name, label, values) in selectors.into_iter().filter(|(_, label, _)| *label != "role") {
        for value in values.split('|') {
            let mut samples = registered[name].samples.iter();
            let there = samples.any(|(_, labels, _)| labels.get(label).is_some_and(|own| own == value));
            assert!(there, "{name} has no {label} {value}");
        }
    }
}

fn is_no_word(c: char) -> bool {
    !c.is_ascii_alphanumeric() && c != '_'
}

/// Metric, label and its values in an expression such as `max(metric{label=~"one|other"}) > 0`.
fn selector(line: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = line.trim().strip_prefix("expr: ")?.split_once('{')?;
    let (label, value) = rest.split_once('=')?;
    Some((before.rsplit(is_no_word).next()?, label, value.split('"').nth(1)?))
}

/// What `promtool check metrics` would say, and a little more.
#[test]
fn names_follow_the_conventions_of_prometheus() {
    for (name, family) in read(&all().registry.text()) {
        let is_counter = family.kind == "counter";
        assert_eq!(name.ends_with("_total"), is_counter, "{name} is a {}", family.kind);
        assert!(name.starts_with("malle_") && name == name.to_lowercase(), "{name}");
        let unit = name.strip_suffix("_total").unwrap_or(&name).rsplit('_').next().unwrap();
        assert!(family.kind != "histogram" || unit == "seconds", "{name} has no base unit");
        for other in ["milliseconds", "ms", "minutes", "hours", "kilobytes", "mb", "mib", "percent"] {
            assert!(!name.split('_').any(|word| word == other), "{name} is in no base unit");
        }
        for word in ["counter", "gauge", "histogram", "count", "sum", "bucket"] {
            assert!(!name.split('_').any(|part| part == word), "{name} holds a reserved word");
        }
        assert!(!family.labels().contains("quantile"), "{name} has a label for summaries");
        assert!(family.help.len() > 15 && !family.help.ends_with('.'), "{name}: {}", family.help);
    }
}

#[test]
fn the_count_of_series_is_known_from_the_start() {
    let all = all();
    let series = |text: &str| read(text).values().map(|family| family.samples.len()).sum::<usize>();
    let before = series(&all.registry.text());
    for number in 0..1000 {
        all.servers.of(&format!("server-{number}")).failures.inc();
    }
    all.jobs.retries.of(model::JobKind::Nightly).inc();
    assert_eq!(series(&all.registry.text()), before);
    assert!(before < 1500, "{before} series a role");
}
