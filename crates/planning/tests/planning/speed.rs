//! Planning a large fleet; prints a rate, asserts none.

use std::time::Instant;

use model::{MailboxId, Plan, Timestamp};
use planning::{Facts, Settings};

use crate::places::calendar;

#[test]
fn a_million_mailboxes() {
    if std::env::var_os("MALLE_SOAK").is_none() {
        println!("skipped: set MALLE_SOAK=1");
        return;
    }
    let calendar = calendar("Europe/Paris", Settings::default());
    let now: Timestamp = "2026-06-06T22:00+02:00".parse().unwrap();
    let earlier = Some("2026-05-01".parse().unwrap());
    let facts = |number: u64| Facts {
        mailbox: MailboxId(number),
        plan: if number.is_multiple_of(10) { Plan::Professional } else { Plan::Personal },
        plan_since: Timestamp::MIN,
        newest_slot: if number.is_multiple_of(4) { earlier } else { None },
        unfinished: false,
        paused: false,
        first: false,
    };
    for fleet in [10_000, 100_000, 1_000_000_u64] {
        let tries = (0..5).map(|_| {
            let start = Instant::now();
            let moment = calendar.at(now);
            let due = (0..fleet).filter_map(|number| moment.due(&facts(number)));
            assert_eq!(due.filter(|due| due.run_at >= now).count() as u64, fleet);
            start.elapsed().as_secs_f64()
        });
        let best = tries.fold(f64::INFINITY, f64::min);
        println!("{fleet} mailboxes planned in {best:.6} s: {:.0} mailboxes/s", fleet as f64 / best);
    }
    let start = Instant::now();
    let good = now - crate::oracle::DAY * 3;
    let overdue = (0..100_000)
        .filter(|_| calendar.overdue(Plan::Professional, Timestamp::MIN, Some(good), now).is_some());
    let count = overdue.count();
    println!("overdue asked of {count} mailboxes in {:.3} s", start.elapsed().as_secs_f64());
}
