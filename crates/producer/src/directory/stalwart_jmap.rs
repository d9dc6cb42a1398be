use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};
use url::Url;

use super::access::{Access, StalwartCredentials};
use super::entry::{Entry, MailboxKind};
use super::listing::{Listing, ListingError, Page, Sight};
use super::membership::{Membership, Named, by_id};

const CORE: &str = "urn:ietf:params:jmap:core";
const PRINCIPALS: &str = "urn:ietf:params:jmap:principals";
/// Stalwart's management objects.
const REGISTRY: &str = "urn:stalwart:jmap";
/// More are not asked for at once, whatever the server allows.
const PAGE: u64 = 500;

/// Stalwart from 0.16 on: the standard's `Principal/query` and `Principal/get` (RFC 9670), whose ids are those of accounts. Tenants and
/// groups are told by Stalwart's own `x:Account/get` and `x:Tenant/get`, for which one needs the permissions `sysAccountGet` and `sysTenantGet`
/// [stalw.art, reference of objects].
pub struct StalwartJmap {
    access: Access,
    memberships: bool,
}

impl StalwartJmap {
    /// As [`StalwartRest::new`](crate::StalwartRest::new).
    pub fn new(
        url: &Url,
        credentials: StalwartCredentials,
        authorities: &[u8],
    ) -> Result<StalwartJmap, ListingError> {
        Ok(StalwartJmap { access: Access::new(url, credentials, authorities)?, memberships: false })
    }

    /// Asks for tenants and groups, too; without it rules see the domain alone.
    #[must_use]
    pub fn with_memberships(self) -> StalwartJmap {
        StalwartJmap { memberships: true, ..self }
    }

    async fn session(&self) -> Result<Session, ListingError> {
        let body = self.access.get(self.access.url("/jmap/session")?).await?;
        serde_json::from_slice(&body).map_err(|_| unusable("no JMAP session"))
    }

    /// Of the session's URL only the path counts: its host is the public one, and credentials stay here.
    fn api(&self, session: &Session) -> Result<Url, ListingError> {
        let public =
            self.access.url(&session.api_url).map_err(|_| unusable("no apiUrl in the JMAP session"))?;
        self.access.url(public.path())
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
struct Got<T> {
    list: Vec<T>,
}

#[derive(Deserialize)]
struct Principal {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    email: Option<String>,
}

impl StalwartJmap {
    async fn call(&self, api: &Url, using: &[&str], calls: Value) -> Result<Answer, ListingError> {
        let request = json!({ "using": using, "methodCalls": calls });
        let body = self.access.post(api.clone(), request.to_string()).await?;
        serde_json::from_slice(&body).map_err(|_| unusable("no JMAP answer"))
    }

    /// Objects of Stalwart's registry, by their ids; asks for none if there are none.
    async fn registered<T: DeserializeOwned>(
        &self,
        (api, account): (&Url, &str),
        object: &str,
        ids: BTreeSet<String>,
        properties: &[&str],
    ) -> Result<Vec<T>, ListingError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let method = format!("{object}/get");
        let arguments = json!({ "accountId": account, "ids": ids, "properties": properties });
        let answer = self.call(api, &[CORE, REGISTRY], json!([[method, arguments, "g"]])).await?;
        let got: Got<T> = result(&answer, &method).map_err(|_| UNTOLD)?;
        Ok(got.list)
    }

    /// Whether the user is one of a tenant's, who sees that tenant alone. A user who may not read his own account counts as one
    /// without a tenant.
    async fn sight(&self, at: (&Url, &str), session: &Session) -> Result<Sight, ListingError> {
        let own = session.primary_accounts.values().next().cloned().into_iter().collect();
        let told = match self.registered::<Membership>(at, "x:Account", own, &["memberTenantId"]).await {
            Err(ListingError::Unusable { .. }) => return Ok(Sight::All),
            told => told?,
        };
        let Some(id) = told.into_iter().next().and_then(|own| own.member_tenant_id) else {
            return Ok(Sight::All);
        };
        let named = match self.registered(at, "x:Tenant", BTreeSet::from([id.clone()]), &["name"]).await {
            Err(ListingError::Unusable { .. }) => Vec::new(),
            named => named?,
        };
        // No mailbox is of a tenant whose name is not told, and so none is marked as gone.
        Ok(Sight::Tenant(by_id(named).remove(&id).unwrap_or(id)))
    }

    /// Tells of each entry what it belongs to.
    async fn add_memberships(&self, at: (&Url, &str), entries: &mut [Entry]) -> Result<(), ListingError> {
        let accounts = entries.iter().filter_map(|entry| entry.account.clone()).collect();
        let asked = ["memberTenantId", "memberGroupIds"];
        let told: Vec<Membership> = self.registered(at, "x:Account", accounts, &asked).await?;
        let tenants = told.iter().filter_map(|membership| membership.member_tenant_id.clone()).collect();
        let groups = told.iter().flat_map(|membership| membership.member_group_ids.list()).collect();
        let tenants: Vec<Named> = self.registered(at, "x:Tenant", tenants, &["name"]).await?;
        let groups: Vec<Named> = self.registered(at, "x:Account", groups, &["name", "emailAddress"]).await?;
        let (tenants, groups) = (by_id(tenants), by_id(groups));
        let told: BTreeMap<_, _> =
            told.into_iter().map(|membership| (membership.id.clone(), membership)).collect();
        for entry in entries {
            let membership = entry.account.as_ref().and_then(|id| told.get(id));
            let Some(Membership { member_tenant_id, member_group_ids, .. }) = membership else {
                entry.is_whole = false;
                continue;
            };
            let named = member_group_ids.list();
            entry.tenant = member_tenant_id.as_ref().and_then(|id| tenants.get(id)).cloned();
            let known: Vec<String> = named.iter().filter_map(|id| groups.get(id)).cloned().collect();
            let is_resolved =
                member_tenant_id.is_some() == entry.tenant.is_some() && known.len() == named.len();
            (entry.groups, entry.is_whole) = (Some(known), is_resolved);
        }
        Ok(())
    }
}

const REFUSED: &str =
    "an error instead of principals: grant its user the permissions jmapPrincipalQuery and jmapPrincipalGet";

const UNTOLD: ListingError = unusable(
    "it does not tell tenants and groups, which rules name: grant sysAccountGet and sysTenantGet, or write domain rules",
);

#[async_trait]
impl Listing for StalwartJmap {
    /// The cursor is the position of the next principal.
    async fn page(&self, after: Option<&str>) -> Result<Page, ListingError> {
        let position: u64 = after.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let session = self.session().await?;
        let (account, api) = (session.account()?, self.api(&session)?);
        let query = json!({
            "accountId": account, "position": position, "limit": session.page(), "calculateTotal": true,
        });
        let get = json!({
            "accountId": account, "properties": ["id", "type", "name", "email"],
            "#ids": {"resultOf": "q", "name": "Principal/query", "path": "/ids"},
        });
        let calls = json!([["Principal/query", query, "q"], ["Principal/get", get, "g"]]);
        let answer = self.call(&api, &[CORE, PRINCIPALS], calls).await?;
        let Queried { ids, total } = result(&answer, "Principal/query")?;
        let Got { list }: Got<Principal> = result(&answer, "Principal/get")?;
        let next = position + ids.len() as u64;
        let mut entries: Vec<Entry> = list.into_iter().filter_map(entry).collect();
        if self.memberships {
            self.add_memberships((&api, account), &mut entries).await?;
        }
        let sight = self.sight((&api, account), &session).await?;
        if let Sight::Tenant(tenant) = &sight {
            entries.iter_mut().for_each(|entry| entry.tenant = Some(tenant.clone()));
        }
        Ok(Page {
            entries,
            next: (!ids.is_empty() && next < total).then(|| next.to_string()),
            // Locations and resources are counted too.
            total: None,
            sight,
        })
    }
}

/// serde's own error is dropped: it quotes what it found.
fn result<'a, T: Deserialize<'a>>(answer: &'a Answer, method: &str) -> Result<T, ListingError> {
    let found = answer.method_responses.iter().find(|(name, ..)| name == method);
    let (_, result, _) = found.ok_or(unusable(REFUSED))?;
    serde_json::from_str(result.get()).map_err(|_| unusable("no list of principals"))
}

const fn unusable(reason: &'static str) -> ListingError {
    ListingError::Unusable { reason }
}

/// `None`: it has no mail.
fn entry(principal: Principal) -> Option<Entry> {
    let kind = match principal.kind.as_str() {
        "individual" => MailboxKind::Individual,
        "group" => MailboxKind::Group,
        _ => return None,
    };
    let address = principal.email.or(principal.name).unwrap_or_default();
    let (account, kind) = (Some(principal.id), Some(kind));
    Some(Entry { address, account, kind, is_whole: true, ..Entry::default() })
}

impl fmt::Debug for StalwartJmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StalwartJmap").field("host", &self.access.host()).finish_non_exhaustive()
    }
}
