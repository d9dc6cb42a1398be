//! The session object (RFC 8620 §2).

use serde_json::{Map, Value, json};

use crate::kind::Capability;
use crate::server::{Login, Server, Settings, Urls};

/// Moves when the capabilities do.
pub(crate) fn state(settings: &Settings) -> String {
    let bits = settings.capabilities.iter().fold(0u64, |bits, capability| bits | (1 << capability as u32));
    crate::ids::short(bits)
}

/// The session of a login that called the server as `host`.
pub(crate) fn object(server: &Server, settings: &Settings, login: &Login, host: &str) -> Value {
    let base = match &settings.urls {
        Urls::Absolute => format!("http://{host}"),
        Urls::Relative => String::new(),
        Urls::Origin(origin) => origin.trim_end_matches('/').to_owned(),
    };
    let own = server.accounts().into_iter().find(|(id, _)| login.account.as_ref() == Some(id));
    let accounts: Map<String, Value> =
        own.iter().map(|(id, name)| (id.clone(), account(settings, name))).collect();
    let primary: Map<String, Value> = own
        .iter()
        .flat_map(|(id, _)| {
            settings.capabilities.iter().map(move |capability| (capability.urn().to_owned(), json!(id)))
        })
        .collect();
    json!({
        "capabilities": offered(settings, general),
        "accounts": accounts,
        "primaryAccounts": primary,
        "username": login.user,
        "apiUrl": format!("{base}/jmap/"),
        "downloadUrl": format!("{base}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}"),
        "uploadUrl": format!("{base}/jmap/upload/{{accountId}}/"),
        "eventSourceUrl": format!("{base}/jmap/eventsource/?types={{types}}&closeafter={{closeafter}}&ping={{ping}}"),
        "state": state(settings),
    })
}

fn account(settings: &Settings, name: &str) -> Value {
    json!({
        "name": name, "isPersonal": true, "isReadOnly": false, "accountCapabilities": offered(settings, of_account),
    })
}

fn offered(settings: &Settings, describe: impl Fn(Capability, &Settings) -> Value) -> Map<String, Value> {
    let offered = settings.capabilities.iter();
    offered.map(|capability| (capability.urn().to_owned(), describe(capability, settings))).collect()
}

fn general(capability: Capability, settings: &Settings) -> Value {
    let limits = &settings.limits;
    match capability {
        Capability::Core => json!({
            "maxSizeUpload": limits.max_size_upload,
            "maxConcurrentUpload": limits.max_concurrent_uploads,
            "maxSizeRequest": limits.max_size_request,
            "maxConcurrentRequests": limits.max_concurrent_requests,
            "maxCallsInRequest": limits.max_calls_in_request,
            "maxObjectsInGet": limits.max_objects_in_get,
            "maxObjectsInSet": limits.max_objects_in_set,
            "collationAlgorithms": ["i;ascii-numeric", "i;ascii-casemap", "i;unicode-casemap"],
        }),
        Capability::Sieve => json!({ "implementation": "Stalwart v1.0.0" }),
        _ => json!({}),
    }
}

fn of_account(capability: Capability, settings: &Settings) -> Value {
    match capability {
        Capability::Mail => json!({
            "maxMailboxesPerEmail": null, "maxMailboxDepth": 10, "maxSizeMailboxName": 255,
            "maxSizeAttachmentsPerEmail": settings.limits.max_size_upload,
            "emailQuerySortOptions": ["receivedAt", "size"], "mayCreateTopLevelMailbox": true,
        }),
        Capability::Blob => json!({
            "maxSizeBlobSet": 7_499_488, "maxDataSources": 16, "supportedTypeNames": ["Email", "Thread", "SieveScript"],
            "supportedDigestAlgorithms": [],
        }),
        Capability::Sieve => json!({
            "maxSizeScriptName": 512, "maxSizeScript": 1_048_576, "maxNumberScripts": 100, "maxNumberRedirects": 1,
            "sieveExtensions": ["fileinto", "vacation"], "notificationMethods": ["mailto"], "externalLists": null,
        }),
        _ => json!({}),
    }
}
