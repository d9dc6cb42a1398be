//! Clients of buckets: with keys of the store's own, or with what the environment says.

use std::env;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use url::Url;
use zeroize::Zeroizing;

use crate::store::checksums::Checksums;
use crate::store::http::Connector;
use crate::terminal::failure::Failure;

/// A pack of 32 MiB at half a megabit a second; the stores' own default of 30 s fails on slow lines.
const REQUEST_TIMEOUT: &str = "600 s";
const CONNECT_TIMEOUT: &str = "10 s";
/// About half a minute of trying; longer outages end the run, and the next one continues.
const RETRIES: usize = 9;

/// How one bucket is reached, so that two of different owners work in one process.
#[derive(Default)]
pub(crate) struct Access {
    /// `s3:` only.
    pub(crate) region: Option<String>,
    /// Not that of the provider; `s3:` and `az:`.
    pub(crate) endpoint: Option<String>,
    pub(crate) keys: Option<Keys>,
    /// The endpoint may be plain HTTP on another machine, too.
    pub(crate) plain_http: bool,
}

/// A store that has some takes nothing from the environment.
pub(crate) struct Keys {
    /// `s3:` the access key's id, `az:` the account; `gs:` has none.
    pub(crate) id: Option<Zeroizing<String>>,
    /// `s3:` the secret access key, `az:` the account's key, `gs:` the service account's JSON.
    pub(crate) secret: Zeroizing<String>,
}

impl Access {
    /// Nothing of its own.
    pub(crate) fn is_usual(&self) -> bool {
        self.region.is_none() && self.endpoint.is_none() && self.keys.is_none()
    }

    /// The id and the secret, if there are keys of its own.
    fn pair(&self) -> Result<Option<(&str, &str)>, Failure> {
        match &self.keys {
            None => Ok(None),
            Some(Keys { id: Some(id), secret }) => Ok(Some((id, secret))),
            Some(Keys { id: None, .. }) => Err(Failure::usage(
                "set up the store: its secret has no key_id beside it",
                "set both in its [[stores]], or none and the environment",
            )),
        }
    }
}

/// What the environment does not set is set to suit packs of many megabytes.
fn timeouts(prefix: &str) -> Vec<(ClientConfigKey, &'static str)> {
    let keys = [
        ("TIMEOUT", ClientConfigKey::Timeout, REQUEST_TIMEOUT),
        ("CONNECT_TIMEOUT", ClientConfigKey::ConnectTimeout, CONNECT_TIMEOUT),
    ];
    keys.into_iter()
        .filter(|(name, ..)| env::var_os(format!("{prefix}{name}")).is_none())
        .map(|(_, key, value)| (key, value))
        .collect()
}

fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, ..RetryConfig::default() }
}

pub(crate) fn s3(bucket: &str, access: &Access) -> Result<impl ObjectStore + use<>, Failure> {
    let mut builder = match access.pair()? {
        Some((id, secret)) => AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret),
        None => AmazonS3Builder::from_env(),
    };
    builder = builder.with_bucket_name(bucket).with_retry(retry()).with_http_connector(Connector::default());
    for (key, value) in timeouts("AWS_") {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    if let Some(region) = &access.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &access.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let endpoints = [AmazonS3ConfigKey::Endpoint, AmazonS3ConfigKey::S3Endpoint];
    let is_on_loopback = endpoints
        .iter()
        .filter_map(|key| builder.get_config_value(key))
        .any(|endpoint| is_loopback(&endpoint));
    if access.plain_http || is_on_loopback {
        builder = builder.with_allow_http(true);
    }
    built(with_checksums(builder), access)
}

/// Two clients of one bucket that share what they sign with.
fn with_checksums(builder: AmazonS3Builder) -> object_store::Result<Checksums> {
    let with: AmazonS3 = builder.clone().with_checksum_algorithm(Checksum::SHA256).build()?;
    let without = builder.with_credentials(with.credentials().clone()).build()?;
    Ok(Checksums::new(with, without))
}

pub(crate) fn google(bucket: &str, access: &Access) -> Result<impl ObjectStore + use<>, Failure> {
    if access.region.is_some()
        || access.endpoint.is_some()
        || access.keys.as_ref().is_some_and(|keys| keys.id.is_some())
    {
        let what = "set up the store: gs:// has no region, endpoint or key_id";
        return Err(Failure::usage(what, "its secret is the service account's JSON"));
    }
    let mut builder = match &access.keys {
        Some(keys) => GoogleCloudStorageBuilder::new().with_service_account_key(keys.secret.as_str()),
        None => GoogleCloudStorageBuilder::from_env(),
    };
    builder = builder.with_bucket_name(bucket).with_retry(retry()).with_http_connector(Connector::default());
    for (key, value) in timeouts("GOOGLE_") {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    built(builder.build(), access)
}

pub(crate) fn azure(container: &str, access: &Access) -> Result<impl ObjectStore + use<>, Failure> {
    if access.region.is_some() {
        return Err(Failure::usage("set up the store: az:// has no region", "leave it out"));
    }
    let mut builder = match access.pair()? {
        Some((account, key)) => MicrosoftAzureBuilder::new().with_account(account).with_access_key(key),
        None => MicrosoftAzureBuilder::from_env(),
    };
    builder =
        builder.with_container_name(container).with_retry(retry()).with_http_connector(Connector::default());
    for (key, value) in timeouts("AZURE_") {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    if let Some(endpoint) = &access.endpoint {
        builder = builder
            .with_endpoint(endpoint.clone())
            .with_allow_http(access.plain_http || is_loopback(endpoint));
    }
    built(builder.build(), access)
}

/// What a library says of keys of the store's own may quote them.
fn built<S>(built: object_store::Result<S>, access: &Access) -> Result<S, Failure> {
    built.map_err(|error| match &access.keys {
        Some(_) => {
            let hint = "check key_id, secret, region and endpoint in its [[stores]]";
            Failure::usage("set up the store: its own keys or its endpoint cannot be used", hint)
        }
        None => {
            let hint = "check the store's settings in the environment (AWS_…, GOOGLE_… or AZURE_…)";
            Failure::usage(format!("set up the store: {error}"), hint)
        }
    })
}

/// Unencrypted HTTP needs no permission on this machine itself; elsewhere `AWS_ALLOW_HTTP` gives it.
pub(crate) fn is_loopback(endpoint: &str) -> bool {
    let url = Url::parse(endpoint).ok();
    match url.as_ref().and_then(Url::host) {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStoreExt;
    use object_store::path::Path;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn own(region: Option<&str>, endpoint: Option<&str>, id: Option<&str>, secret: &str) -> Access {
        let id = id.map(|id| Zeroizing::new(id.to_owned()));
        let keys = Some(Keys { id, secret: Zeroizing::new(secret.to_owned()) });
        Access {
            region: region.map(str::to_owned),
            endpoint: endpoint.map(str::to_owned),
            keys,
            plain_http: false,
        }
    }

    /// What a bucket hears of one request; it finds nothing.
    async fn heard(store: impl FnOnce(&str) -> Arc<dyn ObjectStore>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let store = store(&format!("http://{}", listener.local_addr().expect("bound")));
        let listening = async {
            let (mut client, _) = listener.accept().await.expect("a client");
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                client.read_buf(&mut head).await.expect("a request");
            }
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            client.write_all(answer).await.expect("it listens");
            String::from_utf8(head).expect("text").to_ascii_lowercase()
        };
        let path = Path::from("object");
        let (found, head) = tokio::join!(store.get(&path), listening);
        assert!(matches!(found, Err(object_store::Error::NotFound { .. })), "{found:?}");
        head
    }

    #[tokio::test]
    async fn stores_of_two_owners_and_of_two_providers_each_sign_with_their_own_keys() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let of = |id: &'static str, region: &'static str| {
            move |endpoint: &str| -> Arc<dyn ObjectStore> {
                let access = own(Some(region), Some(endpoint), Some(id), "the secret of this one");
                Arc::new(s3("bucket", &access).expect("built"))
            }
        };
        for (id, region) in [("first-owner", "north-1"), ("second-owner", "south-2")] {
            let head = heard(of(id, region)).await;
            let signed = format!("credential={id}/");
            assert!(head.contains(&signed) && head.contains(&format!("/{region}/s3/")), "{head}");
        }
        let azure = |endpoint: &str| -> Arc<dyn ObjectStore> {
            let access = own(None, Some(endpoint), Some("third"), "dGhlIHNlY3JldCBvZiB0aGlzIG9uZQ==");
            Arc::new(azure("box", &access).expect("built"))
        };
        let head = heard(azure).await;
        assert!(head.contains("authorization: sharedkey third:"), "{head}");
    }

    #[test]
    fn keys_that_cannot_be_used_are_not_repeated() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refused = [
            s3("bucket", &own(None, None, None, "hunter2")).err(),
            azure("box", &own(None, None, Some("account"), "hunter2 is no base64")).err(),
            google("bucket", &own(None, None, None, "hunter2 is no JSON")).err(),
            google("bucket", &own(None, None, None, "\"hunter2\"")).err(),
            google("bucket", &own(Some("x"), None, None, "{}")).err(),
            azure("box", &own(Some("x"), None, Some("account"), "aHVudGVyMg==")).err(),
        ];
        for failure in refused {
            let failure = format!("{:?}", failure.expect("refused"));
            assert!(!failure.contains("hunter2"), "{failure}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:8333", true),
            ("http://localhost", true),
            ("http://[::1]:9", true),
            ("http://10.0.0.1", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_loopback(endpoint), expected, "{endpoint}");
        }
    }
}
