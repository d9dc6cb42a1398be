//! Values of the configuration that fit their keys, and do not fit each other.

use super::config::Config;
use super::mail_server::{Directory, Server};

impl Config {
    /// Fails with every contradiction at once.
    pub(crate) fn without_contradictions(self) -> Result<Config, Vec<String>> {
        let mut mistakes = Vec::new();
        let (first, longest) = (self.retry.first_wait.as_secs(), self.retry.longest_wait.as_secs());
        if longest < first {
            mistakes.push(format!(
                "plan.longest_retry_seconds = {longest} has to be at least plan.retry_seconds = {first}"
            ));
        }
        let fits_all = |rule: &producer::Rule| {
            rule.domain.is_none() && rule.tenant.is_none() && rule.group.is_none() && rule.kind.is_none()
        };
        let first = self.rules.iter().position(fits_all).map(|at| at + 1);
        mistakes.extend(first.filter(|number| *number < self.rules.len()).map(|number| {
            format!(
                "rule {number} of producer.rules names no domain, tenant, group or kind and fits every mailbox: put it last"
            )
        }));
        for Server { name, user, password, token, .. } in &self.servers {
            // Without any the file is one of a producer that asks no server for its mailboxes.
            let is_whole = user.is_some() == password.is_some();
            if !is_whole || (token.is_some() && user.is_some()) {
                mistakes.push(format!(
                    "the server {name:?} of servers has to have user and password, or token alone"
                ));
            }
        }
        let keyless = self.stores.iter().filter(|store| store.key_id.is_some() && store.secret.is_none());
        mistakes.extend(keyless.map(|store| {
            format!("the store {:?} of stores has a key_id: it has to have a secret beside it", store.name)
        }));
        if mistakes.is_empty() { Ok(self) } else { Err(mistakes) }
    }

    /// What may be meant otherwise than it is read, for people who check a configuration.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let by_jmap = |server: &Server| {
            server.discover.as_ref().is_some_and(|discover| matches!(discover.by, Directory::Jmap))
        };
        if !self.servers.iter().any(by_jmap) {
            return Vec::new();
        }
        let alone = self.rules.iter().filter(|rule| rule.tenant.is_none());
        let names = alone.filter_map(|rule| rule.group.as_ref()).filter(|group| !group.contains('@'));
        let doubt = |group: &String| {
            format!(
                "the rule for the group {group:?} fits no mailbox that a server names by \"jmap\": groups of one name may be \
                 several tenants'; write its address, or name the tenant beside it"
            )
        };
        names.map(doubt).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::fleet::settings::config::tests::config;

    const SERVER: &str = "name = \"a\"\nurl = \"https://a\"\n";

    #[test]
    fn what_contradicts_itself_is_named() {
        let mistakes = |more: &str| match config(more).without_contradictions() {
            Ok(_) => String::new(),
            Err(mistakes) => mistakes.join("; "),
        };
        let server = |more: &str| format!("[[servers]]\n{SERVER}{more}");
        let store = "[[stores]]\nname = \"a\"\nzone = \"b\"\nurl = \"s3://b\"\nkey_id = { env = \"K\" }\n";
        let rules = |rules: &str| format!("[producer]\nrules = [{rules}]");
        let (group, all) = ("{ group = \"pro\", plan = \"professional\" }", "{ plan = \"personal\" }");
        for (more, named) in [
            (
                "[plan]\nretry_seconds = 60\nlongest_retry_seconds = 5".to_owned(),
                "plan.longest_retry_seconds = 5",
            ),
            (rules(&format!("{all}, {group}")), "put it last"),
            (server("user = \"u\""), "user and password"),
            (server("token = { env = \"T\" }\npassword = { env = \"P\" }"), "token alone"),
            (store.to_owned(), "a secret beside it"),
        ] {
            let said = mistakes(&more);
            assert!(said.contains(named), "{more}: {said:?}");
        }
        for more in [
            rules(&format!("{group}, {all}")),
            server("user = \"u\"\npassword = { env = \"P\" }"),
            server("token = { env = \"T\" }"),
            server(""),
            format!("{store}secret = {{ env = \"S\" }}"),
        ] {
            assert_eq!(mistakes(&more), "", "{more}");
        }
    }

    #[test]
    fn a_group_that_no_mailbox_can_have_is_doubted() {
        let doubts = |rule: &str, by: &str| {
            let rules = format!("[producer]\nrules = [{{ {rule}, plan = \"personal\" }}]");
            config(&format!("{rules}\n[[servers]]\n{SERVER}discover = {{ by = \"{by}\" }}")).doubts().len()
        };
        assert_eq!(doubts("group = \"sales\"", "jmap"), 1);
        assert_eq!(doubts("group = \"sales\"", "rest"), 0);
        assert_eq!(doubts("group = \"sales@example.org\"", "jmap"), 0);
        assert_eq!(doubts("group = \"sales\", tenant = \"acme\"", "jmap"), 0);
    }
}
