//! Stalwart's configuration: everything in one directory, on loopback, without the network.

use crate::options::Options;
use std::{collections::BTreeMap, fs, io, path::PathBuf};

pub const ADMIN_SECRET: &str = "TEST_STALWART_ADMIN_SECRET";

const SETTINGS: &[(&str, &str)] = &[
    ("server.hostname", "mail.example.org"),
    ("server.listener.http.protocol", "http"),
    ("server.listener.http.tls.enable", "false"),
    ("server.listener.imap.protocol", "imap"),
    ("server.listener.imap.tls.enable", "false"),
    ("imap.auth.allow-plain-text", "true"),
    ("store.sqlite.type", "sqlite"),
    ("storage.data", "sqlite"),
    ("storage.blob", "sqlite"),
    ("storage.fts", "sqlite"),
    ("storage.lookup", "sqlite"),
    ("storage.directory", "internal"),
    ("directory.internal.type", "internal"),
    ("directory.internal.store", "sqlite"),
    ("authentication.fallback-admin.user", "admin"),
    (
        "authentication.fallback-admin.secret",
        "%{env:TEST_STALWART_ADMIN_SECRET}%",
    ),
    // Without a version it fetches the spam rules from the Internet.
    ("version.spam-filter", "0.0.0"),
    ("spam-filter.enable", "false"),
    ("spam-filter.pyzor.enable", "false"),
    // A test asks far more, and more often with wrong passwords, than a person does.
    ("http.rate-limit.account", "false"),
    ("http.rate-limit.anonymous", "false"),
    ("imap.rate-limit.requests", "false"),
    ("server.auto-ban.auth.rate", "false"),
    ("server.auto-ban.abuse.rate", "false"),
    ("server.auto-ban.loiter.rate", "false"),
    ("server.auto-ban.scan.rate", "false"),
    ("jmap.protocol.upload.quota.files", "1000000"),
    ("jmap.protocol.upload.quota.size", "100000000000"),
    ("object-quota.mailbox", "5000"),
    // Nothing changes by itself: no full-text index behind our back, old mail stays in Trash and Junk.
    ("storage.search-index.email.enabled", "false"),
    ("email.auto-expunge", "false"),
    ("tracer.log.type", "log"),
    ("tracer.log.level", "warn"),
    ("tracer.log.rotate", "never"),
];

/// Writes `DIR/stalwart.toml` anew and returns its path.
pub fn write(options: &Options) -> io::Result<PathBuf> {
    let in_dir = |name: &str| options.dir.join(name).to_string_lossy().into_owned();
    let mut settings: BTreeMap<String, String> = SETTINGS
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect();
    settings.insert("store.sqlite.path".into(), in_dir("stalwart.sqlite"));
    settings.insert("tracer.log.path".into(), in_dir("log"));
    settings.insert("server.listener.http.bind".into(), loopback(options.http_port));
    settings.insert("server.listener.imap.bind".into(), loopback(options.imap_port));
    settings.extend(options.settings.iter().cloned());

    fs::create_dir_all(options.dir.join("log"))?;
    let path = options.dir.join("stalwart.toml");
    fs::write(&path, toml(&settings))?;
    Ok(path)
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn toml(settings: &BTreeMap<String, String>) -> String {
    settings
        .iter()
        .map(|(key, value)| {
            format!(
                "{key} = \"{}\"\n",
                value.replace('\\', "\\\\").replace('"', "\\\"")
            )
        })
        .collect()
}
