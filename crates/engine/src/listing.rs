//! All ids of a type, listed page by page.

use jmap::{AccountId, Answer, Batch, Client, DataType, Id, MethodErrorKind, Query, QueryPage};

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

/// Sorted ids in one piece of memory: a million take some 20 MB.
#[derive(Default)]
pub(crate) struct IdList {
    text: String,
    /// End of each id in `text`; sorted by the ids themselves.
    spans: Vec<(u32, u32)>,
}

impl IdList {
    /// False when there are more than can be held.
    fn extend(&mut self, ids: &[Id]) -> bool {
        for id in ids {
            let start = self.text.len();
            self.text.push_str(id.as_str());
            let span = (u32::try_from(start), u32::try_from(self.text.len()));
            let (Ok(start), Ok(end)) = span else { return false };
            self.spans.push((start, end));
        }
        true
    }

    fn sort(&mut self) {
        let text = &self.text;
        let of = |(start, end): (u32, u32)| &text[start as usize..end as usize];
        self.spans.sort_unstable_by(|a, b| of(*a).cmp(of(*b)));
        self.spans.dedup_by(|a, b| of(*a) == of(*b));
        self.spans.shrink_to_fit();
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn get(&self, index: usize) -> &str {
        let (start, end) = self.spans[index];
        &self.text[start as usize..end as usize]
    }

    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        self.spans.binary_search_by(|(start, end)| self.text[*start as usize..*end as usize].cmp(id)).ok()
    }
}

/// Lists every id of a type by anchored pages, so that what comes and goes meanwhile hides nothing else; what came or went
/// itself is for `/changes` to tell.
pub(crate) async fn list_ids(client: &Client, account: &AccountId, data_type: DataType) -> Result<IdList> {
    for _ in 0..RESTARTS {
        if let Some(ids) = list_once(client, account, data_type).await? {
            return Ok(ids);
        }
    }
    Err(Error::Unlisted { data_type: data_type.name() })
}

async fn list_once(client: &Client, account: &AccountId, data_type: DataType) -> Result<Option<IdList>> {
    let mut ids = IdList::default();
    let mut recent: Vec<Id> = Vec::new();
    let mut first: Option<QueryPage> = None;
    let mut same_state = true;
    loop {
        let Some(page) = next_page(client, account, data_type, &mut recent).await? else { return Ok(None) };
        let is_held = ids.extend(&page.ids);
        recent.extend(page.ids.iter().rev().take(ANCHORS).rev().cloned());
        let surplus = recent.len().saturating_sub(ANCHORS);
        recent.drain(..surplus);
        same_state &= first.as_ref().is_none_or(|f| f.query_state == page.query_state);
        let total = first.get_or_insert_with(|| QueryPage { ids: Vec::new(), ..page.clone() }).total;
        let complete = same_state && total == Some(ids.spans.len() as u64);
        if page.ids.is_empty() || complete {
            ids.sort();
            let counted = total.filter(|_| same_state && page.query_state.is_some());
            return Ok(counted.is_none_or(|total| total == ids.len() as u64).then_some(ids));
        }
        // A server that gives page after page for ever, the same or others, means no good.
        if !is_held
            || ids.spans.len() as u64 > total.unwrap_or(MOST_IDS).saturating_mul(2).saturating_add(SURPLUS)
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
    recent: &mut Vec<Id>,
) -> Result<Option<QueryPage>> {
    loop {
        let query = match recent.last() {
            None => Query::page(PAGE).with_total(),
            Some(anchor) => Query::page(PAGE).after(anchor),
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
        let ids: Vec<Id> = ["b", "a", "aa", "b", "A"].iter().map(|id| Id::new(id).expect("an id")).collect();
        let mut list = IdList::default();
        assert!(list.extend(&ids));
        list.sort();
        let sorted: Vec<&str> = (0..list.len()).map(|i| list.get(i)).collect();
        assert_eq!(sorted, ["A", "a", "aa", "b"]);
        assert_eq!((list.position("aa"), list.position("c")), (Some(2), None));
    }
}
