//! Uploads: by URL (RFC 8620 §6.1) and by `Blob/upload` (RFC 9404 §4.1).

use std::collections::BTreeMap;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::api::Context;
use crate::error::{MethodError, Problem};
use crate::found::Found;
use crate::ids;
use crate::json::{self, Arguments};
use crate::limits::UploadQuota;
use crate::server::{Login, Role, Server, Settings, SharedAccount, lock};
use crate::set::{in_order, members};
use crate::set_error::SetError;

/// Serves a POST to the upload URL.
pub(crate) fn serve(
    server: &Server,
    settings: &Settings,
    login: &Login,
    (uri, headers): (&Uri, &http::HeaderMap),
    body: Bytes,
) -> Result<Response, Problem> {
    let name = uri.path().trim_start_matches("/jmap/upload/").split('/').next().unwrap_or_default();
    let account = ids::number(name).and_then(|_| server.upload_account(name, settings.version));
    let account = account.ok_or_else(|| {
        Problem::plain(StatusCode::NOT_FOUND, "The requested resource does not exist on this server.")
    })?;
    let mut account = lock(&account);
    let size = body.len();
    if let Some(quota) = exceeded(&account, settings, login, size as u64) {
        let problem = Problem::plain(StatusCode::FORBIDDEN, over_quota(quota));
        return Err(problem);
    }
    server.meters.blob(size as u64);
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let media = media.unwrap_or("application/octet-stream");
    let blob = account.upload(body);
    Ok(crate::routes::json(&json!({ "accountId": name, "blobId": blob, "type": media, "size": size })))
}

/// The quota of uploads that `more` bytes would exceed.
fn exceeded(account: &Account, settings: &Settings, login: &Login, more: u64) -> Option<UploadQuota> {
    let quota = settings.limits.uploads.filter(|_| login.role != Role::Administrator)?;
    let (files, bytes) = account.uploaded();
    (files + 1 > quota.files || bytes + more > quota.bytes).then_some(quota)
}

fn over_quota(quota: UploadQuota) -> String {
    format!("You have exceeded the blob upload quota of {} files or {} bytes.", quota.files, quota.bytes)
}

/// `Blob/upload`.
pub(crate) fn upload(
    context: &Context<'_>,
    target: &SharedAccount,
    arguments: &Arguments,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    let creates = in_order(context, members(arguments, "create")?)?;
    if creates.len() > context.settings.limits.max_objects_in_set {
        return Err(MethodError::of("requestTooLarge"));
    }
    let mut uploading = Uploading { context, target, own: BTreeMap::new() };
    let (mut created, mut refused) = (Map::new(), Map::new());
    for (creation, object) in creates {
        match uploading.one(creation, object) {
            Ok(answer) => drop(created.insert(creation.clone(), answer)),
            Err(error) => drop(refused.insert(creation.clone(), error.json())),
        }
    }
    out.push(b'{');
    json::member(out, "accountId", &lock(target).id);
    if !created.is_empty() {
        json::member(out, "created", &created);
    }
    if !refused.is_empty() {
        json::member(out, "notCreated", &refused);
    }
    out.push(b'}');
    Ok(())
}

struct Uploading<'a> {
    context: &'a Context<'a>,
    target: &'a SharedAccount,
    /// Blob ids of this call by creation id.
    own: BTreeMap<String, String>,
}

impl Uploading<'_> {
    fn one(&mut self, creation: &str, object: &Value) -> Result<Value, SetError> {
        let mut bytes = Vec::new();
        for source in object["data"].as_array().into_iter().flatten() {
            self.append(source, &mut bytes)?;
        }
        if bytes.is_empty() {
            let reason = "Must specify at least one valid DataSourceObject.";
            return Err(SetError::of("invalidProperties").because(reason));
        }
        if bytes.len() >= self.context.settings.limits.max_size_upload {
            return Err(SetError::of("tooLarge"));
        }
        let mut account = lock(self.target);
        let Context { settings, login, .. } = self.context;
        if let Some(quota) = exceeded(&account, settings, login, bytes.len() as u64) {
            return Err(SetError::of("overQuota").because(over_quota(quota)));
        }
        let size = bytes.len();
        self.context.server.meters.blob(size as u64);
        let id = account.upload(bytes.into());
        self.own.insert(creation.to_owned(), id.clone());
        self.context.created.borrow_mut().insert(creation.to_owned(), id.clone());
        let mut answer = json!({ "id": id, "size": size });
        if let Some(media) = object["type"].as_str() {
            answer["type"] = media.into();
        }
        Ok(answer)
    }

    /// Appends what a `DataSourceObject` stands for.
    fn append(&self, source: &Value, bytes: &mut Vec<u8>) -> Result<(), SetError> {
        if let Some(text) = source["data:asText"].as_str() {
            bytes.extend_from_slice(text.as_bytes());
        } else if let Some(text) = source["data:asBase64"].as_str() {
            // As Stalwart does: what cannot be decoded is nothing.
            bytes.extend(STANDARD.decode(text).unwrap_or_default());
        } else if let Some(id) = source["blobId"].as_str() {
            bytes.extend_from_slice(&self.part(id, source)?);
        } else {
            return Err(SetError::of("invalidProperties").because("Invalid DataSourceObject."));
        }
        Ok(())
    }

    fn part(&self, id: &str, source: &Value) -> Result<Bytes, SetError> {
        let own = id.strip_prefix('#').and_then(|creation| self.own.get(creation));
        let id = own.map_or(id, String::as_str);
        if !ids::is_blob(id) {
            return Err(SetError::of("invalidProperties").because(format!("Invalid blobId {id}.")));
        }
        let found: Found = self.context.find(self.target, std::iter::once(id));
        let content = found.get(id).filter(|content| content.is_readable());
        let content = content.ok_or_else(|| {
            SetError::of("forbidden").because(format!("You do not have access to blobId {id}."))
        })?;
        let bytes = content.bytes(&lock(self.target).mails);
        let number = |name: &str| source[name].as_u64().and_then(|number| usize::try_from(number).ok());
        let from = number("offset").unwrap_or(0).min(bytes.len());
        let to = number("length").map_or(bytes.len(), |length| from.saturating_add(length).min(bytes.len()));
        Ok(bytes.slice(from..to))
    }
}
