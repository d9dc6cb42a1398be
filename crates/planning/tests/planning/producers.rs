//! Producers that tick, stop, disagree about the time, and change their settings: every slot gets one job.

use std::collections::BTreeSet;

use model::{Date, MailboxId, Plan, Slot, Timestamp};
use planning::{Calendar, Facts, zone};
use proptest::prelude::*;

use crate::oracle::{DAY, MINUTE, Oracle};
use crate::places::{PLACES, calendar, settings};

/// The catalogue as far as it matters here: the jobs of one mailbox, unique by slot.
#[derive(Default)]
struct Catalogue {
    jobs: BTreeSet<Slot>,
    /// Inserts that the unique key refused.
    refused: usize,
}

impl Catalogue {
    fn facts(&self, plan: Plan) -> Facts {
        let own = self.jobs.iter().filter(|slot| slot.schedule == plan.schedule());
        Facts {
            mailbox: MailboxId(7),
            plan,
            plan_since: Timestamp::MIN,
            newest_slot: own.map(|slot| slot.date).max(),
            unfinished: false,
            paused: false,
            first: false,
        }
    }

    fn insert(&mut self, slot: Slot) {
        self.refused += usize::from(!self.jobs.insert(slot));
    }

    /// One round of a producer.
    fn tick(&mut self, calendar: &Calendar, plan: Plan, now: Timestamp) -> Option<Slot> {
        let due = calendar.at(now).due(&self.facts(plan))?;
        assert!(due.run_at >= now && due.not_after > now, "{due:?} at {now}");
        self.insert(due.slot);
        Some(due.slot)
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    prop::sample::select(Plan::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_slot_gets_one_job_and_an_outage_costs_all_but_the_newest(
        place in prop::sample::select(PLACES.to_vec()), settings in settings(), plan in plans(),
        period in 1..20_i32, outage_begins in 0..10 * 1440_i32, outage in 0..3 * 1440_i32,
    ) {
        let (name, around) = place;
        let oracle = Oracle::new(&zone(name).unwrap(), around.parse().unwrap(), &settings);
        let calendar = calendar(name, settings);
        let outage = oracle.from + MINUTE * outage_begins..oracle.from + MINUTE * (outage_begins + outage);
        let (mut catalogue, mut expected) = (Catalogue::default(), BTreeSet::new());
        let mut now = oracle.from;
        while now < oracle.until {
            if !outage.contains(&now) {
                let newest = oracle.newest_begun(plan.schedule(), now);
                let is_new = expected.insert(newest);
                prop_assert_eq!(catalogue.tick(&calendar, plan, now), is_new.then_some(newest), "at {}", now);
            }
            now += MINUTE * period;
        }
        prop_assert_eq!(&catalogue.jobs, &expected);
        prop_assert_eq!(catalogue.refused, 0);
    }

    #[test]
    fn two_producers_whose_clocks_differ_make_no_slot_twice(
        place in prop::sample::select(PLACES.to_vec()), settings in settings(), plan in plans(),
        skew in -90..90_i32, ticks in prop::collection::vec((1..180_i32, 0..3_u8), 60),
    ) {
        let (name, around) = place;
        let calendar = calendar(name, settings);
        let zone = zone(name).unwrap();
        let mut catalogue = Catalogue::default();
        let mut now = zone.to_timestamp(around.parse::<Date>().unwrap().at(0, 0, 0, 0)).unwrap() - DAY * 2;
        for (pause, who) in ticks {
            now += MINUTE * pause;
            let clocks = [now, now + MINUTE * skew];
            match who {
                2 => {
                    // Both read before either writes: the unique key may have to decide, and then both meant the same slot.
                    let facts = catalogue.facts(plan);
                    let due = clocks.map(|clock| calendar.at(clock).due(&facts).map(|due| due.slot));
                    let before = catalogue.refused;
                    due.iter().flatten().for_each(|slot| catalogue.insert(*slot));
                    prop_assert!(catalogue.refused == before || due[0] == due[1]);
                }
                one => {
                    let before = catalogue.refused;
                    catalogue.tick(&calendar, plan, clocks[usize::from(one)]);
                    prop_assert_eq!(catalogue.refused, before);
                }
            }
        }
    }

    #[test]
    fn a_change_of_zone_and_window_makes_no_date_twice_and_none_late(
        from in prop::sample::select(PLACES.to_vec()), to in prop::sample::select(PLACES.to_vec()),
        before in settings(), after in settings(), plan in plans(), change in 0..6 * 1440_i32,
    ) {
        let (first, second) = (calendar(from.0, before), calendar(to.0, after));
        let start = zone(from.0).unwrap().to_timestamp(from.1.parse::<Date>().unwrap().at(0, 0, 0, 0)).unwrap() - DAY * 2;
        let change = start + MINUTE * change;
        let mut catalogue = Catalogue::default();
        let (mut now, mut newest) = (start, None);
        while now < start + DAY * 15 {
            let calendar = if now < change { &first } else { &second };
            if let Some(slot) = catalogue.tick(calendar, plan, now) {
                prop_assert!(Some(slot) > newest, "{slot:?} after {newest:?}");
                newest = Some(slot);
            }
            // Whatever has begun by the calendar in force has its job, from the first tick on.
            prop_assert!(newest >= Some(calendar.newest_begun(plan.schedule(), now)));
            now += MINUTE * 11;
        }
        prop_assert_eq!(catalogue.refused, 0);
        // Two weeks have their nights or weekends, however far the clocks lie apart.
        let least = if plan == Plan::Personal { 2 } else { 12 };
        prop_assert!(catalogue.jobs.len() >= least, "{:?}", catalogue.jobs);
    }
}
