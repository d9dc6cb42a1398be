//! Finding an account by what people call it.

use serde::Deserialize;

use crate::class::Class;
use crate::client::Client;
use crate::error::Error;
use crate::methods::batch::{Batch, Ids};
use crate::methods::capability::Capability;
use crate::methods::ids::AccountId;
use crate::methods::objects::Objects;
use crate::session::{Account, Session};

/// The most principals looked at for one name: directories match by parts of names (RFC 9670 section 2.4).
const MOST_PRINCIPALS: usize = 50;

/// Most bytes of a directory's answer about a few principals.
const DIRECTORY_ANSWER: u64 = 1 << 20;

/// Which account to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountRef {
    /// The user's own.
    Own,
    /// By main address or account name, compared without regard to ASCII case.
    Named(String),
    /// By id. When the session does not list it, the directory must know it, or there is no directory that may be asked.
    Id(AccountId),
}

#[derive(Deserialize)]
struct Principal {
    id: AccountId,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    email: Option<String>,
}

impl Client {
    /// Finds an account among the session's, else in the server's directory (an impersonating administrator's way; on
    /// Stalwart a principal's id is its account id).
    ///
    /// Only an exact name or main address counts. Neither directory filters nor single hits are believed: Stalwart 0.15
    /// drops a filter that finds nobody and lists everybody, and RFC 9670 filters match parts of names. So an alias is
    /// not found.
    ///
    /// # Errors
    /// [`Error::UnknownAccount`], [`Error::AmbiguousAccount`], and whatever keeps a request from succeeding.
    pub async fn resolve_account(&self, wanted: &AccountRef) -> Result<Account, Error> {
        let found = self.found();
        let session = &found.session;
        match wanted {
            AccountRef::Own => session
                .primary_account(Capability::MAIL)
                .cloned()
                .ok_or_else(|| Error::UnknownAccount { name: session.username.clone(), source: None }),
            AccountRef::Id(id) => match session.accounts.get(id) {
                Some(account) => Ok(account.clone()),
                None => self.check_id(id).await,
            },
            AccountRef::Named(name) => {
                let listed = session.accounts.values().filter(|account| is_same(&account.name, name));
                match one(listed.cloned().collect(), name)? {
                    Some(account) => Ok(account),
                    None => self.find_principal(name).await,
                }
            }
        }
    }

    /// An account that the session does not list: an impersonating administrator gets empty answers for ids that no account
    /// has (Stalwart 0.15), so the directory must know it, unless there is none to ask.
    async fn check_id(&self, id: &AccountId) -> Result<Account, Error> {
        let found = self.found();
        let unverified = || found.session.unlisted_account(id.clone(), id.to_string());
        let Some(own) = directory(&found.session) else {
            return Ok(unverified());
        };
        let mut batch = Batch::new(&own.id).limit_answer(DIRECTORY_ANSWER);
        let principals = batch.principals_by_id(Ids::These(vec![id.clone()]));
        let objects = match self.call(&batch).await?.take(principals) {
            Ok(objects) => objects,
            Err(error) if error.method_error().is_some() && !is_transient(&error) => return Ok(unverified()),
            Err(error) => return Err(error),
        };
        let known = objects.list.iter().find_map(|object| serde_json::from_slice(&object.json).ok());
        match known {
            Some(principal) => Ok(account_of(&found.session, principal, id.as_str())),
            None => Err(Error::UnknownAccount { name: id.to_string(), source: None }),
        }
    }

    async fn find_principal(&self, name: &str) -> Result<Account, Error> {
        let found = self.found();
        let session = &found.session;
        let unknown = |source: Option<Error>| Error::UnknownAccount {
            name: name.to_owned(),
            source: source.map(Box::new),
        };
        let Some(own) = directory(session) else {
            return Err(unknown(None));
        };
        let most = MOST_PRINCIPALS.min(session.limits.max_objects_in_get);
        let mut hits: Vec<Principal> = Vec::new();
        for property in ["email", "name"] {
            let mut batch = Batch::new(&own.id).limit_answer(DIRECTORY_ANSWER);
            let principals = batch.principals(property, name, most);
            let result = self.call(&batch).await?.take(principals).map_err(|error| unknown(Some(error)))?;
            hits = exact(&result, name);
            if !hits.is_empty() {
                break;
            }
        }
        match one(hits, name)? {
            Some(principal) => Ok(account_of(session, principal, name)),
            None => Err(unknown(None)),
        }
    }
}

/// The account through which to ask the directory, if there is one.
fn directory(session: &Session) -> Option<&Account> {
    session.primary_account(Capability::PRINCIPALS).filter(|_| session.offers(Capability::PRINCIPALS))
}

fn account_of(session: &Session, principal: Principal, otherwise: &str) -> Account {
    let called = principal.email.or(principal.name).unwrap_or_else(|| otherwise.to_owned());
    session.unlisted_account(principal.id, called)
}

fn is_transient(error: &Error) -> bool {
    matches!(error.class(), Class::Transient { .. })
}

/// The principals that carry exactly this name or address.
fn exact(principals: &Objects, name: &str) -> Vec<Principal> {
    let read = principals.list.iter().filter_map(|object| serde_json::from_slice(&object.json).ok());
    read.filter(|principal: &Principal| {
        [&principal.name, &principal.email].into_iter().flatten().any(|known| is_same(known, name))
    })
    .collect()
}

fn is_same(known: &str, wanted: &str) -> bool {
    known.eq_ignore_ascii_case(wanted)
}

fn one<T>(mut hits: Vec<T>, name: &str) -> Result<Option<T>, Error> {
    match hits.len() {
        0 | 1 => Ok(hits.pop()),
        count => Err(Error::AmbiguousAccount { name: name.to_owned(), count }),
    }
}
