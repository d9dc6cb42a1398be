//! `Foo/changes` (RFC 8620 §5.2), paged as Stalwart does: a page's `newState` names the window and how much of
//! it has been sent, and only the last page of a window ends in a state that the type really had.

use std::hash::Hash;

use crate::account::Account;
use crate::api::Context;
use crate::error::MethodError;
use crate::get::{state_number, state_text};
use crate::ids;
use crate::json::{self, Arguments};
use crate::kind::DataType;
use crate::log::{Fate, Log};

/// What a client's `sinceState` says.
#[derive(Debug, PartialEq, Eq)]
enum Since {
    Exact(u64),
    Within { from: u64, to: u64, sent: usize },
}

impl Since {
    fn parse(text: &str) -> Option<Self> {
        if let Some(state) = state_number(text) {
            return Some(Self::Exact(state));
        }
        let mut numbers = text.strip_prefix('r')?.split('-').map(ids::number);
        let (from, to, sent) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(Self::Within { from, to, sent: usize::try_from(sent).ok()? })
    }

    fn text(&self) -> String {
        match self {
            Self::Exact(state) => state_text(*state),
            Self::Within { from, to, sent } => {
                format!("r{}-{}-{}", ids::short(*from), ids::short(*to), ids::short(*sent as u64))
            }
        }
    }
}

/// A page of changes.
struct Page<K> {
    changes: Vec<(K, Fate)>,
    new_state: Since,
    more: bool,
}

pub(crate) fn changes(
    context: &Context<'_>,
    account: &Account,
    kind: DataType,
    arguments: &Arguments,
    out: &mut Vec<u8>,
) -> Result<(), MethodError> {
    let since = arguments.get("sinceState").and_then(|state| state.as_str());
    let since = since.ok_or_else(|| MethodError::invalid("sinceState is missing"))?;
    let asked = json::unsigned(arguments, "maxChanges")?.filter(|most| *most > 0);
    let most = asked.unwrap_or(usize::MAX).min(context.settings.limits.changes_page);
    if kind == DataType::ParticipantIdentity {
        return Err(cannot());
    }
    out.push(b'{');
    json::member(out, "accountId", &account.id);
    json::member(out, "oldState", since);
    if kind == DataType::Email {
        let page = page(&account.emails, since, most, account.keep_history)?;
        write(out, kind, &page, |index| account.ids.email(*index));
    } else {
        let page = page(&account.objects[&kind].log, since, most, account.keep_history)?;
        write(out, kind, &page, String::clone);
    }
    Ok(())
}

fn cannot() -> MethodError {
    MethodError::of("cannotCalculateChanges")
}

fn page<K: Clone + Ord + Hash, V>(
    log: &Log<K, V>,
    since: &str,
    most: usize,
    keep: Option<usize>,
) -> Result<Page<K>, MethodError> {
    let (from, to, sent) =
        match Since::parse(since).ok_or_else(|| MethodError::invalid("sinceState is no state"))? {
            // As Stalwart does: since the beginning never fails, it answers with what is left of the log.
            Since::Exact(0) => (log.oldest(keep), log.state(), 0),
            Since::Exact(from) => (from, log.state(), 0),
            Since::Within { from, to, sent } if to <= log.state() => (from, to, sent),
            Since::Within { .. } => return Err(cannot()),
        };
    if from < log.oldest(keep) || from > log.state() {
        return Err(cannot());
    }
    let all = log.changes(from, to);
    let end = sent.saturating_add(most).min(all.len());
    let more_in_window = end < all.len();
    let new_state =
        if more_in_window { Since::Within { from, to, sent: end } } else { Since::Exact(to.max(from)) };
    let changes = all.into_iter().skip(sent).take(end.saturating_sub(sent)).collect();
    Ok(Page { changes, new_state, more: more_in_window || to < log.state() })
}

fn write<K>(out: &mut Vec<u8>, kind: DataType, page: &Page<K>, id: impl Fn(&K) -> String) {
    json::member(out, "newState", &page.new_state.text());
    json::member(out, "hasMoreChanges", &page.more);
    let list = |out: &mut Vec<u8>, name: &str, fates: &[Fate]| {
        json::key(out, name);
        let chosen = page.changes.iter().filter(|(_, fate)| fates.contains(fate));
        json::array(out, chosen, |out, (key, _)| json::push(out, &id(key)));
    };
    list(out, "created", &[Fate::Created]);
    list(out, "updated", &[Fate::Updated, Fate::Counted]);
    list(out, "destroyed", &[Fate::Destroyed]);
    if kind == DataType::Mailbox {
        let has = |wanted| page.changes.iter().any(|(_, fate)| *fate == wanted);
        let counts = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];
        let properties = (has(Fate::Counted) && !has(Fate::Updated)).then_some(counts);
        json::member(out, "updatedProperties", &properties);
    }
    out.push(b'}');
}
