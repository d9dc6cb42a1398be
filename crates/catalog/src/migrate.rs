use deadpool_postgres::GenericClient;

use crate::catalog::{Catalog, row, rows};
use crate::columns::get;
use crate::error::{Error, Result};

/// Numbered from 1 without gaps; the text of one that was released is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_start.sql"),
    include_str!("../migrations/0002_producing.sql"),
    include_str!("../migrations/0003_places.sql"),
    include_str!("../migrations/0004_plan_by_rule.sql"),
    include_str!("../migrations/0005_log_positions.sql"),
    include_str!("../migrations/0006_trust.sql"),
    include_str!("../migrations/0007_requests.sql"),
];

/// How long one waits for another that migrates, and for locks on tables in use.
const LOCK_TIMEOUT: &str = "60s";

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, checksum text NOT NULL, \
                       applied_at timestamptz NOT NULL DEFAULT now())";

impl Catalog {
    /// Applies what is missing, all of it or nothing, one process at a time; answers how many.
    pub async fn migrate(&self) -> Result<usize> {
        self.migrate_to(MIGRATIONS).await
    }

    /// Refuses a database that lacks one of this program's migrations. One that has newer ones is fine: a migration expands
    /// first and contracts a release later, so that the old program runs on while the new one is rolled out.
    pub async fn require_migrated(&self) -> Result<()> {
        let client = self.client().await?;
        if row(&client, "SELECT to_regclass('migrations') IS NULL AS missing", &[])
            .await?
            .is_some_and(|row| row.get("missing"))
        {
            return Err(Error::NotMigrated { number: 1 });
        }
        match pending(&applied(&client).await?, &checksums(&client, MIGRATIONS).await?) {
            Ok(applied) if applied < MIGRATIONS.len() => Err(Error::NotMigrated { number: number(applied) }),
            Ok(_) | Err(Error::Newer { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn migrate_to(&self, known: &[&str]) -> Result<usize> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let prologue = format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';
             SELECT pg_advisory_xact_lock(hashtextextended('malle/migrate/{schema}', 0));
             CREATE SCHEMA IF NOT EXISTS {schema}; {HISTORY}",
            schema = self.schema
        );
        transaction.batch_execute(&prologue).await?;
        let checksums = checksums(&transaction, known).await?;
        let first = pending(&applied(&transaction).await?, &checksums)?;
        for (at, sql) in known.iter().enumerate().skip(first) {
            transaction.batch_execute(sql).await?;
            let insert = "INSERT INTO migrations (number, checksum) VALUES ($1, $2)";
            transaction.execute(insert, &[&number(at), &checksums[at]]).await?;
        }
        transaction.commit().await?;
        Ok(known.len() - first)
    }
}

/// The number of the migration at this place.
fn number(at: usize) -> i32 {
    i32::try_from(at + 1).expect("few migrations")
}

async fn applied(on: &impl GenericClient) -> Result<Vec<String>> {
    let rows = rows(on, "SELECT checksum FROM migrations ORDER BY number", &[]).await?;
    rows.iter().map(|row| get(row, "checksum")).collect()
}

async fn checksums(on: &impl GenericClient, migrations: &[&str]) -> Result<Vec<String>> {
    let sql = "SELECT encode(sha256(convert_to(m.text, 'UTF8')), 'hex') AS checksum \
               FROM unnest($1::text[]) WITH ORDINALITY AS m(text, number) ORDER BY number";
    rows(on, sql, &[&migrations]).await?.iter().map(|row| get(row, "checksum")).collect()
}

/// How many of the known ones are applied, by checksum.
fn pending(applied: &[String], known: &[String]) -> Result<usize> {
    if let Some(at) = applied.iter().zip(known).position(|(applied, known)| applied != known) {
        return Err(Error::Edited { number: number(at) });
    }
    if applied.len() > known.len() {
        Err(Error::Newer { number: number(applied.len() - 1) })
    } else {
        Ok(applied.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_and_newer_databases_are_refused() {
        let texts = |names: &str| names.chars().map(String::from).collect::<Vec<_>>();
        let check =
            |applied, known| pending(&texts(applied), &texts(known)).map_err(|error| error.to_string());
        assert_eq!(check("", "abc"), Ok(0));
        assert_eq!(check("ab", "abc"), Ok(2));
        assert_eq!(check("abc", "abc"), Ok(3));
        assert!(
            check("axc", "abc").is_err_and(|error| error.starts_with("migration 2 was applied as another"))
        );
        assert!(check("abcd", "abc").is_err_and(|error| error.starts_with("catalogue has migration 4")));
    }
}
