//! Mailboxes as the provider or a server lists them. An account is the identity, an address is what it is called: see the README.

use model::{AccountId, Plan, Timestamp};

use crate::catalog::{Catalog, Parameters, changed, row};
use crate::columns::get;
use crate::error::Result;
use crate::mailboxes::Address;

/// A mailbox as somebody lists it. What is `None` leaves what is known as it is.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The account, if the lister knows it; without it the address decides which mailbox is meant.
    pub account: Option<AccountId>,
    /// Its address.
    pub address: Address,
    /// What its owner bought.
    pub plan: Option<Plan>,
    /// Where its backups shall go.
    pub zone: Option<String>,
    /// IANA name of the owner's time zone.
    pub time_zone: Option<String>,
}

/// `listed`: what is asked for, each account or (without one) address once, the last one counts.
const LISTED: &str = "
    WITH listed AS (
        SELECT DISTINCT ON (l.account, CASE WHEN l.account IS NULL THEN l.address END)
            l.account, l.address, l.plan, l.zone, l.time_zone, $1::text AS server, $2::timestamptz AS now
        FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY
            AS l(account, address, plan, zone, time_zone, position)
        ORDER BY l.account, CASE WHEN l.account IS NULL THEN l.address END, l.position DESC
    )";

/// A mailbox that was known by its address alone becomes the account that has the address, unless that one is known.
const ADOPT: &str = "
    UPDATE mailboxes m SET account = l.account, incarnation =
        (SELECT coalesce(max(o.incarnation) + 1, 0) FROM mailboxes o WHERE o.server = l.server AND o.account = l.account)
    FROM listed l
    WHERE m.server = l.server AND m.address = l.address AND m.account IS NULL AND m.state = 'active'
        AND l.account IS NOT NULL AND NOT EXISTS (
            SELECT FROM mailboxes a WHERE a.server = l.server AND a.account = l.account AND a.state = 'active')";

/// Accounts: known ones are renamed and planned anew, others begin, in the incarnation after the last one.
const ACCOUNTS: &str = "
    , written AS (
        INSERT INTO mailboxes AS m
            (server, account, incarnation, address, plan, zone, time_zone, first_seen_at, listed_at, plan_since)
        SELECT l.server, l.account, (SELECT coalesce(max(o.incarnation) + 1, 0) FROM mailboxes o
                WHERE o.server = l.server AND o.account = l.account),
            l.address, l.plan, l.zone, l.time_zone, l.now, l.now, l.now
        FROM listed l WHERE l.account IS NOT NULL
        ON CONFLICT (server, account) WHERE state = 'active' DO UPDATE SET
            address = excluded.address, plan = coalesce(excluded.plan, m.plan),
            zone = coalesce(excluded.zone, m.zone), time_zone = coalesce(excluded.time_zone, m.time_zone),
            plan_since = CASE WHEN m.plan IS DISTINCT FROM coalesce(excluded.plan, m.plan)
                THEN excluded.plan_since ELSE m.plan_since END,
            listed_at = greatest(m.listed_at, excluded.listed_at)
        RETURNING xmax = 0 AS new
    )
    SELECT count(*) FILTER (WHERE new) AS new FROM written";

/// What was known by an address alone, and was not adopted: the address belongs to an account that was there already.
const MERGED: &str = "
    UPDATE mailboxes m SET state = 'gone', gone_at = l.now FROM listed l
    WHERE m.server = l.server AND m.address = l.address AND m.account IS NULL AND m.state = 'active'
        AND l.account IS NOT NULL";

/// Addresses that have a mailbox.
const KNOWN_ADDRESSES: &str = "
    UPDATE mailboxes m SET plan = coalesce(l.plan, m.plan), zone = coalesce(l.zone, m.zone),
        time_zone = coalesce(l.time_zone, m.time_zone), listed_at = greatest(m.listed_at, l.now),
        plan_since = CASE WHEN m.plan IS DISTINCT FROM coalesce(l.plan, m.plan) THEN l.now ELSE m.plan_since END
    FROM listed l
    WHERE m.server = l.server AND m.address = l.address AND m.state = 'active' AND l.account IS NULL";

/// Addresses that have none.
const NEW_ADDRESSES: &str = "
    INSERT INTO mailboxes (server, address, plan, zone, time_zone, first_seen_at, listed_at, plan_since)
    SELECT l.server, l.address, l.plan, l.zone, l.time_zone, l.now, l.now, l.now FROM listed l
    WHERE l.account IS NULL AND NOT EXISTS (SELECT FROM mailboxes m
        WHERE m.server = l.server AND m.address = l.address AND m.state = 'active')";

impl Catalog {
    /// Writes down what a listing of one server says, all or nothing; answers how many mailboxes are new. Give some thousands
    /// at once, not a million.
    pub async fn list_mailboxes(&self, server: &str, listed: &[Listed], now: Timestamp) -> Result<u64> {
        let accounts: Vec<_> = listed.iter().map(|l| l.account.as_ref().map(AccountId::as_str)).collect();
        let addresses: Vec<_> = listed.iter().map(|l| l.address.as_str()).collect();
        let plans: Vec<_> = listed.iter().map(|l| l.plan.map(Plan::as_str)).collect();
        let zones: Vec<_> = listed.iter().map(|l| l.zone.as_deref()).collect();
        let time_zones: Vec<_> = listed.iter().map(|l| l.time_zone.as_deref()).collect();
        let parameters: Parameters<'_> = &[&server, &now, &accounts, &addresses, &plans, &zones, &time_zones];
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            // Listings of one server follow each other, so that what one statement has seen holds in the next.
            let turn =
                "SELECT pg_advisory_xact_lock(hashtextextended('malle/list/' || current_schema() || $1, 0))";
            changed(&transaction, turn, &[&server]).await?;
            changed(&transaction, &format!("{LISTED}{ADOPT}"), parameters).await?;
            let accounts = row(&transaction, &format!("{LISTED}{ACCOUNTS}"), parameters).await?;
            changed(&transaction, &format!("{LISTED}{MERGED}"), parameters).await?;
            changed(&transaction, &format!("{LISTED}{KNOWN_ADDRESSES}"), parameters).await?;
            let addresses = changed(&transaction, &format!("{LISTED}{NEW_ADDRESSES}"), parameters).await?;
            transaction.commit().await?;
            let accounts: i64 = get(&accounts.expect("a count has a row"), "new")?;
            Ok(accounts.cast_unsigned() + addresses)
        })
        .await
    }
}
