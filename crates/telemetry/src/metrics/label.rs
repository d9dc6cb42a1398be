use model::{BackupState, JobKind, Plan};

/// An enumeration that may label a metric. Nothing else may: neither a number nor a text ever becomes a label, so that
/// the count of series is known when the role is built.
pub trait Label: Copy + PartialEq + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value.
    const EVERY: &'static [Self];
    /// The value's text.
    fn word(self) -> &'static str;
}

/// One label, or two.
pub trait Labels: Copy {
    /// Their names.
    fn names() -> Vec<&'static str>;
    /// Texts of every combination.
    fn combinations() -> Vec<Vec<&'static str>>;
    /// Which of the combinations this is.
    fn index(self) -> usize;
}

impl<L: Label> Labels for L {
    fn names() -> Vec<&'static str> {
        vec![L::NAME]
    }

    fn combinations() -> Vec<Vec<&'static str>> {
        L::EVERY.iter().map(|value| vec![value.word()]).collect()
    }

    fn index(self) -> usize {
        L::EVERY.iter().position(|value| *value == self).expect("EVERY holds every value")
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    fn names() -> Vec<&'static str> {
        vec![A::NAME, B::NAME]
    }

    fn combinations() -> Vec<Vec<&'static str>> {
        let pairs = A::EVERY.iter().flat_map(|a| B::EVERY.iter().map(|b| vec![a.word(), b.word()]));
        pairs.collect()
    }

    fn index(self) -> usize {
        self.0.index() * B::EVERY.len() + self.1.index()
    }
}

macro_rules! words_of_the_model {
    ($($type:ident = $name:literal),+) => {
        $(impl Label for $type {
            const NAME: &'static str = $name;
            const EVERY: &'static [Self] = $type::ALL;

            fn word(self) -> &'static str {
                self.as_str()
            }
        })+
    };
}

words_of_the_model!(BackupState = "state", JobKind = "kind", Plan = "plan");

macro_rules! label {
    ($(#[$doc:meta])* $type:ident = $name:literal { $($(#[$value_doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[$value_doc])* $value,)+
        }

        impl Label for $type {
            const NAME: &'static str = $name;
            const EVERY: &'static [Self] = &[$($type::$value),+];

            fn word(self) -> &'static str {
                match self {
                    $($type::$value => $word,)+
                }
            }
        }
    };
}

label! {
    /// Where a job stands that is not over. What is done or cancelled is counted where it ends.
    Open = "state" {
        /// It may be run from its time on.
        Waiting = "waiting",
        /// A worker holds it.
        Running = "running",
        /// Its last attempt failed: a person looks at it.
        Dead = "dead",
    }
}

label! {
    /// How a worker's hold on a job ended.
    Ending = "ending" {
        /// It did what it was for.
        Done = "done",
        /// Its last attempt failed.
        Dead = "dead",
        /// Somebody took it back.
        Cancelled = "cancelled",
        /// Another claim was newer; what this one did was refused.
        Fenced = "fenced",
    }
}

label! {
    /// What reading a backup again showed.
    Verification = "result" {
        /// All of it is as it was written.
        Sound = "sound",
        /// Some of it is damaged or missing.
        Damaged = "damaged",
        /// It could not be read to its end.
        Unfinished = "unfinished",
    }
}

label! {
    /// How asking a mail server for its mailboxes ended.
    Listed = "result" {
        /// All are written down.
        Whole = "whole",
        /// It left out too many, so that none was marked as gone.
        Refused = "refused",
        /// It broke off, or could not be understood.
        Failed = "failed",
    }
}

label! {
    /// Which share of the mailboxes is no worse.
    Percentile = "percentile" {
        /// Half of them.
        P50 = "50",
        /// Nine of ten.
        P90 = "90",
        /// Ninety-nine of a hundred.
        P99 = "99",
        /// All: the maximum.
        P100 = "100",
    }
}

label! {
    /// How a server asked for less.
    Refusal = "status" {
        /// Too many requests.
        TooMany = "429",
        /// Unavailable for the moment.
        Unavailable = "503",
    }
}
