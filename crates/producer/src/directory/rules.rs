use model::forms::{name, optional, required, text, words};
use model::mail_address::{domain_to_ascii, to_ascii};
use model::{Plan, settings};
use serde::Deserialize;

use super::entry::{Entry, MailboxKind};

/// Which plan mailboxes have that a list gives none: the first rule that matches decides. A mailbox that no rule matches is listed
/// without a plan, and reported.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Rules(Vec<Rule>);

settings! {
    /// Matches a mailbox that has all of what it names; one that names nothing matches every mailbox.
    #[derive(Debug, Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Rule {
        /// The domain of the mailbox's address, in any case; `*.example.org` is every domain below.
        pub domain: Option<String> = None,
            "domain": optional(text("a domain like example.org, or *.example.org for every domain below it", domain));
        /// The customer's name, as the server or the provider writes it.
        pub tenant: Option<String> = None, "tenant": optional(name("the name of a tenant"));
        /// A group that the mailbox is a member of, by its address. With a tenant, its name before the `@` is enough: two tenants may
        /// have groups of one name.
        pub group: Option<String> = None, "group": optional(name("the address of a group"));
        /// Whose the mailbox is: a person's, or a group's, which its members share. Both without it.
        pub kind: Option<MailboxKind> = None,
            "kind": optional(words(&[MailboxKind::Individual, MailboxKind::Group], MailboxKind::as_str));
        /// What those have bought.
        pub plan: Plan = Plan::Personal, "plan": required(words(Plan::ALL, Plan::as_str));
    }
}

/// What comes behind the `@` of some address.
fn domain(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_one = !name.is_empty() && !name.starts_with('.') && !name.contains(['@', '*']);
    if is_one && !name.contains(char::is_whitespace) { Ok(text.to_owned()) } else { Err(String::new()) }
}

impl Rules {
    /// In this order.
    pub fn new(rules: Vec<Rule>) -> Rules {
        Rules(rules)
    }

    /// Whether any of them names a tenant or a group.
    pub fn name_memberships(&self) -> bool {
        self.0.iter().any(|rule| rule.tenant.is_some() || rule.group.is_some())
    }

    /// The plan of the first rule that matches, and whether no list that says more could lead to another one.
    pub(crate) fn plan_of(&self, entry: &Entry) -> Option<(Plan, bool)> {
        let (domain, mut doubted) = (entry.domain(), Vec::new());
        for rule in &self.0 {
            match rule.fits(entry, domain.as_deref()) {
                Fit::Yes => return Some((rule.plan, doubted.iter().all(|plan| *plan == rule.plan))),
                Fit::Likely => return Some((rule.plan, false)),
                Fit::Unlikely => doubted.push(rule.plan),
                Fit::No => {}
            }
        }
        None
    }
}

/// Whether a rule matches a mailbox of which a list may say little.
enum Fit {
    Yes,
    /// If the mailbox is a person's, as most are.
    Likely,
    /// If it is in a tenant or a group, as most are not.
    Unlikely,
    No,
}

impl Rule {
    fn fits(&self, entry: &Entry, domain: Option<&str>) -> Fit {
        let is_in = |wanted: &String| domain.is_some_and(|domain| covers(&domain_to_ascii(wanted), domain));
        let groups = entry.groups.as_deref();
        let is_member = |wanted: &String| {
            groups.is_some_and(|groups| groups.iter().any(|group| self.is_called(group, wanted)))
        };
        let is_unsaid = |wanted: bool, said: bool| wanted && !said && !entry.is_whole;
        let of_tenant = self.tenant.as_ref().is_none_or(|tenant| entry.tenant.as_ref() == Some(tenant));
        let of_group = self.group.as_ref().is_none_or(is_member);
        let of_kind = self.kind.is_none_or(|kind| kind == entry.kind.unwrap_or_default());
        let tenant_is_unsaid = is_unsaid(self.tenant.is_some(), entry.tenant.is_some());
        let group_is_unsaid = is_unsaid(self.group.is_some(), groups.is_some());
        let kind_is_unsaid = is_unsaid(self.kind.is_some(), entry.kind.is_some());
        let is_excluded = !self.domain.as_ref().is_none_or(is_in)
            || !(of_tenant || tenant_is_unsaid)
            || !(of_group || group_is_unsaid)
            || !(of_kind || kind_is_unsaid);
        match (is_excluded, of_tenant && of_group && of_kind, kind_is_unsaid) {
            (true, ..) => Fit::No,
            (false, true, false) => Fit::Yes,
            (false, true, true) => Fit::Likely,
            (false, false, _) => Fit::Unlikely,
        }
    }

    fn is_called(&self, group: &str, wanted: &str) -> bool {
        let local = group.split_once('@').map(|(local, _)| local).filter(|_| self.tenant.is_some());
        to_ascii(group) == to_ascii(wanted) || local.is_some_and(|local| local.eq_ignore_ascii_case(wanted))
    }
}

fn covers(wanted: &str, domain: &str) -> bool {
    match wanted.strip_prefix('*') {
        Some(ending) => domain.len() > ending.len() && domain.ends_with(ending),
        None => wanted == domain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules: Rules = serde_json::from_value(serde_json::json!([
            {"domain": "Acme.example", "group": "trainees", "plan": "personal"},
            {"domain": "acme.example", "plan": "professional"},
            {"domain": "*.acme.example", "plan": "professional"},
            {"tenant": "school", "plan": "personal"},
        ]))
        .unwrap();
        let check = |address: &str, tenant: Option<&str>, group: &str, expected: Option<Plan>| {
            let (tenant, groups) = (tenant.map(str::to_owned), Some(vec![group.to_owned()]));
            let entry =
                Entry { address: address.to_owned(), tenant, groups, is_whole: true, ..Entry::default() };
            assert_eq!(rules.plan_of(&entry), expected.map(|plan| (plan, true)), "{address}");
        };
        check("a@ACME.example", None, "trainees", Some(Plan::Personal));
        check("a@acme.example", None, "staff", Some(Plan::Professional));
        check("a@lab.acme.example", None, "trainees", Some(Plan::Professional));
        check("a@notacme.example", None, "trainees", None);
        check("a@b.example", Some("school"), "x", Some(Plan::Personal));
        check("bare", None, "x", None);
    }

    #[test]
    fn a_group_is_meant_by_its_address_or_by_its_name_in_a_tenant() {
        let check = |rule: &str, tenant: Option<&str>, group: &str, expected: bool| {
            let rules: Rules =
                serde_json::from_str(&format!("[{{{rule}, \"plan\": \"professional\"}}]")).unwrap();
            let (tenant, groups) = (tenant.map(str::to_owned), Some(vec![group.to_owned()]));
            let entry = Entry { address: "a@x.example".to_owned(), tenant, groups, ..Entry::default() };
            assert_eq!(rules.plan_of(&entry).is_some(), expected, "{rule} {group}");
        };
        let name = r#""group": "sales""#;
        check(name, Some("acme"), "sales@acme.example", false);
        check(name, None, "sales", true);
        let in_tenant = r#""group": "Sales", "tenant": "acme""#;
        check(in_tenant, Some("acme"), "sales@acme.example", true);
        check(in_tenant, Some("other"), "sales@other.example", false);
        let address = r#""group": "sales@bücher.example""#;
        check(address, None, "sales@xn--bcher-kva.example", true);
        check(address, None, "sales@other.example", false);
    }

    #[test]
    fn groups_may_have_a_plan_of_their_own() {
        let rules: Rules = serde_json::from_value(serde_json::json!([
            {"kind": "group", "domain": "acme.example", "plan": "professional"},
            {"kind": "individual", "plan": "personal"},
        ]))
        .unwrap();
        let plan_of = |address: &str, kind| {
            let (address, kind) = (address.to_owned(), Some(kind));
            rules.plan_of(&Entry { address, kind, ..Entry::default() }).map(|(plan, _)| plan)
        };
        assert_eq!(plan_of("sales@acme.example", MailboxKind::Group), Some(Plan::Professional));
        assert_eq!(plan_of("sales@other.example", MailboxKind::Group), None);
        assert_eq!(plan_of("ann@acme.example", MailboxKind::Individual), Some(Plan::Personal));
    }

    #[test]
    fn what_a_list_does_not_say_makes_a_plan_doubtful_where_it_could_matter() {
        let rules: Rules = serde_json::from_value(serde_json::json!([
            {"group": "staff", "domain": "acme.example", "plan": "professional"},
            {"tenant": "school", "plan": "personal"},
            {"kind": "individual", "plan": "personal"},
        ]))
        .unwrap();
        let check = |change: fn(&mut Entry), expected: bool| {
            let mut entry = Entry { address: "ann@acme.example".to_owned(), ..Entry::default() };
            change(&mut entry);
            assert_eq!(rules.plan_of(&entry), Some((Plan::Personal, expected)), "{entry:?}");
        };
        check(|_| {}, false);
        check(|entry| entry.is_whole = true, true);
        check(|entry| entry.kind = Some(MailboxKind::Individual), false);
        check(|entry| entry.groups = Some(Vec::new()), false);
        check(|entry| (entry.groups, entry.kind) = (Some(Vec::new()), Some(MailboxKind::Individual)), true);
        check(|entry| (entry.groups, entry.tenant) = (Some(Vec::new()), Some("school".to_owned())), true);
        // The rule for the group is one for another domain.
        let other = |entry: &mut Entry| entry.address = "ann@other.example".to_owned();
        check(other, false);
        check(
            |entry| (entry.address, entry.kind) = ("a@b.example".to_owned(), Some(MailboxKind::Individual)),
            true,
        );
    }
}
