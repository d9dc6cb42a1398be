use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use model::{Plan, SignedDuration};
use producer::{
    BadLine, Directory, DirectoryError, Disappeared, Entry, Imported, List, Listing, ListingError,
    OnBadLines, Page, Rules, discover, import, read_csv, read_json_lines,
};
use serde_json::json;

use crate::room::{DOMAIN, Room, SERVER};

fn rules() -> Rules {
    serde_json::from_value(json!([{"group": "staff", "plan": "professional"}])).unwrap()
}

fn gone(at_most_percent: u8) -> Disappeared {
    Disappeared::Gone { missing_for: SignedDuration::ZERO, at_most_percent }
}

impl Room {
    async fn import(&self, list: List, disappeared: Disappeared) -> Result<Imported, DirectoryError> {
        self.pass(1);
        import(&self.catalog, SERVER, list, &rules(), OnBadLines::Refuse, disappeared, self.now()).await
    }

    async fn active(&self) -> i64 {
        self.number("SELECT count(*) FROM mailboxes WHERE state = 'active'").await
    }
}

fn csv(lines: &[&str]) -> List {
    let text = format!("address,plan,groups\n{}\n", lines.join("\n")).replace('@', &format!("@{DOMAIN}"));
    read_csv(text.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_list_is_taken_whole_or_not_and_again_changes_nothing() {
    let room = Room::new().await;
    let good = csv(&["a@,personal,", "b@,,staff;x", "c@,,"]);
    let first = room.import(good.clone(), gone(0)).await.unwrap();
    assert_eq!(first, Imported { listed: 3, new: 3, unplanned: 1, ..Imported::default() });
    let again = room.import(good, gone(0)).await.unwrap();
    assert_eq!(again, Imported { listed: 3, unplanned: 1, ..Imported::default() });
    let unplanned = room.catalog.unplanned_mailboxes(None, 9).await.unwrap();
    assert_eq!(unplanned.iter().map(|one| one.address.as_str()).collect::<Vec<_>>(), [format!("c@{DOMAIN}")]);
    let planned = room.catalog.planned().await.unwrap();
    assert_eq!(planned, [(Plan::Personal, 1), (Plan::Professional, 1)], "b by a rule");

    let bad = ["d@,,", "no address,,", "e@,gold,", "one field too,many,,", "D@,,"];
    let Err(DirectoryError::BadLines(lines)) = room.import(csv(&bad), gone(100)).await else {
        panic!("taken")
    };
    let reasons: Vec<_> = lines.iter().map(|BadLine { line, reason }| (*line, reason.as_str())).collect();
    let expected = [
        (3, "address holds a space or a control character"),
        (4, "plan is none of personal, professional"),
        (5, "another number of fields than the header has"),
        (6, "names the same mailbox as 2"),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(room.active().await, 3, "nothing was written");
    let (bad, now) = (csv(&bad), room.now());
    let others = import(&room.catalog, SERVER, bad, &rules(), OnBadLines::WriteOthers, gone(100), now).await;
    let others = others.unwrap();
    assert_eq!((others.listed, others.new, others.gone, others.bad.len()), (1, 1, 0, 4), "nothing is gone");
    assert_eq!(room.active().await, 4);
}

/// A quotation mark that is not closed takes the lines behind it.
#[tokio::test]
async fn a_line_within_a_field_is_no_list() {
    let room = Room::new().await;
    let Err(DirectoryError::BadLines(bad)) =
        room.import(csv(&["a@,,", "b@,,\"staff", "c@,,staff", "d@,,"]), Disappeared::Stay).await
    else {
        panic!("taken")
    };
    assert_eq!(bad[0].line, 3);
    assert!(bad[0].reason.contains("quotation mark"), "{}", bad[0].reason);
}

/// Two living mailboxes of one address: a restore by address could not tell them apart.
#[tokio::test]
async fn an_address_belongs_to_one_mailbox() {
    let room = Room::new().await;
    let lines = [("1", "a"), ("2", "A"), ("1", "b")];
    let lines = lines
        .map(|(account, name)| format!("{{\"account\": \"{account}\", \"address\": \"{name}@{DOMAIN}\"}}"));
    let list = read_json_lines(lines.join("\n").as_bytes()).unwrap();
    let Err(DirectoryError::BadLines(bad)) = room.import(list, Disappeared::Stay).await else {
        panic!("taken")
    };
    let reasons: Vec<_> = bad.iter().map(|BadLine { line, reason }| (*line, reason.as_str())).collect();
    assert_eq!(reasons, [(2, "has the same address as 1"), (3, "names the same mailbox as 1")]);
}

#[tokio::test]
async fn what_is_unlisted_is_gone_unless_that_is_too_much_of_it() {
    let room = Room::new().await;
    let numbers = |range: std::ops::Range<u32>| {
        let lines: Vec<_> = range.map(|n| format!("{{\"address\": \"n{n}@{DOMAIN}\"}}")).collect();
        read_json_lines(lines.join("\n").as_bytes()).unwrap()
    };
    assert_eq!(room.import(numbers(0..40), Disappeared::Stay).await.unwrap().new, 40);
    assert_eq!(room.import(numbers(0..30), Disappeared::Stay).await.unwrap().gone, 0);
    let refused = room.import(numbers(0..30), gone(10)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "list leaves out 10 of 40 mailboxes, more than 10 %; none was marked as gone"
    );
    assert!(matches!(room.import(List::default(), gone(50)).await, Err(DirectoryError::TooManyGone { .. })));
    assert_eq!(room.active().await, 40);
    assert_eq!(room.import(numbers(0..37), gone(10)).await.unwrap().gone, 3);
    assert_eq!(room.import(numbers(0..1), gone(100)).await.unwrap().gone, 36, "whoever says so");
    let patient = Disappeared::Gone { missing_for: SignedDuration::from_hours(1), at_most_percent: 100 };
    let empty = room.import(List::default(), patient).await.unwrap();
    assert_eq!((empty.gone, empty.missing), (0, 1), "it was there minutes ago");

    assert_eq!(room.import(numbers(100..300), Disappeared::Stay).await.unwrap().new, 200);
    let patient = Disappeared::Gone { missing_for: SignedDuration::from_hours(1), at_most_percent: 5 };
    let holes = || numbers(100..150);
    let before = room.number("SELECT count(DISTINCT listed_at) FROM mailboxes").await;
    room.pass(1);
    let refused = room.import(holes(), patient).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::TooManyGone { active: 201, unlisted: 151, .. }), "{refused}");
    let after = room.number("SELECT count(DISTINCT listed_at) FROM mailboxes").await;
    assert_eq!(after, before, "nothing was written");
    let patient = Disappeared::Gone { missing_for: SignedDuration::from_hours(1), at_most_percent: 100 };
    let taken = room.import(holes(), patient).await.unwrap();
    assert_eq!((taken.listed, taken.gone, taken.missing), (50, 0, 151));
    room.pass(61);
    let again = room.import(holes(), patient).await.unwrap();
    assert_eq!((again.gone, again.missing), (151, 0));
}

#[tokio::test]
async fn a_list_without_plans_says_who_has_none_and_not_who_keeps_the_one_that_he_has() {
    let room = Room::new().await;
    room.import(csv(&["a@,professional,", "b@,,"]), Disappeared::Stay).await.unwrap();
    let alone = room.import(csv(&["a@,,", "b@,,", "d@,,"]), Disappeared::Stay).await.unwrap();
    assert_eq!((alone.listed, alone.new, alone.unplanned), (3, 1, 2), "{alone:?}");
}

/// Gives out these pages, one round of them after the other.
pub(crate) struct Pages(Mutex<VecDeque<Result<Page, ListingError>>>);

impl Pages {
    pub(crate) fn new(pages: Vec<Result<Page, ListingError>>) -> Pages {
        Pages(Mutex::new(pages.into()))
    }
}

#[async_trait]
impl Listing for Pages {
    async fn page(&self, _: Option<&str>) -> Result<Page, ListingError> {
        self.0.lock().unwrap().pop_front().unwrap()
    }
}

pub(crate) fn page(accounts: &[&str], more: bool, total: u64) -> Result<Page, ListingError> {
    let entry = |account: &&str| Entry {
        address: format!("{account}@{DOMAIN}"),
        account: Some((*account).to_owned()),
        ..Entry::default()
    };
    let entries = accounts.iter().map(entry).collect();
    Ok(Page { entries, next: more.then(|| "next".to_owned()), total: Some(total), ..Page::default() })
}

#[tokio::test]
async fn a_server_is_listed_by_pages_and_one_with_holes_drops_nobody() {
    let room = Room::new().await;
    let pages = vec![
        page(&["a", "b"], true, 3),
        page(&["c"], false, 3),
        // Somebody is missing; the server says that there are more than it names; it breaks off.
        page(&["a", "b"], false, 2),
        page(&["a"], false, 2),
        page(&["a"], true, 2),
        Err(ListingError::Busy { status: 503 }),
        page(&["", "a"], false, 2),
    ];
    let directory = Directory {
        server: SERVER.to_owned(),
        listing: Arc::new(Pages::new(pages)),
        rules: rules(),
        disappeared: gone(40),
        every: Duration::from_secs(3600),
    };
    let round = async || {
        room.pass(1);
        discover(&room.catalog, &directory, room.now()).await
    };
    let whole = round().await.unwrap();
    assert_eq!(whole, Imported { listed: 3, new: 3, unplanned: 3, is_whole: true, ..Imported::default() });
    assert_eq!(round().await.unwrap().gone, 1);
    let holes = round().await.unwrap();
    assert_eq!((holes.gone, holes.bad.len()), (0, 1));
    assert!(matches!(round().await, Err(DirectoryError::Listing(ListingError::Busy { status: 503 }))));
    let unusable = round().await.unwrap();
    assert_eq!((unusable.listed, unusable.gone, unusable.bad.len()), (1, 0, 1));
    assert_eq!(room.active().await, 2);
}

#[tokio::test]
async fn rules_change_their_own_plans_and_none_that_somebody_gave() {
    let room = Room::new().await;
    let listed = async |plan: &str| {
        let directory = Directory {
            server: SERVER.to_owned(),
            listing: Arc::new(Pages::new(vec![page(&["a", "b"], false, 2)])),
            rules: serde_json::from_value(json!([{"domain": DOMAIN, "plan": plan}])).unwrap(),
            disappeared: Disappeared::Stay,
            every: Duration::from_secs(3600),
        };
        discover(&room.catalog, &directory, room.now()).await.unwrap();
        let plan = async |account: &str| {
            room.catalog.mailbox_of(SERVER, &account.into()).await.unwrap().unwrap().plan.unwrap()
        };
        (plan("a").await, plan("b").await)
    };
    room.import(csv(&["a@,professional,"]), Disappeared::Stay).await.unwrap();
    assert_eq!(
        listed("personal").await,
        (Plan::Professional, Plan::Personal),
        "a by its list, b by the rule"
    );
    assert_eq!(listed("professional").await, (Plan::Professional, Plan::Professional), "the rule changed");
    room.import(csv(&["b@,professional,", "a@,,"]), Disappeared::Stay).await.unwrap();
    assert_eq!(listed("personal").await, (Plan::Professional, Plan::Professional), "both by their lists");
}
