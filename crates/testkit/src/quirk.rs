//! What real S3s do, one row each, and how a program that is right ends on it.

use std::time::Duration;

use crate::wire::{Answer, Request};

/// How a store differs from an honest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quirk {
    /// Not at all.
    #[default]
    Honest,
    /// Each answer takes a while.
    Slow,
    /// Every third request is told to slow down.
    SlowDown,
    /// The same, with a time to wait.
    RetryAfter,
    /// Every fifth request fails inside the store.
    InternalErrors,
    /// Every third connection is reset before the body is read.
    Resets,
    /// Every third request is carried out and not answered.
    LostAnswers,
    /// The first conditional PUT of each object is told of a conflict, and writes nothing.
    Conflicts,
    /// Every third object that is read breaks off in the middle.
    ShortBodies,
    /// Listings are backwards.
    UnsortedLists,
    /// A page of a listing has two rows.
    SmallPages,
    /// Listings lack the newest three objects.
    StaleLists,
    /// Listings are empty.
    EmptyLists,
    /// `If-None-Match` is not implemented (Backblaze B2).
    NoConditions,
    /// `If-None-Match` is ignored (Versity's gateway until 2025).
    IgnoresConditions,
    /// Unknown checksum headers are refused, with 400.
    RefusesChecksums,
    /// The same, with 501.
    KnowsNoChecksums,
    /// Tags look like MD5 sums and are none (buckets that encrypt with a key service).
    OtherTags,
    /// Bytes of packs and segments are not kept.
    Bytes(Change, Times),
    /// The answer to each request is this refusal.
    Refuses(Refusal),
    /// Only an absent object is answered by 403: the credentials may not list.
    ForbidsAbsent,
    /// Only writing is refused, like this.
    RefusesWrites(Refusal),
    /// Objects that are read are errors in XML, with status 200.
    ErrorsAsObjects,
}

/// Where bytes of a pack or segment change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Before a store that compares checksums.
    OnTheWay,
    /// Before the store computes the tag; it compares no checksums.
    BeforeTheTag,
    /// After the store computed the tag.
    InTheStore,
    /// While it is read.
    OnTheWayBack,
    /// Only half of it is stored.
    Cut,
    /// It is acknowledged and not stored.
    Lost,
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The first time only.
    Once,
    /// Always.
    Always,
}

/// What a store says instead of doing what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// An error in XML with this status and code.
    Code(u16, &'static str),
    /// The bucket's region is said in the answer's body.
    OtherRegion,
    /// The bucket's region is said in a header, there is no body.
    Moved,
    /// Status alone.
    Bare(u16),
    /// A web page with this status.
    Page(u16),
}

/// How a backup on such a store ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is made, and reads back.
    Works,
    /// It fails with this exit code, and the line says this.
    Fails(u8, &'static str),
}

/// A quirk, and how a backup ends on a store that had it from the start, and on one that gets it after its first backup.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The quirk.
    pub quirk: Quirk,
    /// Of the first backup.
    pub first: End,
    /// Of a later one.
    pub later: End,
}

const fn row(quirk: Quirk, first: End, later: End) -> Row {
    Row { quirk, first, later }
}

const fn both(quirk: Quirk, end: End) -> Row {
    row(quirk, end, end)
}

const fn refused(status: u16, code: &'static str, exit: u8, says: &'static str) -> Row {
    both(Quirk::Refuses(Refusal::Code(status, code)), End::Fails(exit, says))
}

const fn full(refusal: Refusal) -> Row {
    both(Quirk::RefusesWrites(refusal), End::Fails(13, "quota"))
}

fn changed(change: Change) -> [Row; 2] {
    let fails = End::Fails(9, "3 times in a row");
    // Which object is met first, an old or a new one, is a matter of where in it the flipped byte falls.
    let later = if change == Change::OnTheWayBack { End::Fails(9, "") } else { fails };
    [
        both(Quirk::Bytes(change, Times::Once), End::Works),
        row(Quirk::Bytes(change, Times::Always), fails, later),
    ]
}

/// Rows that a store can be without any quirk; a real one runs them too.
pub fn honest() -> Vec<Row> {
    vec![both(Quirk::Honest, End::Works)]
}

/// All rows.
pub fn rows() -> Vec<Row> {
    use End::{Fails, Works};
    let mut rows = honest();
    let harmless = [
        Quirk::Slow,
        Quirk::SlowDown,
        Quirk::RetryAfter,
        Quirk::InternalErrors,
        Quirk::Resets,
        Quirk::LostAnswers,
        Quirk::Conflicts,
        Quirk::ShortBodies,
        Quirk::UnsortedLists,
        Quirk::SmallPages,
        Quirk::RefusesChecksums,
        Quirk::KnowsNoChecksums,
        Quirk::OtherTags,
    ];
    rows.extend(harmless.map(|quirk| both(quirk, Works)));
    let unfit = Fails(12, "--single-writer");
    rows.extend([
        row(Quirk::StaleLists, Fails(12, "listing"), Works),
        row(Quirk::EmptyLists, Fails(12, "listing"), Works),
        both(Quirk::NoConditions, unfit),
        row(Quirk::IgnoresConditions, unfit, Works),
        both(Quirk::ForbidsAbsent, Fails(7, "s3:ListBucket")),
        both(Quirk::ErrorsAsObjects, Fails(7, "too busy")),
    ]);
    for change in [
        Change::OnTheWay,
        Change::BeforeTheTag,
        Change::InTheStore,
        Change::OnTheWayBack,
        Change::Cut,
        Change::Lost,
    ] {
        rows.extend(changed(change));
    }
    rows.extend([
        refused(404, "NoSuchBucket", 7, "does not exist"),
        refused(400, "ExpiredToken", 7, "expired"),
        refused(403, "RequestTimeTooSkewed", 7, "clocks"),
        refused(403, "InvalidAccessKeyId", 7, "does not accept the credentials"),
        refused(403, "SignatureDoesNotMatch", 7, "does not accept the credentials"),
        refused(403, "AccessDenied", 7, "denies access"),
        refused(400, "InvalidRequest", 7, "400 InvalidRequest"),
        both(Quirk::Refuses(Refusal::OtherRegion), Fails(7, "eu-west-1")),
        both(Quirk::Refuses(Refusal::Moved), Fails(7, "eu-west-1")),
        both(Quirk::Refuses(Refusal::Page(200)), Fails(7, "web page")),
        both(Quirk::Refuses(Refusal::Page(404)), Fails(7, "web page")),
        full(Refusal::Code(403, "QuotaExceeded")),
        full(Refusal::Code(400, "XMinioAdminBucketQuotaExceeded")),
        full(Refusal::Code(507, "XMinioStorageFull")),
        full(Refusal::Code(400, "EntityTooLarge")),
        full(Refusal::Bare(507)),
    ]);
    rows
}

/// What becomes of one request.
pub(crate) enum Step {
    Honest,
    /// The quirk is in the listing itself.
    List,
    Wait(Duration),
    Say(Box<dyn Fn() -> Answer + Send + Sync>),
    Reset,
    Unanswered,
    Unconditional,
    ChangeOnTheWay,
    ChangeBeforeTheTag,
    ChangeInTheStore,
    ChangeOnTheWayBack,
    CutInTheStore,
    Lose,
    ChangeAnswer(fn(&mut Answer)),
}

impl Quirk {
    /// `before`: requests so far; `attempt`: requests of this kind for this object, with this one; `hits`: how often the quirk
    /// showed.
    pub(crate) fn step(self, request: &Request, before: u64, attempt: u64, hits: u64) -> Step {
        let every = |n: u64| before % n == n - 1;
        let (is_put, is_get) = (request.method == "PUT", request.method == "GET");
        let is_object = !request.key.is_empty();
        match self {
            Quirk::Slow => Step::Wait(Duration::from_millis(5)),
            Quirk::SlowDown if every(3) => say(|| Answer::error(503, "SlowDown")),
            Quirk::RetryAfter if every(3) => say(|| {
                let mut answer = Answer::error(503, "SlowDown");
                answer.headers.push(("Retry-After", "0".to_owned()));
                answer
            }),
            Quirk::InternalErrors if every(5) => say(|| Answer::error(500, "InternalError")),
            Quirk::Resets if every(3) => Step::Reset,
            Quirk::LostAnswers if every(3) => Step::Unanswered,
            Quirk::Conflicts if is_put && attempt == 1 && request.is_conditional() => {
                say(|| Answer::error(409, "ConditionalRequestConflict"))
            }
            Quirk::ShortBodies if is_get && is_object && every(3) => {
                Step::ChangeAnswer(|answer| answer.is_cut = answer.body.len() > 1)
            }
            Quirk::NoConditions if request.is_conditional() => say(|| Answer::error(501, "NotImplemented")),
            Quirk::IgnoresConditions if request.is_conditional() => Step::Unconditional,
            Quirk::RefusesChecksums if request.has_checksum() => say(|| Answer::error(400, "InvalidRequest")),
            Quirk::KnowsNoChecksums if request.has_checksum() => say(|| Answer::error(501, "NotImplemented")),
            Quirk::OtherTags if is_put => Step::ChangeAnswer(|answer| {
                let tags = answer.headers.iter_mut().filter(|(name, _)| *name == "ETag");
                tags.for_each(|(_, value)| *value = format!("\"{}\"", "5a".repeat(16)));
            }),
            Quirk::UnsortedLists | Quirk::SmallPages | Quirk::StaleLists | Quirk::EmptyLists
                if is_get && !is_object =>
            {
                Step::List
            }
            Quirk::Bytes(change, times) => change.step(request, times == Times::Always || hits == 0),
            Quirk::Refuses(refusal) => refusal.step(),
            Quirk::RefusesWrites(refusal) if is_put => refusal.step(),
            Quirk::ForbidsAbsent if is_object => Step::ChangeAnswer(|answer| {
                if answer.status == 404 {
                    *answer = Answer::error(403, "AccessDenied");
                }
            }),
            Quirk::ErrorsAsObjects if is_get && request.key.contains("/log/") => {
                say(|| Answer { status: 200, ..Answer::error(500, "InternalError") })
            }
            _ => Step::Honest,
        }
    }

    /// Whether listings say what is there.
    pub fn lists_all(self) -> bool {
        self.unlisted() == 0
    }

    /// Rows on a page of a listing, if they are fewer than usual.
    pub(crate) fn page(self) -> Option<usize> {
        (self == Quirk::SmallPages).then_some(2)
    }

    pub(crate) fn is_unsorted(self) -> bool {
        self == Quirk::UnsortedLists
    }

    /// How many of the newest objects no listing shows.
    pub(crate) fn unlisted(self) -> usize {
        match self {
            Quirk::StaleLists => 3,
            Quirk::EmptyLists => usize::MAX,
            _ => 0,
        }
    }
}

impl Change {
    fn step(self, request: &Request, now: bool) -> Step {
        let is_content = request.key.contains("/packs/") || request.key.contains("/segments/");
        let method = if self == Change::OnTheWayBack { "GET" } else { "PUT" };
        if !now || !is_content || request.method != method {
            return Step::Honest;
        }
        match self {
            Change::OnTheWay => Step::ChangeOnTheWay,
            Change::BeforeTheTag => Step::ChangeBeforeTheTag,
            Change::InTheStore => Step::ChangeInTheStore,
            Change::OnTheWayBack => Step::ChangeOnTheWayBack,
            Change::Cut => Step::CutInTheStore,
            Change::Lost => Step::Lose,
        }
    }
}

impl Refusal {
    fn step(self) -> Step {
        Step::Say(Box::new(move || match self {
            Refusal::Code(status, code) => Answer::error(status, code),
            Refusal::OtherRegion => Answer::xml(
                400,
                "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
            ),
            Refusal::Moved => Answer {
                headers: vec![("x-amz-bucket-region", "eu-west-1".to_owned())],
                ..Answer::empty(301)
            },
            Refusal::Bare(status) => Answer::empty(status),
            Refusal::Page(status) => Answer::text(
                status,
                "text/html; charset=utf-8",
                "<!DOCTYPE html><html><title>Sign in</title></html>",
            ),
        }))
    }
}

fn say(answer: fn() -> Answer) -> Step {
    Step::Say(Box::new(answer))
}
