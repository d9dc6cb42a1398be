//! Mailboxes as the provider or a server lists them. An account is the identity, an address is what it is called: see the README.

use model::{AccountId, Plan, Timestamp};

use crate::catalog::{Catalog, Parameters, changed, row, rows};
use crate::columns::get;
use crate::error::Result;
use crate::mailboxes::mailbox::Address;

/// A mailbox as somebody lists it. What is `None` leaves what is known as it is.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The account, if the lister knows it; without it the address decides which mailbox is meant.
    pub account: Option<AccountId>,
    /// Its address.
    pub address: Address,
    /// What its owner bought; said so, and not to be changed by a rule.
    pub plan: Option<Plan>,
    /// Where its backups shall go.
    pub zone: Option<String>,
    /// IANA name of the owner's time zone.
    pub time_zone: Option<String>,
    /// Whose customer the owner is.
    pub tenant: Option<String>,
}

/// A mailbox as somebody lists it who has rules for plans.
#[derive(Debug, Clone)]
pub struct Ruled {
    /// As it is listed.
    pub listed: Listed,
    /// The plan that a rule gives it: for a mailbox that has none, or has one by a rule.
    pub rule: Option<Plan>,
    /// The lister knows all that the rules look at; else the rule's plan is for a mailbox that has none.
    pub is_certain: bool,
}

/// `listed`: what is asked for, each account or (without one) address once, the last one counts.
const LISTED: &str = "
    WITH listed AS (
        SELECT DISTINCT ON (l.account, CASE WHEN l.account IS NULL THEN l.address END)
            l.account, l.address, l.plan, l.plan_by_rule, l.zone, l.time_zone, l.tenant, $1::text AS server, $2::timestamptz AS now,
            $2::timestamptz AS plan_since
        FROM unnest($3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[], $8::text[], $9::text[]) WITH ORDINALITY
            AS l(account, address, plan, plan_by_rule, zone, time_zone, tenant, position)
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

/// What the row `new` does to the plan of the mailbox `m`: a plan that somebody named gives way to no rule.
fn plan_of(new: &str) -> String {
    let taken =
        format!("{new}.plan IS NOT NULL AND (NOT {new}.plan_by_rule OR m.plan IS NULL OR m.plan_by_rule)");
    format!(
        "plan = CASE WHEN {taken} THEN {new}.plan ELSE m.plan END,
        plan_by_rule = CASE WHEN {taken} THEN {new}.plan_by_rule ELSE m.plan_by_rule END,
        plan_since = CASE WHEN {taken} AND m.plan IS DISTINCT FROM {new}.plan
            THEN {new}.plan_since ELSE m.plan_since END"
    )
}

/// Accounts: known ones are renamed and planned anew, others begin, in the incarnation after the last one.
fn accounts_sql() -> String {
    format!(
        "{LISTED}, written AS (
            INSERT INTO mailboxes AS m
                (server, account, incarnation, address, plan, plan_by_rule, zone, time_zone, tenant, first_seen_at, listed_at,
                 plan_since)
            SELECT l.server, l.account, (SELECT coalesce(max(o.incarnation) + 1, 0) FROM mailboxes o
                    WHERE o.server = l.server AND o.account = l.account),
                l.address, l.plan, l.plan_by_rule, l.zone, l.time_zone, l.tenant, l.now, l.now, l.plan_since
            FROM listed l WHERE l.account IS NOT NULL
            ON CONFLICT (server, account) WHERE state = 'active' DO UPDATE SET
                address = excluded.address, {plan},
                zone = coalesce(excluded.zone, m.zone), time_zone = coalesce(excluded.time_zone, m.time_zone),
                tenant = coalesce(excluded.tenant, m.tenant),
                listed_at = greatest(m.listed_at, excluded.listed_at)
            RETURNING xmax = 0 AS new
        )
        SELECT count(*) FILTER (WHERE new) AS new FROM written",
        plan = plan_of("excluded")
    )
}

/// What was known by an address alone, and was not adopted: the address belongs to an account that was there already.
const MERGED: &str = "
    UPDATE mailboxes m SET state = 'gone', gone_at = l.now FROM listed l
    WHERE m.server = l.server AND m.address = l.address AND m.account IS NULL AND m.state = 'active'
        AND l.account IS NOT NULL";

/// Addresses that have a mailbox.
fn known_addresses_sql() -> String {
    format!(
        "{LISTED}
        UPDATE mailboxes m SET {plan}, zone = coalesce(l.zone, m.zone),
            time_zone = coalesce(l.time_zone, m.time_zone), tenant = coalesce(l.tenant, m.tenant), listed_at = greatest(m.listed_at, l.now)
        FROM listed l
        WHERE m.server = l.server AND m.address = l.address AND m.state = 'active' AND l.account IS NULL",
        plan = plan_of("l")
    )
}

/// Addresses that have none.
const NEW_ADDRESSES: &str = "
    INSERT INTO mailboxes (server, address, plan, plan_by_rule, zone, time_zone, tenant, first_seen_at, listed_at, plan_since)
    SELECT l.server, l.address, l.plan, l.plan_by_rule, l.zone, l.time_zone, l.tenant, l.now, l.now, l.plan_since FROM listed l
    WHERE l.account IS NULL AND NOT EXISTS (SELECT FROM mailboxes m
        WHERE m.server = l.server AND m.address = l.address AND m.state = 'active')";

/// Positions, from 1, of accounts and addresses whose mailbox has a plan.
const PLANNED: &str = "
    SELECT l.position FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS l(account, address, position)
    WHERE EXISTS (SELECT FROM mailboxes m WHERE m.server = $1 AND m.account = l.account
            AND m.state = 'active' AND m.plan IS NOT NULL)
        OR EXISTS (SELECT FROM mailboxes m WHERE m.server = $1 AND m.address = l.address
            AND (l.account IS NULL OR m.account IS NULL) AND m.state = 'active' AND m.plan IS NOT NULL)";

impl Catalog {
    /// Writes down what a listing of one server says, all or nothing; answers how many mailboxes are new. Give some thousands
    /// at once, not a million.
    pub async fn list_mailboxes(&self, server: &str, listed: &[Listed], now: Timestamp) -> Result<u64> {
        let listed = listed.iter().map(|listed| (listed, None, true));
        self.write(server, &listed.collect::<Vec<_>>(), now).await
    }

    /// The same with plans by rules. A rule that does not match any more takes nothing away.
    pub async fn list_ruled(&self, server: &str, ruled: &[Ruled], now: Timestamp) -> Result<u64> {
        let listed = ruled.iter().map(|ruled| (&ruled.listed, ruled.rule, ruled.is_certain));
        self.write(server, &listed.collect::<Vec<_>>(), now).await
    }

    /// With the plan by a rule, and whether that is certain.
    async fn write(
        &self,
        server: &str,
        listed: &[(&Listed, Option<Plan>, bool)],
        now: Timestamp,
    ) -> Result<u64> {
        let accounts: Vec<_> =
            listed.iter().map(|(l, ..)| l.account.as_ref().map(AccountId::as_str)).collect();
        let addresses: Vec<_> = listed.iter().map(|(l, ..)| l.address.as_str()).collect();
        let mut plans: Vec<_> =
            listed.iter().map(|(l, rule, _)| l.plan.or(*rule).map(Plan::as_str)).collect();
        let by_rule: Vec<_> = listed.iter().map(|(l, rule, _)| l.plan.is_none() && rule.is_some()).collect();
        let is_doubtful = |(l, rule, is_certain): &(&Listed, Option<Plan>, bool)| {
            l.plan.is_none() && rule.is_some() && !is_certain
        };
        let zones: Vec<_> = listed.iter().map(|(l, ..)| l.zone.as_deref()).collect();
        let time_zones: Vec<_> = listed.iter().map(|(l, ..)| l.time_zone.as_deref()).collect();
        let tenants: Vec<_> = listed.iter().map(|(l, ..)| l.tenant.as_deref()).collect();
        self.within(async {
            let mut client = self.client().await?;
            let transaction = client.transaction().await?;
            // Listings of one server follow each other, so that what one statement has seen holds in the next.
            let turn =
                "SELECT pg_advisory_xact_lock(hashtextextended('malle/list/' || current_schema() || $1, 0))";
            changed(&transaction, turn, &[&server]).await?;
            if listed.iter().any(is_doubtful) {
                for row in rows(&transaction, PLANNED, &[&server, &accounts, &addresses]).await? {
                    let position: i64 = get(&row, "position")?;
                    let at = usize::try_from(position - 1).expect("they begin with 1");
                    plans[at] = plans[at].filter(|_| !is_doubtful(&listed[at]));
                }
            }
            let parameters: Parameters<'_> =
                &[&server, &now, &accounts, &addresses, &plans, &by_rule, &zones, &time_zones, &tenants];
            changed(&transaction, &format!("{LISTED}{ADOPT}"), parameters).await?;
            let new = row(&transaction, &accounts_sql(), parameters).await?;
            changed(&transaction, &format!("{LISTED}{MERGED}"), parameters).await?;
            changed(&transaction, &known_addresses_sql(), parameters).await?;
            let addresses = changed(&transaction, &format!("{LISTED}{NEW_ADDRESSES}"), parameters).await?;
            transaction.commit().await?;
            let new: i64 = get(&new.expect("a count has a row"), "new")?;
            Ok(new.cast_unsigned() + addresses)
        })
        .await
    }
}
