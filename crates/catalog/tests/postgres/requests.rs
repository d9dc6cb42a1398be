use std::num::NonZeroU32;
use std::time::Duration;

use catalog::{Error, RateLimit, Request, Requested};
use model::{JobKind, MailboxId, Plan, SignedDuration};
use serde_json::json;

use crate::room::{Room, at, nightly};

fn manual(mailbox: MailboxId, key: &str) -> Request<'_> {
    Request {
        kind: JobKind::Manual,
        mailbox: Some(mailbox),
        key,
        parameters: None,
        limit: None,
        traceparent: None,
        audit: None,
    }
}

#[tokio::test]
async fn a_backup_by_hand_is_one_job_however_often_it_is_asked_for() {
    let room = Room::new().await;
    let mailbox = room.mailbox().await;
    room.planned(nightly(mailbox, 1)).await;
    let ask =
        async |key: &str, seconds| room.catalog.request(&manual(mailbox, key), at(seconds)).await.unwrap();

    let first = ask("k1", 0).await;
    assert!(first.new, "a nightly one that waits is not in the way");
    assert_eq!(ask("k1", 1).await, Requested { new: false, ..first });
    assert_eq!(ask("k2", 1).await, Requested { new: false, ..first }, "an unfinished one is the one");
    let claimed = room.claimed(first.job, at(2)).await;
    assert_eq!(ask("k3", 2).await.job, first.job, "while it runs, too");
    room.catalog.complete(&claimed.claim, None).await.unwrap();
    assert_eq!(ask("k1", 3).await.job, first.job, "the same key is the same request for ever");
    assert!(ask("k3", 3).await.new);

    let twice =
        Request { kind: JobKind::Restore, parameters: Some(&json!({"number": 7})), ..manual(mailbox, "r1") };
    let restore = room.catalog.request(&twice, at(4)).await.unwrap();
    let other = room.catalog.request(&Request { key: "r2", ..twice.clone() }, at(4)).await.unwrap();
    assert!(restore.new && other.new, "restores may queue up");
    assert_eq!(room.claimed(restore.job, at(4)).await.parameters, Some(json!({"number": 7})));
    let global = Request { mailbox: None, kind: JobKind::Global, key: "g1", ..twice };
    assert!(room.catalog.request(&global, at(4)).await.unwrap().new);
    assert!(!room.catalog.request(&global, at(4)).await.unwrap().new);
}

#[tokio::test]
async fn requests_are_refused_with_the_reason() {
    let room = Room::new().await;
    let (professional, personal) = (room.mailbox().await, room.mailboxes(Plan::Personal, 1).await[0]);
    let ask = async |request: &Request<'_>, seconds| room.catalog.request(request, at(seconds)).await;
    assert!(matches!(ask(&manual(personal, "k"), 0).await, Err(Error::PersonalPlan)));
    assert!(matches!(ask(&manual(MailboxId(999), "k"), 0).await, Err(Error::UnknownMailbox(_))));

    let limit = RateLimit { requests: NonZeroU32::new(2).unwrap(), interval: SignedDuration::from_secs(60) };
    for (key, seconds) in [("k1", 0), ("k2", 10)] {
        let request = Request { limit: Some(limit), ..manual(professional, key) };
        let requested = ask(&request, seconds).await.unwrap();
        let claimed = room.claimed(requested.job, at(seconds)).await;
        room.catalog.complete(&claimed.claim, None).await.unwrap();
    }
    let third = Request { limit: Some(limit), ..manual(professional, "k3") };
    let refused = ask(&third, 20).await;
    assert!(
        matches!(refused, Err(Error::TooMany { retry_after }) if retry_after == Duration::from_secs(40)),
        "{refused:?}"
    );
    assert!(
        !ask(&Request { key: "k2", ..third.clone() }, 20).await.unwrap().new,
        "asking again is no new request"
    );
    assert!(ask(&third, 60).await.unwrap().new, "the first is a minute ago");

    room.sql("UPDATE mailboxes SET plan = NULL").await;
    assert!(matches!(ask(&manual(personal, "k"), 0).await, Err(Error::NoPlan)));
    room.catalog.mark_gone(personal, at(1)).await.unwrap();
    assert!(matches!(ask(&manual(personal, "k"), 0).await, Err(Error::MailboxGone(_))));
    let restore = Request { kind: JobKind::Restore, ..manual(personal, "r") };
    assert!(ask(&restore, 0).await.unwrap().new, "what is gone can be given back");
}

#[tokio::test]
async fn a_request_for_more_makes_the_waiting_backup_by_hand_do_more() {
    let room = Room::new().await;
    let mailbox = room.mailbox().await;
    let full = json!({"full": true});
    let ask = async |key: &str, parameters| {
        room.catalog.request(&Request { parameters, ..manual(mailbox, key) }, at(0)).await
    };
    let first = ask("k1", None).await.unwrap();
    let second = ask("k2", Some(&full)).await.unwrap();
    assert_eq!(second, Requested { new: false, ..first });
    assert_eq!(ask("k3", None).await.unwrap().job, first.job, "less is covered");
    let claimed = room.claimed(first.job, at(1)).await;
    assert_eq!(claimed.parameters, Some(full.clone()));
    assert_eq!(ask("k4", Some(&full)).await.unwrap().job, first.job, "it runs and does that");
    room.catalog.complete(&claimed.claim, None).await.unwrap();

    let plain = ask("k5", None).await.unwrap();
    assert!(plain.new);
    let claimed = room.claimed(plain.job, at(2)).await;
    assert_eq!(claimed.parameters, None);
    let refused = ask("k6", Some(&full)).await;
    assert!(matches!(refused, Err(Error::Underway(job)) if job == plain.job), "{refused:?}");
    assert_eq!(ask("k5", None).await.unwrap().job, plain.job, "the same key is the same request");
    room.catalog.complete(&claimed.claim, None).await.unwrap();
    assert!(ask("k6", Some(&full)).await.unwrap().new);
}

#[tokio::test]
async fn a_key_is_one_request() {
    let room = Room::new().await;
    let all = room.mailboxes(Plan::Professional, 2).await;
    let of = json!({"number": 7, "mode": "missing"});
    let restore = Request { kind: JobKind::Restore, parameters: Some(&of), ..manual(all[0], "r") };
    let backup = manual(all[0], "b");
    let ask = async |request: &Request<'_>| room.catalog.request(request, at(0)).await;
    let (given, made) = (ask(&restore).await.unwrap(), ask(&backup).await.unwrap());

    let (number, more) = (json!({"number": 8, "mode": "missing"}), json!({"full": true}));
    let select = json!({"number": 7, "mode": "missing", "select": "x"});
    let others = [
        (given, Request { parameters: Some(&number), ..restore.clone() }),
        (given, Request { parameters: Some(&select), ..restore.clone() }),
        (given, Request { parameters: None, ..restore.clone() }),
        (given, Request { mailbox: Some(all[1]), ..restore.clone() }),
        (given, Request { kind: JobKind::Verify, ..restore.clone() }),
        (given, Request { key: "r", ..backup.clone() }),
        (made, Request { parameters: Some(&more), ..backup.clone() }),
        (made, Request { mailbox: Some(all[1]), ..backup.clone() }),
    ];
    for (first, other) in &others {
        let refused = ask(other).await;
        assert!(matches!(refused, Err(Error::KeyReused(job)) if job == first.job), "{other:?}: {refused:?}");
    }
    assert_eq!(room.number("SELECT count(*) FROM jobs").await, 2);

    // Another request gave the waiting backup more to do: its own is still the same.
    assert_eq!(
        ask(&Request { key: "b2", parameters: Some(&more), ..backup.clone() }).await.unwrap().job,
        made.job
    );
    for (first, same) in [(given, &restore), (made, &backup)] {
        assert_eq!(ask(same).await.unwrap(), Requested { new: false, ..first });
    }
}
