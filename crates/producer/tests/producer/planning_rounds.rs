use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use catalog::{Cancel, Pause};
use model::{Date, JobKind, JobState, MailboxId, Plan, Schedule, SignedDuration};
use planning::{Calendar, Settings, zone};
use producer::{PlanSettings, Round, Verifier};
use testkit::ManualClock;

use crate::room::{Room, SERVER, at, listed};

impl Room {
    /// Workers that are quick: what is due is done.
    async fn work(&self) {
        let now = self.now();
        self.sql(&format!(
            "UPDATE jobs SET state = 'done', finished_at = now() WHERE state = 'waiting' AND run_at <= '{now}'"
        ))
        .await;
    }

    async fn slots(&self) -> BTreeSet<(MailboxId, Date)> {
        let rows = self.client().await.query("SELECT mailbox, slot_date FROM jobs", &[]).await;
        let slot = |row: &tokio_postgres::Row| (MailboxId(row.get::<_, i64>(0).cast_unsigned()), row.get(1));
        rows.unwrap().iter().map(slot).collect()
    }
}

/// Two weeks with an hour between rounds, the clocks of the two producers seven minutes apart, and an outage of more than three days
/// over a weekend's end.
#[tokio::test(flavor = "multi_thread")]
async fn two_producers_and_an_outage_of_days_make_one_job_for_each_due_slot() {
    let room = Room::new().await;
    let professional = room.backed_up(Plan::Professional, 150).await;
    let personal = room.backed_up(Plan::Personal, 110).await;
    let behind = Arc::new(ManualClock::at(room.now() - SignedDuration::from_mins(7)));
    let (one, two) = (room.planner(), room.planner_with(behind.clone(), |_| ()));
    let calendar = Calendar::new(Settings::default(), zone("Europe/Paris").unwrap()).unwrap();
    let (begin, outage) = (room.now(), at("2026-06-06T13:00")..at("2026-06-09T23:30"));
    // A mailbox owes no window that had closed when it came.
    let owed = |schedule, now| {
        let slot = calendar.newest_begun(schedule, now);
        (calendar.bounds(slot).closes > begin).then_some(slot.date)
    };
    let (mut nights, mut weekends, mut planned) = (BTreeSet::new(), BTreeSet::new(), 0);
    for _ in 0..14 * 24 {
        if !outage.contains(&room.now()) {
            let (first, second) = tokio::join!(one.round(), two.round());
            let (first, second) = (first.unwrap(), second.unwrap());
            assert_eq!((first.mailboxes, second.mailboxes), (260, 260));
            planned += first.planned + second.planned;
            nights.extend(owed(Schedule::Nightly, room.now()));
            weekends.extend(owed(Schedule::Weekend, room.now()));
            room.work().await;
        }
        room.pass(60);
        behind.advance(SignedDuration::from_mins(60));
    }
    assert_eq!((nights.len(), weekends.len()), (11, 2), "14 nights, three missed; both weekends");
    let of = |ids: &[MailboxId], dates: &BTreeSet<Date>| {
        ids.iter().flat_map(|id| dates.iter().map(|date| (*id, *date))).collect::<BTreeSet<_>>()
    };
    let mut expected = of(&professional, &nights);
    expected.extend(of(&personal, &weekends));
    let differing: Vec<_> = expected.symmetric_difference(&room.slots().await).copied().collect();
    assert_eq!(differing, [], "a job too many or too few");
    assert_eq!(
        (planned, room.jobs().await),
        (expected.len() as u64, planned.cast_signed()),
        "each slot once"
    );
    let text = room.registry.text();
    assert!(text.contains(&format!("malle_jobs_planned_total{{kind=\"nightly\"}} {}", 150 * nights.len())));
}

#[tokio::test]
async fn starts_lie_in_the_window_and_what_was_planned_is_not_planned_again() {
    let room = Room::new().await;
    room.backed_up(Plan::Professional, 250).await;
    let planner = room.planner();
    assert_eq!(planner.round().await.unwrap(), Round { mailboxes: 250, ..Round::default() }, "by day");
    room.set("2026-06-03T22:00");
    assert_eq!(planner.round().await.unwrap().planned, 250);
    assert_eq!(planner.round().await.unwrap().planned, 0);
    let bounds = "SELECT count(*) FROM jobs WHERE run_at BETWEEN '2026-06-03T20:00Z' AND '2026-06-04T02:00Z' \
                  AND deadline = '2026-06-04T04:00Z'";
    assert_eq!(room.number(bounds).await, 250, "within three quarters of 22:00-06:00");
    let early = "SELECT count(*) FROM jobs WHERE run_at < '2026-06-03T23:00Z'";
    assert!((75..175).contains(&room.number(early).await), "spread");
}

#[tokio::test]
async fn pauses_changes_of_plan_and_time_zones() {
    let room = Room::new().await;
    let ids = room.backed_up(Plan::Personal, 4).await;
    let planner = room.planner();
    let round = async || planner.round().await.unwrap();
    room.set("2026-06-06T00:00");
    let server = Pause::Server(SERVER.into());
    room.catalog.pause(&server, room.now()).await.unwrap();
    assert_eq!(round().await.planned, 0);
    room.catalog.resume(&server).await.unwrap();
    room.catalog.pause(&Pause::Mailbox(ids[3]), room.now()).await.unwrap();
    assert_eq!(round().await.planned, 3);
    let weekend = room.newest_job().await;

    // Upgraded on Saturday at noon: the weekend's job lost its meaning, tonight's night is owed, last night's is not.
    room.set("2026-06-06T12:00");
    let upgraded = listed("personal2", Some(Plan::Professional));
    room.catalog.list_mailboxes(SERVER, &[upgraded], room.now()).await.unwrap();
    assert_eq!(round().await, Round { mailboxes: 4, planned: 0, cancelled: 1 });
    assert_eq!(room.catalog.job(weekend).await.unwrap().unwrap().state, JobState::Cancelled);
    assert_eq!(room.catalog.cancel(weekend).await.unwrap(), Cancel::Over);
    room.set("2026-06-06T22:00");
    assert_eq!(round().await.planned, 1);

    // One in Tokyo, where it is Sunday morning, and one in a zone that this build does not know.
    let mut tokyo = listed("tokyo", Some(Plan::Professional));
    tokyo.time_zone = Some("Asia/Tokyo".to_owned());
    let mut nowhere = listed("nowhere", Some(Plan::Professional));
    nowhere.time_zone = Some("Atlantis/Poseidonis".to_owned());
    room.catalog.list_mailboxes(SERVER, &[tokyo, nowhere], room.now()).await.unwrap();
    room.sql("UPDATE mailboxes SET first_backup_at = '2026-01-01T00:00Z'").await;
    assert_eq!(
        round().await.planned,
        2,
        "five in the morning in Tokyo, and the unknown zone is the service's"
    );
    room.set("2026-06-07T15:00");
    room.work().await;
    assert_eq!(round().await.planned, 1, "22:00 in Tokyo");
    let last = room.newest_job().await;
    assert!(room.catalog.job(last).await.unwrap().unwrap().run_at >= room.now());
}

/// Two producers, forty days, a round every six hours, an outage of one day.
#[tokio::test(flavor = "multi_thread")]
async fn every_backup_is_read_again_once_a_month_and_nothing_else_is_held_up_by_it() {
    let room = Room::new().await;
    let mailboxes = room.backed_up(Plan::Professional, 300).await;
    room.catalog.mark_gone(mailboxes[0], room.now()).await.unwrap();
    let paused = mailboxes[1];
    room.catalog.pause(&Pause::Mailbox(paused), room.now()).await.unwrap();
    room.mailboxes(Plan::Personal, 5).await;
    let plan = PlanSettings { page: 100, ..PlanSettings::new("UTC") };
    let verifier = |days, plan: &PlanSettings| {
        let days = NonZeroU16::new(days).unwrap();
        Verifier::new(room.catalog.clone(), room.clock.clone(), days, plan, room.metrics.clone())
    };
    let (one, two) = (verifier(30, &plan), verifier(30, &plan));
    let (begin, mut planned) = (room.now(), 0);
    for round in 0..30 * 4 {
        if !(40..44).contains(&round) {
            let (first, second) = tokio::join!(one.round(), two.round());
            planned += first.unwrap() + second.unwrap();
        }
        room.pass(360);
    }
    let read_again = "SELECT count(DISTINCT mailbox) FROM jobs WHERE kind = 'verify'";
    assert_eq!(
        room.number(read_again).await,
        299,
        "gone ones too, not the paused one, none without a backup"
    );
    let twice = planned - 299;
    assert!(twice <= 299 * 3 / 30, "some had their turn shortly before: {twice}");
    let spread = format!("SELECT count(DISTINCT slot_date) FROM jobs WHERE run_at > '{begin}'");
    assert!(room.number(&spread).await >= 28, "on all days");

    // Backups of a mailbox that is gone are kept for as long as the settings say.
    let expired = async |days: i64| {
        let gone_before = room.now() - SignedDuration::from_hours(24 * days);
        let found = room.catalog.expired_mailboxes(gone_before, None, 9).await.unwrap();
        found.iter().map(|mailbox| mailbox.id).collect::<Vec<_>>()
    };
    assert_eq!((expired(10).await, expired(40).await), (vec![mailboxes[0]], Vec::new()));
    room.sql("DELETE FROM jobs WHERE kind = 'verify'").await;
    let plan = PlanSettings { keep_gone: Some(SignedDuration::from_hours(240)), ..plan };
    let daily = verifier(1, &plan);
    for _ in 0..8 {
        planned += daily.round().await.unwrap();
        room.pass(360);
    }
    assert_eq!(room.number(read_again).await, 298);

    // What waits for its verification is planned for the night all the same.
    let round = room.planner().round().await.unwrap();
    let nights = room.number("SELECT count(*) FROM jobs WHERE kind = 'nightly'").await;
    assert_eq!((round.cancelled, nights), (0, 298), "{round:?}");
    let text = room.registry.text();
    assert!(
        text.contains(&format!("malle_jobs_planned_total{{kind=\"{}\"}} {planned}", JobKind::Verify)),
        "{text}"
    );
}
