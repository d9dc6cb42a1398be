use coordination::{Progress, ProgressBoard};
use model::{JobId, JobKind, MailboxId, Timestamp};

use crate::{client, memory, until};

pub(crate) fn of(job: u64) -> Progress {
    Progress {
        job: JobId(job),
        kind: JobKind::Weekend,
        mailbox: MailboxId(job * 10),
        phase: "fetching".to_owned(),
        emails_done: 1,
        emails_expected: None,
        bytes: 2,
        worker: "w1".to_owned(),
        started: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

async fn the_newest_of_each_job_is_shown_until_it_is_cleared(board: &dyn ProgressBoard) {
    let further = Progress { emails_done: 9, emails_expected: Some(10), ..of(2) };
    for progress in [of(2), of(1), further.clone()] {
        board.show(&progress).await.unwrap();
    }
    assert_eq!(board.all().await.unwrap(), [of(1), further]);
    for job in [1, 1, 2, 3] {
        board.clear(JobId(job)).await.unwrap();
    }
    assert_eq!(board.all().await.unwrap(), []);
}

async fn what_is_not_shown_again_is_forgotten(board: &dyn ProgressBoard) {
    board.show(&of(1)).await.unwrap();
    until("an empty board", async || board.all().await.unwrap().is_empty().then_some(())).await;
}

#[tokio::test]
async fn the_board_in_memory_keeps_the_rules() {
    the_newest_of_each_job_is_shown_until_it_is_cleared(&memory()).await;
    what_is_not_shown_again_is_forgotten(&memory()).await;
}

#[tokio::test]
async fn the_board_in_redis_keeps_the_rules_among_other_keys() {
    let server = testkit::redis::Redis::start().await.unwrap();
    let board = client(&server, "one");
    the_newest_of_each_job_is_shown_until_it_is_cleared(&board).await;
    what_is_not_shown_again_is_forgotten(&board).await;

    client(&server, "two").show(&of(1)).await.unwrap();
    server.command("SET one:progress:5 M\x09later").await.unwrap();
    server.command("SET one:progress:6 garbage").await.unwrap();
    assert_eq!(board.all().await.unwrap(), [], "another deployment's, a later version's, somebody's");

    let mut settings = coordination::Settings::new(&server.url(), "many").unwrap();
    settings.progress_ttl = crate::LIMIT;
    let board = coordination::Redis::new(settings).unwrap();
    for job in 0..1_200 {
        board.show(&of(job)).await.unwrap();
    }
    assert_eq!(board.all().await.unwrap().len(), 1_200, "more than one step of SCAN");
}
