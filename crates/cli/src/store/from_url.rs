//! From a store's URL to the store.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use repository::{Store, StoreOptions};
use url::Url;

use crate::args::shared::StoreArgs;
use crate::store::client::{Access, azure, google, s3};
use crate::store::memory;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::hint::Hint;

/// A store's URL, understood.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Directory(PathBuf),
    S3 { bucket: String, prefix: Path },
    Google { bucket: String, prefix: Path },
    Azure { container: String, prefix: Path },
    Memory,
}

/// A store that `malle init` was asked for.
pub(crate) struct Initialised {
    pub(crate) store: Store,
    /// Where it is, for people.
    pub(crate) place: String,
    /// It was not there before.
    pub(crate) is_new: bool,
}

/// Opens the store, and makes it one if it is new; a directory is made with it.
pub(crate) async fn open_or_init(args: &StoreArgs) -> Result<Initialised> {
    let place = place(args)?;
    make_directory(&place)?;
    let objects = connect(&place, &Access::default())?;
    let opened = init(objects, options(args)).await;
    let (store, is_new) = opened.with_context(|| opening(&place))?;
    note(&place, &store);
    Ok(Initialised { store, place: describe(&place), is_new })
}

/// Opens the store that the objects hold, and makes it one if it is new: then true.
pub(crate) async fn init(objects: Arc<dyn ObjectStore>, options: StoreOptions) -> Result<(Store, bool)> {
    let is_new = !Store::exists(Arc::clone(&objects)).await?;
    Ok((Store::open_or_init(objects, options, &model::SystemClock).await?, is_new))
}

/// Opens a store that must be there, for a backup. One in memory cannot have been made before.
pub(crate) async fn open_to_write(args: &StoreArgs) -> Result<Store> {
    match place(args)? {
        Place::Memory => Ok(open_or_init(args).await?.store),
        _ => open(args).await,
    }
}

/// What a URL stands for; a directory must be there.
#[cfg(feature = "fleet")]
pub(crate) fn objects(url: &str, access: &Access) -> Result<Arc<dyn ObjectStore>> {
    connect(&parse(url)?, access)
}

/// Fails unless the text is the URL of a store.
#[cfg(feature = "fleet")]
pub(crate) fn check(url: &str) -> Result<(), Failure> {
    parse(url).map(drop)
}

/// Makes the directory that a URL names, if it names one.
#[cfg(feature = "fleet")]
pub(crate) fn make_directory_of(url: &str) -> Result<(), Failure> {
    make_directory(&parse(url)?)
}

/// The directory of a store that is one, or of a mailbox in it.
pub(crate) fn directory_of(args: &StoreArgs, mailbox: Option<&str>) -> Option<PathBuf> {
    match (place(args), mailbox) {
        (Ok(Place::Directory(dir)), Some(mailbox)) => Some(dir.join("mailboxes").join(mailbox)),
        (Ok(Place::Directory(dir)), None) => Some(dir),
        _ => None,
    }
}

fn make_directory(place: &Place) -> Result<(), Failure> {
    let Place::Directory(dir) = place else { return Ok(()) };
    std::fs::create_dir_all(dir).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Exit::StoreFull,
            _ => Exit::Store,
        };
        let what = format!("make the store's directory {}: {error}", dir.display());
        Failure::new(exit, what, "choose a place this user may write to")
    })
}

/// Opens a store that must be there.
pub(crate) async fn open(args: &StoreArgs) -> Result<Store> {
    let place = place(args)?;
    let store = Store::open(connect(&place, &Access::default())?, options(args)).await;
    let store = store.context(opening(&place))?;
    note(&place, &store);
    Ok(store)
}

/// Refuses to make a store where this machine has used one that is not there any more.
pub(crate) async fn may_begin(args: &StoreArgs) -> Result<()> {
    let place = place(args)?;
    let Some(known) = key(&place).map(|key| memory::store_at(&key)).transpose()?.flatten() else {
        return Ok(());
    };
    let is_there = match &place {
        Place::Directory(dir) if !dir.exists() => false,
        _ => {
            let exists = Store::exists(connect(&place, &Access::default())?).await;
            exists.with_context(|| opening(&place))?
        }
    };
    if is_there {
        return Ok(());
    }
    let what = format!(
        "make a store at {}: this machine has used one there ({known}), and it is gone",
        describe(&place)
    );
    let hint = "find out where it is (a disk that is not mounted, another bucket or endpoint); if it is gone for good, --again makes \
                another one, without what it held";
    Err(Failure::new(Exit::Damage, what, hint).into())
}

/// What a place is remembered by.
fn key(place: &Place) -> Option<String> {
    match place {
        Place::Directory(_) => Some(describe(place)),
        Place::S3 { prefix, .. } => {
            // Each service has buckets of its own.
            let endpoint = std::env::var("AWS_ENDPOINT_URL").or_else(|_| std::env::var("AWS_ENDPOINT"));
            Some(
                format!("{}/{prefix} {}", describe(place), endpoint.unwrap_or_default())
                    .trim_end()
                    .to_owned(),
            )
        }
        Place::Google { prefix, .. } | Place::Azure { prefix, .. } => {
            Some(format!("{}/{prefix}", describe(place)))
        }
        Place::Memory => None,
    }
}

fn note(place: &Place, store: &Store) {
    if let Some(key) = key(place) {
        memory::note_store(&key, store);
    }
}

fn opening(place: &Place) -> String {
    format!("open the store {}", describe(place))
}

fn describe(place: &Place) -> String {
    match place {
        Place::Directory(dir) => dir.display().to_string(),
        Place::S3 { bucket, .. } => format!("s3://{bucket}"),
        Place::Google { bucket, .. } => format!("gs://{bucket}"),
        Place::Azure { container, .. } => format!("az://{container}"),
        Place::Memory => "in memory".to_owned(),
    }
}

fn options(args: &StoreArgs) -> StoreOptions {
    StoreOptions {
        zone: args.zone.clone().filter(|zone| !zone.is_empty()),
        single_writer: args.single_writer,
        writer: writer(),
        ..StoreOptions::default()
    }
}

/// Who we are, for whoever loses a race against us.
pub(crate) fn writer() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "unknown host",
        host => host,
    };
    format!("{host}:{}", std::process::id())
}

fn place(args: &StoreArgs) -> Result<Place, Failure> {
    match args.store.as_deref().map(str::trim) {
        None | Some("") => Err(Failure::usage(
            "find the store: none is named",
            "give --store or set MALLE_STORE, for instance file:///srv/backups",
        )),
        Some(text) => parse(text),
    }
}

/// Errors never repeat the URL: somebody may have written a secret into it.
fn parse(text: &str) -> Result<Place, Failure> {
    let bad = |why: &str| {
        let hint = "write it like file:///srv/backups, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix \
                    or memory:";
        Failure::usage(format!("read the store's URL: {why}"), hint)
    };
    if text.starts_with('/') || text.starts_with('.') {
        return Err(bad("it is a path, not a URL"));
    }
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        let hint = "give credentials in the environment (AWS_…, GOOGLE_…, AZURE_…) or in [[stores]], and nothing but bucket and prefix here";
        let what = "use the store's URL: it holds a user name, a password or a query";
        return Err(Failure::usage(what, hint));
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let prefix = || Path::from_url_path(url.path()).map_err(|_| bad("its path cannot be a prefix"));
    match url.scheme() {
        "file" => match url.to_file_path() {
            Ok(path) if host.is_empty() => Ok(Place::Directory(path)),
            _ => Err(bad("a directory has three slashes and an absolute path")),
        },
        "memory" => Ok(Place::Memory),
        "s3" | "gs" | "az" if host.is_empty() => Err(bad("it names no bucket")),
        "s3" => Ok(Place::S3 { bucket: host, prefix: prefix()? }),
        "gs" => Ok(Place::Google { bucket: host, prefix: prefix()? }),
        "az" => Ok(Place::Azure { container: host, prefix: prefix()? }),
        _ => Err(bad("no such kind of store is known")),
    }
}

fn connect(place: &Place, access: &Access) -> Result<Arc<dyn ObjectStore>> {
    let built = match place {
        Place::Directory(_) | Place::Memory if !access.is_usual() => {
            let what = "set up the store: a directory has neither keys nor a region";
            return Err(Failure::usage(what, "leave them out of its [[stores]]").into());
        }
        Place::Directory(dir) => return directory(dir),
        Place::Memory => return Ok(Arc::new(InMemory::new())),
        Place::S3 { bucket, prefix } => s3(bucket, access).map(|store| below(store, prefix)),
        Place::Google { bucket, prefix } => google(bucket, access).map(|store| below(store, prefix)),
        Place::Azure { container, prefix } => azure(container, access).map(|store| below(store, prefix)),
    };
    Ok(built?)
}

fn below(store: impl ObjectStore, prefix: &Path) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() {
        Arc::new(store)
    } else {
        Arc::new(PrefixStore::new(store, prefix.clone()))
    }
}

fn directory(dir: &std::path::Path) -> Result<Arc<dyn ObjectStore>> {
    if dir.is_file() {
        let what = format!("open the store: {} is a file", dir.display());
        let hint = Hint::two("name the directory of a store with --store", "name a directory in stores.url");
        return Err(Failure::usage(what, hint).into());
    }
    let store = LocalFileSystem::new_with_prefix(dir).map_err(|_| {
        let hint = Hint::two(
            "check --store and whether the disk is mounted; `malle init` makes a store",
            "check stores.url and whether the disk is mounted; `malle init --config` makes the stores",
        );
        Failure::new(
            Exit::UnfitStore,
            format!("open the store: there is no directory {}", dir.display()),
            hint,
        )
    })?;
    Ok(Arc::new(store.with_fsync(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_stores() {
        let cases = [
            ("file:///srv/a%20b", Place::Directory("/srv/a b".into())),
            ("memory:", Place::Memory),
            ("s3://bucket/a/b/", Place::S3 { bucket: "bucket".into(), prefix: Path::from("a/b") }),
            ("gs://bucket", Place::Google { bucket: "bucket".into(), prefix: Path::from("") }),
            ("az://box/x", Place::Azure { container: "box".into(), prefix: Path::from("x") }),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect(text), expected);
        }
    }

    #[test]
    fn what_names_no_store_is_refused_without_repeating_it() {
        let cases = [
            "/srv/hunter2",
            "hunter2",
            "file://hunter2/srv",
            "s3:///hunter2",
            "s3://key:hunter2@bucket",
            "s3://bucket/a?token=hunter2",
            "ftp://hunter2/a",
        ];
        for text in cases {
            let failure = parse(text).expect_err(text);
            assert_eq!(failure.exit, Exit::Usage);
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }
}
