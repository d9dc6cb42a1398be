//! The few header fields that `Email/get` gives when they are asked for: unfolded, encoded words as they stand.

use serde_json::{Value, json};

/// Fields of a mail's header in order, names in lower case.
pub(crate) struct Header {
    fields: Vec<(String, String)>,
}

impl Header {
    pub(crate) fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.split('\n').map(|line| line.trim_end_matches('\r')) {
            if line.is_empty() {
                break;
            }
            match (line.starts_with([' ', '\t']), fields.last_mut(), line.split_once(':')) {
                (true, Some((_, value)), _) => value.push_str(line),
                (false, _, Some((name, value))) => {
                    fields.push((name.trim().to_ascii_lowercase(), value.trim_start().to_owned()));
                }
                _ => {}
            }
        }
        Self { fields }
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.fields.iter().rfind(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.last(name)
    }

    /// Message ids without their angle brackets.
    pub(crate) fn ids(&self, name: &str) -> Option<Vec<&str>> {
        let ids = self.last(name)?.split('<').skip(1).filter_map(|rest| rest.split_once('>'));
        let ids: Vec<&str> = ids.map(|(id, _)| id).collect();
        (!ids.is_empty()).then_some(ids)
    }

    /// One address as `EmailAddress`; enough for what the simulator generates.
    pub(crate) fn addresses(&self, name: &str) -> Option<Value> {
        let value = self.last(name)?;
        let (name, email) = match value.rsplit_once('<') {
            Some((name, rest)) => (Some(name.trim().trim_matches('"')), rest.trim_end_matches(['>', ' '])),
            None => (None, value.trim()),
        };
        Some(json!([{ "name": name, "email": email }]))
    }
}
