//! Metadata of emails, isolated from each other: one that cannot be read does not take the others along.

use std::collections::BTreeMap;

use jmap::{AccountId, Batch, Client, Email, Emails, Id, Ids};

use crate::error::{Error, Result};

/// Most bytes of an answer for one email's metadata; beyond 10,000 folders or keywords nobody is honest.
const MOST_BYTES_EACH: u64 = 64 << 10;

/// What the server says of one email.
pub(crate) enum Metadata {
    Found(Email),
    Gone,
    Unreadable(String),
}

/// The metadata of these emails, by id; every id is in the answer.
pub(crate) async fn get(
    client: &Client,
    account: &AccountId,
    ids: Vec<Id>,
) -> Result<BTreeMap<Id, Metadata>> {
    let mut all = BTreeMap::new();
    let mut left = vec![ids];
    while let Some(mut ids) = left.pop() {
        match get_together(client, account, &ids).await {
            Ok(emails) => {
                all.extend(emails.not_found.into_iter().map(|id| (id, Metadata::Gone)));
                all.extend(emails.failures.into_iter().filter_map(|failure| {
                    Some((failure.id?, Metadata::Unreadable(failure.error.to_string())))
                }));
                all.extend(emails.list.into_iter().map(|email| (email.id.clone(), Metadata::Found(email))));
            }
            Err(error) if !is_about_content(&error) => {
                return Err(Error::Server { what: "the emails' metadata", source: error });
            }
            Err(error) if ids.len() > 2 && fails_at_both_ends(client, account, &ids).await => {
                return Err(Error::Server { what: "the emails' metadata", source: error });
            }
            Err(_) if ids.len() > 1 => {
                left.push(ids.split_off(ids.len() / 2));
                left.push(ids);
            }
            Err(error) => {
                all.extend(ids.into_iter().map(|id| (id, Metadata::Unreadable(error.to_string()))));
            }
        }
    }
    Ok(all)
}

async fn get_together(client: &Client, account: &AccountId, ids: &[Id]) -> Result<Emails, jmap::Error> {
    let mut batch = Batch::new(account);
    let call = batch.emails(Ids::These(ids.to_vec()));
    let batch = batch.limit_answer((MOST_BYTES_EACH * ids.len() as u64).min(16 << 20));
    client.call(&batch).await?.take(call)
}

/// Whether it is not about some email among these: the first and the last alone fail too.
async fn fails_at_both_ends(client: &Client, account: &AccountId, ids: &[Id]) -> bool {
    let (first, last) = (&ids[..1], &ids[ids.len() - 1..]);
    get_together(client, account, first).await.is_err() && get_together(client, account, last).await.is_err()
}

/// Errors that asking for fewer emails may cure.
fn is_about_content(error: &jmap::Error) -> bool {
    use jmap::Error as E;
    matches!(
        error,
        E::Malformed { .. }
            | E::Untrue { .. }
            | E::AnswerTooLarge { .. }
            | E::Method { .. }
            | E::Interrupted(_)
            | E::Status { status: 500..=502, .. }
    )
}
