//! What an account belongs to, as Stalwart's management objects tell it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Of an `x:Account`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Membership {
    pub(super) id: String,
    pub(super) member_tenant_id: Option<String>,
    #[serde(default)]
    pub(super) member_group_ids: Ids,
}

/// The reference of objects says a list; servers send an object whose keys they are, as JMAP does for sets.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Ids {
    List(Vec<String>),
    Keys(BTreeMap<String, bool>),
}

impl Default for Ids {
    fn default() -> Self {
        Ids::List(Vec::new())
    }
}

impl Ids {
    pub(super) fn list(&self) -> Vec<String> {
        match self {
            Ids::List(list) => list.clone(),
            Ids::Keys(keys) => keys.iter().filter(|(_, is)| **is).map(|(id, _)| id.clone()).collect(),
        }
    }
}

/// An `x:Tenant`, or an `x:Account` that is a group.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Named {
    id: String,
    name: Option<String>,
    email_address: Option<String>,
}

/// What rules call them: a tenant by its name, a group by its address, since names of groups are those of a tenant.
pub(super) fn by_id(named: Vec<Named>) -> BTreeMap<String, String> {
    let called = |Named { id, name, email_address }| Some((id, email_address.or(name)?));
    named.into_iter().filter_map(called).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_as_a_list_as_keys_or_not_at_all() {
        let groups = |json: &str| serde_json::from_str::<Membership>(json).unwrap().member_group_ids.list();
        assert_eq!(groups(r#"{"id": "b", "memberGroupIds": ["c", "d"]}"#), ["c", "d"]);
        let keys = r#"{"id": "b", "memberTenantId": null, "memberGroupIds": {"c": true, "e": false}}"#;
        assert_eq!(groups(keys), ["c"]);
        assert!(groups(r#"{"id": "b"}"#).is_empty());
    }
}
