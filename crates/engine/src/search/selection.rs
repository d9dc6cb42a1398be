//! Which emails are meant: what `malle find` looks for, and what a restore or an export takes.

use std::collections::HashSet;

use model::{EmailRecord, FolderId, Timestamp};
use repository::{EmailRow, Snapshot};

use crate::error::Result;
use crate::search::fold::Needle;
use crate::search::folders::{FolderTree, Subfolders};

/// One thing that can be said of an email. In texts, case and accents do not count (the README says what exactly is
/// compared).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// A sender's name or address contains it.
    From(String),
    /// A recipient's name or address (`To`, `Cc`) contains it.
    To(String),
    /// The subject contains it.
    Subject(String),
    /// Senders, recipients, the subject, the Message-ID or the name of an attachment contains it.
    Text(String),
    /// The Message-ID is this one; brackets around it do not matter.
    MessageId(String),
    /// Received earlier.
    Before(Timestamp),
    /// Received then or later.
    After(Timestamp),
    /// It has an attachment with a name.
    HasAttachment,
    /// It lies in the folder of this path (see [`FolderTree::named`]), or in a folder inside that one.
    Folder(String, Subfolders),
}

/// Emails of which everything that is asked for is true; the empty selection means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    test: Test,
    expected: bool,
}

/// A selection that knows the folders' ids: decides about emails one by one, alone and without I/O.
#[derive(Debug, Clone)]
pub struct Predicate {
    conditions: Vec<(Condition, bool)>,
}

#[derive(Debug, Clone)]
enum Condition {
    From(Needle),
    To(Needle),
    Subject(Needle),
    Text(Needle),
    MessageId(String),
    /// In seconds since 1970, as emails have it.
    Before(i64),
    HasAttachment,
    Folder(HashSet<String>),
}

impl Selection {
    /// Those of which this is true as well.
    #[must_use]
    pub fn and(self, test: Test) -> Selection {
        self.with(test, true)
    }

    /// Those of which this is not true.
    #[must_use]
    pub fn and_not(self, test: Test) -> Selection {
        self.with(test, false)
    }

    fn with(mut self, test: Test, expected: bool) -> Selection {
        self.terms.push(Term { test, expected });
        self
    }

    /// The selection among the emails of a snapshot with these folders. A folder that is not there holds nothing:
    /// [`Selection::missing_folder`] tells of it.
    pub fn among(&self, folders: &FolderTree) -> Predicate {
        self.among_any(std::slice::from_ref(folders))
    }

    /// Lets pass every email that passes with one of these folder trees at least, and perhaps others; with a single tree no
    /// others.
    pub(crate) fn among_any(&self, trees: &[FolderTree]) -> Predicate {
        Predicate { conditions: self.terms.iter().map(|term| term.condition(trees)).collect() }
    }

    /// The first folder that emails must be in although none of the trees has it.
    pub fn missing_folder(&self, trees: &[FolderTree]) -> Option<&str> {
        self.terms.iter().filter(|term| term.expected).find_map(|term| match &term.test {
            Test::Folder(path, subfolders)
                if trees.iter().all(|tree| tree.named(path, *subfolders).is_empty()) =>
            {
                Some(path.as_str())
            }
            _ => None,
        })
    }

    /// Whether the answer may depend on the folder tree.
    pub(crate) fn names_folders(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.test, Test::Folder(..)))
    }
}

impl Term {
    /// What is looked at, and what must come of it.
    fn condition(&self, trees: &[FolderTree]) -> (Condition, bool) {
        let condition = match &self.test {
            Test::From(text) => Condition::From(Needle::new(text)),
            Test::To(text) => Condition::To(Needle::new(text)),
            Test::Subject(text) => Condition::Subject(Needle::new(text)),
            Test::Text(text) => Condition::Text(Needle::new(text)),
            Test::MessageId(id) => Condition::MessageId(bare(id).to_owned()),
            Test::Before(time) => Condition::Before(seconds_up(*time)),
            Test::After(time) => return (Condition::Before(seconds_up(*time)), !self.expected),
            Test::HasAttachment => Condition::HasAttachment,
            Test::Folder(path, subfolders) => Condition::Folder(self.folders(path, *subfolders, trees)),
        };
        (condition, self.expected)
    }

    /// Emails in one of these folders may pass, or do not pass, with one of the trees at least.
    fn folders(&self, path: &str, subfolders: Subfolders, trees: &[FolderTree]) -> HashSet<String> {
        let sets = trees.iter().map(|tree| -> HashSet<String> {
            tree.named(path, subfolders).into_iter().map(String::from).collect()
        });
        let all = sets.reduce(|one, other| if self.expected { &one | &other } else { &one & &other });
        all.unwrap_or_default()
    }
}

impl Predicate {
    /// Whether the email is meant.
    pub fn matches(&self, email: &EmailRecord) -> bool {
        self.holds(email)
    }

    /// Whether any email of a snapshot is meant.
    pub async fn finds_any(&self, snapshot: &Snapshot) -> Result<bool> {
        let mut emails = snapshot.emails().await?;
        while let Some(email) = emails.next().await? {
            if self.matches(&email) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same of a row that is read in place.
    pub(crate) fn matches_row(&self, email: &EmailRow<'_>) -> bool {
        self.holds(email)
    }

    fn holds(&self, email: &impl Facts) -> bool {
        self.conditions.iter().all(|(condition, expected)| condition.is_true(email) == *expected)
    }
}

impl Condition {
    fn is_true(&self, email: &impl Facts) -> bool {
        match self {
            Condition::From(text) => text.is_in(email.from()),
            Condition::To(text) => text.is_in(email.to()),
            Condition::Subject(text) => text.is_in(email.subject()),
            Condition::Text(text) => {
                let texts = [email.subject(), email.from(), email.to(), email.message_id()];
                texts.into_iter().chain(email.attachments()).any(|one| text.is_in(one))
            }
            Condition::MessageId(id) => bare(email.message_id()).eq_ignore_ascii_case(id),
            Condition::Before(seconds) => email.received_at() < *seconds,
            Condition::HasAttachment => email.attachments().next().is_some(),
            Condition::Folder(ids) => email.folders().any(|folder| ids.contains(folder)),
        }
    }
}

/// What conditions look at, in either form of an email.
trait Facts {
    fn received_at(&self) -> i64;
    fn from(&self) -> &str;
    fn to(&self) -> &str;
    fn subject(&self) -> &str;
    fn message_id(&self) -> &str;
    fn attachments(&self) -> impl Iterator<Item = &str>;
    fn folders(&self) -> impl Iterator<Item = &str>;
}

impl Facts for EmailRecord {
    fn received_at(&self) -> i64 {
        self.received_at
    }

    fn from(&self) -> &str {
        &self.envelope.from
    }

    fn to(&self) -> &str {
        &self.envelope.to
    }

    fn subject(&self) -> &str {
        &self.envelope.subject
    }

    fn message_id(&self) -> &str {
        &self.envelope.message_id
    }

    fn attachments(&self) -> impl Iterator<Item = &str> {
        self.envelope.attachments.iter().map(String::as_str)
    }

    fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(FolderId::as_str)
    }
}

impl Facts for EmailRow<'_> {
    fn received_at(&self) -> i64 {
        self.received_at
    }

    fn from(&self) -> &str {
        self.from
    }

    fn to(&self) -> &str {
        self.to
    }

    fn subject(&self) -> &str {
        self.subject
    }

    fn message_id(&self) -> &str {
        self.message_id
    }

    fn attachments(&self) -> impl Iterator<Item = &str> {
        EmailRow::attachments(self)
    }

    fn folders(&self) -> impl Iterator<Item = &str> {
        EmailRow::folders(self)
    }
}

/// The first whole second that is not before a time: emails are dated in whole seconds.
fn seconds_up(time: Timestamp) -> i64 {
    let whole = time.as_second();
    whole + i64::from(Timestamp::from_second(whole).is_ok_and(|floor| floor < time))
}

fn bare(message_id: &str) -> &str {
    let id = message_id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use model::{BlobId, Envelope};
    use proptest::prelude::*;

    use super::*;
    use crate::search::folders::Folder;

    fn email(received_at: i64, texts: [&str; 4], attachments: &[String], folders: &[String]) -> EmailRecord {
        let [from, to, subject, message_id] = texts.map(str::to_owned);
        EmailRecord {
            id: "e".into(),
            blob: BlobId([0; 32]),
            source_hash: 0,
            received_at,
            size: 0,
            folders: folders.iter().map(|id| FolderId::from(id.as_str())).collect(),
            keywords: Vec::new(),
            envelope: Envelope {
                from,
                to,
                subject,
                message_id,
                date: None,
                attachments: attachments.to_vec(),
                ..Envelope::default()
            },
        }
    }

    /// Inbox, Inbox/Work, Sent.
    fn tree() -> FolderTree {
        let folder = |id: &str, name: &str, parent: Option<&str>| {
            let parent = parent.map(FolderId::from);
            (FolderId::from(id), Folder { name: name.to_owned(), parent, role: None })
        };
        FolderTree::new([
            folder("a", "Inbox", None),
            folder("b", "Work", Some("a")),
            folder("c", "Sent", None),
        ])
    }

    fn all() -> Selection {
        Selection::default()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn dates_are_compared_in_whole_seconds() {
        let at = |second| email(second, [""; 4], &[], &[]);
        let check = |selection: Selection, second, expected| {
            assert_eq!(selection.among(&tree()).matches(&at(second)), expected, "{selection:?} at {second}");
        };
        for (second, before) in [(9, true), (10, false), (11, false)] {
            check(all().and(Test::Before(time("1970-01-01T00:00:10Z"))), second, before);
            check(all().and(Test::After(time("1970-01-01T00:00:10Z"))), second, !before);
        }
        for (second, before) in [(10, true), (11, false)] {
            check(all().and(Test::Before(time("1970-01-01T00:00:10.5Z"))), second, before);
            check(all().and(Test::After(time("1970-01-01T00:00:10.5Z"))), second, !before);
        }
        for (second, before) in [(-2, true), (-1, false), (0, false)] {
            check(all().and(Test::Before(time("1969-12-31T23:59:58.5Z"))), second, before);
        }
    }

    #[test]
    fn message_ids_are_compared_as_a_whole() {
        let one = email(0, ["", "", "", "Ab@x"], &[], &[]);
        for (id, expected) in
            [("Ab@x", true), ("<Ab@x>", true), (" <ab@x> ", true), ("Ab@", false), ("", false)]
        {
            let selection = all().and(Test::MessageId(id.to_owned()));
            assert_eq!(selection.among(&tree()).matches(&one), expected, "{id}");
        }
    }

    #[test]
    fn a_folder_that_is_nowhere_is_told() {
        let path = |path: &str| Test::Folder(path.to_owned(), Subfolders::Taken);
        assert_eq!(all().and(path("Inbox")).and(path("Nowhere")).missing_folder(&[tree()]), Some("Nowhere"));
        assert_eq!(all().and_not(path("Nowhere")).missing_folder(&[tree()]), None);
        let none = FolderTree::default();
        assert_eq!(all().and(path("Sent")).missing_folder(&[none, tree()]), None);
    }

    const WORDS: [&str; 8] = ["bob", "BOB", "Böb", "invoice", "Re: bob", "", "été", "ETE"];

    /// What each of the words is without case and accents.
    const PLAIN: [&str; 8] = ["bob", "bob", "bob", "invoice", "re: bob", "", "ete", "ete"];

    fn a_test() -> impl Strategy<Value = (u8, usize, bool)> {
        (0u8..10, 0..WORDS.len(), any::<bool>())
    }

    fn test_of(kind: u8, word: usize) -> Test {
        let text = WORDS[word].to_owned();
        let folder = |path: &str, subfolders| Test::Folder(path.to_owned(), subfolders);
        match kind {
            0 => Test::From(text),
            1 => Test::To(text),
            2 => Test::Subject(text),
            3 => Test::Text(text),
            4 => Test::MessageId(text),
            5 => Test::Before(Timestamp::from_second(5).expect("a time")),
            6 => Test::After(Timestamp::from_second(5).expect("a time")),
            7 => Test::HasAttachment,
            8 => folder("inbox", Subfolders::Taken),
            _ => folder("INBOX", Subfolders::Left),
        }
    }

    proptest! {
        #[test]
        fn it_decides_as_a_slow_oracle_does(
            terms in proptest::collection::vec(a_test(), 0..4),
            received_at in 3i64..8,
            texts in proptest::array::uniform4(0..WORDS.len()),
            attachments in proptest::collection::vec(0..WORDS.len(), 0..3),
            folders in proptest::sample::subsequence(vec!["a", "b", "c", "x"], 0..4),
        ) {
            let names: Vec<String> = attachments.iter().map(|word| WORDS[*word].to_owned()).collect();
            let ids: Vec<String> = folders.iter().map(|id| (*id).to_owned()).collect();
            let email = email(received_at, texts.map(|word| WORDS[word]), &names, &ids);
            let holds = |kind: u8, word: usize| {
                let has = |text: usize| PLAIN[text].contains(PLAIN[word]);
                match kind {
                    0..3 => has(texts[usize::from(kind)]),
                    3 => texts.iter().chain(&attachments).any(|text| has(*text)),
                    4 => WORDS[texts[3]].eq_ignore_ascii_case(WORDS[word]),
                    5 => received_at < 5,
                    6 => received_at >= 5,
                    7 => !attachments.is_empty(),
                    8 => folders.contains(&"a") || folders.contains(&"b"),
                    _ => folders.contains(&"a"),
                }
            };
            let expected = terms.iter().all(|(kind, word, expected)| holds(*kind, *word) == *expected);
            let selection = terms.iter().fold(all(), |selection, (kind, word, expected)| {
                selection.with(test_of(*kind, *word), *expected)
            });
            prop_assert_eq!(selection.among(&tree()).matches(&email), expected, "{:?}", selection);
        }

        /// With several trees nothing is lost that one of them lets pass.
        #[test]
        fn among_any_lets_pass_whatever_passes_somewhere(
            expected in any::<[bool; 2]>(),
            folders in proptest::sample::subsequence(vec!["a", "b", "c"], 0..4),
        ) {
            let other = FolderTree::new(tree().iter().map(|(id, folder)| {
                let name = if id.as_str() == "c" { "Inbox" } else { "Else" };
                (id.clone(), Folder { name: name.to_owned(), ..folder.clone() })
            }).collect::<Vec<_>>());
            let trees = [tree(), other];
            let inbox = |subfolders| Test::Folder("Inbox".to_owned(), subfolders);
            let selection = all().with(inbox(Subfolders::Taken), expected[0]).with(inbox(Subfolders::Left), expected[1]);
            let ids: Vec<String> = folders.iter().map(|id| (*id).to_owned()).collect();
            let email = email(0, [""; 4], &[], &ids);
            let somewhere = trees.iter().any(|tree| selection.among(tree).matches(&email));
            prop_assert!(!somewhere || selection.among_any(&trees).matches(&email));
        }
    }
}
