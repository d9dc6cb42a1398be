use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use catalog::{Catalog, ClaimAnswer, Error, Request, Settings};
use model::{ErrorClass, JobKind, Plan};

use crate::room::{Room, SOON, at, nightly};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_is_a_transient_error_and_the_pool_recovers() {
    let mut room = Room::with(|settings| settings.connect_timeout = Duration::from_secs(2)).await;
    let ids = room.mailboxes(Plan::Professional, 8).await;
    let jobs: Vec<_> = ids.iter().map(|id| nightly(*id, 1)).collect();
    room.catalog.insert_due(&jobs, at(0)).await.unwrap();
    let tickets = room.catalog.take_unpublished(99, Duration::ZERO, at(100)).await.unwrap();
    let claimed = room.claimed(tickets[0].job, at(100)).await;

    let hammering: Vec<_> = (0..8)
        .map(|n| {
            let (catalog, id) = (room.catalog.clone(), ids[n]);
            tokio::spawn(async move {
                let (mut done, mut failed) = (0_u32, 0_u32);
                while failed == 0 {
                    let key = format!("{n} {done}");
                    let request = Request {
                        kind: JobKind::Verify,
                        mailbox: Some(id),
                        key: &key,
                        parameters: None,
                        limit: None,
                        traceparent: None,
                        audit: None,
                    };
                    match catalog.request(&request, at(0)).await {
                        Ok(_) => done += 1,
                        Err(error) => {
                            assert_eq!(
                                error.class(),
                                ErrorClass::Transient { retry_after: None },
                                "{error:?}"
                            );
                            failed += 1;
                        }
                    }
                }
                done
            })
        })
        .collect();
    while room.number("SELECT count(*) FROM jobs WHERE kind = 'verify'").await < 20 {}
    room.postgres.stop().unwrap();
    let mut done = 0;
    for task in hammering {
        done += task.await.unwrap();
    }
    let error = room.catalog.ping().await.expect_err("it is down");
    assert_eq!(error.class(), ErrorClass::Transient { retry_after: None });

    room.postgres.start_again().await.unwrap();
    room.catalog.ping().await.expect("the first call after it is back goes through");
    // What was answered may be lost with synchronous_commit off, and one more per task may have happened unheard.
    let written = room.number("SELECT count(*) FROM jobs WHERE kind = 'verify'").await;
    assert!(written <= i64::from(done) + 8, "{written} of {done}");
    for ticket in &tickets[1..] {
        let answer = room.catalog.claim(ticket.job, "w", at(100), SOON).await.unwrap();
        assert!(matches!(answer, ClaimAnswer::Claimed(_)), "{answer:?}");
    }
    let backup = room.backup(&claimed.claim, 1).await;
    room.catalog.complete(&claimed.claim, Some(&backup)).await.expect("a claim outlives a restart");
}

#[tokio::test]
async fn terminated_connections_and_slow_statements_are_transient() {
    let room = Room::with(|settings| {
        settings.pool_size = 2;
        settings.statement_timeout = Duration::from_secs(1);
    })
    .await;
    let mailbox = room.mailbox().await;
    room.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'").await;
    // A connection may die under our hands; each does so once.
    let mut errors = 0;
    while let Err(error) = room.catalog.mailbox(mailbox).await {
        assert_eq!(error.class(), ErrorClass::Transient { retry_after: None }, "{error:?}");
        errors += 1;
        assert!(errors < 5, "the pool has no new connections");
    }

    let (client, connection) =
        tokio_postgres::connect(&room.postgres.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("SET search_path = malle; BEGIN; LOCK TABLE jobs").await.unwrap();
    let error =
        room.catalog.insert_due(&[nightly(mailbox, 1)], at(0)).await.expect_err("the table is locked");
    assert_eq!(error.class(), ErrorClass::Transient { retry_after: None }, "{error:?}");
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(room.catalog.insert_due(&[nightly(mailbox, 1)], at(0)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_server_that_stands_still_is_given_up_and_taken_again_when_it_moves() {
    let room = Room::new().await;
    let mailbox = room.mailbox().await;
    let settings = Settings {
        pool_size: 1,
        statement_timeout: Duration::from_millis(200),
        ..Settings::new(room.postgres.url(), "impatient")
    };
    let catalog = Catalog::connect(&settings).await.unwrap();
    let ours = "SELECT pid::bigint FROM pg_stat_activity WHERE application_name = 'impatient'";
    let pid = room.number(ours).await.to_string();
    let signal =
        |signal: &str| assert!(Command::new("kill").args([signal, pid.as_str()]).status().unwrap().success());
    signal("-STOP");
    let error = catalog.mailbox(mailbox).await.expect_err("nobody answers");
    signal("-CONT");
    assert!(matches!(error, Error::TimedOut), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Transient { retry_after: None });
    while catalog.mailbox(mailbox).await.is_err() {}
}

#[tokio::test]
async fn a_door_behind_which_nobody_answers_is_left_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://malle@{}/postgres", silent.local_addr().unwrap());
    let settings = Settings { connect_timeout: Duration::from_millis(200), ..Settings::new(url, "test") };
    let error = Catalog::connect(&settings).await.expect_err("it accepts and is silent");
    assert!(matches!(error, Error::TimedOut), "{error:?}");
}
