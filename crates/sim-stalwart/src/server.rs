//! The state that all connections share: who there is, what is offered, what is to go wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::account::Account;
use crate::churn::Churn;
use crate::counters::Meters;
use crate::dav::CalDav;
use crate::error::MethodError;
use crate::faults::Faults;
use crate::ids;
use crate::kind::Capabilities;
use crate::limits::{Limits, RateMeter};
use crate::rng::{Rng, mix};
use crate::spec::AccountSpec;
use crate::stock::Stock;
use crate::version::{Named, Version};

/// An account that requests and tests share.
pub(crate) type SharedAccount = Arc<Mutex<Account>>;

/// Locks an account for one method call; a panic of another test thread does not spoil it.
pub(crate) fn lock(account: &SharedAccount) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the session object writes its URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Urls {
    /// With the scheme and host that the client called.
    #[default]
    Absolute,
    /// Paths alone.
    Relative,
    /// On this origin (`http://127.0.0.1:1234`) instead of the one that was called.
    Origin(String),
}

/// What can be changed while the simulator runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    pub(crate) capabilities: Capabilities,
    pub(crate) limits: Limits,
    pub(crate) urls: Urls,
    /// Every request takes at least this long, with its place among the concurrent ones held.
    pub(crate) latency: Duration,
    pub(crate) control: bool,
    pub(crate) named: Named,
    pub(crate) caldav: CalDav,
}

/// Someone who signs in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) role: Role,
}

/// What a user may do beyond the own mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing.
    Owner,
    /// Name any account id.
    Impersonator,
    /// That, and list principals; no rate limit.
    Administrator,
}

/// The accounts and those who may read them.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) accounts: BTreeMap<String, SharedAccount>,
    /// Account ids by name.
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) users: HashMap<String, User>,
    /// User names by bearer token.
    pub(crate) tokens: HashMap<String, String>,
    /// Ids by name.
    pub(crate) tenants: BTreeMap<String, String>,
    /// Ids by address.
    pub(crate) groups: BTreeMap<String, String>,
    /// By account id.
    pub(crate) memberships: HashMap<String, Membership>,
}

/// The ids of what an account belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Membership {
    pub(crate) tenant: Option<String>,
    pub(crate) groups: Vec<String>,
}

/// A request's identity: the user, and the account that its session is about.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) account: Option<String>,
    pub(crate) role: Role,
}

#[derive(Debug)]
pub(crate) struct Server {
    seed: u64,
    stock: Arc<Stock>,
    settings: RwLock<Settings>,
    directory: RwLock<Directory>,
    pub(crate) faults: Faults,
    pub(crate) meters: Arc<Meters>,
    pub(crate) rate: RateMeter,
    churn: Mutex<Option<(Churn, Rng)>>,
    next_account: AtomicU64,
    in_flight: Mutex<HashMap<String, Arc<AtomicUsize>>>,
}

/// One of the concurrent requests that a user is allowed.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Server {
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        Self {
            seed,
            stock: Arc::default(),
            settings: RwLock::new(settings),
            directory: RwLock::default(),
            faults: Faults::default(),
            meters: Arc::default(),
            rate: RateMeter::default(),
            churn: Mutex::default(),
            next_account: AtomicU64::new(1),
            in_flight: Mutex::default(),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an account and the user of the same name; replaces one that is there.
    pub(crate) fn add_account(&self, spec: &AccountSpec) -> SharedAccount {
        let number = self.next_account.fetch_add(1, Relaxed);
        let known = self.directory().groups.get(&spec.name).filter(|_| spec.is_group).cloned();
        let id = known.or_else(|| spec.id.clone()).unwrap_or_else(|| ids::short(number));
        let name_seed = spec.name.bytes().fold(self.seed, |seed, byte| mix(seed, u64::from(byte)));
        let mut account = Account::new(id.clone(), spec.seed.unwrap_or(name_seed), spec);
        self.stock.add(Arc::clone(&account.mails));
        account.stock = Arc::clone(&self.stock);
        let account = Arc::new(Mutex::new(account));
        let mut directory = self.directory_mut();
        let new_id = || ids::short(self.next_account.fetch_add(1, Relaxed));
        let tenant = spec.tenant.as_ref().map(|name| id_of(&mut directory.tenants, name, new_id));
        let groups: Vec<String> =
            spec.groups.iter().map(|name| id_of(&mut directory.groups, name, new_id)).collect();
        for group in &groups {
            let of_group = Membership { tenant: tenant.clone(), groups: Vec::new() };
            directory.memberships.entry(group.clone()).or_insert(of_group);
            directory.accounts.entry(group.clone()).or_insert_with(|| self.empty(group));
        }
        directory.memberships.insert(id.clone(), Membership { tenant, groups });
        directory.accounts.insert(id.clone(), Arc::clone(&account));
        if spec.is_group {
            directory.groups.insert(spec.name.clone(), id);
        } else {
            directory.names.insert(spec.name.clone(), id);
            directory.add_user(&spec.name, &spec.password, Role::Owner);
        }
        account
    }

    /// Who sent these credentials; none if they are wrong.
    pub(crate) fn login(&self, authorization: &str) -> Option<Login> {
        let directory = self.directory();
        if let Some(token) = authorization.strip_prefix("Bearer ") {
            let name = directory.tokens.get(token)?;
            return directory.login(directory.users.get(name)?, None);
        }
        let credentials = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
        let credentials = String::from_utf8(credentials).ok()?;
        let (name, password) = credentials.split_once(':')?;
        let (target, name) = name.split_once('%').map_or((None, name), |(target, name)| (Some(target), name));
        let user = directory.users.get(name).filter(|user| user.password == password)?;
        directory.login(user, target)
    }

    /// The account that a method call names, if this login may.
    pub(crate) fn account(&self, id: &str, login: &Login) -> Result<SharedAccount, MethodError> {
        let found = self.directory().accounts.get(id).cloned();
        match (found, login.role) {
            (Some(account), _) if login.account.as_deref() == Some(id) => Ok(account),
            (Some(account), Role::Impersonator | Role::Administrator) => Ok(account),
            (None, _) if ids::number(id).is_none() => Err(MethodError::invalid("accountId is no id")),
            (_, Role::Owner) => {
                Err(MethodError::of("forbidden").because(format!("You do not have access to account {id}")))
            }
            (None, _) if self.settings().version == Version::V0_15 => Ok(self.phantom(id)),
            (None, _) => Err(MethodError::of("accountNotFound")),
        }
    }

    /// The account that an upload is for: whoever may upload may do so for all, and 0.15 makes the account.
    pub(crate) fn upload_account(&self, id: &str, version: Version) -> Option<SharedAccount> {
        let found = self.directory().accounts.get(id).cloned();
        found.or_else(|| (version == Version::V0_15).then(|| self.phantom(id)))
    }

    /// As 0.15 does: an id that nobody has gets an empty mailbox by being read.
    fn phantom(&self, id: &str) -> SharedAccount {
        Arc::clone(self.directory_mut().accounts.entry(id.to_owned()).or_insert(self.empty(id)))
    }

    fn empty(&self, id: &str) -> SharedAccount {
        let spec = AccountSpec::new("", "").bare();
        Arc::new(Mutex::new(Account::new(id.to_owned(), self.seed, &spec)))
    }

    /// All accounts that have a name, as (id, name).
    pub(crate) fn accounts(&self) -> Vec<(String, String)> {
        self.directory().names.iter().map(|(name, id)| (id.clone(), name.clone())).collect()
    }

    /// Takes one of the user's places among the concurrent requests; none if all are taken.
    pub(crate) fn place(&self, user: &str, most: usize) -> Option<Place> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let count = Arc::clone(in_flight.entry(user.to_owned()).or_default());
        let place = Place(Arc::clone(&count));
        (count.fetch_add(1, Relaxed) < most).then_some(place)
    }

    pub(crate) fn set_churn(&self, churn: Option<Churn>) {
        let with_rng = churn.map(|churn| (churn, Rng::new(churn.seed)));
        *self.churn.lock().unwrap_or_else(PoisonError::into_inner) = with_rng;
    }

    /// Lets mail arrive, move and vanish around a method call.
    pub(crate) fn churn(&self, account: &mut Account, steps: impl FnOnce(&Churn) -> u32) {
        if let Some((churn, rng)) = self.churn.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            (0..steps(churn)).for_each(|_| account.mutate(rng, churn.kinds));
        }
    }
}

fn id_of(ids: &mut BTreeMap<String, String>, name: &str, new: impl Fn() -> String) -> String {
    ids.entry(name.to_owned()).or_insert_with(new).clone()
}

impl Directory {
    pub(crate) fn add_user(&mut self, name: &str, password: &str, role: Role) {
        let user = User { name: name.to_owned(), password: password.to_owned(), role };
        self.users.insert(name.to_owned(), user);
    }

    fn login(&self, user: &User, target: Option<&str>) -> Option<Login> {
        if target.is_some() && user.role == Role::Owner {
            return None;
        }
        let account = self.names.get(target.unwrap_or(&user.name)).cloned();
        if target.is_some() && account.is_none() {
            return None;
        }
        Some(Login {
            user: user.name.clone(),
            account,
            role: if target.is_some() { Role::Owner } else { user.role },
        })
    }
}
