//! Claims take the same time whether 10,000 or 1,000,000 jobs wait; planning takes a time in proportion. Printed as ratios:
//! `MALLE_SOAK=1 cargo test --release -p catalog --test postgres latency -- --nocapture`; without it the sizes are small.

use std::time::{Duration, Instant};

use catalog::{ClaimAnswer, NewJob};

use crate::room::{Room, SOON, at, nightly};

const CLAIMS: usize = 1000;
const PAGE: u32 = 5000;

/// What a size costs.
struct Cost {
    plan_a_row: Duration,
    take_a_ticket: Duration,
    claim_p50: Duration,
    claim_p99: Duration,
}

impl Room {
    async fn grow_to(&self, mailboxes: i64) {
        self.sql(&format!(
            "INSERT INTO mailboxes (server, account, address, plan, first_seen_at, listed_at) \
             SELECT 's', n, n || '@x', 'professional', now(), now() \
             FROM generate_series((SELECT count(*) + 1 FROM mailboxes), {mailboxes}) AS n; ANALYZE mailboxes"
        ))
        .await;
    }

    /// Pages through the mailboxes and plans those that have no job yet, as a producer does.
    async fn plan(&self, day: i8) -> (u64, Duration) {
        let (begin, mut planned, mut after) = (Instant::now(), 0, None);
        loop {
            let page = self.catalog.plannable(after, PAGE).await.unwrap();
            let Some(last) = page.last() else { return (planned, begin.elapsed()) };
            after = Some(last.id);
            let jobs: Vec<NewJob> = page.iter().map(|row| nightly(row.id, day)).collect();
            planned += self.catalog.insert_due(&jobs, at(0)).await.unwrap();
        }
    }

    async fn cost(&self, size: i64, day: i8) -> Cost {
        self.sql("TRUNCATE jobs, mailboxes CASCADE").await;
        self.grow_to(size).await;
        let (planned, took) = self.plan(day).await;
        assert_eq!(planned, size.cast_unsigned());
        let plan_a_row = took / u32::try_from(planned).unwrap();
        self.sql("VACUUM ANALYZE jobs").await;
        let begin = Instant::now();
        let mut tickets = Vec::new();
        while tickets.len() < CLAIMS {
            tickets
                .extend(self.catalog.take_unpublished(100, Duration::from_secs(600), at(100)).await.unwrap());
        }
        self.catalog.mark_published(&tickets).await.unwrap();
        let take_a_ticket = begin.elapsed() / u32::try_from(tickets.len()).unwrap();
        let mut claims = Vec::new();
        for ticket in tickets {
            let begin = Instant::now();
            let answer = self.catalog.claim(ticket.job, "w", at(100), SOON).await.unwrap();
            claims.push(begin.elapsed());
            let ClaimAnswer::Claimed(claimed) = answer else { panic!("{answer:?}") };
            self.catalog.complete(&claimed.claim, None).await.unwrap();
        }
        // What else the machine does makes some of these parts slow; many waiting jobs would make all of them slow.
        let quarters = claims.chunks_mut(CLAIMS / 4).map(|part| {
            part.sort_unstable();
            part[part.len() * 99 / 100]
        });
        let claim_p99 = quarters.min().unwrap();
        claims.sort_unstable();
        Cost { plan_a_row, take_a_ticket, claim_p50: claims[claims.len() / 2], claim_p99 }
    }
}

#[tokio::test]
async fn a_claim_costs_the_same_however_many_jobs_wait() {
    let (small, big) =
        if std::env::var_os("MALLE_SOAK").is_some() { (10_000, 1_000_000) } else { (2_000, 20_000) };
    let room = Room::new().await;
    room.cost(small, 1).await;
    // Ten or a hundred times as many jobs would show each time, as ten or a hundred; a busy machine makes three, and for a
    // moment any number.
    let is_level = async |day| {
        let (few, many) = (room.cost(small, day).await, room.cost(big, day + 1).await);
        let ratio = |of: fn(&Cost) -> Duration| of(&many).as_secs_f64() / of(&few).as_secs_f64();
        println!("{big} jobs waiting, against {small}:");
        type Part = (&'static str, fn(&Cost) -> Duration);
        let parts: [Part; 4] = [
            ("a row planned", |cost| cost.plan_a_row),
            ("a ticket taken and marked", |cost| cost.take_a_ticket),
            ("a claim, median", |cost| cost.claim_p50),
            ("a claim, p99", |cost| cost.claim_p99),
        ];
        for (name, of) in parts {
            println!("{name}: {:?} against {:?}, ratio {:.2}", of(&many), of(&few), ratio(of));
        }
        parts[2..].iter().all(|(_, of)| ratio(*of) < 5.0)
    };
    for day in [2, 4, 6] {
        if is_level(day).await {
            return;
        }
    }
    panic!("claims take longer when more jobs wait");
}
