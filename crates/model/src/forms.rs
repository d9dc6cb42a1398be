//! Forms of values in the configuration file: what may be written, and what it becomes.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use crate::settings::{Allowed, Key, Section, Tables, Value, Visitor};

/// The most of what is counted: a million is more than anybody means, and no sum of such numbers overflows.
pub const MOST: u64 = 1_000_000;
/// The longest time in days: ten years are more than anybody means, and every clock can count them.
pub const MOST_DAYS: u64 = 3_660;
/// The longest time in hours.
pub const MOST_HOURS: u64 = MOST_DAYS * 24;
/// The longest time in seconds.
pub const MOST_SECONDS: u64 = MOST_HOURS * 3_600;

/// Shows a field under its key to a visitor.
pub trait Form<T> {
    /// Shows it.
    fn show(&self, name: &'static str, about: &'static str, field: &mut T, visitor: &mut dyn Visitor);
}

/// The form of a single value.
pub struct Single<T> {
    allowed: Allowed,
    is_required: bool,
    /// What the value becomes. The error says why it cannot be used; it is empty where `allowed` says enough, and quotes nothing that
    /// could be a secret.
    read: Read<T>,
    /// How a value is written; `None` if it is left out.
    write: Write<T>,
}

type Read<T> = Box<dyn Fn(&Value) -> Result<T, String>>;
type Write<T> = Box<dyn Fn(&T) -> Option<String>>;

impl<T> Single<T> {
    /// The form of what may be left out.
    pub fn new(
        allowed: Allowed,
        read: impl Fn(&Value) -> Result<T, String> + 'static,
        write: impl Fn(&T) -> Option<String> + 'static,
    ) -> Single<T> {
        Single { allowed, is_required: false, read: Box::new(read), write: Box::new(write) }
    }
}

impl<T: 'static> Single<T> {
    /// The form of what is made of the value, and gives it back.
    pub fn becoming<U: 'static>(self, of: fn(T) -> U, back: fn(&U) -> T) -> Single<U> {
        let Single { allowed, read, write, .. } = self;
        Single::new(allowed, move |value| read(value).map(of), move |value| write(&back(value)))
    }
}

impl<T> Form<T> for Single<T> {
    fn show(&self, name: &'static str, about: &'static str, field: &mut T, visitor: &mut dyn Visitor) {
        let (is_required, allowed) = (self.is_required, self.allowed.clone());
        let usual = if is_required { None } else { (self.write)(field) };
        let set = &mut |value: &Value| (self.read)(value).map(|read| *field = read);
        visitor.key(Key { name, about, usual, is_required, allowed, set });
    }
}

/// The form of settings with keys of their own, which say where they stand.
pub struct Nested;

impl<T: Section> Form<T> for Nested {
    fn show(&self, _name: &'static str, _about: &'static str, field: &mut T, visitor: &mut dyn Visitor) {
        field.visit(visitor);
    }
}

impl<T: Section + Default> Form<Vec<T>> for Tables {
    fn show(&self, name: &'static str, about: &'static str, field: &mut Vec<T>, visitor: &mut dyn Visitor) {
        visitor.tables(name, about, *self, &mut |visitor| {
            let mut table = T::default();
            table.visit(visitor);
            field.push(table);
        });
    }
}

impl<T: Section + Default> Form<Option<T>> for Tables {
    fn show(
        &self,
        name: &'static str,
        about: &'static str,
        field: &mut Option<T>,
        visitor: &mut dyn Visitor,
    ) {
        visitor.tables(name, about, *self, &mut |visitor| field.insert(T::default()).visit(visitor));
    }
}

/// What a whole number becomes.
pub trait Number: Sized {
    /// `None` if it does not fit.
    fn of(number: u64) -> Option<Self>;
    /// The number again.
    fn number(&self) -> u64;
}

macro_rules! numbers {
    ($($type:ty: $of:expr, $number:expr;)*) => {$(
        impl Number for $type {
            fn of(number: u64) -> Option<Self> {
                ($of)(number)
            }

            fn number(&self) -> u64 {
                ($number)(*self)
            }
        }
    )*};
}

numbers! {
    u8: |number| u8::try_from(number).ok(), u64::from;
    u16: |number| u16::try_from(number).ok(), u64::from;
    u32: |number| u32::try_from(number).ok(), u64::from;
    usize: |number| usize::try_from(number).ok(), |number| number as u64;
    NonZeroU32: |number| NonZeroU32::new(u32::of(number)?), |number: NonZeroU32| number.get().into();
    // 0: never.
    Option<NonZeroU16>: |number| Some(NonZeroU16::new(u16::of(number)?)), |number: Option<NonZeroU16>| number.map_or(0, |number| number.get().into());
    Duration: |seconds| Some(Duration::from_secs(seconds)), |time: Duration| time.as_secs();
    SignedDuration: |seconds| Some(SignedDuration::from_secs(i64::try_from(seconds).ok()?)), |time: SignedDuration| time.as_secs().unsigned_abs();
    // 0: for ever.
    Option<SignedDuration>: |seconds| SignedDuration::of(seconds).map(|time| (!time.is_zero()).then_some(time)), |time: Option<SignedDuration>| time.map_or(0, |time| time.number());
}

/// So many.
pub fn count<T: Number>(range: RangeInclusive<u64>) -> Single<T> {
    whole(range, "", 1)
}

/// So many of a hundred.
pub fn percent<T: Number>(range: RangeInclusive<u64>) -> Single<T> {
    whole(range, "percent", 1)
}

/// A time in seconds.
pub fn seconds<T: Number>(range: RangeInclusive<u64>) -> Single<T> {
    whole(range, "seconds", 1)
}

/// A time in hours.
pub fn hours<T: Number>(range: RangeInclusive<u64>) -> Single<T> {
    whole(range, "hours", 3_600)
}

/// A time in days.
pub fn days<T: Number>(range: RangeInclusive<u64>) -> Single<T> {
    whole(range, "days", 86_400)
}

/// Days that stay a number.
pub fn days_counted<T: Number>(range: RangeInclusive<u64>) -> Single<T> {
    whole(range, "days", 1)
}

/// A whole number within bounds; one of it becomes so many seconds, or 1 of what is counted.
fn whole<T: Number>(range: RangeInclusive<u64>, unit: &'static str, factor: u64) -> Single<T> {
    let allowed = Allowed::Whole(unit, *range.start(), *range.end());
    let read = move |value: &Value| {
        let number = match value {
            Value::Whole(number) => u64::try_from(*number).ok(),
            Value::Variable(text) => text.parse().ok(),
            _ => None,
        };
        let within = number.filter(|number| range.contains(number));
        within.and_then(|number| T::of(number * factor)).ok_or_else(String::new)
    };
    Single::new(allowed, read, move |value| Some((value.number() / factor).to_string()))
}

/// A part of 1.
pub fn share() -> Single<f64> {
    let read = |value: &Value| {
        let number = match value {
            Value::Number(number) => Some(*number),
            Value::Whole(number) => i32::try_from(*number).ok().map(f64::from),
            Value::Variable(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| (0.0..=1.0).contains(number)).ok_or_else(String::new)
    };
    Single::new(Allowed::Share, read, |value| Some(format!("{value:?}")))
}

/// Yes or no.
pub fn flag() -> Single<bool> {
    let read = |value: &Value| match value {
        Value::Flag(flag) => Ok(*flag),
        Value::Variable(text) => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(String::new()),
        },
        _ => Err(String::new()),
    };
    Single::new(Allowed::Flag, read, |flag| Some(flag.to_string()))
}

/// A text that this function reads; `words` describe it.
pub fn text<T: ToString + 'static>(words: &'static str, read: fn(&str) -> Result<T, String>) -> Single<T> {
    let read = move |value: &Value| value.as_text().ok_or_else(String::new).and_then(read);
    Single::new(Allowed::Text(words), read, |value| Some(format!("{:?}", value.to_string())))
}

/// A text that is not empty, nor only blanks; `words` say what it names.
pub fn name(words: &'static str) -> Single<String> {
    text(words, |text| if text.trim().is_empty() { Err(String::new()) } else { Ok(text.to_owned()) })
}

/// A text that its type reads; `words` describe it.
pub fn parsed<T: FromStr<Err: Display> + Display + 'static>(words: &'static str) -> Single<T> {
    text(words, |text| text.parse().map_err(|error: T::Err| error.to_string()))
}

/// The path of a file.
pub fn path() -> Single<PathBuf> {
    let text = |value: &Value| value.as_text().filter(|text| !text.is_empty()).map(PathBuf::from);
    let read = move |value: &Value| text(value).ok_or_else(String::new);
    Single::new(Allowed::Text("the path of a file"), read, |path| Some(format!("{path:?}")))
}

/// A URL with one of these schemes, without a password; `words` show one. Nothing of it is ever quoted: there may be one in it.
pub fn url(words: &'static str, schemes: &'static [&'static str]) -> Single<String> {
    let read = move |value: &Value| {
        let text = value.as_text().ok_or_else(String::new)?;
        let (scheme, rest) = text.split_once("://").ok_or_else(String::new)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        if user.split_once(':').is_some_and(|(_, password)| !password.is_empty()) {
            return Err("it holds a password, which belongs into a file of its own".to_owned());
        }
        let is_known = schemes.contains(&scheme.to_lowercase().as_str());
        if is_known && !rest.is_empty() && !text.contains(char::is_whitespace) {
            Ok(text.to_owned())
        } else {
            Err(String::new())
        }
    };
    Single::new(Allowed::Text(words), read, |url| Some(format!("{url:?}")))
}

/// One of these, each written as the function says.
pub fn words<T: Copy>(all: &'static [T], word: fn(T) -> &'static str) -> Single<T> {
    let read = move |value: &Value| {
        let text = value.as_text().ok_or_else(String::new)?;
        let known = all.iter().copied().find(|one| word(*one) == text);
        known.ok_or_else(|| format!("{text:?} is not known"))
    };
    let allowed = Allowed::Words(all.iter().map(|one| word(*one)).collect());
    Single::new(allowed, read, move |value| Some(format!("{:?}", word(*value))))
}

/// A list of values, at least one and none twice.
pub fn list<T: Ord + 'static>(of: Single<T>) -> Single<BTreeSet<T>> {
    let allowed = Allowed::List(Box::new(of.allowed.clone()));
    let read = move |value: &Value| {
        let Value::List(nodes) = value else { return Err(String::new()) };
        let mut set = BTreeSet::new();
        for node in nodes {
            if !set.insert((of.read)(&node.value)?) {
                return Err("one stands there twice".to_owned());
            }
        }
        if set.is_empty() { Err("it is empty".to_owned()) } else { Ok(set) }
    };
    Single::new(allowed, read, |_| None)
}

/// A key that may be left out and then has no value.
pub fn optional<T: 'static>(of: Single<T>) -> Single<Option<T>> {
    let Single { allowed, read, write, .. } = of;
    Single::new(allowed, move |value| read(value).map(Some), move |value: &Option<T>| write(value.as_ref()?))
}

/// A key that the file must have.
pub fn required<T>(of: Single<T>) -> Single<T> {
    Single { is_required: true, ..of }
}
