//! Backups found in the stores, after the catalogue was lost or restored from an old copy.

use std::collections::BTreeSet;

use deadpool_postgres::GenericClient;
use model::{BackupNumber, Date, JobKind, LogPosition, MailboxIdentity, SnapshotNumber, Timestamp};
use serde_json::{Value, json};
use tokio_postgres::types::Json;

use crate::backups::backup::Facts;
use crate::backups::damage::NEWEST_GOOD;
use crate::catalog::{Catalog, changed, row, rows};
use crate::columns::Number;
use crate::error::Result;
use crate::mailboxes::mailbox::Address;

/// A snapshot as its log entry tells of it.
#[derive(Debug, Clone)]
pub struct Found {
    /// Whose.
    pub mailbox: MailboxIdentity,
    /// What the mailbox was called then.
    pub address: Address,
    /// The number in the log; `None`: it was made without a catalogue and gets one now.
    pub number: Option<BackupNumber>,
    /// What kind of job made it, if one did.
    pub kind: Option<JobKind>,
    /// The slot it fills.
    pub slot_date: Option<Date>,
    /// What the snapshot says.
    pub facts: Facts,
}

/// A mailbox's log in a store.
#[derive(Debug, Clone)]
pub struct FoundLog {
    /// Whose.
    pub mailbox: MailboxIdentity,
    /// The configured store it lies in.
    pub store: String,
    /// How far it has come.
    pub position: LogPosition,
    /// Its snapshots that are known to be damaged, those whose entries cannot be read too.
    pub damaged: BTreeSet<SnapshotNumber>,
    /// The mailbox's backups in that store that the catalogue had before the log was read ([`Catalog::numbers_in`]): what the log
    /// does not hold of them is lost.
    pub known: Vec<BackupNumber>,
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows that were missing.
    pub new: u64,
    /// Numbers in the stores that another backup has; those snapshots have no row, somebody must look.
    pub taken: Vec<BackupNumber>,
}

const FOUND: &str = "
    WITH found AS (
        SELECT * FROM jsonb_to_recordset($1) AS f(server text, account text, incarnation integer, address text,
            number bigint, kind text, slot_date date, snapshot bigint, state text, started_at timestamptz,
            finished_at timestamptz, store text, zone text, emails bigint, bytes bigint, stored_bytes bigint, contents jsonb,
            digest text)
    ), owned AS (
        SELECT m.id AS mailbox, f.* FROM found f JOIN mailboxes m USING (server, account, incarnation)
    )";

/// Mailboxes that are not known yet; which of them is there today only a listing can say.
const MAILBOXES: &str = "
    INSERT INTO mailboxes (server, account, incarnation, address, state, first_seen_at, gone_at)
    SELECT DISTINCT ON (server, account, incarnation) server, account, incarnation, address, 'gone', $2, $2
    FROM found ORDER BY server, account, incarnation, snapshot DESC
    ON CONFLICT (server, account, incarnation) DO NOTHING";

/// Of one account only the newest incarnation can be there.
const OLD_INCARNATIONS: &str = "
    UPDATE mailboxes m SET state = 'gone', gone_at = $2 FROM owned o
    WHERE m.server = o.server AND m.account = o.account AND m.incarnation < o.incarnation AND m.state = 'active'";

/// The newest incarnation, if nobody has listed it yet, is taken to be there.
const NEWEST_INCARNATIONS: &str = "
    UPDATE mailboxes m SET state = 'active', gone_at = NULL FROM (SELECT DISTINCT mailbox FROM owned) o
    WHERE m.id = o.mailbox AND m.state = 'gone' AND m.listed_at IS NULL AND m.gone_at = m.first_seen_at
        AND NOT EXISTS (SELECT FROM mailboxes n
            WHERE n.server = m.server AND n.account = m.account AND n.incarnation > m.incarnation)";

/// Rows of before digests get them: they are the snapshots of the same number and time.
const DIGESTS: &str = "
    UPDATE backups b SET digest = decode(o.digest, 'hex') FROM owned o
    WHERE b.mailbox = o.mailbox AND b.store = o.store AND b.snapshot = o.snapshot AND b.digest IS NULL
        AND b.finished_at = o.finished_at AND o.digest IS NOT NULL";

/// In the order of the logs: of two snapshots of one number the first one gets it.
const BACKUPS: &str = "
    INSERT INTO backups (number, mailbox, snapshot, state, kind, slot_date, started_at, finished_at, store, zone,
        emails, bytes, stored_bytes, contents, digest)
    SELECT coalesce(o.number, nextval('backup_numbers')), o.mailbox, o.snapshot, o.state, o.kind, o.slot_date,
        o.started_at, o.finished_at, o.store, o.zone, o.emails, o.bytes, o.stored_bytes, o.contents, decode(o.digest, 'hex')
    FROM (SELECT DISTINCT ON (mailbox, store, snapshot) * FROM owned ORDER BY mailbox, store, snapshot, number) o
    WHERE NOT EXISTS (
        SELECT FROM backups b WHERE b.mailbox = o.mailbox AND b.store = o.store AND b.snapshot = o.snapshot
            AND b.digest IS NOT DISTINCT FROM decode(o.digest, 'hex'))
    ON CONFLICT DO NOTHING";

const TAKEN: &str = "
    SELECT DISTINCT b.number FROM owned o JOIN backups b USING (number)
    WHERE (b.mailbox, b.snapshot, b.digest) IS DISTINCT FROM (o.mailbox, o.snapshot, decode(o.digest, 'hex'))
    ORDER BY b.number";

const LOGS: &str = "
    WITH logs AS (
        SELECT m.id AS mailbox, l.store, l.number, decode(l.digest, 'hex') AS digest, l.damaged, l.known
        FROM jsonb_to_recordset($1) AS l(server text, account text, incarnation integer, store text, number bigint,
            digest text, damaged bigint[], known bigint[])
        JOIN mailboxes m USING (server, account, incarnation)
    )";

/// What is remembered stays: a log that is not its continuation is found by the next job that opens it.
const POSITIONS: &str = "
    INSERT INTO log_positions (mailbox, store, number, digest) SELECT mailbox, store, number, digest FROM logs
    ON CONFLICT DO NOTHING";

/// Backups that are damaged, and those that the logs do not hold.
const MARKS: &str = "
    , held AS (
        SELECT m.id AS mailbox, f.store, f.snapshot, decode(f.digest, 'hex') AS digest
        FROM jsonb_to_recordset($2) AS f(server text, account text, incarnation integer, store text, snapshot bigint,
            digest text)
        JOIN mailboxes m USING (server, account, incarnation)
    )
    UPDATE backups b SET damaged_at = now() FROM logs l
    WHERE b.mailbox = l.mailbox AND b.store = l.store AND b.damaged_at IS NULL
        AND (b.snapshot = ANY(l.damaged) OR b.number = ANY(l.known) AND NOT EXISTS (SELECT FROM held h
            WHERE h.mailbox = b.mailbox AND h.store = b.store AND h.snapshot = b.snapshot
                AND h.digest IS NOT DISTINCT FROM b.digest))";

/// See [`NEWEST_GOOD`].
const LOCK: &str = "
    SELECT FROM mailboxes m WHERE m.id IN (SELECT mailbox FROM logs) ORDER BY m.id FOR UPDATE";

const NEWEST: &str = "
    UPDATE mailboxes m SET
        first_backup_at = least(m.first_backup_at, (SELECT min(started_at) FROM backups b WHERE b.mailbox = m.id)),
        newest_good_at = ";

impl Catalog {
    /// Writes down backups found in the stores, with their numbers and the mailboxes they belong to, and of each log how far it
    /// has come and which of its backups are damaged or not there. What else is known stays as it is, so doing it again changes nothing. Of two snapshots of one number the first in the log has it, the other is in
    /// [`Rebuilt::taken`]; so give all snapshots of a mailbox together, and some thousands at once.
    /// Call [`Catalog::raise_numbers`] with the highest number of all stores first, or snapshots without a number are given one that
    /// a later call brings.
    pub async fn rebuild(&self, found: &[Found], logs: &[FoundLog], now: Timestamp) -> Result<Rebuilt> {
        let records = Json(Value::Array(found.iter().map(record).collect()));
        let logs = Json(Value::Array(logs.iter().map(log_record).collect()));
        let newest = format!("{LOGS}{NEWEST}{NEWEST_GOOD} WHERE m.id IN (SELECT mailbox FROM logs)");
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            let highest = found.iter().filter_map(|found| found.number).max();
            raise(&transaction, highest.unwrap_or(BackupNumber(0))).await?;
            for step in [MAILBOXES, OLD_INCARNATIONS] {
                changed(&transaction, &format!("{FOUND}{step}"), &[&records, &now]).await?;
            }
            changed(&transaction, &format!("{FOUND}{NEWEST_INCARNATIONS}"), &[&records]).await?;
            rows(&transaction, &format!("{LOGS}{LOCK}"), &[&logs]).await?;
            changed(&transaction, &format!("{FOUND}{DIGESTS}"), &[&records]).await?;
            let new = changed(&transaction, &format!("{FOUND}{BACKUPS}"), &[&records]).await?;
            let taken = rows(&transaction, &format!("{FOUND}{TAKEN}"), &[&records]).await?;
            changed(&transaction, &format!("{LOGS}{POSITIONS}"), &[&logs]).await?;
            changed(&transaction, &format!("{LOGS}{MARKS}"), &[&logs, &records]).await?;
            changed(&transaction, &newest, &[&logs]).await?;
            transaction.commit().await?;
            let taken = taken.iter().map(|row| Number::of(row, "number")).collect::<Result<_>>()?;
            Ok(Rebuilt { new, taken })
        })
        .await
    }

    /// Numbers of the mailbox's backups in this store.
    pub async fn numbers_in(&self, mailbox: &MailboxIdentity, store: &str) -> Result<Vec<BackupNumber>> {
        let sql = "SELECT number FROM backups b JOIN mailboxes m ON m.id = b.mailbox \
                   WHERE m.server = $1 AND m.account = $2 AND m.incarnation = $3 AND b.store = $4";
        let incarnation = mailbox.incarnation.cast_signed();
        let rows =
            self.query(sql, &[&mailbox.server, &mailbox.account.as_str(), &incarnation, &store]).await?;
        rows.iter().map(|row| Number::of(row, "number")).collect()
    }

    /// The next number drawn is above `at_least`; never lowers.
    pub async fn raise_numbers(&self, at_least: BackupNumber) -> Result<()> {
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            raise(&transaction, at_least).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}

/// ALTER SEQUENCE shuts out everybody who draws, until the end of the transaction; setval alone could take numbers back that were
/// drawn between the look and the change.
async fn raise(on: &impl GenericClient, at_least: BackupNumber) -> Result<()> {
    if at_least == BackupNumber(0) {
        return Ok(());
    }
    on.batch_execute("ALTER SEQUENCE backup_numbers CACHE 1").await?;
    let sql = "SELECT setval('backup_numbers', $1) FROM backup_numbers WHERE last_value <= $1";
    row(on, sql, &[&at_least.sql()]).await.map(drop)
}

fn record(found: &Found) -> Value {
    let Found { mailbox, address, number, kind, slot_date, facts } = found;
    json!({
        "server": mailbox.server,
        "account": mailbox.account.as_str(),
        "incarnation": mailbox.incarnation,
        "address": address.as_str(),
        "number": number.map(Number::sql),
        "kind": kind.map(JobKind::as_str),
        "slot_date": slot_date.map(|date| date.to_string()),
        "snapshot": facts.snapshot.sql(),
        "state": facts.state.as_str(),
        "started_at": facts.started_at.to_string(),
        "finished_at": facts.finished_at.to_string(),
        "store": facts.store,
        "zone": facts.zone,
        "emails": facts.emails,
        "bytes": facts.bytes,
        "stored_bytes": facts.stored_bytes,
        "contents": facts.contents,
        "digest": facts.digest.map(hex::encode),
    })
}

fn log_record(log: &FoundLog) -> Value {
    let FoundLog { mailbox, store, position, damaged, known } = log;
    let known: Vec<i64> = known.iter().map(|number| number.sql()).collect();
    let damaged: Vec<i64> = damaged.iter().map(|number| number.sql()).collect();
    json!({
        "server": mailbox.server,
        "account": mailbox.account.as_str(),
        "incarnation": mailbox.incarnation,
        "store": store,
        "number": position.number.cast_signed(),
        "digest": hex::encode(position.digest),
        "damaged": damaged,
        "known": known,
    })
}
