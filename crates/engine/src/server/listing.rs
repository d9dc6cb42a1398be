//! All ids of a type, listed page by page.

use std::cmp::Ordering;

use jmap::{AccountId, Answer, Batch, Client, DataType, Id, MethodErrorKind, Query, QueryPage};
use serde_json::json;

use crate::error::{Error, Result};

/// Ids asked for at once; servers give fewer if they like.
const PAGE: usize = 10_000;
/// No mailbox has more.
const MOST_IDS: u64 = 50_000_000;
/// What may arrive while a mailbox is listed, besides as much again as it held.
const SURPLUS: u64 = 100_000;
/// How often a listing begins anew because what it hung on is gone.
const RESTARTS: usize = 5;
/// How many earlier ids are tried when the last one of a page is gone.
const ANCHORS: usize = 16;

/// Sorted ids in one piece of memory: a million take some 15 MB.
#[derive(Default)]
pub(crate) struct IdList {
    text: String,
    /// End of each id in `text`.
    ends: Vec<u32>,
}

impl IdList {
    /// Appends one that comes behind all others.
    pub(crate) fn push(&mut self, id: &str) {
        assert!(self.extend([id]), "ids of one account fit into 4 GB");
    }

    /// False when there are more than can be held.
    fn extend<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) -> bool {
        for id in ids {
            let Ok(end) = u32::try_from(self.text.len() + id.len()) else { return false };
            self.text.push_str(id);
            self.ends.push(end);
        }
        true
    }

    /// Each id once, in order.
    fn sorted(self) -> IdList {
        let is_sorted = (1..self.len()).all(|at| self.get(at - 1) < self.get(at));
        if is_sorted {
            return self;
        }
        let get = |at: &u32| self.get(*at as usize);
        // As many as `ends`, which tell places in less than 4 GB of text.
        let mut order: Vec<u32> = (0..self.len()).filter_map(|at| u32::try_from(at).ok()).collect();
        order.sort_unstable_by(|a, b| get(a).cmp(get(b)));
        order.dedup_by(|a, b| get(a) == get(b));
        let text = String::with_capacity(self.text.len());
        let mut sorted = IdList { text, ends: Vec::with_capacity(order.len()) };
        sorted.extend(order.iter().map(get));
        sorted
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[index] as usize]
    }

    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).cmp(id) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(middle),
                Ordering::Greater => high = middle,
            }
        }
        None
    }
}

/// Lists every id of a type by anchored pages, so that what comes and goes meanwhile hides nothing else; what came or went
/// itself is for `/changes` to tell.
pub(crate) async fn list_ids(client: &Client, account: &AccountId, data_type: DataType) -> Result<IdList> {
    list_ids_by(client, account, data_type, &Query::page(PAGE)).await
}

/// Lists the emails in one folder.
pub(crate) async fn list_emails_in(client: &Client, account: &AccountId, folder: &Id) -> Result<IdList> {
    let query = Query::page(PAGE).filter(json!({ "inMailbox": folder }));
    list_ids_by(client, account, DataType::Email, &query).await
}

async fn list_ids_by(
    client: &Client,
    account: &AccountId,
    data_type: DataType,
    query: &Query,
) -> Result<IdList> {
    for _ in 0..RESTARTS {
        if let Some(ids) = list_once(client, account, data_type, query).await? {
            return Ok(ids);
        }
    }
    Err(Error::Unlisted { data_type: data_type.name() })
}

async fn list_once(
    client: &Client,
    account: &AccountId,
    data_type: DataType,
    query: &Query,
) -> Result<Option<IdList>> {
    let mut ids = IdList::default();
    let mut recent: Vec<Id> = Vec::new();
    let mut first: Option<QueryPage> = None;
    let mut same_state = true;
    loop {
        let page = next_page(client, account, data_type, query, &mut recent).await?;
        let Some(page) = page else { return Ok(None) };
        let is_held = ids.extend(page.ids.iter().map(Id::as_str));
        recent.extend(page.ids.iter().rev().take(ANCHORS).rev().cloned());
        let surplus = recent.len().saturating_sub(ANCHORS);
        recent.drain(..surplus);
        same_state &= first.as_ref().is_none_or(|f| f.query_state == page.query_state);
        let total = first.get_or_insert_with(|| QueryPage { ids: Vec::new(), ..page.clone() }).total;
        let complete = same_state && total == Some(ids.len() as u64);
        if page.ids.is_empty() || complete {
            let ids = ids.sorted();
            let counted = total.filter(|_| same_state && page.query_state.is_some());
            return Ok(counted.is_none_or(|total| total == ids.len() as u64).then_some(ids));
        }
        // A server that gives page after page for ever, the same or others, means no good.
        if !is_held || ids.len() as u64 > total.unwrap_or(MOST_IDS).saturating_mul(2).saturating_add(SURPLUS)
        {
            return Ok(None);
        }
    }
}

/// The page behind the newest of `recent` that still exists; `None` when they are all gone.
async fn next_page(
    client: &Client,
    account: &AccountId,
    data_type: DataType,
    query: &Query,
    recent: &mut Vec<Id>,
) -> Result<Option<QueryPage>> {
    loop {
        let query = match recent.last() {
            None => query.clone().with_total(),
            Some(anchor) => query.clone().after(anchor),
        };
        let mut batch = Batch::new(account);
        let call = batch.query(data_type, &query);
        let answer = client.call(&batch).await.and_then(|answer: Answer| answer.take(call));
        match answer {
            Ok(page) => return Ok(Some(page)),
            Err(error) if error.method_error().is_some_and(|e| e.kind == MethodErrorKind::AnchorNotFound) => {
                recent.pop();
                if recent.is_empty() {
                    return Ok(None);
                }
            }
            Err(source) => return Err(Error::Server { what: "the list of objects", source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sorted_unique_and_found() {
        let mut list = IdList::default();
        assert!(list.extend(["b", "a", "aa", "b", "A"]));
        let list = list.sorted();
        let sorted: Vec<&str> = (0..list.len()).map(|i| list.get(i)).collect();
        assert_eq!(sorted, ["A", "a", "aa", "b"]);
        assert_eq!((list.position("aa"), list.position("c")), (Some(2), None));
    }
}
