use std::fmt;

use async_trait::async_trait;
use serde::Deserialize;
use url::Url;

use super::access::{Access, StalwartCredentials};
use super::entry::{Entry, MailboxKind};
use super::listing::{Listing, ListingError, Page, Sight};

const PAGE: u64 = 500;
const WITHOUT_GROUPS: &str = "-";

/// Without `secrets`, which the server would send too.
const FIELDS: &str = "id,type,name,emails,memberOf,tenant";

/// Stalwart up to 0.15: `GET /api/principal`. Its numbers of accounts are ids of JMAP, so a mailbox is known by them from the start.
pub struct StalwartRest(Access);

impl StalwartRest {
    /// `url` is the server's base; `authorities` are PEM certificates trusted beside the system's. Needs rustls' process-wide provider.
    pub fn new(
        url: &Url,
        credentials: StalwartCredentials,
        authorities: &[u8],
    ) -> Result<StalwartRest, ListingError> {
        Access::new(url, credentials, authorities).map(StalwartRest)
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Principals>,
    /// With status 200, too.
    error: Option<String>,
}

#[derive(Deserialize)]
struct Principals {
    items: Vec<Principal>,
    total: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Principal {
    id: u64,
    #[serde(rename = "type", default)]
    kind: MailboxKind,
    name: Option<String>,
    #[serde(default)]
    emails: Texts,
    #[serde(default)]
    member_of: Texts,
    tenant: Option<String>,
}

/// Stalwart writes a list of one as its element.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Texts {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl From<Texts> for Vec<String> {
    fn from(texts: Texts) -> Self {
        match texts {
            Texts::None => Vec::new(),
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        }
    }
}

#[async_trait]
impl Listing for StalwartRest {
    /// The cursor is the number of the next page, from 1, and a sign behind it if groups were refused.
    async fn page(&self, after: Option<&str>) -> Result<Page, ListingError> {
        let cursor = after.unwrap_or_default();
        let (number, groups_are_refused) =
            cursor.strip_suffix(WITHOUT_GROUPS).map_or((cursor, false), |number| (number, true));
        let number: u64 = number.parse().unwrap_or(1);
        // Listing groups takes a permission of its own.
        let all = if groups_are_refused {
            Err(ListingError::Refused { status: 403 })
        } else {
            self.list("individual,group", number).await
        };
        let (body, sight) = match all {
            Err(ListingError::Refused { status: 403 }) => {
                (self.list("individual", number).await?, Sight::WithoutGroups)
            }
            body => (body?, Sight::All),
        };
        let sign = if sight == Sight::All { "" } else { WITHOUT_GROUPS };
        // serde's own error quotes what it found.
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| ListingError::Unusable { reason: "no list of principals" })?;
        let Answer { data: Some(principals), error: None } = answer else {
            return Err(ListingError::Unusable { reason: "an error instead of principals" });
        };
        let more = !principals.items.is_empty() && number * PAGE < principals.total;
        Ok(Page {
            entries: principals.items.into_iter().map(entry).collect(),
            next: more.then(|| format!("{}{sign}", number + 1)),
            total: Some(principals.total),
            sight,
        })
    }
}

impl StalwartRest {
    async fn list(&self, types: &str, page: u64) -> Result<Vec<u8>, ListingError> {
        let mut url = self.0.url("/api/principal")?;
        url.query_pairs_mut()
            .append_pair("types", types)
            .append_pair("fields", FIELDS)
            .append_pair("page", &page.to_string())
            .append_pair("limit", &PAGE.to_string());
        self.0.get(url).await
    }
}

fn entry(principal: Principal) -> Entry {
    let address = Vec::from(principal.emails).into_iter().next().or(principal.name);
    Entry {
        address: address.unwrap_or_default(),
        account: Some(account_id(principal.id)),
        tenant: principal.tenant,
        groups: Some(principal.member_of.into()),
        kind: Some(principal.kind),
        is_whole: true,
        ..Entry::default()
    }
}

/// JMAP ids of Stalwart are its numbers in base 32, in letters and digits of its own.
fn account_id(number: u64) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz792013";
    let digits = 1.max(u64::BITS.saturating_sub(number.leading_zeros()).div_ceil(5));
    let digit = |at: u32| char::from(DIGITS[usize::try_from((number >> (5 * at)) & 31).expect("below 32")]);
    (0..digits).rev().map(digit).collect()
}

impl fmt::Debug for StalwartRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StalwartRest").field("host", &self.0.host()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_account_ids() {
        for (number, id) in [(0, "a"), (1, "b"), (31, "3"), (32, "ba"), (33, "bb"), (1024, "baa")] {
            assert_eq!(account_id(number), id, "{number}");
        }
    }

    #[test]
    fn principals_with_one_address_several_or_none() {
        let read = |json: &str| entry(serde_json::from_str(json).unwrap());
        let one = read(r#"{"id": 3, "name": "x", "emails": "x@y.org", "memberOf": ["g"], "tenant": "t"}"#);
        assert_eq!((one.address.as_str(), one.account.as_deref()), ("x@y.org", Some("d")));
        assert_eq!((one.tenant.as_deref(), one.groups.as_deref()), (Some("t"), Some(&["g".to_owned()][..])));
        assert_eq!(read(r#"{"id": 3, "name": "x", "emails": ["a@y", "b@y"]}"#).address, "a@y");
        assert_eq!(read(r#"{"id": 3, "name": "x"}"#).address, "x");
    }
}
