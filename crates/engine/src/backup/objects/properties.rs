//! Properties of calendars and address books that JMAP does not show, beside what it shows: see `server/properties.rs`.

use model::DataType;
use repository::TypeState;
use serde_json::{Map, Value};

use super::found::{Found, Unread};
use crate::server::account::RemoteAccount;
use crate::server::properties::{self, NOT_SHOWN, NOT_TOLD, add, collections};

impl RemoteAccount<'_> {
    /// Adds them to what was read of a type; what of them the server does not show.
    pub(super) async fn add_properties(
        &self,
        data_type: DataType,
        found: &mut Found,
    ) -> Result<Option<&'static str>, Unread> {
        let Some(home) = properties::home_of(data_type) else { return Ok(None) };
        let ids: Vec<String> =
            found.objects.iter().filter(|(_, json)| json.is_some()).map(|(id, _)| id.clone()).collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let reader = self.reader_of(data_type).await?;
        let Some(collections) = collections(reader, self.account, home).await? else {
            return Ok(Some(NOT_SHOWN));
        };
        let mut lacks = None;
        for id in ids {
            let Some(Some(json)) = found.objects.get(&id) else { continue };
            let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(json) else { continue };
            if add(&mut object, &collections) {
                found.replace(id, Value::from(object).to_string().into())
            } else {
                lacks = Some(NOT_TOLD)
            }
        }
        Ok(lacks)
    }

    /// Whether the server shows properties that the base lacks because it did not.
    pub(super) async fn shows_properties_now(&self, data_type: DataType, base: Option<&TypeState>) -> bool {
        let is_lacking = base.is_some_and(|base| base.not_given.iter().any(|name| name == NOT_SHOWN));
        let Some(home) = properties::home_of(data_type).filter(|_| is_lacking) else { return false };
        let Ok(reader) = self.reader_of(data_type).await else { return false };
        matches!(collections(reader, self.account, home).await, Ok(Some(_)))
    }
}
