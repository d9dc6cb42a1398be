//! One API request: method calls in, responses out, in one buffer.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::backref::{self, Earlier};
use crate::effect::Effect;
use crate::error::{MethodError, Problem};
use crate::found::{self, Found};
use crate::json::{self, Arguments};
use crate::kind::{Capability, DataType};
use crate::refused::Refused;
use crate::server::{Login, Server, Settings, SharedAccount, lock};
use crate::version::Version;
use crate::{
    blob_get, changes, effects, email_get, get, import, principals, query, quota, registry, set, upload,
};

/// The body of a request (RFC 8620 §3.3).
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) using: Vec<String>,
    #[serde(rename = "methodCalls")]
    pub(crate) calls: Vec<(String, Arguments, String)>,
    /// Ids by creation id, from earlier requests.
    #[serde(rename = "createdIds")]
    created: Option<BTreeMap<String, String>>,
}

impl Request {
    pub(crate) fn parse(body: &[u8], version: Version) -> Result<Self, Problem> {
        let refused = |kind, detail: String| Problem::new(StatusCode::BAD_REQUEST, kind, detail);
        serde_json::from_slice(body).map_err(|error| match error.classify() {
            _ if version == Version::V0_15 => {
                refused("urn:ietf:params:jmap:error:notRequest", error.to_string())
            }
            serde_json::error::Category::Data => {
                refused("urn:ietf:params:jmap:error:notRequest", error.to_string())
            }
            _ => refused("urn:ietf:params:jmap:error:notJSON", error.to_string()),
        })
    }
}

/// What a method needs to know of the request it is part of.
pub(crate) struct Context<'a> {
    pub(crate) server: &'a Server,
    pub(crate) settings: &'a Settings,
    pub(crate) login: &'a Login,
    using: BTreeSet<Capability>,
    /// Ids by creation id: later calls of the request may refer to them.
    pub(crate) created: RefCell<BTreeMap<String, String>>,
}

struct Sent {
    call: String,
    name: String,
    arguments: Range<usize>,
}

/// Serves all calls in order; the response body.
pub(crate) fn serve(
    server: &Server,
    settings: &Settings,
    login: &Login,
    request: Request,
) -> Result<Vec<u8>, Problem> {
    if request.calls.len() > settings.limits.max_calls_in_request {
        return Err(Problem::limit("maxCallsInRequest"));
    }
    let using = using(settings, &request.using)?;
    let says_created = request.created.is_some();
    let created = RefCell::new(request.created.unwrap_or_default());
    let context = Context { server, settings, login, using, created };
    let mut out = b"{\"methodResponses\":[".to_vec();
    let mut sent: Vec<Sent> = Vec::new();
    for (name, arguments, call) in request.calls {
        if !sent.is_empty() {
            out.push(b',');
        }
        let response = context.respond(&name, arguments, call, &sent, &mut out);
        sent.push(response);
    }
    out.extend_from_slice(b"],\"sessionState\":");
    json::push(&mut out, &crate::session::state(settings));
    if says_created {
        json::member(&mut out, "createdIds", &*context.created.borrow());
    }
    out.push(b'}');
    Ok(out)
}

fn using(settings: &Settings, urns: &[String]) -> Result<BTreeSet<Capability>, Problem> {
    let known = |urn: &String| {
        let offered = |capability: &Capability| settings.capabilities.offers(*capability);
        Capability::of_urn(urn).filter(offered).ok_or_else(|| {
            let kind = match settings.version {
                Version::V0_15 => "urn:ietf:params:jmap:error:notRequest",
                Version::V0_16 => "urn:ietf:params:jmap:error:unknownCapability",
            };
            Problem::new(StatusCode::BAD_REQUEST, kind, format!("unknown capability: {urn}"))
        })
    };
    urns.iter().map(known).collect()
}

impl Context<'_> {
    /// Writes `["name", {…}, "call"]` and says where the arguments stand.
    fn respond(
        &self,
        name: &str,
        arguments: Arguments,
        call: String,
        sent: &[Sent],
        out: &mut Vec<u8>,
    ) -> Sent {
        self.server.meters.call(name);
        let effects = self.server.faults.for_call(name);
        let begin = out.len();
        out.push(b'[');
        json::push(out, name);
        out.push(b',');
        let mut start = out.len();
        let result = self
            .prepared(arguments, sent, out)
            .and_then(|arguments| fail(&effects).map_or(Ok(arguments), Err))
            .and_then(|mut arguments| {
                let refused = Refused::taken_from(&effects, &mut arguments);
                self.churned(name, &arguments, out)?;
                refused.add_to(start, out);
                Ok(())
            });
        let mut name = name.to_owned();
        if let Err(error) = result {
            out.truncate(begin);
            out.extend_from_slice(b"[\"error\",");
            start = out.len();
            json::push(out, &error.json());
            "error".clone_into(&mut name);
        }
        effects::distort(&effects, start, out);
        let end = out.len();
        out.push(b',');
        json::push(out, &call);
        out.push(b']');
        Sent { call, name, arguments: start..end }
    }

    fn prepared(
        &self,
        mut arguments: Arguments,
        sent: &[Sent],
        out: &[u8],
    ) -> Result<Arguments, MethodError> {
        let earlier = |sent: &Sent| (sent.arguments.clone(), sent.call.clone(), sent.name.clone());
        let earlier: Vec<_> = sent.iter().map(earlier).collect();
        let views: Vec<Earlier<'_>> = earlier
            .iter()
            .map(|(range, call, name)| Earlier { call, name, arguments: &out[range.clone()] })
            .collect();
        backref::resolve(&mut arguments, &views)?;
        Ok(arguments)
    }

    fn churned(&self, name: &str, arguments: &Arguments, out: &mut Vec<u8>) -> Result<(), MethodError> {
        let account = arguments.get("accountId").and_then(Value::as_str);
        let account = account.and_then(|id| self.server.account(id, self.login).ok());
        let churn = |after: bool| {
            if let Some(account) = &account {
                self.server.churn(&mut lock(account), |churn| if after { churn.after } else { churn.before });
            }
        };
        churn(false);
        let result = self.dispatch(name, arguments, out);
        churn(true);
        result
    }

    fn dispatch(&self, name: &str, arguments: &Arguments, out: &mut Vec<u8>) -> Result<(), MethodError> {
        let (object, verb) = name.split_once('/').ok_or_else(unknown)?;
        match (object, verb) {
            ("Core", "echo") => {
                json::push(out, arguments);
                Ok(())
            }
            ("Blob", "get") => {
                self.needs(Capability::Blob)?;
                blob_get::get(self, arguments, out)
            }
            ("Blob", "upload") => {
                self.needs(Capability::Blob)?;
                upload::upload(self, &self.account(arguments)?, arguments, out)
            }
            ("Quota", "get") => {
                self.needs(Capability::Quota)?;
                quota::get(&lock(&self.account(arguments)?), arguments, out);
                Ok(())
            }
            ("Principal", _) => {
                self.needs(Capability::Principals)?;
                principals::serve(self, verb, arguments, out)
            }
            ("x:Account" | "x:Tenant", "get") => {
                self.needs(Capability::Registry)?;
                registry::get(self, object, arguments, out)
            }
            _ => self.typed(DataType::named(object).ok_or_else(unknown)?, verb, arguments, out),
        }
    }

    fn typed(
        &self,
        kind: DataType,
        verb: &str,
        arguments: &Arguments,
        out: &mut Vec<u8>,
    ) -> Result<(), MethodError> {
        if let Err(error) = self.needs(kind.capability()) {
            let odd = self.settings.version == Version::V0_15 && verb == "changes";
            return Err(if odd { MethodError::of("cannotCalculateChanges") } else { error });
        }
        let importing = verb == "import" && kind == DataType::Email;
        if !importing && !matches!(verb, "get" | "changes" | "query" | "queryChanges" | "set") {
            return Err(unknown());
        }
        let account = self.account(arguments)?;
        // Blobs may lie in other accounts, and no two are locked at a time.
        let blobs = match verb {
            "set" => self.named(&account, arguments),
            "import" => self.find(&account, found::imported(arguments)),
            _ => Found::default(),
        };
        let mut account = lock(&account);
        if account.failing.contains(&kind) {
            return Err(MethodError::of("serverFail"));
        }
        match verb {
            "set" => set::set(self, &mut account, kind, arguments, &blobs, out),
            "import" => import::import(self, &mut account, arguments, &blobs, out),
            "get" if kind == DataType::Email => email_get::get(self, &account, arguments, out),
            "get" => get::get(self, &account, kind, arguments, out),
            "changes" if kind.has_changes() => changes::changes(self, &account, kind, arguments, out),
            "query" if kind.has_query() => query::query(self, &mut account, kind, arguments, out),
            "queryChanges" if kind.has_query() => Err(MethodError::of("cannotCalculateChanges")),
            _ => Err(unknown()),
        }
    }

    /// The capability has to be offered and named in `using`, or the method does not exist.
    fn needs(&self, capability: Capability) -> Result<(), MethodError> {
        let named = self.using.contains(&capability) || self.settings.version == Version::V0_15;
        if named && self.settings.capabilities.offers(capability) { Ok(()) } else { Err(unknown()) }
    }

    pub(crate) fn account(&self, arguments: &Arguments) -> Result<SharedAccount, MethodError> {
        let id = arguments.get("accountId").and_then(Value::as_str);
        self.server.account(id.ok_or_else(|| MethodError::invalid("accountId is missing"))?, self.login)
    }

    /// The `ids` of a get, unless they are more than the server allows.
    pub(crate) fn ids(&self, arguments: &Arguments) -> Result<Option<Vec<String>>, MethodError> {
        let ids = json::strings(arguments, "ids")?;
        match &ids {
            Some(ids) if ids.len() > self.settings.limits.max_objects_in_get => {
                Err(MethodError::of("requestTooLarge"))
            }
            _ => Ok(ids),
        }
    }
}

fn unknown() -> MethodError {
    MethodError::of("unknownMethod")
}

fn fail(effects: &[Arc<Effect>]) -> Option<MethodError> {
    effects.iter().find_map(|effect| match &**effect {
        Effect::MethodError(kind) => Some(MethodError::of(kind.clone())),
        _ => None,
    })
}
