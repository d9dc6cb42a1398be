//! Names of metrics: Prometheus' conventions, and the table in the README.

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
