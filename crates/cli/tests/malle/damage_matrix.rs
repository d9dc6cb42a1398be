//! Every object of a store × every damage × every command: an answer is right or names what is damaged, no state is better than
//! it is, and after three backups everything that the server still has can be read again.
//!
//! `make test` runs each fifth cell of objects × damages, so that each object and each damage is met; `make soak` runs all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use sim_stalwart::{AccountHandle, AccountSpec, DataType, Kinds, Simulator, Version};
use testkit::stride;

use crate::home::{ALICE, Ended, Home, PASSWORD, alice, end, file_url, files};

/// Cells that are tried at once.
const AT_ONCE: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Flip,
    Cut,
    Extend,
    Swap,
    Delete,
    /// What came into the object's directory after the first backup is gone.
    RollBack,
}

const DAMAGES: [Damage; 6] =
    [Damage::Flip, Damage::Cut, Damage::Extend, Damage::Swap, Damage::Delete, Damage::RollBack];

/// The commands that read, and how each is called on a copy of the damaged store.
const READERS: [(&str, &[&str]); 12] = [
    ("list", &["list", "--account", ALICE, "--json"]),
    ("show", &["show", "--account", ALICE, "--json"]),
    ("find", &["find", "--account", ALICE, "--json", ""]),
    ("diff", &["diff", "--account", ALICE, "--json"]),
    ("cat", &["cat", "--account", ALICE]),
    ("verify", &["verify", "--account", ALICE, "--json"]),
    ("verify --read-data", &["verify", "--account", ALICE, "--read-data", "--json"]),
    ("check --read-data", &["check", "--read-data", "--json"]),
    ("export", &["export", "--account", ALICE, "--format", "mbox"]),
    ("restore beside", &["restore", "--account", ALICE, "--json", "--mode", "beside"]),
    ("restore missing", &["restore", "--account", ALICE, "--json", "--mode", "missing"]),
    ("restore exact", &["restore", "--account", ALICE, "--json", "--mode", "exact", "--yes"]),
];

/// A store after three backups of a mailbox that lives on, and what belongs to it.
struct Matrix {
    home: Home,
    /// Every file of the store, and those that were there after the first backup.
    template: Vec<(PathBuf, Vec<u8>)>,
    first: BTreeSet<PathBuf>,
    snapshots: Vec<String>,
    /// An email that each snapshot holds.
    email: String,
    /// Digests of what the newest snapshot holds.
    truth: Vec<[u8; 32]>,
    targets: AtomicU32,
}

/// One copy of the store, and what a machine remembers of it.
struct Copy<'m> {
    matrix: &'m Matrix,
    dir: tempfile::TempDir,
}

fn digests(account: &AccountHandle) -> Vec<[u8; 32]> {
    let emails = account.emails();
    let mut all: Vec<_> =
        emails.iter().map(|email| account.digest(&email.id).expect("it is there")).collect();
    all.sort_unstable();
    all
}

impl Matrix {
    async fn new() -> Matrix {
        // 0.16 refuses what is not an email, and every email must come back here.
        let home = Home::with(Simulator::builder().version(Version::V0_15).account(alice())).await;
        let picture = "x".repeat(100_000);
        home.alice().insert(DataType::ContactCard, json!({ "name": { "full": "Bob" }, "notes": picture }));
        let mut snapshots = vec![home.back_up().await["number"].to_string()];
        let first = files(&home.store()).into_iter().map(|(path, _)| path).collect();
        for seed in 0..2 {
            home.alice().mutate(12, seed, Kinds::All);
            snapshots.push(home.back_up().await["number"].to_string());
        }
        let bob = "bob@example.org";
        home.sim.add_account(&AccountSpec::new(bob, PASSWORD).alias(ALICE).bare());
        home.run(&["restore", "--account", ALICE, "--to-account", bob, "--user", bob]).await.good();
        let (template, truth) = (files(&home.store()), digests(&home.alice()));
        let found = home.run(&["diff", "--account", ALICE, "--json", &snapshots[0], &snapshots[2]]).await;
        let moved: BTreeSet<String> =
            found.objects().iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect();
        let email = home.alice().emails().into_iter().map(|email| email.id).find(|id| !moved.contains(id));
        let email = email.expect("one that stayed");
        // The next backup has something to do.
        home.alice().mutate(6, 9, Kinds::All);
        Matrix { home, template, first, snapshots, email, truth, targets: AtomicU32::new(0) }
    }

    fn copy(&self) -> Copy<'_> {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        for (path, content) in &self.template {
            let to = dir.path().join("store").join(path.strip_prefix(self.home.store()).expect("below it"));
            fs::create_dir_all(to.parent().expect("has one")).expect("writable");
            fs::write(to, content).expect("writable");
        }
        fs::create_dir_all(dir.path().join("state")).expect("writable");
        for (path, content) in files(&self.home.state()) {
            let to = dir.path().join("state").join(path.strip_prefix(self.home.state()).expect("below it"));
            fs::create_dir_all(to.parent().expect("has one")).expect("writable");
            fs::write(to, content).expect("writable");
        }
        Copy { matrix: self, dir }
    }

    /// Objects of the template, by their names below the store.
    fn objects(&self) -> Vec<PathBuf> {
        let below =
            |(path, _): &(PathBuf, _)| path.strip_prefix(self.home.store()).expect("below").to_owned();
        self.template.iter().map(below).collect()
    }

    /// An account of its own for a restore, with nothing in it.
    fn target(&self) -> (String, AccountHandle) {
        let name = format!("bob{}@example.org", self.targets.fetch_add(1, Ordering::Relaxed));
        let handle = self.home.sim.add_account(&AccountSpec::new(&name, PASSWORD).alias(ALICE).bare());
        (name, handle)
    }
}

impl Copy<'_> {
    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    async fn run(&self, args: &[&str]) -> Ended {
        let mut command = self.matrix.home.malle(args);
        command
            .env("MALLE_STORE", file_url(&self.store()))
            .env("MALLE_STATE_DIR", self.dir.path().join("state"));
        end(command.spawn().expect("malle runs")).await
    }

    /// Does it, unless nothing would be other than it is.
    fn damage(&self, object: &Path, damage: Damage) -> bool {
        let path = self.store().join(object);
        let content = fs::read(&path).expect("readable");
        let kind = path.parent().expect("has one").to_owned();
        let damaged = match damage {
            Damage::Flip => {
                let mut flipped = content.clone();
                let middle = flipped.len() / 2;
                flipped[middle] ^= 4;
                flipped
            }
            Damage::Cut => content[..content.len() * 2 / 3].to_vec(),
            Damage::Extend => [&content[..], b"and more"].concat(),
            Damage::Swap => {
                let others = files(&kind).into_iter().filter(|(other, _)| *other != path);
                let beside = others.map(|(_, bytes)| bytes).find(|bytes| *bytes != content);
                beside.unwrap_or_else(|| self.matrix.template.last().expect("some").1.clone())
            }
            Damage::Delete => {
                fs::remove_file(&path).expect("ours");
                return true;
            }
            Damage::RollBack => {
                let store = self.matrix.home.store();
                let is_new = |below: &Path| !self.matrix.first.contains(&store.join(below));
                let all: Vec<PathBuf> = files(&kind).into_iter().map(|(path, _)| path).collect();
                let new: Vec<_> = all
                    .iter()
                    .filter(|path| is_new(path.strip_prefix(self.store()).expect("below")))
                    .collect();
                // Once for each directory.
                if new.is_empty() || all.first() != Some(&path) {
                    return false;
                }
                new.iter().for_each(|path| fs::remove_file(path).expect("ours"));
                return true;
            }
        };
        fs::write(path, damaged).expect("ours");
        true
    }
}

/// What a reader said.
struct Answer {
    ended: Ended,
    /// Standard output, without what differs from run to run.
    out: String,
    /// Digests of what came into the account of a restore, or of the file of an export.
    given: Vec<[u8; 32]>,
}

impl Copy<'_> {
    async fn answer(&self, name: &str, args: &[&str]) -> Answer {
        let (snapshots, email) = (&self.matrix.snapshots, &self.matrix.email);
        let (bob, account) = self.matrix.target();
        let file = self.dir.path().join("exported");
        let to = file.display().to_string();
        let is_restore = name.starts_with("restore");
        let more = match name {
            "diff" => vec![snapshots[0].as_str(), snapshots[2].as_str()],
            "cat" => vec![email.as_str()],
            "export" => vec!["--to", &to],
            _ if is_restore => vec!["--to-account", &bob, "--user", &bob],
            _ => vec![],
        };
        let ended = self.run(&[args, &more].concat()).await;
        let out = match name {
            // A state says "damaged" where damage was met.
            "list" => {
                ended.objects().iter().map(|row| format!("{} {}\n", row["number"], row["emails"])).collect()
            }
            "show" | "find" | "diff" | "cat" => ended.out.clone(),
            _ => String::new(),
        };
        let given = match name {
            "export" if file.exists() => {
                let mut all = files(&file);
                all.retain(|(path, _)| !path.ends_with("REPORT.txt"));
                all.iter().map(|(_, bytes)| *blake3::hash(bytes).as_bytes()).collect()
            }
            _ => digests(&account),
        };
        Answer { ended, out, given }
    }

    async fn state_of(&self, number: &Value) -> String {
        let list = self.run(&["list", "--account", ALICE, "--json"]).await;
        let row = list.objects().into_iter().find(|row| row["number"] == *number);
        row.map(|row| row["state"].as_str().expect("text").to_owned()).unwrap_or_default()
    }
}

/// How messages name an object: by its place, a log entry by its number.
fn names(object: &Path) -> Vec<String> {
    let name = object.file_name().expect("has one").to_string_lossy().into_owned();
    match name.trim_start_matches('0').parse::<u64>() {
        Ok(number) if name.len() == 20 => vec![format!("log entry {number}"), name],
        _ => vec![name],
    }
}

/// Whether it is said that rows are lost, and where.
fn names_index(said: &str, (object, damage): (&Path, Damage)) -> bool {
    let is_named = damage == Damage::RollBack || names(object).iter().any(|name| said.contains(name));
    said.contains("a part of the index") && is_named
}

/// One reader on one damaged copy. Returns whether the damage did any harm.
async fn reads(
    matrix: &Matrix,
    (object, damage): (&Path, Damage),
    (name, args): (&str, &[&str]),
    right: &Answer,
) -> bool {
    let copy = matrix.copy();
    copy.damage(object, damage);
    let answer = copy.answer(name, args).await;
    let what = format!("{name} with {} {damage:?}: {:#?}", object.display(), answer.ended);
    let said = format!("{}{}", answer.ended.out, answer.ended.err);
    let is_shown = name == "show" && answer.ended.code == 0 && answer.out != right.out;
    match answer.ended.code {
        0 if is_shown => {
            let told = answer.ended.objects().remove(0);
            let count = |key: &str| told[key].as_u64().expect("a number");
            let damaged = count("damaged_emails") + count("damaged_objects");
            let is_told = damaged > 0 || told["lacks_rows"] == true;
            assert!(told["state"] == "damaged" && is_told, "it does not say so: {what}");
        }
        0 => assert!(answer.out == right.out && answer.given == right.given, "a wrong answer: {what}"),
        3 if name == "export" => {
            let is_said = said.contains("lost: ") || names_index(&said, (object, damage));
            assert!(is_said, "it does not say so: {what}");
        }
        3 => {
            let told = answer.ended.objects().remove(0);
            let count = |key: &str| told[key].as_u64().expect("a number");
            let lacks = told["objects"].as_array().expect("a list").iter().any(|of| of["refused"] != 0);
            let lacks_rows = told["lacks_rows"] == true;
            assert!(count("refused") > 0 || lacks || lacks_rows, "nothing is missing: {what}");
            assert_eq!(lacks_rows, names_index(&said, (object, damage)), "{what}");
            assert_eq!(count("restored") + count("refused"), count("wanted"), "{what}");
            assert_eq!(count("restored"), answer.given.len() as u64, "{what}");
            assert!(
                // What lost rows removed comes back.
                lacks_rows || answer.given.iter().all(|one| matrix.truth.contains(one)),
                "it brought something else: {what}"
            );
        }
        9 => {
            let is_named = damage == Damage::RollBack || names(object).iter().any(|name| said.contains(name));
            assert!(is_named, "it is not named: {what}");
        }
        code => panic!("exit code {code}: {what}"),
    }
    let is_of_restore = object.to_string_lossy().contains("/restores/");
    if is_of_restore && name == "check --read-data" && !matches!(damage, Damage::Delete | Damage::RollBack) {
        let damaged = answer.ended.objects()[0]["damaged_records"].as_array().expect("a list").clone();
        let is_named = damaged.iter().any(|name| object.ends_with(name.as_str().expect("text")));
        assert!(is_named, "harmless, and not named: {what}");
    }
    if name == "verify --read-data" && answer.ended.code == 9 {
        for row in answer
            .ended
            .objects()
            .iter()
            .flat_map(|told| told["problems"].as_array().cloned().expect("a list"))
        {
            if !row["snapshot"].is_null() {
                assert_ne!(copy.state_of(&row["snapshot"]).await, "good", "{row}: {what}");
            }
        }
    }
    answer.ended.code != 0 || is_shown
}

/// A repair that ends well leaves nothing that a check finds, and one that does not says which of the two it is: something can
/// still be done (9), or the newest snapshot is whole and the rest is lost for good (3).
async fn repairs(matrix: &Matrix, (object, damage): (&Path, Damage)) {
    let copy = matrix.copy();
    copy.damage(object, damage);
    let what = format!("{} {damage:?}", object.display());
    let mut repair = vec!["repair", "--account", ALICE, "--json"];
    let mut repaired = copy.run(&repair).await;
    if repaired.code == 9 && repaired.err.contains("was remembered") {
        repair.push("--accept-history");
        repaired = copy.run(&repair).await;
    }
    assert!(matches!(repaired.code, 0 | 3), "there is a server to ask: {what}: {repaired:#?}");
    let checked = copy.run(&["check", "--read-data", "--json"]).await;
    let right = if repaired.code == 0 { 0 } else { 9 };
    assert_eq!(checked.code, right, "{what}: {repaired:#?} {checked:#?}");
    let told = checked.objects().remove(0);
    assert_eq!(told["repairable"], false, "{what}: {told}");
    let again = copy.run(&repair).await;
    assert_eq!(again.code, repaired.code, "{what}: {again:#?}");
    assert!(again.objects()[0]["snapshot"].is_null(), "it has nothing left to fetch: {what}: {again:#?}");
}

/// Three backups, the last of everything: then all is well, unless nobody could see the damage.
async fn heals(matrix: &Matrix, (object, damage): (&Path, Damage), is_verified: bool) {
    let copy = matrix.copy();
    copy.damage(object, damage);
    let what = format!("{} {damage:?}, verified: {is_verified}", object.display());
    if is_verified {
        copy.run(&["check", "--read-data"]).await;
    }
    let mut backup = vec!["backup", "--account", ALICE, "--json"];
    // Bytes that changed inside a pack show to readers only.
    let is_hidden = !is_verified && damage == Damage::Flip && object.to_string_lossy().contains("/packs/");
    let mut newest = Value::Null;
    for round in 0..3 {
        if round == 2 {
            backup.push("--full");
        }
        let mut ended = copy.run(&backup).await;
        if ended.code == 9 && ended.err.contains("was remembered") {
            // The newest entry is gone: somebody has to say that this is known.
            assert!(round == 0, "{what}: {ended:#?}");
            ended = copy.run(&[&backup[..], &["--accept-history"]].concat()).await;
        }
        let ended = ended.good();
        newest = ended.objects()[0]["number"].clone();
        // Of what there is twice one is enough, and a full listing makes it two again.
        let is_double = ["/keys/", "/log/00000000000000000001"]
            .iter()
            .any(|part| object.to_string_lossy().contains(part));
        let is_seen = round == 2 || (is_verified && !is_double);
        if is_seen && !is_hidden {
            let verify =
                ["verify", "--account", ALICE, "--read-data", "--json", "--snapshot", &newest.to_string()];
            let verified = copy.run(&verify).await;
            let told = verified.objects().remove(0);
            // A log entry that is damaged stays so, and says nothing against newer snapshots.
            let is_of_entry = |row: &Value| {
                let what = row["what"].as_str().expect("text");
                row["snapshot"].is_null() && names(object).iter().any(|name| what.contains(name))
            };
            let mut others =
                told["problems"].as_array().expect("a list").iter().filter(|row| !is_of_entry(row));
            let is_of_log = object.to_string_lossy().contains("/log/");
            assert!(
                verified.code == 0 || is_of_log && others.next().is_none(),
                "round {round} of {what} was called good: {verified:#?}"
            );
        }
    }
    if !is_hidden {
        let (bob, account) = matrix.target();
        let restore = [
            "restore",
            "--account",
            ALICE,
            "--snapshot",
            &newest.to_string(),
            "--to-account",
            &bob,
            "--user",
            &bob,
        ];
        copy.run(&restore).await.good();
        assert!(digests(&account) == digests(&matrix.home.alice()), "{what}: not all came back");
        assert_eq!(copy.state_of(&newest).await, "good", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_is_right_or_names_the_damage_and_three_backups_later_all_is_well() {
    let matrix = Matrix::new().await;
    let mut right = Vec::new();
    for (name, args) in READERS {
        let answer = matrix.copy().answer(name, args).await;
        assert_eq!(answer.ended.code, 0, "{:#?}", answer.ended);
        let gives = name == "export" || name.starts_with("restore");
        assert_eq!(answer.given.is_empty(), !gives, "{name}");
        right.push(answer);
    }
    let objects = matrix.objects();
    assert!(objects.len() >= 15, "{objects:?}");
    let mut cells = Vec::new();
    for (row, object) in objects.iter().enumerate() {
        for (column, damage) in DAMAGES.into_iter().enumerate() {
            let is_chosen = (row + column).is_multiple_of(stride(5));
            if is_chosen && matrix.copy().damage(object, damage) {
                cells.push((object.as_path(), damage));
            }
        }
    }
    println!("{} cells", cells.len());
    let is_record = |(object, damage): &(&Path, Damage)| {
        object.to_string_lossy().contains("/restores/")
            && !matches!(damage, Damage::Delete | Damage::RollBack)
    };
    assert!(cells.iter().any(is_record), "a record of a restore is met");
    let (matrix, right) = (&matrix, &right);
    let one = |cell: (&Path, Damage)| {
        let cell = (cell.0.to_owned(), cell.1);
        async move {
            let cell = (cell.0.as_path(), cell.1);
            let mut harmed = Vec::new();
            for (reader, right) in READERS.into_iter().zip(right) {
                if reads(matrix, cell, reader, right).await {
                    harmed.push(reader.0);
                }
            }
            // A command that reads everything misses nothing.
            let misses = |reader| !harmed.is_empty() && !harmed.contains(&reader);
            assert!(!misses("check --read-data"), "{cell:?} harms {harmed:?}");
            repairs(matrix, cell).await;
            for is_verified in [false, true] {
                heals(matrix, cell, is_verified).await;
            }
        }
    };
    stream::iter(cells.clone().into_iter().map(one)).buffer_unordered(AT_ONCE).collect::<()>().await;
}
