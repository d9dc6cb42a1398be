use model::{MailboxId, Plan, Timestamp};
use tokio_postgres::Row;

use crate::catalog::Catalog;
use crate::columns::{get, word};
use crate::error::{Error, Result};

/// What may be paused: nothing due by schedule is planned or started there until it is resumed; what people ask for is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// One mailbox.
    Mailbox(MailboxId),
    /// Every mailbox of a server.
    Server(String),
    /// Every mailbox on a plan.
    Plan(Plan),
}

impl Pause {
    fn key(&self) -> (&'static str, String) {
        match self {
            Pause::Mailbox(id) => ("mailbox", id.to_string()),
            Pause::Server(server) => ("server", server.clone()),
            Pause::Plan(plan) => ("plan", plan.to_string()),
        }
    }

    fn of(row: &Row) -> Result<Pause> {
        let name: String = get(row, "name")?;
        let unreadable =
            |source: std::num::ParseIntError| Error::Unreadable { column: "name", source: source.into() };
        Ok(match get(row, "scope")? {
            "mailbox" => Pause::Mailbox(MailboxId(name.parse().map_err(unreadable)?)),
            "plan" => Pause::Plan(word(row, "name")?),
            _ => Pause::Server(name),
        })
    }
}

/// Whether the mailbox `m` is paused.
pub(crate) const PAUSED: &str = "EXISTS (SELECT FROM pauses p WHERE (p.scope, p.name) IN \
                                 (('mailbox', m.id::text), ('server', m.server), ('plan', m.plan)))";

impl Catalog {
    /// Pauses; what is paused already stays so since then.
    pub async fn pause(&self, what: &Pause, now: Timestamp) -> Result<()> {
        let (scope, name) = what.key();
        let sql = "INSERT INTO pauses (scope, name, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        self.execute(sql, &[&scope, &name, &now]).await.map(drop)
    }

    /// All that is paused, and since when.
    pub async fn pauses(&self) -> Result<Vec<(Pause, Timestamp)>> {
        let rows = self.query("SELECT scope, name, since FROM pauses ORDER BY scope, name", &[]).await?;
        rows.iter().map(|row| Ok((Pause::of(row)?, get(row, "since")?))).collect()
    }

    /// Ends that pause; others that hold for the same mailbox go on.
    pub async fn resume(&self, what: &Pause) -> Result<()> {
        let (scope, name) = what.key();
        self.execute("DELETE FROM pauses WHERE scope = $1 AND name = $2", &[&scope, &name]).await.map(drop)
    }
}
