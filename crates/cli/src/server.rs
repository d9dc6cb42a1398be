//! Reaching a mail server: its address, who signs in, which account.

use std::path::Path;

use anyhow::{Context, Result};
use engine::SignIn;
use futures::future::BoxFuture;
use jmap::{Account, AccountId, AccountRef, Class, Client, Config};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::args::shared::ServerArgs;
use crate::secrets;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::hint::Hint;
use crate::terminal::output::Out;
use crate::terminal::waiting;

/// How a certificate in a PEM file begins.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What requests call us.
pub(crate) const USER_AGENT: &str = concat!("malle/", env!("CARGO_PKG_VERSION"));

/// A server that may be connected to without asking anybody anything any more.
pub(crate) struct Server {
    config: Config,
    /// Its address.
    pub(crate) url: Url,
    acts_as_owner: bool,
}

/// Signs in as the owner of an account, where somebody else signed in.
pub(crate) struct AsOwner<'a> {
    config: Option<Config>,
    account: &'a Account,
}

impl SignIn for AsOwner<'_> {
    fn sign_in(&self) -> BoxFuture<'_, Result<Option<Client>, jmap::Error>> {
        Box::pin(async move {
            match &self.config {
                Some(config) => as_owner(config.clone(), self.account).await,
                None => Ok(None),
            }
        })
    }
}

impl Server {
    /// Reads the address and the credentials; may ask for a password. `account` signs in when nobody else is named.
    pub(crate) fn prepare(args: &ServerArgs, account: Option<&str>) -> Result<Server> {
        let url = server_url(args.server.as_deref())?;
        let sign_in = secrets::sign_in(args.user.as_deref(), account, &host(&url))?;
        let mut config = Config::new(url.clone(), sign_in.credentials);
        config.renewal = sign_in.renewal;
        config.authorities = authorities(args.ca_file.as_deref())?;
        config.user_agent = USER_AGENT.to_owned();
        config.concurrency = args.concurrency.into();
        config.waiting = Some(waiting::for_mail_server(host(&url)));
        Ok(Server { config, url, acts_as_owner: !args.not_as_owner })
    }

    /// Who signs in as the owner of an account of it.
    pub(crate) fn as_owner(&self) -> impl FnOnce(&Account) -> AsOwner<'_> + use<> {
        let config = self.acts_as_owner.then(|| self.config.clone());
        move |account| AsOwner { config, account }
    }

    /// Cancelled, all requests of the client end.
    pub(crate) fn cancel(&self) -> CancellationToken {
        self.config.cancel.clone()
    }

    /// Connects and finds the account. What the client still does ends when the guard is dropped.
    pub(crate) async fn open(
        self,
        name: Option<&str>,
        id: Option<&str>,
        out: &Out,
    ) -> Result<(Client, Account, impl Drop + use<>)> {
        let guard = self.config.cancel.clone().drop_guard();
        let server = host(&self.url);
        let client = connect(self.config).await.with_context(|| format!("connect to {server}"))?;
        for warning in client.warnings() {
            out.warn(format_args!("warning: {warning}"));
        }
        let wanted = match (name, id) {
            (Some(name), _) => AccountRef::Named(name.to_owned()),
            (None, Some(id)) => AccountRef::Id(AccountId::new(id).map_err(|_| {
                Failure::usage("read the account's id: it is no JMAP id", "`malle list` shows the ids")
            })?),
            (None, None) => AccountRef::Own,
        };
        let account = client.resolve_account(&wanted).await.context("find the account")?;
        Ok((client, account, guard))
    }
}

/// Signs in.
pub(crate) async fn connect(config: Config) -> Result<Client> {
    match Client::connect(config).await {
        Err(jmap::Error::Status { status: 403, .. }) => {
            let what = "sign in: the mail server knows this user and does not let it in";
            Err(Failure::new(Exit::Refused, what, "on Stalwart grant it the permission `authenticate`")
                .into())
        }
        connected => Ok(connected?),
    }
}

/// Signs in as the account's owner where somebody else signed in, as far as the credentials and the server allow it.
pub(crate) async fn as_owner(config: Config, account: &Account) -> Result<Option<Client>, jmap::Error> {
    let credentials = config.credentials.acting_as(&account.name).filter(|_| !account.is_personal);
    let Some(credentials) = credentials else { return Ok(None) };
    let config = Config { credentials, renewal: None, refused: None, ..config };
    match Client::connect(config).await {
        Ok(client) if client.session().owns(&account.id) => Ok(Some(client)),
        Err(error) if matches!(error.class(), Class::Transient { .. }) => Err(error),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The mail server's address. Errors do not repeat it: somebody may have written a password into it.
pub(crate) fn server_url(text: Option<&str>) -> Result<Url, Failure> {
    let hint = "write it like https://mail.example.org";
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Err(Failure::usage(
            "find the mail server: none is named",
            "give --server or set MALLE_SERVER",
        ));
    };
    let url = Url::parse(text).map_err(|error| Failure::usage(format!("read --server: {error}"), hint))?;
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "set MALLE_USER and MALLE_PASSWORD instead";
        return Err(Failure::usage("use --server: it holds a user name or a password", hint));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Failure::usage("use --server: it is no https address", hint));
    }
    Ok(url)
}

/// `host` or `host:port`, lower-case: what a server is called unless it is named.
pub(crate) fn host(server: &Url) -> String {
    let host = server.host_str().unwrap_or_default().to_ascii_lowercase();
    match server.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// PEM certificates that are trusted beside the system's.
pub(crate) fn authorities(path: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else { return Ok(Vec::new()) };
    let refused = |why: &str| {
        let what = format!("read the authorities' certificates: {}: {why}", path.display());
        let hint = Hint::two(
            "name a PEM file with --ca-file or MALLE_CA_FILE",
            "name a PEM file in the ca_file of its section of the configuration",
        );
        Failure::usage(what, hint)
    };
    let pem = std::fs::read(path).map_err(|error| refused(&error.to_string()))?;
    let is_pem = pem.windows(PEM.len()).any(|part| part == PEM);
    if is_pem { Ok(pem) } else { Err(refused("it holds no certificate")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_host_and_port() {
        for (url, name) in [
            ("https://Mail.Example.org", "mail.example.org"),
            ("https://mail.example.org:443/jmap", "mail.example.org"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
        ] {
            assert_eq!(host(&server_url(Some(url)).expect(url)), name);
        }
    }

    #[test]
    fn bad_addresses_are_refused_without_repeating_them() {
        for url in ["hunter2", "ftp://hunter2", "https://a:hunter2@b", "https://hunter2@b", ""] {
            let failure = server_url(Some(url)).expect_err(url);
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }
}
