//! Tries what backups and restores ask of a mail server, so that a permission that is missing is known before the first night.
//!
//! Nothing is created, changed or removed: reads ask for no object or for one id, writes name an object that is not there or that no
//! server makes. Where restores are wanted a byte is uploaded, which the server forgets.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, stream};
use jmap::{
    Account, AccountId, AccountRef, Batch, CalendarPlace, Capability, Client, Collection, DataType, Error,
    Home, Id, Ids, MethodErrorKind, Properties, Query, Set, Upload,
};
use serde_json::{Value, json};

use crate::server::as_owner;

/// Longest answer about no event.
const MOST_BYTES: u64 = 1 << 20;
/// No server gives an object this id.
const ABSENT: &str = "malle-config-check";

/// Stalwart's names of permissions.
pub(crate) type Permissions = BTreeSet<String>;

/// What our user may not do, by the names of Stalwart's permissions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Backups need these.
    pub(crate) to_read: Permissions,
    /// Restores need these, too.
    pub(crate) to_write: Permissions,
    /// Backups and restores sign in as the owner of a mailbox, and do without where they may not.
    pub(crate) to_act_as_owner: bool,
    /// Nobody else's mailbox is known: whether it may be read was not tried.
    pub(crate) is_alone: bool,
}

/// Tries it on our own account and on the first of these that is somebody else's.
pub(crate) async fn missing(
    client: &Client,
    config: &jmap::Config,
    known: &[AccountId],
    restores: bool,
    acts_as_owner: bool,
) -> Result<Missing> {
    let own = client.resolve_account(&AccountRef::Own).await.context("find the user's own account")?;
    let mut missing = Missing {
        to_read: unreadable(client, &own).await?,
        to_write: if restores { unwritable(client, &own).await? } else { Permissions::new() },
        to_act_as_owner: false,
        is_alone: false,
    };
    let Some(other) = known.iter().find(|known| **known != own.id) else {
        return Ok(Missing { is_alone: true, ..missing });
    };
    let other = client.resolve_account(&AccountRef::Id(other.clone())).await.context("find a mailbox")?;
    let unreadable = unreadable(client, &other).await?;
    if !unreadable.is_subset(&missing.to_read) {
        missing.to_read.insert("impersonate".to_owned());
    }
    let may = acts_as_owner && engine::may_act_as_owners(client);
    missing.to_act_as_owner = acts_as_owner && !(may && as_owner(config.clone(), &other).await?.is_some());
    Ok(missing)
}

/// What the server has. An account is said to have what its user may read.
fn offered(client: &Client) -> impl Iterator<Item = DataType> {
    let session = client.session();
    DataType::ALL.iter().copied().filter(move |of_type| session.offers(of_type.capability()))
}

async fn unreadable(client: &Client, account: &Account) -> Result<Permissions> {
    let mut missing = Permissions::new();
    for of_type in offered(client) {
        let mut batch = Batch::new(&account.id);
        let state = batch.state(of_type);
        let query = of_type.has_query().then(|| batch.query(of_type, &Query::page(1)));
        let answer = client.call(&batch).await?;
        if let Some(query) = query {
            note(&mut missing, of_type.name(), "Query", answer.take(query))?;
        }
        let got = note(&mut missing, of_type.name(), "Get", answer.take(state))?;
        let Some(state) = got.and_then(|objects| objects.state).filter(|_| of_type.has_changes()) else {
            continue;
        };
        let mut batch = Batch::new(&account.id);
        let changes = batch.changes(of_type, &state, 1);
        note(&mut missing, of_type.name(), "Changes", client.call(&batch).await?.take(changes))?;
    }
    if client.session().offers(Capability::BLOB) {
        let mut batch = Batch::new(&account.id);
        let blobs = batch.blobs(Ids::These(Vec::new()));
        note(&mut missing, "Blob", "Get", client.call(&batch).await?.take(blobs))?;
    }
    for calendar in calendars(client, account, &mut missing).await?.iter().take(1) {
        note_of_dav(&mut missing, "davCalQuery", client.events_in(calendar).await)?;
        let texts = client.event_texts(calendar, &[], MOST_BYTES).await;
        note_of_dav(&mut missing, "davCalMultiGet", texts)?;
    }
    collections(client, account, Home::AddressBooks, &mut missing).await?;
    Ok(missing)
}

/// Where calendars are shown by CalDAV.
async fn calendars(
    client: &Client,
    account: &Account,
    missing: &mut Permissions,
) -> Result<Vec<CalendarPlace>> {
    if !client.session().offers(DataType::CalendarEvent.capability()) {
        return Ok(Vec::new());
    }
    let places = note_of_dav(missing, "davCalPropFind", client.calendar_places(account).await)?;
    Ok(places.unwrap_or_default())
}

/// Collections with what programs set by CalDAV and CardDAV.
async fn collections(
    client: &Client,
    account: &Account,
    home: Home,
    missing: &mut Permissions,
) -> Result<Vec<Collection>> {
    let (of_type, permission) = match home {
        Home::Calendars => (DataType::Calendar, "davCalPropFind"),
        Home::AddressBooks => (DataType::AddressBook, "davCardPropFind"),
    };
    if !client.session().offers(of_type.capability()) {
        return Ok(Vec::new());
    }
    let collections = note_of_dav(missing, permission, client.collections(account, home).await)?;
    Ok(collections.unwrap_or_default())
}

/// Tries what restores ask about collections.
async fn unwritable_collections(client: &Client, own: &Account, missing: &mut Permissions) -> Result<()> {
    // A server's own property, which nobody can set.
    let etag = ("{DAV:}getetag".to_owned(), "<getetag xmlns=\"DAV:\"/>".to_owned());
    let properties = Properties::from([etag]);
    for (home, permission) in [(Home::Calendars, "davCalPropPatch"), (Home::AddressBooks, "davCardPropPatch")]
    {
        let found = collections(client, own, home, &mut Permissions::new()).await?;
        for collection in found.iter().take(1) {
            let set = client.change_properties(collection, &properties, &[]).await;
            note_of_dav(missing, permission, set)?;
            if home == Home::Calendars {
                // Its place is taken.
                let made = client.make_calendar(own, &collection.place(), ABSENT, &Properties::new()).await;
                note_of_dav(missing, "davCalMkCol", made)?;
            }
        }
    }
    Ok(())
}

async fn unwritable(client: &Client, own: &Account) -> Result<Permissions> {
    let (mut missing, absent) = (Permissions::new(), Id::new(ABSENT).expect("it is an id"));
    for of_type in offered(client) {
        for verb in ["Create", "Update", "Destroy"] {
            let (mut batch, mut set) = (Batch::new(&own.id), Set::new());
            match (verb, impossible(of_type)) {
                ("Create", Some(object)) => set.create("c", object),
                ("Create", None) => continue,
                ("Update", _) => set.update(&absent, json!({})),
                _ => set.destroy(&absent),
            }
            let set = batch.set(of_type, set);
            let written = note(&mut missing, of_type.name(), verb, client.change(&batch).await?.take(set))?;
            if let Some(made) = written.as_ref().and_then(|written| written.created.values().next()) {
                let (account, id) = (&own.name, &made.id);
                bail!(
                    "try what restores need: the server made the {of_type} {id} of nothing in {account}; remove it by hand"
                );
            }
        }
    }
    let mut batch = Batch::new(&own.id);
    let import = batch.import(Set::new());
    note(&mut missing, "Email", "Import", client.change(&batch).await?.take(import))?;
    if client.session().offers(Capability::BLOB) {
        let mut batch = Batch::new(&own.id);
        let upload = batch.upload(Set::new());
        note(&mut missing, "Blob", "Upload", client.call(&batch).await?.take(upload))?;
    }
    for calendar in calendars(client, own, &mut Permissions::new()).await?.iter().take(1) {
        // No iCalendar: no server takes it.
        let put = client.add_event(calendar, ABSENT, ABSENT.into()).await;
        if note_of_dav(&mut missing, "davCalPut", put)?.is_some() {
            let account = &own.name;
            bail!(
                "try what restores need: the server made an event {ABSENT} of nothing in {account}; remove it by hand"
            );
        }
    }
    unwritable_collections(client, own, &mut missing).await?;
    let upload = Upload::new("text/plain", 1, || stream::iter([Ok("m".into())]).boxed());
    note(&mut missing, "Blob", "Upload", client.upload(&own.id, &upload).await)?;
    Ok(missing)
}

/// An object that refers to one that is not there, or whose name is a number, so that no server makes it.
fn impossible(of_type: DataType) -> Option<Value> {
    match of_type {
        DataType::Mailbox | DataType::FileNode => Some(json!({ "name": ABSENT, "parentId": ABSENT })),
        DataType::SieveScript => Some(json!({ "name": ABSENT, "blobId": ABSENT })),
        DataType::ContactCard => {
            Some(json!({ "@type": "Card", "version": "1.0", "addressBookIds": { ABSENT: true } }))
        }
        DataType::CalendarEvent => Some(json!({ "@type": "Event", "calendarIds": { ABSENT: true } })),
        DataType::AddressBook | DataType::Calendar => Some(json!({ "name": 7 })),
        DataType::Identity => Some(json!({ "name": 7, "email": 7 })),
        DataType::ParticipantIdentity => Some(json!({ "calendarAddress": 7 })),
        DataType::Email | DataType::VacationResponse => None,
    }
}

/// Adds the permission that the method needs if the server refused it. Stalwart 0.15 says that it is unavailable instead. What the
/// server says besides is of no interest here; that it could not be asked is an error.
fn note<T>(
    missing: &mut Permissions,
    of_type: &str,
    verb: &str,
    answer: Result<T, Error>,
) -> Result<Option<T>> {
    let error = match answer {
        Ok(answer) => return Ok(Some(answer)),
        Err(error) => error,
    };
    let is_refused = match error.method_error() {
        Some(method) => error.denies_account() || method.kind == MethodErrorKind::ServerUnavailable,
        None if matches!(error.class(), jmap::Class::Auth) => true,
        // 0.16 says nothing of a vacation response that is not there.
        None if of_type == DataType::VacationResponse.name()
            && matches!(error.class(), jmap::Class::Corrupt) =>
        {
            false
        }
        None => return Err(error.into()),
    };
    if is_refused {
        missing.insert(format!("jmap{of_type}{verb}"));
    }
    Ok(None)
}

/// The same of a request by CalDAV or CardDAV. A server that offers none answers that there is no such place, or method.
fn note_of_dav<T>(
    missing: &mut Permissions,
    permission: &str,
    answer: Result<T, Error>,
) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) => match error.class() {
            jmap::Class::Auth => {
                missing.insert(permission.to_owned());
                Ok(None)
            }
            jmap::Class::Permanent | jmap::Class::Corrupt => Ok(None),
            jmap::Class::Transient { .. } | jmap::Class::Cancelled => Err(error.into()),
        },
    }
}

/// For people.
pub(crate) fn names(of: &Permissions) -> String {
    of.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use jmap::{Config, Credentials};
    use sim_stalwart::{AccountSpec, DataType as Kind, Effect, Fault, Simulator, Target};

    use super::*;

    const SECRET: &str = "a secret";

    async fn server() -> Simulator {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let users =
            ["alice@example.org", "carol@example.org"].map(|name| AccountSpec::new(name, SECRET).emails(3));
        let [alice, carol] = users;
        Simulator::builder()
            .account(alice)
            .account(carol)
            .admin("admin", SECRET)
            .start()
            .await
            .expect("starts")
    }

    async fn missing_to(user: &str, server: &Simulator) -> Missing {
        let url = server.url().parse().expect("a URL");
        let config = Config::new(url, Credentials::basic(user, SECRET.to_owned()));
        let alice = server.account("alice@example.org").expect("is there").id();
        let client = Client::connect(config.clone()).await.expect("signs in");
        missing(&client, &config, &[AccountId::new(&alice).expect("an id")], true, true)
            .await
            .expect("it answers")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_missing_to_an_administrator_and_nothing_is_changed() {
        let server = server().await;
        let contents = || {
            ["admin", "alice@example.org"].map(|name| {
                let account = server.account(name).expect("is there");
                (account.emails(), Kind::ALL.map(|kind| account.content(kind)))
            })
        };
        let before = contents();
        assert_eq!(missing_to("admin", &server).await, Missing::default());
        assert_eq!(contents(), before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_may_read_nobody_else_lacks_impersonate() {
        let missing = missing_to("carol@example.org", &server().await).await;
        assert_eq!(missing.to_read, Permissions::from(["impersonate".to_owned()]));
        assert!(missing.to_act_as_owner && missing.to_write.is_empty(), "{missing:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_permission_that_is_missing_is_named() {
        let mut cases = vec![
            ("Blob/get".to_owned(), vec!["jmapBlobGet".to_owned()]),
            ("Email/import".to_owned(), vec!["jmapEmailImport".to_owned()]),
            ("Blob/upload".to_owned(), vec!["jmapBlobUpload".to_owned()]),
        ];
        for of_type in DataType::ALL {
            let permission = |verb: &str| format!("jmap{of_type}{verb}");
            // Without a state nobody asks for changes.
            cases.push((format!("{of_type}/get"), vec![permission("Get")]));
            let create = impossible(*of_type).map(|_| permission("Create"));
            let set = create.into_iter().chain([permission("Destroy"), permission("Update")]);
            cases.push((format!("{of_type}/set"), set.collect()));
            if of_type.has_changes() {
                cases.push((format!("{of_type}/changes"), vec![permission("Changes")]));
            }
            if of_type.has_query() {
                cases.push((format!("{of_type}/query"), vec![permission("Query")]));
            }
        }
        for (method, permission) in [
            ("CalDAV/PROPFIND", "davCalPropFind"),
            ("CalDAV/calendar-query", "davCalQuery"),
            ("CalDAV/calendar-multiget", "davCalMultiGet"),
            ("CalDAV/PUT", "davCalPut"),
            ("CalDAV/PROPPATCH", "davCalPropPatch"),
            ("CalDAV/MKCALENDAR", "davCalMkCol"),
            ("CardDAV/PROPFIND", "davCardPropFind"),
            ("CardDAV/PROPPATCH", "davCardPropPatch"),
        ] {
            cases.push((method.to_owned(), vec![permission.to_owned()]));
        }
        for (method, expected) in cases {
            let server = server().await;
            let refused = match method.contains("DAV/") {
                true => Effect::Status { code: 403, retry_after: None },
                false => Effect::MethodError("forbidden".into()),
            };
            server.faults().add(Fault::new(Target::method(&method), refused));
            let missing = missing_to("admin", &server).await;
            let named: Vec<String> = missing.to_read.into_iter().chain(missing.to_write).collect();
            assert_eq!(named, expected, "{method}");
        }
        let server = server().await;
        server.faults().add(Fault::new(Target::Upload, Effect::Status { code: 403, retry_after: None }));
        assert_eq!(
            missing_to("admin", &server).await.to_write,
            Permissions::from(["jmapBlobUpload".to_owned()])
        );
    }
}
