//! Values of the configuration that can be read and make no fleet: a wait of nothing, a share of more than all.

use super::config::{Config, Token};
use super::mail_server::{Directory, Server};
use crate::failure::Failure;

/// Renewals are a third of a lease, and waits for a busy mailbox a quarter.
const SHORTEST_LEASE: u64 = 4;

/// What is wrong with one value.
type Mistake = String;

impl Config {
    /// Fails with every mistake at once.
    pub(super) fn check_values(&self) -> Result<(), Failure> {
        let mut mistakes = self.of_services();
        mistakes.extend(self.of_the_plan());
        mistakes.extend(self.of_the_producer());
        mistakes.extend(self.of_the_worker());
        for server in &self.servers {
            mistakes.extend(of_server(server));
        }
        if mistakes.is_empty() {
            return Ok(());
        }
        let what = format!("use the configuration: {}", mistakes.join("; "));
        Err(Failure::usage(what, "deploy/malle.toml has every key, what it means and its usual value"))
    }

    fn of_services(&self) -> Vec<Mistake> {
        let mut mistakes = zeros(&[
            ("postgres.connections", self.postgres.connections as u64),
            ("rabbitmq.renew_idle_seconds", self.rabbitmq.renew_idle_seconds),
        ]);
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
        let mut mistakes = zeros(&[
            ("plan.attempts", plan.attempts.into()),
            ("plan.retry_seconds", plan.retry_seconds),
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
        let mut mistakes = zeros(&[
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
        let fits_all = |rule: &producer::Rule| {
            rule.domain.is_none() && rule.tenant.is_none() && rule.group.is_none() && rule.kind.is_none()
        };
        // The standard directory names groups by their addresses alone.
        let by_jmap =
            |server: &Server| server.discover.as_ref().is_some_and(|of| matches!(of.by, Directory::Jmap));
        if !self.servers.is_empty() && self.servers.iter().all(by_jmap) {
            let names =
                of.rules.iter().filter(|rule| rule.tenant.is_none()).filter_map(|rule| rule.group.as_ref());
            mistakes.extend(names.filter(|group| !group.contains('@')).map(|group| {
                format!("a rule names the group {group:?}, which other tenants may have, too: write its address, or name the tenant")
            }));
        }
        let first = of.rules.iter().position(fits_all).map(|at| at + 1);
        mistakes.extend(first.filter(|number| *number < of.rules.len()).map(|number| {
            format!(
                "rule {number} of producer.rules names no domain, tenant or group and fits every mailbox: put it last"
            )
        }));
        mistakes
    }

    fn of_the_worker(&self) -> Vec<Mistake> {
        let of = &self.worker;
        let mut mistakes = zeros(&[
            ("worker.slice_seconds", of.slice_seconds),
            ("worker.grace_seconds", of.grace_seconds),
            ("worker.heartbeat_seconds", of.heartbeat_seconds),
        ]);
        mistakes.extend((of.lease_seconds < SHORTEST_LEASE).then(|| {
            format!("worker.lease_seconds = {} has to be at least {SHORTEST_LEASE}", of.lease_seconds)
        }));
        mistakes
    }
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
        values.push(("discover.missing_for_hours", discover.missing_for_hours.into()));
        let percent = discover.drop_at_most_percent;
        mistakes.extend(
            (percent > 100).then(|| format!("discover.drop_at_most_percent = {percent} is more than all")),
        );
    }
    mistakes.extend(zeros(&values));
    mistakes.into_iter().map(|mistake| format!("server {:?}: {mistake}", server.name)).collect()
}

fn zeros(values: &[(&str, u64)]) -> Vec<Mistake> {
    let zero = values.iter().filter(|(_, value)| *value == 0);
    zero.map(|(key, _)| format!("{key} = 0 has to be at least 1")).collect()
}

#[cfg(test)]
mod tests {
    use crate::fleet::config::tests::config;

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
            let is_refused =
                std::panic::catch_unwind(|| mistakes(&text)).map_or(true, |said| said.contains(key));
            assert!(is_refused, "{section} {key} = 0 is accepted");
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
            (
                format!(
                    "[producer]\nrules = [{{ group = \"sales\", plan = \"personal\" }}]\n[[servers]]\n{SERVER}discover = {{ by = \"jmap\" }}"
                ),
                "other tenants",
            ),
        ] {
            let said = mistakes(&more);
            assert!(said.contains(named), "{more}: {said:?}");
        }
        assert_eq!(
            mistakes(
                "[producer]\nrules = [{ group = \"pro\", plan = \"professional\" }, { plan = \"personal\" }]"
            ),
            ""
        );
    }
}
