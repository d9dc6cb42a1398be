use std::fmt;

/// A text that is none of the words it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    pub(crate) what: &'static str,
    pub(crate) word: String,
    pub(crate) known: Vec<&'static str>,
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no {}; there are {}", self.word, self.what, self.known.join(", "))
    }
}

impl std::error::Error for UnknownWord {}

/// An enumeration whose values are single words: in the catalogue, on the wire, in settings and in metrics.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize
        )]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word for it; never changed, only added to.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                $name::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| {
                    let known = $name::ALL.iter().map(|known| known.as_str()).collect();
                    $crate::words::UnknownWord { what: $what, word: word.to_owned(), known }
                })
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::{JobKind, JobState, Plan, Schedule};

    #[test]
    fn every_word_comes_back_and_others_are_refused_with_the_list() {
        for kind in JobKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        let error = "gold".parse::<Plan>().expect_err("no such plan").to_string();
        assert_eq!(error, "\"gold\" is no plan; there are personal, professional");
        assert!("Nightly".parse::<Schedule>().is_err(), "words are in lower case");
    }
}
