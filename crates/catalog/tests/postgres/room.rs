//! A server, a migrated catalogue, and short ways to furnish it.

use catalog::{Catalog, Claim, ClaimAnswer, Claimed, Facts, Listed, NewBackup, NewJob, Settings};
use model::{
    AccountId, BackupNumber, BackupState, Date, JobId, JobKind, MailboxId, Plan, SignedDuration,
    SnapshotNumber, Timestamp,
};
use serde_json::json;
use testkit::Postgres;
use tokio_postgres::NoTls;

pub(crate) const SERVER: &str = "mail.example.org";
pub(crate) const SOON: SignedDuration = SignedDuration::from_secs(30);

pub(crate) struct Room {
    pub(crate) catalog: Catalog,
    pub(crate) postgres: Postgres,
}

pub(crate) fn settings(postgres: &Postgres) -> Settings {
    Settings::new(postgres.url(), "test")
}

impl Room {
    pub(crate) async fn new() -> Room {
        Room::with(|_| ()).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut Settings)) -> Room {
        let postgres = Postgres::start().await.unwrap();
        let mut settings = settings(&postgres);
        adjust(&mut settings);
        let catalog = Catalog::connect(&settings).await.unwrap();
        catalog.migrate().await.unwrap();
        Room { catalog, postgres }
    }

    /// What no method of the catalogue does: what only an accident or another program would.
    pub(crate) async fn sql(&self, sql: &str) {
        sql_at(&self.postgres.url(), sql).await;
    }

    /// A number that the catalogue does not tell.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let (client, connection) = tokio_postgres::connect(&self.postgres.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("SET search_path = malle").await.unwrap();
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn mailboxes(&self, plan: Plan, count: u32) -> Vec<MailboxId> {
        let listed: Vec<_> = (0..count).map(|n| listed(&format!("{plan}{n}"), Some(plan))).collect();
        self.catalog.list_mailboxes(SERVER, &listed, at(0)).await.unwrap();
        let mut ids = Vec::new();
        for listed in &listed {
            let found = self.catalog.mailbox_of(SERVER, listed.account.as_ref().unwrap()).await.unwrap();
            ids.push(found.unwrap().id);
        }
        ids
    }

    pub(crate) async fn mailbox(&self) -> MailboxId {
        self.mailboxes(Plan::Professional, 1).await[0]
    }

    /// Plans that job and answers its id.
    pub(crate) async fn planned(&self, job: NewJob) -> JobId {
        assert_eq!(self.catalog.insert_due(&[job], at(0)).await.unwrap(), 1);
        JobId(self.number("SELECT max(id) FROM jobs").await.cast_unsigned())
    }

    pub(crate) async fn claimed(&self, job: JobId, now: Timestamp) -> Claimed {
        match self.catalog.claim(job, "w1", now, SOON).await.unwrap() {
            ClaimAnswer::Claimed(claimed) => *claimed,
            other => panic!("not claimed: {other:?}"),
        }
    }

    /// A nightly job of a new mailbox, claimed.
    pub(crate) async fn running(&self) -> Claimed {
        let mailbox = self.mailbox().await;
        let job = self.planned(nightly(mailbox, 1)).await;
        self.claimed(job, at(100)).await
    }

    pub(crate) async fn backup(&self, claim: &Claim, snapshot: u64) -> NewBackup {
        new_backup(self.catalog.draw_number(claim).await.unwrap(), snapshot)
    }
}

pub(crate) async fn sql_at(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("SET search_path = malle").await.unwrap();
    client.batch_execute(sql).await.unwrap();
}

/// Seconds after a winter night's begin.
pub(crate) fn at(seconds: i64) -> Timestamp {
    // Later than any day on which this runs: the database has a clock of its own.
    Timestamp::from_second(4_000_000_000 + seconds).unwrap()
}

pub(crate) fn date(day: i8) -> Date {
    Date::constant(2027, 1, day)
}

pub(crate) fn listed(account: &str, plan: Option<Plan>) -> Listed {
    let address = format!("{account}@example.org").as_str().into();
    Listed {
        account: Some(AccountId::from(account)),
        address,
        plan,
        zone: None,
        time_zone: None,
        tenant: None,
    }
}

pub(crate) fn nightly(mailbox: MailboxId, day: i8) -> NewJob {
    NewJob {
        kind: JobKind::Nightly,
        mailbox: Some(mailbox),
        slot_date: date(day),
        run_at: at(100),
        deadline: Some(at(9000)),
    }
}

pub(crate) fn facts(snapshot: u64, state: BackupState) -> Facts {
    Facts {
        snapshot: SnapshotNumber(snapshot),
        state,
        started_at: at(snapshot.cast_signed()),
        finished_at: at(snapshot.cast_signed() + 5),
        store: "main".into(),
        zone: "fr-par".into(),
        emails: 3,
        bytes: 1 << 40,
        stored_bytes: 17,
        contents: json!({"Email": 3}),
        digest: Some([7; 32]),
    }
}

pub(crate) fn new_backup(number: BackupNumber, snapshot: u64) -> NewBackup {
    NewBackup { number, facts: facts(snapshot, BackupState::Good), damaged: false }
}
