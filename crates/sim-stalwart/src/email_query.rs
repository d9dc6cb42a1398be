//! `Email/query`: RFC 8620 §5.5 and RFC 8621 §4.4, with the filters and sorts that a backup might use.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::account::{Account, folder};
use crate::dates;
use crate::email::Email;
use crate::error::MethodError;
use crate::keywords;

/// Sorted id lists kept between the pages of one listing.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    kept: Vec<(String, u64, Arc<Vec<u32>>)>,
}

const KEPT: usize = 3;

#[derive(Clone, Copy)]
enum SortBy {
    ReceivedAt,
    Size,
}

struct Comparator {
    by: SortBy,
    ascending: bool,
}

/// A condition on one email.
type Test = Box<dyn Fn(&Account, &Email) -> bool>;

impl Account {
    /// Numbers of the emails that match, in order; the same list is found again until the state moves.
    pub(crate) fn list_emails(&mut self, args: &Map<String, Value>) -> Result<Arc<Vec<u32>>, MethodError> {
        let key = format!("{:?} {:?}", args.get("filter"), args.get("sort"));
        let state = self.emails.state();
        self.listings.kept.retain(|(_, of, _)| *of == state);
        if let Some((_, _, list)) = self.listings.kept.iter().find(|(of, _, _)| *of == key) {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(self.listed(&tests(args.get("filter"))?, &comparators(args.get("sort"))?));
        self.listings.kept.truncate(KEPT - 1);
        self.listings.kept.insert(0, (key, state, Arc::clone(&list)));
        Ok(list)
    }

    fn listed(&self, tests: &[Test], sort: &[Comparator]) -> Vec<u32> {
        let found = self.emails().filter(|(_, email)| tests.iter().all(|test| test(self, email)));
        if sort.is_empty() {
            return found.map(|(index, _)| index).collect();
        }
        let key =
            |email: &Email| [0, 1].map(|at| sort.get(at).map_or(0, |by: &Comparator| by.key(self, email)));
        let mut keyed: Vec<([u64; 2], u32)> = found.map(|(index, email)| (key(&email), index)).collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, index)| index).collect()
    }
}

impl Comparator {
    /// A number that sorts as the comparator wants.
    fn key(&self, account: &Account, email: &Email) -> u64 {
        let value = match self.by {
            SortBy::ReceivedAt => email.received_at,
            SortBy::Size => email.content.size(&account.mails),
        };
        if self.ascending { value } else { u64::MAX - value }
    }
}

fn comparators(sort: Option<&Value>) -> Result<Vec<Comparator>, MethodError> {
    let parse = |comparator: &Value| {
        let by = match comparator["property"].as_str() {
            Some("receivedAt") => SortBy::ReceivedAt,
            Some("size") => SortBy::Size,
            _ => return Err(MethodError::of("unsupportedSort")),
        };
        Ok(Comparator { by, ascending: comparator["isAscending"].as_bool().unwrap_or(true) })
    };
    match sort {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() > 2 => Err(MethodError::of("unsupportedSort")),
        Some(Value::Array(list)) => list.iter().map(parse).collect(),
        Some(_) => Err(MethodError::invalid("sort is no list")),
    }
}

fn tests(filter: Option<&Value>) -> Result<Vec<Test>, MethodError> {
    match filter {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(conditions)) => conditions.iter().map(|(name, value)| test(name, value)).collect(),
        Some(_) => Err(MethodError::invalid("filter is no object")),
    }
}

fn test(name: &str, value: &Value) -> Result<Test, MethodError> {
    let text = || value.as_str().map(str::to_owned).ok_or_else(|| MethodError::invalid("not a string"));
    let number = || value.as_u64().ok_or_else(|| MethodError::invalid("not a number"));
    let date = || dates::parse(&text()?).ok_or_else(|| MethodError::invalid("not a UTC date"));
    Ok(match name {
        "inMailbox" => {
            let wanted = folder(&text()?);
            Box::new(move |_, email| wanted.is_some_and(|folder| email.folders.contains(&folder)))
        }
        "before" => {
            let date = date()?;
            Box::new(move |_, email| email.received_at < date)
        }
        "after" => {
            let date = date()?;
            Box::new(move |_, email| email.received_at >= date)
        }
        "minSize" => {
            let size = number()?;
            Box::new(move |account, email| email.content.size(&account.mails) >= size)
        }
        "maxSize" => {
            let size = number()?;
            Box::new(move |account, email| email.content.size(&account.mails) < size)
        }
        "hasKeyword" => {
            let wanted = keywords::spelled(&text()?);
            Box::new(move |_, email| email.keywords.contains(&wanted))
        }
        "notKeyword" => {
            let unwanted = keywords::spelled(&text()?);
            Box::new(move |_, email| !email.keywords.contains(&unwanted))
        }
        _ => return Err(MethodError::of("unsupportedFilter")),
    })
}
