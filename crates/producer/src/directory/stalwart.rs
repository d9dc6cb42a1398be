use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder, Response, redirect};
use serde::Deserialize;
use url::Url;

use super::entry::Entry;
use super::listing::{Listing, ListingError, Page};
use crate::secret::Secret;

/// A page of 500 accounts has some 100 kB.
const LONGEST_ANSWER: usize = 16 << 20;
const PAGE: u64 = 500;
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Without `secrets`, which the server would send too.
const FIELDS: &str = "id,name,emails,memberOf,tenant";

/// Who we are to the server: somebody who may list individuals.
#[derive(Clone)]
pub enum StalwartCredentials {
    /// HTTP Basic.
    Basic {
        /// The administrator's name.
        user: String,
        /// And password.
        password: Secret,
    },
    /// An API key or an OAuth token.
    Bearer(Secret),
}

/// Stalwart up to 0.15: `GET /api/principal`. Its account ids are those of JMAP, so a mailbox is known by them from the start.
pub struct StalwartRest {
    client: Client,
    url: Url,
    credentials: StalwartCredentials,
}

impl StalwartRest {
    /// `url` is the server's base; `authorities` are PEM certificates trusted beside the system's. Needs rustls' process-wide provider.
    pub fn new(
        url: &Url,
        credentials: StalwartCredentials,
        authorities: &[u8],
    ) -> Result<StalwartRest, ListingError> {
        let settings = |reason| ListingError::Settings { reason };
        let authorities =
            Certificate::from_pem_bundle(authorities).map_err(|_| settings("the authorities are no PEM"))?;
        if let StalwartCredentials::Bearer(token) = &credentials {
            HeaderValue::from_str(token.expose()).map_err(|_| settings("the token is no token"))?;
        }
        let client = Client::builder()
            .tls_certs_merge(authorities)
            // Credentials go to this server and nowhere else.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| settings("no HTTP client can be built"))?;
        let url = url.join("/api/principal").map_err(|_| settings("the URL cannot be used"))?;
        Ok(StalwartRest { client, url, credentials })
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            StalwartCredentials::Basic { user, password } => {
                request.basic_auth(user, Some(password.expose()))
            }
            StalwartCredentials::Bearer(token) => {
                let header = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
                let mut header = header.expect("checked when it was taken");
                header.set_sensitive(true);
                request.header(AUTHORIZATION, header)
            }
        }
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
    /// The cursor is the number of the next page, from 1.
    async fn page(&self, after: Option<&str>) -> Result<Page, ListingError> {
        let number: u64 = after.and_then(|cursor| cursor.parse().ok()).unwrap_or(1);
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("types", "individual")
            .append_pair("fields", FIELDS)
            .append_pair("page", &number.to_string())
            .append_pair("limit", &PAGE.to_string());
        let sent = self.authorized(self.client.get(url)).send().await;
        let body = body(sent.map_err(unreachable)?).await?;
        // serde's own error quotes what it found.
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| ListingError::Unusable { reason: "no list of principals" })?;
        let Answer { data: Some(principals), error: None } = answer else {
            return Err(ListingError::Unusable { reason: "an error instead of principals" });
        };
        let more = !principals.items.is_empty() && number * PAGE < principals.total;
        Ok(Page {
            entries: principals.items.into_iter().map(entry).collect(),
            next: more.then(|| (number + 1).to_string()),
            total: Some(principals.total),
        })
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, ListingError> {
    match response.status().as_u16() {
        200 => (),
        status @ (401 | 403) => return Err(ListingError::Refused { status }),
        status @ (429 | 500..600) => return Err(ListingError::Busy { status }),
        _ => return Err(ListingError::Unusable { reason: "no principals at this URL" }),
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > LONGEST_ANSWER {
            return Err(ListingError::Unusable { reason: "longer than 16 MiB" });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The error would show the URL, which may hold credentials.
fn unreachable(error: reqwest::Error) -> ListingError {
    ListingError::Unreachable(error.without_url())
}

fn entry(principal: Principal) -> Entry {
    let address = Vec::from(principal.emails).into_iter().next().or(principal.name);
    Entry {
        address: address.unwrap_or_default(),
        account: Some(account_id(principal.id)),
        tenant: principal.tenant,
        groups: principal.member_of.into(),
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
        f.debug_struct("StalwartRest").field("host", &self.url.host_str()).finish_non_exhaustive()
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
        assert_eq!((one.tenant.as_deref(), &one.groups[..]), (Some("t"), &["g".to_owned()][..]));
        assert_eq!(read(r#"{"id": 3, "name": "x", "emails": ["a@y", "b@y"]}"#).address, "a@y");
        assert_eq!(read(r#"{"id": 3, "name": "x"}"#).address, "x");
    }
}
