//! What became of each property that a client sets or removes.

use http::StatusCode;

use super::answer::propstat;
use super::name::Name;

/// What became of one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    code: StatusCode,
    /// The element of the condition that does not hold.
    condition: String,
    words: &'static str,
}

impl Fate {
    pub(super) const SET: Self = Self::plain(StatusCode::OK, "");
    pub(super) const REMOVED: Self = Self::plain(StatusCode::NO_CONTENT, "");
    pub(super) const NOT_SETTABLE: Self = Self::plain(StatusCode::CONFLICT, "Property cannot be modified");
    pub(super) const NOT_REMOVABLE: Self = Self::plain(StatusCode::CONFLICT, "Property cannot be deleted");
    pub(super) const TOO_LONG: Self =
        Self::plain(StatusCode::INSUFFICIENT_STORAGE, "Property value is too long");

    const fn plain(code: StatusCode, words: &'static str) -> Self {
        Self { code, condition: String::new(), words }
    }

    /// A condition that does not hold.
    pub(super) fn condition(code: StatusCode, condition: &str, words: &'static str) -> Self {
        Self { code, condition: format!("<D:error><{condition}/></D:error>"), words }
    }

    fn about(&self) -> String {
        let words = match self.words {
            "" => String::new(),
            words => format!("<D:responsedescription>{words}</D:responsedescription>"),
        };
        format!("{}{words}", self.condition)
    }
}

/// The fates of all properties, those with the same fate together.
#[derive(Debug, Default)]
pub(super) struct Outcome(Vec<(Fate, String)>);

impl Outcome {
    pub(super) fn add(&mut self, name: &Name, fate: Fate) {
        match self.0.iter_mut().find(|(known, _)| *known == fate) {
            Some((_, names)) => names.push_str(&name.empty()),
            None => self.0.push((fate, name.empty())),
        }
    }

    /// The `propstat` elements.
    pub(super) fn stats(&self) -> String {
        self.0.iter().map(|(fate, names)| propstat(names, fate.code, &fate.about())).collect()
    }
}
