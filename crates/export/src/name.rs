//! Names inside an export. Whatever a folder is called on the server, what is written lies inside the export and can be
//! unpacked on Linux, macOS and Windows.

use std::collections::HashMap;
use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Longest component that every common file system takes, in bytes.
pub(crate) const LONGEST: usize = 255;
/// Room left for a number that tells equal names apart.
const ROOM: usize = 12;
/// Paths longer than this are not nested further.
const DEEPEST: usize = 900;

/// One component of a path: never empty, `.`, `..`, hidden, reserved, too long, or with a separator in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// The nearest name to `raw` that is safe. A safe name stays as it is.
    pub(crate) fn sanitised(raw: &str) -> Name {
        Name(sanitise(raw, LONGEST))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The file of an email in a Maildir. `separator` is Maildir's own colon, or what programs write where that cannot be.
    pub(crate) fn maildir(seconds: u32, number: u64, separator: char, flags: &str) -> Name {
        let flags: String = flags.chars().filter(char::is_ascii_alphabetic).collect();
        Name(format!("{seconds}.M{number}.malle{separator}2,{flags}"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path inside an export: safe names with `/` between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SafePath(String);

impl SafePath {
    /// A file or directory at the top, named by this program.
    pub(crate) fn top(name: &'static str) -> SafePath {
        SafePath(Name::sanitised(name).0)
    }

    pub(crate) fn join(&self, name: &Name) -> SafePath {
        SafePath(format!("{}/{name}", self.0))
    }

    /// Another name in the same directory.
    pub(crate) fn beside(&self, name: &Name) -> SafePath {
        SafePath(self.0.rsplit_once('/').map_or_else(|| name.to_string(), |(dir, _)| format!("{dir}/{name}")))
    }

    /// The same with a name of this program's own.
    pub(crate) fn with(&self, name: &'static str) -> SafePath {
        self.join(&Name::sanitised(name))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether something may still be nested below.
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < DEEPEST
    }

    /// The directories it lies in, the outermost first.
    pub(crate) fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

fn sanitise(raw: &str, longest: usize) -> String {
    let mut name: String = raw.chars().map(|c| if is_unsafe(c) { '_' } else { c }).collect();
    // Hidden, or a home directory to a shell.
    if name.starts_with(['.', '~']) {
        name.replace_range(..1, "_");
    }
    if is_reserved(&name) {
        name.insert(0, '_');
    }
    truncate(&mut name, longest);
    name.truncate(name.trim_end_matches([' ', '.']).len());
    if name.is_empty() { "_".to_owned() } else { name }
}

/// Separators, what Windows forbids, control characters, and those that turn the direction of text around.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Names of devices on Windows, with any ending.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|n| n.chars().count() == 1 && n.chars().all(|c| c.is_numeric()))
}

fn truncate(text: &mut String, longest: usize) {
    text.truncate(text.floor_char_boundary(longest));
}

/// The ending of a file's name, with its dot: short and plain, or empty.
fn extension(name: &str) -> &str {
    let at = name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len());
    let is_plain = name[at..].len() <= 9 && name[at..].chars().skip(1).all(|c| c.is_ascii_alphanumeric());
    if is_plain { &name[at..] } else { "" }
}

/// The names taken in directories, so that no two are one to a file system that knows no upper and lower case, or that composes
/// accents.
#[derive(Debug, Default)]
pub(crate) struct Taken(HashMap<String, u32>);

impl Taken {
    /// A free name in `dir` for a file or directory of this name: a number stands before its ending.
    pub(crate) fn claim_file(&mut self, dir: &str, raw: &str) -> Name {
        let safe = sanitise(raw, LONGEST - ROOM);
        let ending = extension(&safe);
        let stem = &safe[..safe.len() - ending.len()];
        self.numbered(dir, &safe, |number| format!("{stem} ({number}){ending}"))
    }

    /// A free name in `dir`: `before`, what can be kept of `raw`, a number if need be, `after`.
    pub(crate) fn claim(&mut self, dir: &str, before: &'static str, raw: &str, after: &str) -> Name {
        let stem = sanitise(raw, LONGEST - ROOM - before.len() - after.len());
        let stem = if before.is_empty() && is_reserved(&format!("{stem}{after}")) {
            format!("_{stem}")
        } else {
            stem
        };
        let first = format!("{before}{stem}{after}");
        self.numbered(dir, &first, |number| format!("{before}{stem} ({number}){after}"))
    }

    /// The first one if it is free, else the one of the next number that is.
    fn numbered(&mut self, dir: &str, first: &str, numbered: impl Fn(u32) -> String) -> Name {
        let counted = folded(dir, first);
        let mut number = self.0.get(&counted).copied().unwrap_or(1);
        loop {
            let name = if number == 1 { first.to_owned() } else { numbered(number) };
            number += 1;
            let is_free = self.0.insert(format!("={}", folded(dir, &name)), 0).is_none();
            if is_free {
                self.0.insert(counted, number);
                return Name(name);
            }
        }
    }
}

/// Equal for names that some file system takes for one.
fn folded(dir: &str, name: &str) -> String {
    let folded = format!("{dir}/{name}").nfd().collect::<String>().to_uppercase().to_lowercase();
    folded.nfd().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    include!("../tests/suite/hostile_names.rs");

    #[test]
    fn hostile_names_become_safe_ones() {
        for (raw, expected) in HOSTILE {
            // Trailing dots go last, so `..` leaves `_`.
            let expected = expected.trim_end_matches('.');
            assert_eq!(Name::sanitised(raw).as_str(), expected, "{raw:?}");
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = Name::sanitised(&"é".repeat(300));
        assert_eq!(name.as_str().len(), 254);
        let mut taken = Taken::default();
        for _ in 0..20 {
            let name = taken.claim("mail", "", &"日".repeat(300), ".mbox");
            assert!(name.as_str().len() <= LONGEST && name.as_str().ends_with(".mbox"), "{name}");
        }
    }

    #[test]
    fn equal_names_are_told_apart_whatever_their_case() {
        let mut taken = Taken::default();
        let mut claim = |raw| taken.claim("d", "", raw, "").0;
        assert_eq!(
            ["A", "a", "A (2)", "a", "STRASSE", "straße", "ſ", "S"].map(&mut claim),
            ["A", "a (2)", "A (2) (2)", "a (3)", "STRASSE", "straße (2)", "ſ", "S (2)"]
        );
    }

    #[test]
    fn spellings_of_one_name_are_told_apart_and_files_keep_their_ending() {
        let mut taken = Taken::default();
        let mut claim = |raw| taken.claim_file("d", raw).0;
        assert_eq!(
            [
                "caf\u{e9}.txt",
                "cafe\u{301}.txt",
                "maj.txt",
                "MAJ.txt",
                "a.b c.d e",
                "a.b c.d e",
                ".bashrc",
                "~x",
                "n.tar.gz",
                "n.tar.gz",
                "n.tar.xz",
                "a .txt"
            ]
            .map(&mut claim),
            [
                "caf\u{e9}.txt",
                "cafe\u{301} (2).txt",
                "maj.txt",
                "MAJ (2).txt",
                "a.b c.d e",
                "a.b c.d e (2)",
                "_bashrc",
                "_x",
                "n.tar.gz",
                "n.tar (2).gz",
                "n.tar.xz",
                "a .txt"
            ]
        );
    }

    proptest! {
        #[test]
        fn every_name_is_safe_and_stays_as_it_is(raw in "\\PC{0,300}|[./\\\\\0-\x20:a-c]{0,20}") {
            let name = Name::sanitised(&raw);
            let text = name.as_str();
            prop_assert!(!text.is_empty() && text.len() <= LONGEST && !text.starts_with('.'));
            prop_assert!(!text.contains(['/', '\\', '\0']) && !text.ends_with(['.', ' ']) && !is_reserved(text));
            prop_assert_eq!(&Name::sanitised(text), &name);
        }

        #[test]
        fn claimed_names_differ(raws in proptest::collection::vec("[aAß./ ]{0,3}|a \\([23]\\)", 0..40)) {
            let mut taken = Taken::default();
            let names: Vec<String> = raws.iter().map(|raw| taken.claim("d", "", raw, ".x").0.to_uppercase()).collect();
            let distinct: std::collections::HashSet<&String> = names.iter().collect();
            prop_assert_eq!(distinct.len(), names.len());
        }
    }
}
