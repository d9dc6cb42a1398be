//! Checks values of the configuration that parse but are unusable, such as a wait of 0 or a share above 1.

use url::Url;

use super::config::{Config, Store, Token};
use super::mail_server::{Directory, Server};
use crate::failure::Failure;

/// Renewals are a third of a lease, in whole seconds.
const SHORTEST_LEASE: u64 = 3;

/// What is wrong with one value.
type Mistake = String;

impl Config {
    /// Fails with every mistake at once.
    pub(super) fn check_values(&self) -> Result<(), Failure> {
        let mut mistakes = self.of_services();
        mistakes.extend(self.of_the_plan());
        mistakes.extend(self.of_the_producer());
        mistakes.extend(self.of_the_worker());
        mistakes.extend(self.servers.iter().flat_map(of_server));
        mistakes.extend(self.stores.iter().filter_map(of_store));
        if mistakes.is_empty() {
            return Ok(());
        }
        let what = format!("use the configuration: {}", mistakes.join("; "));
        Err(Failure::usage(what, "deploy/malle.toml has every key, what it means and its usual value"))
    }

    /// What may be meant otherwise than it is read, for people who check a configuration.
    pub(super) fn doubts(&self) -> Vec<String> {
        let by_jmap = |server: &Server| {
            server.discover.as_ref().is_some_and(|discover| matches!(discover.by, Directory::Jmap))
        };
        if !self.servers.iter().any(by_jmap) {
            return Vec::new();
        }
        let alone = self.producer.rules.iter().filter(|rule| rule.tenant.is_none());
        let names = alone.filter_map(|rule| rule.group.as_ref()).filter(|group| !group.contains('@'));
        let doubt = |group: &String| {
            format!(
                "the rule for the group {group:?} fits no mailbox that a server names by \"jmap\": groups of one name may be \
                 several tenants'; write its address, or name the tenant beside it"
            )
        };
        names.map(doubt).collect()
    }

    fn of_services(&self) -> Vec<Mistake> {
        let mut mistakes = unusable(&[
            ("postgres.connections", self.postgres.connections as u64),
            ("rabbitmq.renew_idle_seconds", self.rabbitmq.renew_idle_seconds),
        ]);
        mistakes.extend(no_levels(&self.telemetry.log));
        mistakes.extend(self.production_zone.trim().is_empty().then(|| {
            "production_zone is empty: name the place of the mail servers, so that no store can lie there"
                .to_owned()
        }));
        let is_share = (0.0..=1.0).contains(&self.telemetry.sampled);
        mistakes.extend((!is_share).then(|| {
            format!(
                "telemetry.sampled = {} is the share of traces that are kept, from 0 to 1",
                self.telemetry.sampled
            )
        }));
        mistakes
    }

    fn of_the_plan(&self) -> Vec<Mistake> {
        let plan = &self.plan;
        let mut mistakes = unusable(&[
            ("plan.attempts", plan.attempts.into()),
            ("plan.retry_seconds", plan.retry_seconds),
            ("plan.longest_retry_seconds", plan.longest_retry_seconds),
            ("plan.first_backups_per_hour", plan.first_backups_per_hour.into()),
        ]);
        let (first, longest) = (plan.retry_seconds, plan.longest_retry_seconds);
        mistakes.extend((longest < first).then(|| {
            format!("plan.longest_retry_seconds = {longest} is less than plan.retry_seconds = {first}")
        }));
        mistakes
    }

    fn of_the_producer(&self) -> Vec<Mistake> {
        let of = &self.producer;
        let mut mistakes = unusable(&[
            ("producer.connections", of.connections as u64),
            ("producer.connections_per_address", of.connections_per_address as u64),
            ("producer.plan_every_seconds", of.plan_every_seconds),
            ("producer.reap_every_seconds", of.reap_every_seconds),
            ("producer.silent_seconds", of.silent_seconds),
            ("producer.lost_after_seconds", of.lost_after_seconds),
            ("producer.hold_seconds", of.hold_seconds),
            ("producer.watch_every_seconds", of.watch_every_seconds),
            ("producer.keep_audit_days", of.keep_audit_days.into()),
        ]);
        mistakes.extend(of.tokens.iter().flat_map(of_token));
        mistakes.extend(of.rules.iter().enumerate().filter_map(|(at, rule)| of_rule(at + 1, rule)));
        let fits_all = |rule: &producer::Rule| {
            rule.domain.is_none() && rule.tenant.is_none() && rule.group.is_none() && rule.kind.is_none()
        };
        let first = of.rules.iter().position(fits_all).map(|at| at + 1);
        mistakes.extend(first.filter(|number| *number < of.rules.len()).map(|number| {
            format!(
                "rule {number} of producer.rules names no domain, tenant, group or kind and fits every mailbox: put it last"
            )
        }));
        mistakes
    }

    fn of_the_worker(&self) -> Vec<Mistake> {
        let of = &self.worker;
        let mut mistakes = unusable(&[
            ("worker.slice_seconds", of.slice_seconds),
            ("worker.grace_seconds", of.grace_seconds),
            ("worker.heartbeat_seconds", of.heartbeat_seconds),
            ("worker.lease_seconds", of.lease_seconds),
        ]);
        mistakes.extend((of.lease_seconds < SHORTEST_LEASE).then(|| {
            format!("worker.lease_seconds = {} has to be at least {SHORTEST_LEASE}", of.lease_seconds)
        }));
        mistakes
    }
}

/// A rule that no mailbox can match.
fn of_rule(number: usize, rule: &producer::Rule) -> Option<Mistake> {
    let is_domain = |domain: &String| {
        let name = domain.strip_prefix("*.").unwrap_or(domain);
        !name.is_empty()
            && !name.starts_with('.')
            && !name.contains(['@', '*'])
            && !name.contains(char::is_whitespace)
    };
    let is_blank = |word: &Option<String>| word.as_ref().is_some_and(|word| word.trim().is_empty());
    if !rule.domain.as_ref().is_none_or(is_domain) {
        return Some(format!(
            "rule {number} of producer.rules has domain = {:?}, which no address has: write example.org, or *.example.org for \
             every domain below it",
            rule.domain.as_deref().unwrap_or_default()
        ));
    }
    let blank =
        [("tenant", &rule.tenant), ("group", &rule.group)].into_iter().find(|(_, word)| is_blank(word));
    blank.map(|(key, _)| {
        format!("rule {number} of producer.rules has an empty {key}, which no mailbox has: name one, or leave the key out")
    })
}

fn of_token(token: &Token) -> Vec<Mistake> {
    let is_nobodys = token.tenants.as_ref().is_some_and(std::collections::BTreeSet::is_empty);
    let mistakes = [
        token
            .scopes
            .is_empty()
            .then(|| format!("the token {:?} may be used for nothing: give it scopes", token.name)),
        is_nobodys.then(|| {
            format!(
                "the token {:?} is bound to no tenant at all: name some, or leave tenants out for all",
                token.name
            )
        }),
    ];
    mistakes.into_iter().flatten().collect()
}

fn of_server(server: &Server) -> Vec<Mistake> {
    let mut values = vec![
        ("requests_in_flight", u64::from(server.requests_in_flight)),
        ("requests_per_minute", server.requests_per_minute.into()),
        ("request_seconds", server.request_seconds),
    ];
    let mut mistakes = Vec::new();
    if let Some(discover) = &server.discover {
        values.push(("discover.every_seconds", discover.every_seconds));
        // 0: what one listing leaves out is gone.
        values.push(("discover.missing_for_hours", u64::from(discover.missing_for_hours).max(1)));
        let percent = discover.drop_at_most_percent;
        mistakes.extend(
            (percent > 100).then(|| format!("discover.drop_at_most_percent = {percent} is more than all")),
        );
    }
    mistakes.extend(unusable(&values));
    mistakes.into_iter().map(|mistake| format!("server {:?}: {mistake}", server.name)).collect()
}

/// Numbers that are nothing, or more than anybody means and clocks can count.
fn unusable(values: &[(&str, u64)]) -> Vec<Mistake> {
    let of = |(key, value): &(&str, u64)| match *value {
        0 => Some(format!("{key} = 0 has to be at least 1")),
        value if value > most(key) => Some(format!("{key} = {value} has to be at most {}", most(key))),
        _ => None,
    };
    values.iter().filter_map(of).collect()
}

/// Ten years of time, or a million of anything else.
fn most(key: &str) -> u64 {
    const DAYS: u64 = 3_660;
    match key {
        key if key.ends_with("_seconds") => DAYS * 86_400,
        key if key.ends_with("_hours") => DAYS * 24,
        key if key.ends_with("_days") => DAYS,
        _ => 1_000_000,
    }
}

/// Words of a log filter that name no level: they would be taken for the name of a module, and nothing be logged.
fn no_levels(filter: &str) -> Vec<Mistake> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let words: Vec<&str> =
        filter.split(',').map(str::trim).filter(|word| !word.contains(['=', '['])).collect();
    let wrong = words.iter().filter(|word| !LEVELS.contains(&word.to_lowercase().as_str()));
    wrong
        .map(|word| format!("telemetry.log = {word:?} is not a level; the levels are {}", LEVELS.join(", ")))
        .collect()
}

fn of_store(store: &Store) -> Option<Mistake> {
    let endpoint = store.endpoint.as_deref()?;
    let is_usable =
        Url::parse(endpoint).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    (!is_usable).then(|| {
        format!(
            "store {:?}: endpoint is no http or https address: write it like https://s3.example.net",
            store.name
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::fleet::config::tests::{config, try_config};

    const SERVER: &str = "name = \"a\"\nurl = \"https://a\"\n";

    fn mistakes(more: &str) -> String {
        match config(more).check_values() {
            Ok(()) => String::new(),
            Err(failure) => failure.to_string(),
        }
    }

    /// Keys of deploy/malle.toml whose 0 means something.
    const MAY_BE_ZERO: [&str; 10] = [
        "verify_days",
        "keep_gone_days",
        "tail_percent",
        "drop_at_most_percent",
        "sampled",
        "manual",
        "restore",
        "nightly",
        "weekend",
        "verify",
    ];

    /// Each number of the example, in its section, set to nothing.
    #[test]
    fn a_zero_is_refused_wherever_it_means_nothing() {
        let example = include_str!("../../../../deploy/malle.toml");
        let (mut section, mut tried) = (String::new(), 0);
        for line in example.lines() {
            let line = line.strip_prefix("# ").unwrap_or(line);
            if line.starts_with('[') && !line.contains('=') {
                line.trim_end().clone_into(&mut section);
            }
            let Some((key, value)) = line.split_once(" = ") else { continue };
            let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let number = value.split(['#', ' ']).next().unwrap_or_default();
            if !is_key || number.parse::<f64>().is_err() || MAY_BE_ZERO.contains(&key) {
                continue;
            }
            // The least configuration has its services as inline tables.
            let text = match section.as_str() {
                "[[servers]]" => format!("[[servers]]\n{SERVER}{key} = 0"),
                "[postgres]" | "[rabbitmq]" | "[redis]" => continue,
                section => format!("{section}\n{key} = 0"),
            };
            let said = match try_config(&text) {
                Ok(_) => mistakes(&text),
                Err(error) => error.to_string(),
            };
            assert!(said.contains(key) || said.contains("nonzero"), "{section} {key} = 0: {said:?}");
            tried += 1;
        }
        assert!(tried >= 18, "{tried}");
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        let token = |more: &str| {
            format!("[producer]\ntokens = [{{ name = \"panel\", secret = {{ env = \"T\" }}, {more} }}]")
        };
        for (more, named) in [
            ("[telemetry]\nsampled = 7.0".to_owned(), "telemetry.sampled"),
            ("[telemetry]\nsampled = -0.5".to_owned(), "telemetry.sampled"),
            (
                "[plan]\nretry_seconds = 60\nlongest_retry_seconds = 5".to_owned(),
                "plan.longest_retry_seconds",
            ),
            ("[worker]\nlease_seconds = 2".to_owned(), "worker.lease_seconds"),
            ("[worker]\nlease_seconds = 1000000000000".to_owned(), "worker.lease_seconds"),
            ("[producer]\nkeep_audit_days = 4294967295".to_owned(), "producer.keep_audit_days"),
            ("[telemetry]\nlog = \"loud\"".to_owned(), "telemetry.log"),
            ("[telemetry]\nlog = \"\"".to_owned(), "telemetry.log"),
            (
                "[[stores]]\nname = \"a\"\nzone = \"b\"\nurl = \"s3://b\"\nendpoint = \"nonsense\""
                    .to_owned(),
                "endpoint",
            ),
            (token("scopes = []"), "scopes"),
            (token("scopes = [\"read\"], tenants = []"), "tenant"),
            (
                "[producer]\nrules = [{ plan = \"personal\" }, { group = \"pro\", plan = \"professional\" }]"
                    .to_owned(),
                "put it last",
            ),
            (
                format!("[[servers]]\n{SERVER}discover = {{ by = \"jmap\", drop_at_most_percent = 101 }}"),
                "drop_at_most_percent",
            ),
            (
                format!("[[servers]]\n{SERVER}discover = {{ by = \"jmap\", every_seconds = 0 }}"),
                "every_seconds",
            ),
        ] {
            let said = mistakes(&more);
            assert!(said.contains(named), "{more}: {said:?}");
        }
        for rule in ["@x.org", "", "*example.org", "*.", "a b.org", "*.*.org", ".x.org"] {
            let said =
                mistakes(&format!("[producer]\nrules = [{{ domain = {rule:?}, plan = \"personal\" }}]"));
            assert!(said.contains("rule 1 of producer.rules has domain"), "{rule}: {said}");
        }
        for rule in ["tenant = \" \"", "group = \"\""] {
            let said = mistakes(&format!("[producer]\nrules = [{{ {rule}, plan = \"personal\" }}]"));
            assert!(said.contains("has an empty"), "{rule}: {said}");
        }
        for domain in ["example.org", "*.example.org", "bücher.example", "localhost"] {
            let rules = format!("[producer]\nrules = [{{ domain = {domain:?}, plan = \"personal\" }}]");
            assert_eq!(mistakes(&rules), "", "{domain}");
        }
        assert_eq!(mistakes("[telemetry]\nlog = \"info,malle=debug\""), "");
        assert_eq!(
            mistakes(
                "[producer]\nrules = [{ group = \"pro\", plan = \"professional\" }, { plan = \"personal\" }]"
            ),
            ""
        );
    }

    #[test]
    fn services_have_values_that_work() {
        let mut config = config("");
        (config.postgres.connections, config.rabbitmq.renew_idle_seconds) = (0, 0);
        config.production_zone = " ".to_owned();
        let said = config.check_values().expect_err("both are nothing").to_string();
        assert!(
            ["postgres.connections", "rabbitmq.renew_idle_seconds", "production_zone"]
                .iter()
                .all(|key| said.contains(key)),
            "{said}"
        );
    }

    #[test]
    fn a_group_that_no_mailbox_can_have_is_doubted() {
        let doubts = |rule: &str, by: &str| {
            let rules = format!("[producer]\nrules = [{{ {rule}, plan = \"personal\" }}]");
            config(&format!("{rules}\n[[servers]]\n{SERVER}discover = {{ by = \"{by}\" }}")).doubts().len()
        };
        assert_eq!(doubts("group = \"sales\"", "jmap"), 1);
        assert_eq!(doubts("group = \"sales\"", "rest"), 0);
        assert_eq!(doubts("group = \"sales@example.org\"", "jmap"), 0);
        assert_eq!(doubts("group = \"sales\", tenant = \"acme\"", "jmap"), 0);
    }
}
