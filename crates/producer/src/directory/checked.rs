use catalog::{Listed, Ruled};
use model::{AccountId, Plan};

use super::entry::Entry;
use super::rules::Rules;

/// RFC 5321 allows 254; JMAP servers also have names of accounts here.
const LONGEST_ADDRESS: usize = 320;
/// RFC 8620, section 1.2.
const LONGEST_ID: usize = 255;

impl Entry {
    /// As the catalogue takes it. The error names the field and never quotes it.
    pub(crate) fn checked(&self, rules: &Rules) -> Result<Ruled, String> {
        check_address(&self.address, self.account.is_some())?;
        if let Some(account) = &self.account {
            // RFC 8620 allows letters, digits, `-` and `_`; what servers use is not ours to judge.
            let usable = account.bytes().all(|byte| byte.is_ascii_graphic());
            if account.is_empty() || account.len() > LONGEST_ID || !usable {
                return Err("account is no JMAP account id".to_owned());
            }
        }
        if self.zone.as_ref().is_some_and(|zone| zone.is_empty() || zone.len() > LONGEST_ID) {
            return Err("zone is empty or too long".to_owned());
        }
        if self.tenant.as_ref().is_some_and(|tenant| tenant.is_empty() || tenant.len() > LONGEST_ID) {
            return Err("tenant is empty or too long".to_owned());
        }
        if self.time_zone.as_ref().is_some_and(|name| planning::zone(name).is_err()) {
            return Err("time_zone is unknown: names are written like Europe/Paris".to_owned());
        }
        let plan = self.plan.as_ref().map(|word| word.parse::<Plan>().map_err(|_| unknown_plan()));
        let listed = Listed {
            account: self.account.as_deref().map(AccountId::from),
            address: self.address.as_str().into(),
            plan: plan.transpose()?,
            zone: self.zone.clone(),
            time_zone: self.time_zone.clone(),
            tenant: self.tenant.clone(),
        };
        let rule = rules.plan_of(self);
        let is_certain = rule.is_some_and(|(_, is_certain)| is_certain);
        Ok(Ruled { listed, rule: rule.map(|(plan, _)| plan), is_certain })
    }
}

/// A bare name is enough where an account tells which mailbox is meant: Stalwart before 0.16 has such.
fn check_address(address: &str, has_account: bool) -> Result<(), String> {
    let printable = |c: char| !c.is_whitespace() && !c.is_control();
    let parts = address.rsplit_once('@');
    let whole = parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    match address {
        "" => Err("address is missing".to_owned()),
        _ if address.len() > LONGEST_ADDRESS => Err("address is too long".to_owned()),
        _ if !address.chars().all(printable) => {
            Err("address holds a space or a control character".to_owned())
        }
        _ if !whole && (parts.is_some() || !has_account) => {
            Err("address has no name or no domain".to_owned())
        }
        _ => Ok(()),
    }
}

fn unknown_plan() -> String {
    let known: Vec<_> = Plan::ALL.iter().map(|plan| plan.as_str()).collect();
    format!("plan is none of {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: fn(&mut Entry), expected: Result<(), &str>) {
        let mut entry = Entry { address: "alice@example.org".to_owned(), ..Entry::default() };
        change(&mut entry);
        let checked = entry.checked(&Rules::default()).map(drop);
        assert_eq!(checked, expected.map_err(str::to_owned));
        assert!(!format!("{entry:?}").contains("example.org"));
    }

    #[test]
    fn wrong_fields_are_named_and_not_quoted() {
        check(|_| (), Ok(()));
        check(|entry| entry.address.clear(), Err("address is missing"));
        check(|entry| entry.address = "a".repeat(321), Err("address is too long"));
        check(|entry| entry.address = "alice".into(), Err("address has no name or no domain"));
        check(|entry| entry.address = "@example.org".into(), Err("address has no name or no domain"));
        check(|entry| entry.address = "a b@c".into(), Err("address holds a space or a control character"));
        check(|entry| entry.plan = Some("gold".into()), Err("plan is none of personal, professional"));
        check(
            |entry| entry.time_zone = Some("Europe/Lutetia".into()),
            Err("time_zone is unknown: names are written like Europe/Paris"),
        );
        check(|entry| entry.account = Some(String::new()), Err("account is no JMAP account id"));
        check(|entry| entry.zone = Some(String::new()), Err("zone is empty or too long"));
        let bare_name =
            |entry: &mut Entry| (entry.address, entry.account) = ("alice".into(), Some("c".into()));
        check(bare_name, Ok(()));
    }
}
