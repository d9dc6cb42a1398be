//! Why one object of a `set` or `import` was refused (RFC 8620 §5.3).

use std::borrow::Cow;

use serde_json::{Value, json};

/// A `SetError`.
#[derive(Clone, Debug)]
pub(crate) struct SetError {
    kind: Cow<'static, str>,
    property: Option<String>,
    description: Option<String>,
    existing: Option<String>,
}

impl SetError {
    pub(crate) fn of(kind: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: kind.into(), property: None, description: None, existing: None }
    }

    /// `invalidProperties` that names one.
    pub(crate) fn invalid(property: &str, description: impl Into<String>) -> Self {
        Self::of("invalidProperties").because(description).about(property)
    }

    /// The same with the property that is to blame.
    pub(crate) fn about(self, property: &str) -> Self {
        Self { property: Some(property.to_owned()), ..self }
    }

    pub(crate) fn not_found() -> Self {
        Self::of("notFound")
    }

    pub(crate) fn because(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// `alreadyExists` with the object that does.
    pub(crate) fn exists(id: &str, description: impl Into<String>) -> Self {
        Self { existing: Some(id.to_owned()), ..Self::of("alreadyExists").because(description) }
    }

    pub(crate) fn json(&self) -> Value {
        let mut error = json!({ "type": self.kind });
        if let Some(description) = &self.description {
            error["description"] = description.as_str().into();
        }
        if let Some(property) = &self.property {
            error["properties"] = json!([property]);
        }
        if let Some(id) = &self.existing {
            error["existingId"] = id.as_str().into();
        }
        error
    }
}
