use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use model::forms::{MOST, count, required, text, url};
use model::settings;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::error::{Error, Result};
use crate::tls::Tls;

/// A server that has not answered a probe for this long is taken for dead (half-open connections).
const SILENCE: Duration = Duration::from_secs(30);

settings! {
    /// How the catalogue is reached. `Debug` leaves the URL out: it holds the password.
    #[derive(Clone)]
    pub struct Settings {
        /// The database. With `?sslmode=require` or `verify-full` behind it, which are one: TLS, and the certificate and its name are
        /// verified. Without, and without a `ca_file`, nothing is encrypted: for a private network.
        pub url: String = String::new(), "postgres.url": required(url("a URL like postgres://user@host/database", &["postgres", "postgresql"]));
        /// Certificates in PEM that are trusted beside the system's; with any, TLS is demanded.
        pub authorities: Option<Vec<u8>> = None;
        /// The schema that all tables lie in, made by the first migration.
        pub schema: String = "malle".to_owned(), "postgres.schema": text("a word of lower-case letters, digits and _", schema);
        /// What `pg_stat_activity` shows, such as `malle-worker`.
        pub application_name: String = String::new();
        /// Connections of each process at most.
        pub pool_size: usize = 8, "postgres.connections": count(1..=MOST);
        /// The server gives up a statement that takes longer; also bounds the wait for a lock.
        pub statement_timeout: Duration = Duration::from_secs(30);
        /// The wait for a free connection, and for a new one.
        pub connect_timeout: Duration = Duration::from_secs(10);
    }
}

/// A word that needs no quotes in SQL.
fn schema(text: &str) -> std::result::Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !text.is_empty() && text.chars().all(is_plain) { Ok(text.to_owned()) } else { Err(String::new()) }
}

impl Settings {
    /// The usual settings for the database at `url`, which is `postgres://user:password@host:port/database`.
    pub fn new(url: impl Into<String>, application_name: impl Into<String>) -> Settings {
        Settings { url: url.into(), application_name: application_name.into(), ..Settings::default() }
    }

    /// The driver's own error is dropped: it may quote the URL.
    pub(crate) fn config(&self) -> Result<(Config, Option<Tls>)> {
        if schema(&self.schema).is_err() {
            return Err(Error::Settings { reason: "the schema is no lower-case word" });
        }
        if !self.url.starts_with("postgres://") && !self.url.starts_with("postgresql://") {
            return Err(Error::Settings { reason: "the database URL does not begin with postgres://" });
        }
        let (url, mode) = split(&self.url);
        let tls = match (mode, &self.authorities) {
            (None | Some("disable"), None) => None,
            (None | Some("require" | "verify-full"), authorities) => Some(Tls::new(authorities.as_deref())?),
            (Some("disable"), Some(_)) => {
                return Err(Error::Settings {
                    reason: "the database URL forbids TLS, and authorities for it are named",
                });
            }
            _ => {
                return Err(Error::Settings {
                    reason: "sslmode in the database URL is none of disable, require and verify-full",
                });
            }
        };
        let mut config = Config::from_str(&url)
            .map_err(|_| Error::Settings { reason: "the database URL cannot be read" })?;
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        let millis = self.statement_timeout.as_millis();
        // Compiled anew at each execution, a page of a million mailboxes takes ten times as long to compile as to read.
        let options = format!(
            "{} -c jit=off -c search_path={} -c statement_timeout={millis} -c idle_in_transaction_session_timeout={millis} -c timezone=UTC",
            config.get_options().unwrap_or_default(),
            self.schema
        );
        config.options(options).application_name(&self.application_name);
        config.connect_timeout(self.connect_timeout).tcp_user_timeout(SILENCE).keepalives_idle(SILENCE);
        Ok((config, tls))
    }
}

/// The URL without its `sslmode`, and that: the driver does not know all of its words.
fn split(url: &str) -> (String, Option<&str>) {
    let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mode = query.split('&').filter_map(|pair| pair.strip_prefix("sslmode=")).next_back();
    let others: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("sslmode=")).collect();
    (format!("{place}?{}", others.join("&")), mode)
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("schema", &self.schema)
            .field("application_name", &self.application_name)
            .field("pool_size", &self.pool_size)
            .field("statement_timeout", &self.statement_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_the_password() {
        for url in [
            "postgres://malle:hunter2@localhost/x",
            "postgres://malle:hunter2@localhost:notaport/x",
            "postgres://malle:hunter2@localhost/x?hunter2=1",
            "malle:hunter2@localhost/x",
        ] {
            let settings = Settings::new(url, "test");
            let shown = format!("{settings:?} {:?}", settings.config().map(|(config, _)| config));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn tls_is_demanded_or_left_out_and_never_left_to_the_server() {
        let modes = |query: &str, authorities: Option<&[u8]>| {
            let url = format!("postgres://localhost/x{query}");
            let settings =
                Settings { authorities: authorities.map(<[u8]>::to_vec), ..Settings::new(url, "test") };
            settings.config().map(|(config, tls)| (config.get_ssl_mode(), tls.is_some()))
        };
        let (plain, tls) = ((SslMode::Disable, false), (SslMode::Require, true));
        for (query, expected) in [
            ("", plain),
            ("?sslmode=disable", plain),
            ("?sslmode=require", tls),
            ("?sslmode=verify-full", tls),
            ("?keepalives=1&sslmode=verify-full&connect_timeout=3", tls),
        ] {
            assert_eq!(modes(query, None).expect(query), expected, "{query}");
        }
        for query in ["?sslmode=prefer", "?sslmode=allow", "?sslmode=verify-ca", "?sslmode="] {
            assert!(matches!(modes(query, None), Err(Error::Settings { .. })), "{query}");
        }
        let refused = modes("", Some(b"no certificate")).expect_err("nothing to trust");
        assert!(refused.to_string().contains("no certificate"), "{refused}");
        assert!(modes("?sslmode=disable", Some(b"")).is_err(), "it contradicts itself");
    }

    #[test]
    fn a_schema_that_would_need_quotes_is_refused() {
        for schema in ["", "Malle", "a b", "a;b", "a-c"] {
            let settings =
                Settings { schema: schema.into(), ..Settings::new("postgres://localhost/x", "test") };
            assert!(matches!(settings.config(), Err(Error::Settings { .. })), "{schema}");
        }
    }
}
