//! Starting a simulator, and everything a test does with one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::churn::Churn;
use crate::connection::{Door, Scissors};
use crate::counters::Counters;
use crate::dav::CalDav;
use crate::faults::Faults;
use crate::handle::AccountHandle;
use crate::kind::Capabilities;
use crate::limits::Limits;
use crate::routes;
use crate::server::{Role, Server, Settings, Urls};
use crate::spec::AccountSpec;
use crate::version::{Named, Version};

/// Collects what a simulator is to be like.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    seed: u64,
    port: u16,
    settings: Settings,
    accounts: Vec<AccountSpec>,
    others: Vec<(AccountSpec, Role)>,
    tokens: Vec<(String, String)>,
}

impl Builder {
    /// Decides everything that is generated; 0 unless it is given.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The port on 127.0.0.1; a free one unless it is given.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Which Stalwart this is, and with it what the session offers; 0.16 unless it is given.
    pub fn version(mut self, version: Version) -> Self {
        self.settings.version = version;
        self.capabilities(version.capabilities())
    }

    /// What the session offers, instead of what the version does.
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.settings.capabilities = capabilities;
        self
    }

    /// Whether CalDAV is served; it is unless something else is given.
    pub const fn caldav(mut self, caldav: CalDav) -> Self {
        self.settings.caldav = caldav;
        self
    }

    /// What the session allows.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How the session writes its URLs.
    pub fn urls(mut self, urls: Urls) -> Self {
        self.settings.urls = urls;
        self
    }

    /// Every request takes at least this long.
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// Serves `/sim/…` for scripts (see the README).
    pub const fn with_control(mut self) -> Self {
        self.settings.control = true;
        self
    }

    /// Adds an account.
    pub fn account(mut self, spec: AccountSpec) -> Self {
        self.accounts.push(spec);
        self
    }

    /// Adds an administrator: an account of its own without emails, any account id in method calls, `Principal/query`,
    /// no rate limit, and sign-in as `alice@example.org%name`.
    pub fn admin(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        let spec = AccountSpec::new(name, password).bare().account_id("d333333");
        self.others.push((spec, Role::Administrator));
        self
    }

    /// Adds an administrator who belongs to a tenant.
    pub fn admin_of_tenant(
        mut self,
        tenant: impl Into<String>,
        name: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.others.push((AccountSpec::new(name, password).bare().tenant(tenant), Role::Administrator));
        self
    }

    /// Adds a user who may name any account id and sign in as others, and nothing more.
    pub fn impersonator(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.others.push((AccountSpec::new(name, password).bare(), Role::Impersonator));
        self
    }

    /// Lets a bearer token sign this user in.
    pub fn token(mut self, user: impl Into<String>, token: impl Into<String>) -> Self {
        self.tokens.push((token.into(), user.into()));
        self
    }

    /// Binds the port and serves on the current tokio runtime.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub fn start(self) -> BoxFuture<'static, io::Result<Simulator>> {
        Box::pin(async move {
            let server = Arc::new(Server::new(self.seed, self.settings));
            self.accounts.iter().for_each(|spec| drop(server.add_account(spec)));
            for (spec, role) in &self.others {
                drop(server.add_account(spec));
                server.directory_mut().add_user(&spec.name, &spec.password, *role);
            }
            server.directory_mut().tokens.extend(self.tokens);
            let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, self.port)).await?;
            let address = listener.local_addr()?;
            let stop = CancellationToken::new();
            let door = Door { listener, meters: Arc::clone(&server.meters), stop: stop.clone() };
            let router = Router::new().fallback(routes::handle).with_state(Arc::clone(&server));
            let service = router.into_make_service_with_connect_info::<Scissors>();
            let stopped = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    _ = axum::serve(door, service) => {}
                    () = stopped.cancelled() => {}
                }
            });
            Ok(Simulator { server, address, _stop: stop.drop_guard() })
        })
    }
}

/// A running server; dropping it closes its port and every connection.
#[derive(Debug)]
pub struct Simulator {
    server: Arc<Server>,
    address: SocketAddr,
    _stop: DropGuard,
}

impl Simulator {
    /// A simulator with the defaults of Stalwart 0.16 and no account.
    pub fn builder() -> Builder {
        let settings = Settings {
            version: Version::default(),
            capabilities: Version::default().capabilities(),
            limits: Limits::default(),
            urls: Urls::default(),
            latency: Duration::ZERO,
            control: false,
            named: Named::default(),
            caldav: CalDav::default(),
        };
        Builder { seed: 0, port: 0, settings, accounts: Vec::new(), others: Vec::new(), tokens: Vec::new() }
    }

    /// The origin, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The account of this name.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<AccountHandle> {
        let directory = self.server.directory();
        let account = directory.accounts.get(directory.names.get(name)?)?;
        Some(AccountHandle::new(Arc::clone(account)))
    }

    /// Adds an account now. One of the same name or account id is replaced: the mailbox was deleted and made again.
    pub fn add_account(&self, spec: &AccountSpec) -> AccountHandle {
        AccountHandle::new(self.server.add_account(spec))
    }

    /// Deletes an account and its user; false if there is none.
    pub fn remove_account(&self, name: &str) -> bool {
        let mut directory = self.server.directory_mut();
        directory.users.remove(name);
        let id = directory.names.remove(name);
        id.is_some_and(|id| directory.accounts.remove(&id).is_some())
    }

    /// Gives an account another name (0.15 to 0.16: bare names become addresses); its id and content stay.
    pub fn rename_account(&self, name: &str, new: &str) -> bool {
        let mut directory = self.server.directory_mut();
        let (id, user) = (directory.names.remove(name), directory.users.remove(name));
        let (Some(id), Some(user)) = (id, user) else {
            return false;
        };
        directory.add_user(new, &user.password, user.role);
        directory.names.insert(new.to_owned(), id);
        true
    }

    /// Another password signs this user in; false if there is no such user.
    pub fn set_password(&self, name: &str, new: &str) -> bool {
        let mut directory = self.server.directory_mut();
        let user = directory.users.get_mut(name);
        user.map(|user| new.clone_into(&mut user.password)).is_some()
    }

    /// Another bearer token signs in whom this one did; false if nobody has it.
    pub fn replace_token(&self, token: &str, new: &str) -> bool {
        let mut directory = self.server.directory_mut();
        let user = directory.tokens.remove(token);
        user.is_some_and(|user| directory.tokens.insert(new.to_owned(), user).is_none())
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.server.faults
    }

    /// What the server has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.server.meters.read()
    }

    /// Lets mailboxes change around every method call from now on, or stops it.
    pub fn churn(&self, churn: Option<Churn>) {
        self.server.set_churn(churn);
    }

    /// Becomes another Stalwart, with what it offers.
    pub fn set_version(&self, version: Version) {
        self.server.change_settings(|settings| {
            settings.version = version;
            settings.capabilities = version.capabilities();
        });
    }

    /// Treats properties that have to be named so from now on.
    pub fn set_named(&self, named: Named) {
        self.server.change_settings(|settings| settings.named = named);
    }

    /// Serves CalDAV, or stops serving it, from now on.
    pub fn set_caldav(&self, caldav: CalDav) {
        self.server.change_settings(|settings| settings.caldav = caldav);
    }

    /// Offers something else from now on: an upgrade, or a capability that disappears.
    pub fn set_capabilities(&self, capabilities: Capabilities) {
        self.server.change_settings(|settings| settings.capabilities = capabilities);
    }

    /// Allows something else from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.server.change_settings(|settings| settings.limits = limits);
    }

    /// Writes the session's URLs differently from now on.
    pub fn set_urls(&self, urls: Urls) {
        self.server.change_settings(|settings| settings.urls = urls);
    }
}
