use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder, Response, redirect};
use url::Url;

use super::listing::ListingError;
use crate::secret::Secret;

/// A page of 500 accounts has some 100 kB.
const LONGEST_ANSWER: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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

/// A server's HTTP interface. Credentials go to its own URL and nowhere else: no redirect is followed.
pub(super) struct Access {
    client: Client,
    base: Url,
    credentials: StalwartCredentials,
}

impl Access {
    /// `authorities` are PEM certificates trusted beside the system's. Needs rustls' process-wide provider.
    pub(super) fn new(
        base: &Url,
        credentials: StalwartCredentials,
        authorities: &[u8],
    ) -> Result<Access, ListingError> {
        let settings = |reason| ListingError::Settings { reason };
        let authorities =
            Certificate::from_pem_bundle(authorities).map_err(|_| settings("the authorities are no PEM"))?;
        if let StalwartCredentials::Bearer(token) = &credentials {
            HeaderValue::from_str(token.expose()).map_err(|_| settings("the token is no token"))?;
        }
        let client = Client::builder()
            .tls_certs_merge(authorities)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| settings("no HTTP client can be built"))?;
        Ok(Access { client, base: base.clone(), credentials })
    }

    /// For `Debug`.
    pub(super) fn host(&self) -> Option<&str> {
        self.base.host_str()
    }

    /// A path of this server.
    pub(super) fn url(&self, path: &str) -> Result<Url, ListingError> {
        self.base.join(path).map_err(|_| ListingError::Settings { reason: "the URL cannot be used" })
    }

    pub(super) async fn get(&self, url: Url) -> Result<Vec<u8>, ListingError> {
        self.answer(self.client.get(url)).await
    }

    pub(super) async fn post(&self, url: Url, json: String) -> Result<Vec<u8>, ListingError> {
        self.answer(self.client.post(url).header(CONTENT_TYPE, "application/json").body(json)).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Vec<u8>, ListingError> {
        body(self.authorized(request).send().await.map_err(unreachable)?).await
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

async fn body(mut response: Response) -> Result<Vec<u8>, ListingError> {
    match response.status().as_u16() {
        200 => (),
        status @ (401 | 403) => return Err(ListingError::Refused { status }),
        status @ (429 | 500..600) => return Err(ListingError::Busy { status }),
        _ => return Err(ListingError::Unusable { reason: "no such interface at this URL" }),
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
