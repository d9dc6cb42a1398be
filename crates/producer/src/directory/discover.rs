use std::sync::Arc;
use std::time::Duration;

use catalog::Catalog;
use model::{Clock, ErrorClass, Timestamp};
use telemetry::OutboxMetrics;

use super::import::{DirectoryError, Disappeared, Imported, checked, mark_gone};
use super::lines::{BadLine, List};
use super::listing::{Listing, Sight};
use super::rules::Rules;
use crate::backoff::Pulse;
use crate::error::chain;

/// More pages than any server has: one that always names a next page is not followed for ever.
const MOST_PAGES: u64 = 1_000_000;
/// So many reasons are kept; all are counted in the log.
const REASONS: usize = 1000;

/// A server that is listed now and then.
pub struct Directory {
    /// Its lasting name.
    pub server: String,
    /// How it is asked.
    pub listing: Arc<dyn Listing>,
    /// Which plan its mailboxes have.
    pub rules: Rules,
    /// What happens to mailboxes that it does not name any more. A listing by pages may miss one while others are deleted, so let
    /// it be missing for several listings.
    pub disappeared: Disappeared,
    /// The wait between two listings.
    pub every: Duration,
}

/// Lists a server to its end and writes down what it names, page by page. Mailboxes that cannot be used are left out and reported;
/// as long as there are any, or fewer were named than the server says it has, nothing is marked as gone.
pub async fn discover(
    catalog: &Catalog,
    directory: &Directory,
    now: Timestamp,
) -> Result<Imported, DirectoryError> {
    let Directory { server, listing, rules, disappeared, .. } = directory;
    let (mut imported, mut after, mut named, mut total) = (Imported::default(), None::<String>, 0, None);
    let mut sight = Sight::All;
    for _ in 0..MOST_PAGES {
        let page = listing.page(after.as_deref()).await?;
        let numbers = named + 1..;
        named += page.entries.len() as u64;
        total = page.total.or(total);
        if page.sight != Sight::All {
            sight = page.sight;
        }
        let list = List { entries: numbers.zip(page.entries).collect(), bad: Vec::new() };
        let (listed, bad) = checked(list, rules);
        imported.write(catalog, server, &listed, now).await?;
        imported.bad.extend(bad.into_iter().take(REASONS.saturating_sub(imported.bad.len())));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let whole = after.is_none() && named > 0 && total.is_none_or(|total| named >= total);
    match whole {
        true if imported.bad.is_empty() => {
            imported.gone = match &sight {
                Sight::All => mark_gone(catalog, server, None, *disappeared, now).await?,
                Sight::Tenant(tenant) => mark_gone(catalog, server, Some(tenant), *disappeared, now).await?,
                Sight::WithoutGroups => 0,
            };
        }
        true => (),
        false => imported.bad.push(BadLine::new(named, "the listing ends before all mailboxes were named")),
    }
    imported.is_whole = whole && imported.bad.is_empty();
    imported.sight = sight;
    Ok(imported)
}

impl Directory {
    pub(crate) async fn run(
        &self,
        catalog: &Catalog,
        clock: &dyn Clock,
        mut pulse: Pulse,
        metrics: &OutboxMetrics,
    ) {
        let mut last = None;
        loop {
            let server = &self.server;
            // A listing cut off by the end of the role leaves pages written and nothing marked as gone.
            let listed = tokio::select! {
                listed = discover(catalog, self, clock.now()) => listed,
                () = pulse.stop().cancelled() => return pulse.finish(),
            };
            let ended = match &listed {
                Ok(imported) if imported.is_whole => telemetry::Listed::Whole,
                Err(DirectoryError::TooManyGone { .. }) => telemetry::Listed::Refused,
                Ok(_) | Err(_) => telemetry::Listed::Failed,
            };
            if let Some(last) = last.replace(ended) {
                metrics.directories.of(last).dec();
            }
            metrics.directories.of(ended).inc();
            let go_on = match listed {
                Ok(Imported { listed, new, unplanned, gone, bad, sight, .. }) => {
                    let (bad, reason) = (bad.len(), bad.first().map(|bad| bad.reason.as_str()));
                    tracing::info!(server, listed, new, unplanned, gone, bad, reason, "listed a server");
                    match sight {
                        Sight::All => (),
                        Sight::Tenant(tenant) => tracing::warn!(
                            server,
                            tenant,
                            "the server shows the mailboxes of one tenant alone: our user belongs to it"
                        ),
                        Sight::WithoutGroups => tracing::warn!(
                            server,
                            "the server shows no groups, and none is backed up; nothing is marked as gone: grant our user the \
                             permission group-list"
                        ),
                    }
                    if unplanned > 0 {
                        tracing::warn!(server, unplanned, "these have no plan: they are not backed up");
                    }
                    pulse.went_well().await
                }
                Err(error) => {
                    let way_out = match error {
                        DirectoryError::TooManyGone { .. } => {
                            "if they were deleted on purpose: malle mailbox import --server NAME --accept-drop"
                        }
                        _ => "",
                    };
                    tracing::warn!(server, error = chain(&error), way_out, "a server could not be listed");
                    match error.class() {
                        ErrorClass::Transient { .. } => pulse.failed().await,
                        // A server that refuses somebody again and again shuts him out.
                        _ => pulse.refused().await,
                    }
                }
            };
            if !go_on {
                return pulse.finish();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use catalog::{Address, Listed};
    use model::{SignedDuration, SystemClock};
    use telemetry::Health;
    use testkit::Postgres;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::directory::{Entry, ListingError, Page};

    const HOUR: Duration = Duration::from_secs(3600);
    const AT_ONCE: Duration = Duration::from_millis(1);

    /// Answers the same until it was asked often enough.
    struct Asked {
        times: AtomicU32,
        answer: fn() -> Result<Page, ListingError>,
        stop: CancellationToken,
    }

    #[async_trait]
    impl Listing for Asked {
        async fn page(&self, _: Option<&str>) -> Result<Page, ListingError> {
            if self.times.fetch_add(1, Ordering::Relaxed) == 3 {
                self.stop.cancel();
            }
            (self.answer)()
        }
    }

    fn one_mailbox() -> Result<Page, ListingError> {
        let entries = vec![Entry { address: "a@x.example".to_owned(), ..Entry::default() }];
        Ok(Page { entries, ..Page::default() })
    }

    #[tokio::test]
    async fn only_what_may_pass_is_tried_again_before_it_is_time() {
        let postgres = Postgres::start().await.unwrap();
        let catalog = Catalog::connect(&catalog::Settings::new(postgres.url(), "test")).await.unwrap();
        catalog.migrate().await.unwrap();
        let known = ["a@x.example", "b@x.example"].map(|address| Listed {
            account: None,
            address: Address::from(address),
            plan: None,
            zone: None,
            time_zone: None,
            tenant: None,
        });
        catalog.list_mailboxes("s", &known, Timestamp::UNIX_EPOCH).await.unwrap();
        let missing_for = SignedDuration::from_secs(1);
        let disappeared = Disappeared::Gone { missing_for, at_most_percent: 0 };
        // If the other wait were taken, this would last for an hour.
        let check = async |every, after_failure, answer| {
            let stop = CancellationToken::new();
            let asked = Asked { times: AtomicU32::new(0), answer, stop: stop.clone() };
            let (server, listing, rules) = ("s".to_owned(), Arc::new(asked), Rules::default());
            let directory = Directory { server, listing, rules, disappeared, every };
            let watchdog = Health::default().watchdog("directory", HOUR);
            let pulse = Pulse::new(stop, watchdog, every, after_failure, after_failure);
            let metrics = OutboxMetrics::new(&telemetry::Registry::new("producer", "test", "test"));
            let run = directory.run(&catalog, &SystemClock, pulse, &metrics);
            tokio::time::timeout(Duration::from_secs(60), run).await.expect("the wait was the short one");
            let of = |ended| metrics.directories.of(ended).get();
            use telemetry::Listed::{Failed, Refused, Whole};
            [of(Whole), of(Refused), of(Failed)]
        };
        assert_eq!(check(HOUR, AT_ONCE, || Err(ListingError::Busy { status: 503 })).await, [0, 0, 1]);
        assert_eq!(check(AT_ONCE, HOUR, || Err(ListingError::Refused { status: 401 })).await, [0, 0, 1]);
        assert_eq!(
            check(AT_ONCE, HOUR, || Err(ListingError::Unusable { reason: "a test" })).await,
            [0, 0, 1]
        );
        assert_eq!(check(AT_ONCE, HOUR, one_mailbox).await, [0, 1, 0]);
        assert_eq!(
            catalog.count_unlisted("s", None, SystemClock.now()).await.unwrap().active,
            2,
            "too many gone"
        );
    }
}
