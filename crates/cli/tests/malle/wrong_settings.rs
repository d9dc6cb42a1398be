//! A mistake in the fleet's configuration: `config check`, the producer and the worker refuse it alike. That every mistake with every
//! key is found is tested beside the code that reads them (`fleet/mistakes.rs`); here are the processes.

use std::fs;

use futures::future::join_all;
use sim_stalwart::Simulator;

use crate::home::{Ended, Home, alice, end};

/// Sections, and what they say at least.
const BASE: [(&str, &[&str]); 13] = [
    ("", &["production_zone = \"here\"", "time_zone = \"UTC\"", "key_file = \"ring.key\""]),
    ("[postgres]", &["url = \"postgres://malle@127.0.0.1:9/malle\""]),
    ("[rabbitmq]", &["url = \"amqp://malle@127.0.0.1:9/malle\""]),
    ("[redis]", &["url = \"redis://127.0.0.1:9/0\""]),
    (
        "[[servers]]",
        &["name = \"mail\"", "url = \"http://127.0.0.1:9\"", "user = \"a\"", "password = { env = \"SOME\" }"],
    ),
    ("[servers.discover]", &["by = \"rest\""]),
    ("[[stores]]", &["name = \"far\"", "zone = \"there\"", "url = \"memory:\""]),
    ("[plan]", &[]),
    ("[producer]", &[]),
    ("[[producer.tokens]]", &["name = \"panel\"", "secret = { env = \"SOME\" }", "scopes = [\"read\"]"]),
    ("[[producer.rules]]", &["plan = \"personal\""]),
    ("[worker]", &[]),
    ("[telemetry]", &[]),
];

/// Writes the file with this line in this section, in place of what the section says of the key.
fn write(home: &Home, section: &str, line: &str) {
    let mut text = String::new();
    for (header, lines) in BASE {
        let key = line.split(" = ").next().filter(|_| header == section);
        let others = lines.iter().filter(|other| other.split(" = ").next() != key);
        let lines = others.copied().chain(key.map(|_| line));
        text.extend([header].into_iter().chain(lines).map(|line| format!("{line}\n")));
    }
    fs::write(home.path("malle.toml"), text).expect("writable");
}

/// How each command that reads the configuration at its start ends.
async fn ended(home: &Home, variables: &[(&str, &str)]) -> [Ended; 3] {
    let run = async |args: &[&str]| {
        let mut command = home.malle(&[args, &["--config", "malle.toml"]].concat());
        command.env("SOME", "a secret of more than thirty-two characters").envs(variables.iter().copied());
        end(command.spawn().expect("runs")).await
    };
    let (check, produce, work) = tokio::join!(run(&["config", "check"]), run(&["produce"]), run(&["work"]));
    [check, produce, work]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_refused_by_the_check_and_by_each_role_alike() {
    let home = Home::without_store(Simulator::builder().account(alice())).await;
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let manual = fs::read_to_string(manual).expect("it is there");
    let (mut section, mut header, mut keys) = ("", "", 0);
    for line in manual.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            header = if heading.starts_with('`') { heading.trim_matches('`') } else { "" };
            section = header.trim_matches(['[', ']']);
        }
        let Some((key, _)) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) else { continue };
        write(&home, header, &format!("{key} = -1"));
        let name = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        let is_secret = line.contains("| { file");
        let named = format!("malle.toml: {name}{} (line ", if is_secret { "" } else { " = -1" });
        let ended = ended(&home, &[]).await;
        for ended in &ended {
            ended.refused(2, &[&named, "has to be", "docs/configuration.md"]);
        }
        assert!(ended.iter().all(|other| other.err == ended[0].err), "{ended:?}");
        keys += 1;
    }
    assert!(keys >= 75, "{keys}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_that_passed_once_are_refused() {
    let home = Home::without_store(Simulator::builder().account(alice())).await;
    let twice = "[[stores]]\nname = \"far\"\nzone = \"elsewhere\"\nurl = \"memory:\"";
    for (section, line, named) in [
        ("[worker]", "grace_seconds = 9200000000000000000", "worker.grace_seconds"),
        ("[worker]", "nightly = 4.5", "worker.nightly = 4.5"),
        ("[telemetry]", "log = \"loud\"", "telemetry.log"),
        ("[telemetry]", "sampled = nan", "telemetry.sampled = NaN"),
        ("", "production_zone = \"\"", "production_zone"),
        ("[plan]", "attempts = 0", "plan.attempts = 0"),
        ("[plan]", "retry_seconds = 3601", "plan.longest_retry_seconds"),
        ("[plan]", "retry_secs = 1", "plan.retry_secs (line"),
        ("[[servers]]", "requests_in_flight = 0", "servers.requests_in_flight = 0"),
        ("[[servers]]", "name = \" \"", "servers.name"),
        ("[[servers]]", "token = { env = \"SOME\" }", "token alone"),
        ("[[stores]]", &format!("region = \"x\"\n{twice}"), "stores.name"),
        ("[[producer.rules]]", "plan = \"personal\"\n[[producer.rules]]\nplan = \"personal\"", "put it last"),
    ] {
        write(&home, section, line);
        for ended in ended(&home, &[]).await {
            ended.refused(2, &[named]);
        }
    }
}

/// What the roles themselves find before they connect to anything.
#[tokio::test(flavor = "multi_thread")]
async fn roles_that_cannot_work_say_so_with_the_exit_code_of_wrong_settings() {
    let home = Home::without_store(Simulator::builder().account(alice())).await;
    write(&home, "[producer]", "listen = \"127.0.0.1:0\"");
    let slots =
        ["MANUAL", "RESTORE", "NIGHTLY", "WEEKEND", "VERIFY"].map(|kind| format!("MALLE__WORKER__{kind}"));
    let no_slot: Vec<_> = slots.iter().map(|name| (name.as_str(), "0")).collect();
    let (zone, log) = ([("MALLE__PRODUCTION_ZONE", "there")], [("MALLE__TELEMETRY__LOG", "malle=loudly")]);
    let silent = [("MALLE__PRODUCER__SILENT_SECONDS", "44")];
    let (otlp, short) = ([("MALLE__TELEMETRY__OTLP", "no url")], [("SOME", "short")]);
    let cases = [
        (&no_slot[..], "no slot", &[2][..]),
        (&zone, "production's own zone", &[1, 2]),
        (&log, "malle=loudly", &[1, 2]),
        (&silent, "silent_seconds", &[1, 2]),
        (&otlp, "traces", &[1, 2]),
        (&short, "shorter than 32", &[1]),
    ];
    // The check waits for what is not there.
    let ended = join_all(cases.iter().map(|(variables, ..)| ended(&home, variables))).await;
    for ((_, named, roles), ended) in cases.iter().zip(&ended) {
        assert_eq!(ended[0].code, 2, "{:?}", ended[0]);
        assert!(ended[0].out.contains(named), "{:?}", ended[0]);
        for role in *roles {
            assert_eq!(ended[*role].code, 2, "{:?}", ended[*role]);
            assert!(ended[*role].err.contains(named), "{:?}", ended[*role]);
        }
    }
}
