use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use url::Url;

use super::access::{Access, StalwartCredentials};
use super::entry::Entry;
use super::listing::{Listing, ListingError, Page};

const CORE: &str = "urn:ietf:params:jmap:core";
const PRINCIPALS: &str = "urn:ietf:params:jmap:principals";
/// More are not asked for at once, whatever the server allows.
const PAGE: u64 = 500;

/// Stalwart from 0.16 on: the standard's `Principal/query` and `Principal/get` (RFC 9670), whose ids are those of accounts. They tell
/// neither tenants nor groups, so rules see the domain alone.
pub struct StalwartJmap(Access);

impl StalwartJmap {
    /// As [`StalwartRest::new`](crate::StalwartRest::new).
    pub fn new(
        url: &Url,
        credentials: StalwartCredentials,
        authorities: &[u8],
    ) -> Result<StalwartJmap, ListingError> {
        Access::new(url, credentials, authorities).map(StalwartJmap)
    }

    async fn session(&self) -> Result<Session, ListingError> {
        let body = self.0.get(self.0.url("/jmap/session")?).await?;
        serde_json::from_slice(&body).map_err(|_| unusable("no JMAP session"))
    }

    /// Of the session's URL only the path counts: its host is the public one, and credentials stay here.
    fn api(&self, session: &Session) -> Result<Url, ListingError> {
        let public = self.0.url(&session.api_url).map_err(|_| unusable("no apiUrl in the JMAP session"))?;
        self.0.url(public.path())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    api_url: String,
    primary_accounts: BTreeMap<String, String>,
    capabilities: BTreeMap<String, Value>,
}

impl Session {
    /// The account through which the directory is asked.
    fn account(&self) -> Result<&str, ListingError> {
        let account = self.primary_accounts.get(PRINCIPALS).or_else(|| self.primary_accounts.values().next());
        account.map(String::as_str).ok_or(unusable("no account in the JMAP session"))
    }

    fn page(&self) -> u64 {
        let most = self.capabilities.get(CORE).and_then(|core| core["maxObjectsInGet"].as_u64());
        most.unwrap_or(PAGE).clamp(1, PAGE)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    method_responses: Vec<(String, Box<RawValue>, String)>,
}

#[derive(Deserialize)]
struct Queried {
    ids: Vec<String>,
    total: u64,
}

#[derive(Deserialize)]
struct Got {
    list: Vec<Principal>,
}

#[derive(Deserialize)]
struct Principal {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    email: Option<String>,
}

#[async_trait]
impl Listing for StalwartJmap {
    /// The cursor is the position of the next principal.
    async fn page(&self, after: Option<&str>) -> Result<Page, ListingError> {
        let position: u64 = after.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let session = self.session().await?;
        let account = session.account()?;
        let query = json!({
            "accountId": account, "position": position, "limit": session.page(), "calculateTotal": true,
        });
        let get = json!({
            "accountId": account, "properties": ["id", "type", "name", "email"],
            "#ids": {"resultOf": "q", "name": "Principal/query", "path": "/ids"},
        });
        let request = json!({
            "using": [CORE, PRINCIPALS],
            "methodCalls": [["Principal/query", query, "q"], ["Principal/get", get, "g"]],
        });
        let body = self.0.post(self.api(&session)?, request.to_string()).await?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| unusable("no JMAP answer"))?;
        let Queried { ids, total } = result(&answer, "Principal/query")?;
        let Got { list } = result(&answer, "Principal/get")?;
        let next = position + ids.len() as u64;
        Ok(Page {
            entries: list.into_iter().filter(|principal| principal.kind == "individual").map(entry).collect(),
            next: (!ids.is_empty() && next < total).then(|| next.to_string()),
            // Groups are counted too.
            total: None,
        })
    }
}

/// serde's own error is dropped: it quotes what it found.
fn result<'a, T: Deserialize<'a>>(answer: &'a Answer, method: &str) -> Result<T, ListingError> {
    let found = answer.method_responses.iter().find(|(name, ..)| name == method);
    let (_, result, _) = found.ok_or(unusable("an error instead of principals"))?;
    serde_json::from_str(result.get()).map_err(|_| unusable("no list of principals"))
}

fn unusable(reason: &'static str) -> ListingError {
    ListingError::Unusable { reason }
}

fn entry(principal: Principal) -> Entry {
    let address = principal.email.or(principal.name).unwrap_or_default();
    Entry { address, account: Some(principal.id), ..Entry::default() }
}

impl fmt::Debug for StalwartJmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StalwartJmap").field("host", &self.0.host()).finish_non_exhaustive()
    }
}
