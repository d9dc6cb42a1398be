use model::Plan;
use serde::Deserialize;

use super::entry::Entry;

/// Which plan mailboxes have that a list gives none: the first rule that matches decides. A mailbox that no rule matches is listed
/// without a plan, and reported.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Rules(Vec<Rule>);

/// Matches a mailbox that has all of what it names; one that names nothing matches every mailbox.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The address's domain, in any case; `*.example.org` is every domain below.
    #[serde(default)]
    pub domain: Option<String>,
    /// The server's or the provider's word for a customer.
    #[serde(default)]
    pub tenant: Option<String>,
    /// One of the mailbox's groups.
    #[serde(default)]
    pub group: Option<String>,
    /// What those have bought.
    #[serde(deserialize_with = "plan")]
    pub plan: Plan,
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

    pub(crate) fn plan_of(&self, entry: &Entry) -> Option<Plan> {
        let domain = entry.domain();
        let rule = self.0.iter().find(|rule| rule.matches(entry, domain.as_deref()));
        rule.map(|rule| rule.plan)
    }
}

impl Rule {
    fn matches(&self, entry: &Entry, domain: Option<&str>) -> bool {
        let is_in = |wanted: &String| domain.is_some_and(|domain| covers(&wanted.to_lowercase(), domain));
        self.domain.as_ref().is_none_or(is_in)
            && self.tenant.as_ref().is_none_or(|tenant| entry.tenant.as_ref() == Some(tenant))
            && self.group.as_ref().is_none_or(|group| entry.groups.contains(group))
    }
}

fn covers(wanted: &str, domain: &str) -> bool {
    match wanted.strip_prefix('*') {
        Some(ending) => domain.len() > ending.len() && domain.ends_with(ending),
        None => wanted == domain,
    }
}

fn plan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Plan, D::Error> {
    let word = String::deserialize(from)?;
    word.parse().map_err(serde::de::Error::custom)
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
            let (tenant, groups) = (tenant.map(str::to_owned), vec![group.to_owned()]);
            let entry = Entry { address: address.to_owned(), tenant, groups, ..Entry::default() };
            assert_eq!(rules.plan_of(&entry), expected, "{address}");
        };
        check("a@ACME.example", None, "trainees", Some(Plan::Personal));
        check("a@acme.example", None, "staff", Some(Plan::Professional));
        check("a@lab.acme.example", None, "trainees", Some(Plan::Professional));
        check("a@notacme.example", None, "trainees", None);
        check("a@b.example", Some("school"), "x", Some(Plan::Personal));
        check("bare", None, "x", None);
        let error = serde_json::from_str::<Rules>(r#"[{"plan": "gold"}]"#).unwrap_err().to_string();
        assert!(error.contains("personal, professional"), "{error}");
        assert!(serde_json::from_str::<Rules>(r#"[{"domian": "x", "plan": "personal"}]"#).is_err());
    }
}
