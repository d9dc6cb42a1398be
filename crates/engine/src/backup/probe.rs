//! The first request of a backup: the states of all types, and what shows whether the server's history was rolled back.

use std::collections::BTreeMap;

use jmap::{Batch, Ids, Objects, State};
use model::DataType;
use repository::RowDigest;

use super::emails::witness::{self, Asked, Look};
use super::objects::found::{fingerprint_of, has_state, state_tells_all};
use super::run::Run;
use crate::error::{Error, Result};
use crate::server::types::to_jmap;

/// What the server said of a type before anything else was asked.
pub(crate) enum Offer {
    /// Its state, and for a type without states a fingerprint of its content.
    State(Option<State>, Option<String>),
    No,
    Broken(String),
}

/// The answer to the first request.
pub(crate) struct Probe {
    /// Every type once.
    pub(crate) offers: BTreeMap<DataType, Offer>,
    /// Absent when the server could not say.
    pub(crate) look: Option<Look>,
}

impl Run<'_> {
    /// Asks for the states of all types and for some emails in one request, as far as the server's limits allow.
    pub(crate) async fn probe(&self) -> Result<Probe> {
        let offered = DataType::ALL.into_iter().filter(|t| self.server.account.offers(to_jmap(*t)));
        let offered: Vec<DataType> = offered.collect();
        let mut offers: BTreeMap<_, _> = DataType::ALL.into_iter().map(|t| (t, Offer::No)).collect();
        let most_calls = self.server.client.session().limits.max_calls_in_request;
        let recent = self.draft.base_state(DataType::Email).map_or(&[][..], |emails| &emails.recent);
        let (mut look, mut is_open, mut refusal) = (None, false, None);
        for types in offered.chunks(most_calls.saturating_sub(witness::CALLS).max(1)) {
            let mut batch = Batch::new(&self.server.account.id);
            let looks = types.contains(&DataType::Email) && most_calls > witness::CALLS;
            let asked = looks.then(|| self.ask_for_look(&mut batch, recent));
            let calls: Vec<_> = types
                .iter()
                .map(|t| {
                    let ids = if state_tells_all(*t) { Ids::These(Vec::new()) } else { Ids::All };
                    (*t, batch.get(to_jmap(*t), ids))
                })
                .collect();
            let answer = self.server.client.call(&batch).await;
            let answer =
                answer.map_err(|source| Error::Server { what: "the states of the account", source })?;
            for (data_type, call) in calls {
                let answer = answer.take(call);
                is_open |= answer.is_ok();
                offers.insert(data_type, self.offer(data_type, &answer));
                // When that is so of every type, there is nothing to make a snapshot of.
                refusal = refusal.or(answer.err().filter(jmap::Error::denies_account));
            }
            look = look.or_else(|| match recent {
                [] => asked?.take(&answer).map(Look::Sample),
                rows => asked?.take_recent(&answer, rows, &self.draft.hasher).map(Look::Recent),
            });
        }
        match refusal.filter(|_| !is_open) {
            Some(source) => Err(Error::Server { what: "the account", source }),
            None => Ok(Probe { offers, look }),
        }
    }

    fn ask_for_look(&self, batch: &mut Batch, recent: &[RowDigest]) -> Asked {
        match recent {
            [] => witness::ask(batch),
            rows => witness::ask_recent(batch, rows, self.server.most_in_get()),
        }
    }

    fn offer(&self, data_type: DataType, answer: &Result<Objects, jmap::Error>) -> Offer {
        match answer {
            Ok(objects) => {
                let state = objects.state.clone().filter(|_| has_state(data_type));
                if state_tells_all(data_type) {
                    Offer::State(state, None)
                } else {
                    Offer::State(state, fingerprint_of(&self.draft.hasher, data_type, objects))
                }
            }
            Err(error)
                if error.method_error().is_some_and(|e| e.kind == jmap::MethodErrorKind::UnknownMethod) =>
            {
                Offer::No
            }
            Err(error) => Offer::Broken(error.to_string()),
        }
    }
}
