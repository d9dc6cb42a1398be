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
    for fleet in [10_000, 100_000, 1_000_000_u64] {
        let start = Instant::now();
        let moment = calendar.at(now);
        let due = (0..fleet).filter_map(|number| {
            let plan = if number % 10 == 0 { Plan::Professional } else { Plan::Personal };
            moment.due(&Facts {
                mailbox: MailboxId(number),
                plan,
                plan_since: Timestamp::MIN,
                newest_slot: if number % 4 == 0 { earlier } else { None },
                unfinished: false,
                paused: false,
                first: false,
            })
        });
        let due = due.filter(|due| due.run_at >= now).count();
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(due as u64, fleet);
        println!("{fleet} mailboxes planned in {seconds:.3} s: {:.0} mailboxes/s", fleet as f64 / seconds);
    }
    let start = Instant::now();
    let good = now - crate::oracle::DAY * 3;
    let overdue = (0..100_000)
        .filter(|_| calendar.overdue(Plan::Professional, Timestamp::MIN, Some(good), now).is_some());
    let count = overdue.count();
    println!("overdue asked of {count} mailboxes in {:.3} s", start.elapsed().as_secs_f64());
}
