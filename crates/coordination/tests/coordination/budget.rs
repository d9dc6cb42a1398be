use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coordination::{Budget, BudgetRules, Observation, Outcome, Permit, Share};
use tokio::time::sleep;

use crate::{client, memory, until};

const DONE: Observation = Observation { outcome: Outcome::Done, latency: Duration::from_millis(1) };

fn busy(retry_after: Option<Duration>) -> Observation {
    Observation { outcome: Outcome::Busy { retry_after }, latency: Duration::from_millis(1) }
}

fn rules(ceiling: u32) -> BudgetRules {
    let short = Duration::from_millis(50);
    BudgetRules { calm: short, pause: short, ..BudgetRules::new(ceiling, 1_000_000) }
}

pub(crate) async fn granted(budget: &dyn Budget, server: &str, rules: &BudgetRules) -> Option<Permit> {
    match budget.try_take(server, rules).await {
        Share::Granted(permit) => Some(permit),
        Share::Wait(_) => None,
    }
}

/// As many as it gives at once.
pub(crate) async fn all(budget: &dyn Budget, server: &str, rules: &BudgetRules) -> Vec<Permit> {
    let mut permits = Vec::new();
    while let Some(permit) = granted(budget, server, rules).await {
        permits.push(permit);
    }
    permits
}

pub(crate) async fn give_back(budget: &dyn Budget, permits: Vec<Permit>) {
    for permit in permits {
        budget.report(permit, DONE).await;
    }
}

async fn in_flight_never_passes_the_ceiling_and_reaches_it(clients: &[&dyn Budget]) {
    const CEILING: u32 = 5;
    let (flying, highest) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let rules = rules(CEILING);
    let work = clients.iter().map(|budget| async {
        for _ in 0..60 {
            let permit = budget.take("ceiling", &rules).await;
            let now = flying.fetch_add(1, Ordering::SeqCst) + 1;
            highest.fetch_max(now, Ordering::SeqCst);
            assert!(now <= CEILING as usize, "{now} requests in flight");
            sleep(Duration::from_millis(2)).await;
            flying.fetch_sub(1, Ordering::SeqCst);
            budget.report(permit, DONE).await;
        }
    });
    futures::future::join_all(work).await;
    assert_eq!(highest.into_inner(), CEILING as usize, "good answers open it up to the ceiling");
}

/// Each is granted under a state that is old by the time it ends.
async fn good_answers_count_although_many_are_under_way(clients: &[&dyn Budget]) {
    let rules = rules(16);
    let work = (0..16).map(|task| {
        let budget = clients[task % clients.len()];
        async move {
            let mut limit = 0;
            // From a quarter to the ceiling: four times the slots there are, for each: 456 answers. A busy machine loses some; were
            // one in sixteen counted, it would take 7,296.
            for _ in 0..200 {
                let permit = budget.take("growth", &rules).await;
                limit = permit.limit();
                sleep(Duration::from_millis(5)).await;
                budget.report(permit, DONE).await;
                if limit == 16 {
                    break;
                }
            }
            limit
        }
    });
    let limits = futures::future::join_all(work).await;
    assert_eq!(limits.into_iter().max(), Some(16));
}

async fn requests_a_minute_are_counted_over_all_clients(clients: &[&dyn Budget]) {
    let rules = BudgetRules { per_minute: 3_000, ..rules(64) };
    let (start, run) = (Instant::now(), Duration::from_millis(700));
    let work = clients.iter().map(|budget| async {
        let mut count = 0;
        while start.elapsed() < run {
            let Some(permit) = granted(*budget, "rate", &rules).await else {
                sleep(Duration::from_millis(3)).await;
                continue;
            };
            count += 1;
            budget.report(permit, DONE).await;
        }
        count
    });
    let count: u32 = futures::future::join_all(work).await.into_iter().sum();
    let burst = 3_000.0 / 20.0;
    let most = burst + start.elapsed().as_secs_f64() * (3_000.0 - burst) / 60.0;
    assert!(f64::from(count) <= most + 1.0, "{count} requests, {most} at most");
    assert!(count > 30, "only {count} requests");
}

async fn a_busy_server_is_left_alone_by_everybody_and_lowered(a: &dyn Budget, b: &dyn Budget) {
    let rules = BudgetRules { longest_pause: Duration::from_millis(200), ..rules(16) };
    let permits = all(a, "busy", &rules).await;
    assert_eq!(permits.len(), 4, "a server nobody knows gets a quarter");
    for permit in permits {
        a.report(permit, busy(Some(Duration::from_secs(3600)))).await;
    }
    match b.try_take("busy", &rules).await {
        Share::Wait(time) => assert!(time < rules.longest_pause * 2 && !time.is_zero(), "{time:?}"),
        Share::Granted(_) => panic!("the pause is not shared"),
    }
    let first = until("the end of the pause", || granted(b, "busy", &rules)).await;
    let more = all(b, "busy", &rules).await;
    assert_eq!(more.len(), 1, "four answers of one moment halve it once");
    give_back(b, more).await;
    b.report(first, DONE).await;
}

async fn a_share_that_is_not_given_back_gets_free(a: &dyn Budget, b: &dyn Budget) {
    let rules = BudgetRules { hold: Duration::from_millis(200), ..rules(1) };
    let lost = granted(a, "hold", &rules).await.unwrap();
    assert!(granted(b, "hold", &rules).await.is_none());
    let next = until("the end of the hold", || granted(b, "hold", &rules)).await;
    a.report(lost, DONE).await;
    assert!(granted(a, "hold", &rules).await.is_none(), "the late report freed somebody else's place");
    b.report(next, DONE).await;
    let permits = all(a, "another server", &rules).await;
    assert_eq!(permits.len(), 1);
    give_back(a, permits).await;
}

async fn suite(clients: &[&dyn Budget]) {
    in_flight_never_passes_the_ceiling_and_reaches_it(clients).await;
    good_answers_count_although_many_are_under_way(clients).await;
    requests_a_minute_are_counted_over_all_clients(clients).await;
    a_busy_server_is_left_alone_by_everybody_and_lowered(clients[0], clients[1]).await;
    a_share_that_is_not_given_back_gets_free(clients[0], clients[1]).await;
}

#[tokio::test]
async fn budgets_in_memory_keep_the_rules() {
    let memory = memory();
    suite(&[&memory as &dyn Budget; 8]).await;
}

#[tokio::test]
async fn budgets_in_redis_keep_the_rules() {
    let server = testkit::redis::Redis::start().await.unwrap();
    let clients: Vec<_> = (0..8).map(|_| client(&server, "budgets")).collect();
    let clients: Vec<&dyn Budget> = clients.iter().map(|client| client as &dyn Budget).collect();
    suite(&clients).await;
    a_newcomer_gets_its_part(&clients).await;
    print_speed(&clients).await;
}

/// Others give back and take again as fast as they can.
async fn a_newcomer_gets_its_part(clients: &[&dyn Budget]) {
    const REQUEST: Duration = Duration::from_millis(5);
    let rules = rules(1);
    let hogs = clients[1..4].iter().map(|hog| async {
        loop {
            let permit = hog.take("order", &rules).await;
            sleep(REQUEST).await;
            hog.report(permit, DONE).await;
        }
    });
    let newcomer = async {
        sleep(Duration::from_millis(300)).await;
        let mut waits = Vec::new();
        for _ in 0..10 {
            let asked = Instant::now();
            let permit = clients[0].take("order", &rules).await;
            waits.push(asked.elapsed());
            sleep(REQUEST).await;
            clients[0].report(permit, DONE).await;
            sleep(REQUEST * 5).await;
        }
        waits
    };
    let mut waits = tokio::select! {
        waits = newcomer => waits,
        _ = futures::future::join_all(hogs) => unreachable!("they never end"),
    };
    waits.sort();
    let (median, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    eprintln!("a newcomer waited {median:?} (median), {most:?} (at most)");
    assert!(most < Duration::from_millis(500), "{waits:?}");
}

async fn print_speed(clients: &[&dyn Budget]) {
    const EACH: u32 = 300;
    let rules = BudgetRules { floor: 64, ..BudgetRules::new(64, 60_000_000) };
    let start = Instant::now();
    let work = clients.iter().map(|budget| async {
        for _ in 0..EACH {
            let permit = budget.take("speed", &rules).await;
            budget.report(permit, DONE).await;
        }
    });
    futures::future::join_all(work).await;
    let shares = f64::from(EACH) * clients.len() as f64;
    eprintln!("{:.0} shares/s taken and given back by 8 clients", shares / start.elapsed().as_secs_f64());
}
