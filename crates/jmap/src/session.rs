//! The session object (RFC 8620 section 2), read generously and clamped to sane values.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::methods::capability::{Capability, DataType};
use crate::methods::ids::{AccountId, State};

const WHAT: &str = "session object";

/// What a server said about itself and about who we are.
#[derive(Debug, Clone)]
pub struct Session {
    /// The session's state; API answers repeat it, and a new value asks for a new session.
    pub state: State,
    /// The user the credentials belong to.
    pub username: String,
    /// Limits to keep to, clamped.
    pub limits: Limits,
    /// The accounts of this user. An impersonating administrator may name others.
    pub accounts: BTreeMap<AccountId, Account>,
    /// The user's own account for each capability URN.
    pub primary_accounts: BTreeMap<String, AccountId>,
    /// Where to post requests, as the server wrote it.
    pub api_url: String,
    /// URL template of downloads (RFC 6570 level 1), as the server wrote it.
    pub download_url: String,
    /// URL template of uploads, as the server wrote it; empty when it has none.
    pub upload_url: String,
    capabilities: BTreeMap<String, Box<RawValue>>,
}

/// An account: a session's entry, or one found in the directory.
#[derive(Debug, Clone)]
pub struct Account {
    /// What requests call it.
    pub id: AccountId,
    /// What people call it: an address, or a bare name before Stalwart 0.16.
    pub name: String,
    /// Whether it belongs to the user (a shared or impersonated one does not).
    pub is_personal: bool,
    /// Whether it cannot be written to.
    pub is_read_only: bool,
    /// URNs of the capabilities it offers; the server's own where the account's are not known.
    pub capabilities: Vec<String>,
}

/// Limits of `urn:ietf:params:jmap:core`. Missing, zero or absurd ones are replaced by a value any server bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Ids in one `/get`; 500 where missing, at most 10,000.
    pub max_objects_in_get: usize,
    /// Objects created, changed and destroyed in one `/set`; 500 where missing, at most 10,000.
    pub max_objects_in_set: usize,
    /// Requests in flight; 4 where missing, at most 64.
    pub max_concurrent_requests: usize,
    /// Method calls in one request; 16 where missing, at most 256.
    pub max_calls_in_request: usize,
    /// Bytes of one request; 10,000,000 where missing, 64 KiB to 128 MiB.
    pub max_size_request: u64,
    /// Uploads in flight; 4 where missing, at most 64.
    pub max_concurrent_upload: usize,
    /// Bytes of one upload; 50,000,000 where missing, at most 16 GiB.
    pub max_size_upload: u64,
}

impl Session {
    /// Whether the server knows the capability at all, and it may thus stand in `using`.
    #[must_use]
    pub fn offers(&self, capability: Capability) -> bool {
        self.capabilities.contains_key(capability.urn())
    }

    /// The server-wide description of a capability, as raw JSON.
    #[must_use]
    pub fn capability(&self, capability: Capability) -> Option<&str> {
        self.capabilities.get(capability.urn()).map(|raw| raw.get())
    }

    /// URNs of everything the server knows.
    pub fn capabilities(&self) -> impl Iterator<Item = &str> {
        self.capabilities.keys().map(String::as_str)
    }

    /// The user's own account for a capability, else for mail, else the first one.
    #[must_use]
    pub fn primary_account(&self, capability: Capability) -> Option<&Account> {
        let named = [capability, Capability::MAIL, Capability::CORE]
            .iter()
            .find_map(|capability| self.primary_accounts.get(capability.urn()))
            .and_then(|id| self.accounts.get(id));
        named.or_else(|| self.accounts.values().find(|account| account.is_personal))
    }

    /// Whether the account is one of the user's own; a shared or impersonated one is not.
    #[must_use]
    pub fn owns(&self, account: &AccountId) -> bool {
        self.accounts.get(account).is_some_and(|account| account.is_personal)
    }

    /// An account that the session does not list, with the server's own capabilities.
    pub(crate) fn unlisted_account(&self, id: AccountId, name: String) -> Account {
        let capabilities = self.capabilities.keys().cloned().collect();
        Account { id, name, is_personal: false, is_read_only: false, capabilities }
    }
}

impl Account {
    /// Whether the account holds this type. What is not offered is not an error to back up.
    #[must_use]
    pub fn offers(&self, data_type: DataType) -> bool {
        self.has(data_type.capability())
    }

    /// Whether the account offers this capability.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.iter().any(|urn| urn == capability.urn())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    capabilities: BTreeMap<String, Box<RawValue>>,
    accounts: BTreeMap<AccountId, WireAccount>,
    #[serde(default)]
    primary_accounts: Option<BTreeMap<String, Option<AccountId>>>,
    #[serde(default)]
    username: Option<String>,
    api_url: String,
    download_url: String,
    #[serde(default)]
    upload_url: Option<String>,
    #[serde(default)]
    state: Option<State>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAccount {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    is_personal: Option<bool>,
    #[serde(default)]
    is_read_only: Option<bool>,
    #[serde(default)]
    account_capabilities: Option<BTreeMap<String, IgnoredAny>>,
}

/// Reads a session object.
///
/// # Errors
/// [`Error::Malformed`] when it is no JSON, lacks `capabilities`, `accounts`, `apiUrl` or `downloadUrl`, or does not
/// offer the core capability.
pub fn parse_session(body: &[u8]) -> Result<Session, Error> {
    let wire: Wire = serde_json::from_slice(body).map_err(|source| Error::malformed(WHAT, &source))?;
    let Some(core) = wire.capabilities.get(Capability::CORE.urn()) else {
        return Err(Error::Malformed { what: WHAT, why: "no core capability".into() });
    };
    Ok(Session {
        state: wire.state.unwrap_or_else(|| State::new("").expect("an empty state is valid")),
        username: wire.username.unwrap_or_default(),
        limits: Limits::parse(core.get()),
        accounts: wire.accounts.into_iter().map(|(id, wire)| (id.clone(), wire.into_account(id))).collect(),
        primary_accounts: wire
            .primary_accounts
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(urn, id)| Some((urn, id?)))
            .collect(),
        api_url: wire.api_url,
        download_url: wire.download_url,
        upload_url: wire.upload_url.unwrap_or_default(),
        capabilities: wire.capabilities,
    })
}

impl WireAccount {
    fn into_account(self, id: AccountId) -> Account {
        Account {
            name: self.name.unwrap_or_else(|| id.as_str().to_owned()),
            id,
            is_personal: self.is_personal.unwrap_or(false),
            is_read_only: self.is_read_only.unwrap_or(false),
            capabilities: self.account_capabilities.unwrap_or_default().into_keys().collect(),
        }
    }
}

impl Limits {
    fn parse(core: &str) -> Self {
        let core: serde_json::Value = serde_json::from_str(core).unwrap_or_default();
        let limit = |name: &str, usual: u64, least: u64, most: u64| {
            core.get(name)
                .and_then(serde_json::Value::as_u64)
                .filter(|&value| value > 0)
                .map_or(usual, |value| value.clamp(least, most))
        };
        let count = |name: &str, usual: u64, most: u64| {
            usize::try_from(limit(name, usual, 1, most)).expect("clamped to a small number")
        };
        Self {
            max_objects_in_get: count("maxObjectsInGet", 500, 10_000),
            max_objects_in_set: count("maxObjectsInSet", 500, 10_000),
            max_concurrent_requests: count("maxConcurrentRequests", 4, 64),
            max_calls_in_request: count("maxCallsInRequest", 16, 256),
            max_size_request: limit("maxSizeRequest", 10_000_000, 64 << 10, 128 << 20),
            max_concurrent_upload: count("maxConcurrentUpload", 4, 64),
            max_size_upload: limit("maxSizeUpload", 50_000_000, 1, 16 << 30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(core: &str) -> Result<Session, Error> {
        let body = format!(
            r#"{{"capabilities":{{"urn:ietf:params:jmap:core":{core},"urn:ietf:params:jmap:mail":{{}}}},
            "accounts":{{"b":{{"name":"alice@example.org","isPersonal":true,"isReadOnly":false,
              "accountCapabilities":{{"urn:ietf:params:jmap:mail":{{"maxMailboxDepth":10}}}}}}}},
            "primaryAccounts":{{"urn:ietf:params:jmap:mail":"b"}},"username":"alice",
            "apiUrl":"/jmap/","downloadUrl":"/d/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}","state":"1f"}}"#
        );
        parse_session(body.as_bytes())
    }

    #[test]
    fn a_plain_session() {
        let session = session(r#"{"maxObjectsInGet":100,"maxConcurrentRequests":2}"#).unwrap();
        assert_eq!(session.limits.max_objects_in_get, 100);
        assert_eq!(session.limits.max_concurrent_requests, 2);
        assert_eq!(session.limits.max_calls_in_request, 16);
        assert!(session.offers(Capability::MAIL) && !session.offers(Capability::SIEVE));
        let account = session.primary_account(Capability::SIEVE).unwrap();
        assert_eq!(account.name, "alice@example.org");
        assert!(account.offers(DataType::Email) && !account.offers(DataType::SieveScript));
    }

    #[test]
    fn absurd_limits_are_clamped() {
        let usual = session("{}").unwrap().limits;
        for absurd in [
            r#"{"maxObjectsInGet":0,"maxConcurrentRequests":-1,"maxSizeRequest":"x"}"#,
            r#"{"maxObjectsInGet":1.5,"maxCallsInRequest":null}"#,
            "[]",
            "7",
        ] {
            assert_eq!(session(absurd).unwrap().limits, usual, "{absurd}");
        }
        let huge = session(
            r#"{"maxObjectsInGet":18446744073709551615,"maxConcurrentRequests":18446744073709551615,
            "maxSizeRequest":1,"maxSizeUpload":18446744073709551615,"maxCallsInRequest":1e300}"#,
        )
        .unwrap()
        .limits;
        assert_eq!((huge.max_objects_in_get, huge.max_concurrent_requests), (10_000, 64));
        assert_eq!((huge.max_size_request, huge.max_size_upload), (64 << 10, 16 << 30));
        assert_eq!(huge.max_calls_in_request, 16);
    }

    #[test]
    fn what_is_no_session_is_corrupt() {
        let deep = "[".repeat(200_000);
        for body in [
            "",
            "{",
            "<html>",
            "[]",
            "{}",
            r#"{"capabilities":{},"accounts":{},"apiUrl":"","downloadUrl":""}"#,
            &deep,
        ] {
            let error = parse_session(body.as_bytes()).unwrap_err();
            assert_eq!(error.class(), crate::Class::Corrupt, "{error}");
        }
    }
}
