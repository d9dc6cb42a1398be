use catalog::{ClaimAnswer, NewJob, Pause, Request};
use model::{Attempt, Epoch, JobId, JobKind, JobState, Plan};

use crate::room::{Room, SOON, at, date, nightly};

impl Room {
    async fn answer(&self, job: JobId, seconds: i64) -> ClaimAnswer {
        self.catalog.claim(job, "w2", at(seconds), SOON).await.unwrap()
    }
}

#[tokio::test]
async fn a_claim_raises_attempt_and_epoch_and_tells_all_that_a_worker_needs() {
    let room = Room::new().await;
    let mailbox = room.mailbox().await;
    let job = room.planned(nightly(mailbox, 1)).await;
    assert_eq!(room.answer(JobId(999), 100).await, ClaimAnswer::Unknown);
    assert_eq!(room.answer(job, 99).await, ClaimAnswer::NotDue);

    let claimed = room.claimed(job, at(100)).await;
    assert_eq!(
        (claimed.claim.job, claimed.claim.mailbox, claimed.claim.epoch),
        (job, Some(mailbox), Epoch(1))
    );
    assert_eq!((claimed.kind, claimed.attempt, claimed.slices), (JobKind::Nightly, Attempt(1), 0));
    assert_eq!((claimed.slot_date, claimed.deadline, claimed.number), (Some(date(1)), Some(at(9000)), None));
    let known = claimed.mailbox.expect("its mailbox");
    assert_eq!((known.address.as_str(), known.epoch), ("professional0@example.org", Epoch(1)));
    assert_eq!(room.catalog.job(job).await.unwrap().unwrap().worker.as_deref(), Some("w1"));
    assert_eq!(room.answer(job, 100).await, ClaimAnswer::Running, "a second ticket");

    room.catalog.complete(&claimed.claim, None).await.unwrap();
    assert_eq!(room.answer(job, 100).await, ClaimAnswer::Finished);

    let global = room.planned(NewJob { kind: JobKind::Global, mailbox: None, ..nightly(mailbox, 1) }).await;
    let claimed = room.claimed(global, at(100)).await;
    assert_eq!((claimed.claim.mailbox, claimed.claim.epoch, claimed.mailbox), (None, Epoch(1), None));
    room.catalog.snooze(&claimed.claim, at(100)).await.unwrap();
    assert_eq!(room.claimed(global, at(100)).await.claim.epoch, Epoch(2), "a global job counts its own");
}

#[tokio::test]
async fn what_cannot_run_now_is_put_back_with_a_new_ticket() {
    let room = Room::new().await;
    let ids = room.mailboxes(Plan::Professional, 2).await;
    let night = room.planned(nightly(ids[0], 1)).await;
    let request = Request {
        kind: JobKind::Manual,
        mailbox: Some(ids[0]),
        key: "k",
        parameters: None,
        limit: None,
        traceparent: None,
        audit: None,
    };
    let manual = room.catalog.request(&request, at(0)).await.unwrap().job;
    let publish = async |seconds| {
        let tickets = room.catalog.take_unpublished(9, SOON.try_into().unwrap(), at(seconds)).await.unwrap();
        room.catalog.mark_published(&tickets).await.unwrap();
        tickets.iter().map(|ticket| ticket.job).collect::<Vec<_>>()
    };
    assert_eq!(publish(100).await, [manual, night]);

    let running = room.claimed(manual, at(100)).await;
    assert_eq!(room.answer(night, 100).await, ClaimAnswer::Busy);
    let waits = room.catalog.job(night).await.unwrap().unwrap();
    assert_eq!((waits.state, waits.run_at, waits.attempt), (JobState::Waiting, at(130), Attempt(0)));
    assert_eq!(publish(129).await, []);
    assert_eq!(publish(130).await, [night]);
    // As if something else had put it back.
    room.sql("UPDATE jobs SET behind = false").await;
    room.catalog.complete(&running.claim, None).await.unwrap();

    assert_eq!(
        room.answer(night, 129).await,
        ClaimAnswer::NotDue,
        "a worker whose clock is behind the producer's"
    );
    assert_eq!(publish(130).await, [night], "its ticket is gone, so there is another");
    assert_eq!(room.answer(night, 129).await, ClaimAnswer::NotDue);
    let taken = room.catalog.take_unpublished(9, SOON.try_into().unwrap(), at(130)).await.unwrap();
    assert_eq!(room.answer(night, 129).await, ClaimAnswer::NotDue, "before its publisher has marked it");
    room.catalog.mark_published(&taken).await.unwrap();
    assert_eq!(publish(130).await, [night], "it was used up all the same");
    room.catalog.pause(&Pause::Mailbox(ids[0]), at(0)).await.unwrap();
    assert_eq!(room.answer(night, 130).await, ClaimAnswer::Paused);
    assert_eq!(room.answer(night, 130).await, ClaimAnswer::NotDue, "put back");
    room.catalog.resume(&Pause::Mailbox(ids[0])).await.unwrap();

    room.catalog.mark_gone(ids[0], at(140)).await.unwrap();
    assert_eq!(room.answer(night, 160).await, ClaimAnswer::Gone);
    assert_eq!(room.catalog.job(night).await.unwrap().unwrap().state, JobState::Cancelled);
    let verify = Request { kind: JobKind::Verify, key: "v", ..request };
    let verify = room.catalog.request(&verify, at(160)).await.unwrap().job;
    assert_eq!(
        room.claimed(verify, at(160)).await.claim.epoch,
        Epoch(2),
        "what is gone can still be verified"
    );
}

#[tokio::test]
async fn who_waits_for_a_job_of_its_mailbox_is_due_when_that_has_ended_and_nobody_else() {
    let room = Room::new().await;
    let ids = room.mailboxes(Plan::Professional, 2).await;
    for end in ["done", "dead", "cancelled", "waiting"] {
        room.sql("DELETE FROM jobs").await;
        let request = Request {
            kind: JobKind::Restore,
            mailbox: Some(ids[0]),
            key: end,
            parameters: None,
            limit: None,
            traceparent: None,
            audit: None,
        };
        let verify = Request { kind: JobKind::Verify, key: "v", ..request.clone() };
        let other = Request { mailbox: Some(ids[1]), key: "o", ..verify.clone() };
        let mut jobs = Vec::new();
        for request in [&request, &verify, &other] {
            jobs.push(room.catalog.request(request, at(0)).await.unwrap().job);
        }
        let [restore, verify, other] = jobs[..] else { panic!("three") };
        let running = room.claimed(restore, at(1)).await;
        assert_eq!(room.answer(verify, 1).await, ClaimAnswer::Busy);
        // Of another mailbox, and one that waits because it failed.
        let failed = room.claimed(other, at(1)).await;
        room.catalog.snooze(&failed.claim, at(99)).await.unwrap();
        assert_eq!(room.answer(verify, 2).await, ClaimAnswer::NotDue);
        let sql = format!("UPDATE jobs SET state = '{end}' WHERE id = {}", running.claim.job);
        room.sql(&sql).await;
        assert!(matches!(room.answer(verify, 2).await, ClaimAnswer::Claimed(_)), "{end}");
        assert_eq!(room.answer(other, 2).await, ClaimAnswer::NotDue, "{end}");
    }
}
