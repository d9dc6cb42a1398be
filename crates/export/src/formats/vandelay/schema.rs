//! The tables of a Vandelay archive that come from JMAP, and two of our own (prefix `malle_`, which Vandelay leaves alone).

/// What is being done when a statement fails.
pub(crate) const WRITING: &str = "write the archive's database";

pub(crate) const TABLES: &str = "
CREATE TABLE blobs (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL);

CREATE TABLE mailboxes (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    parent_id INTEGER REFERENCES mailboxes (id),
    role TEXT UNIQUE,
    sort_order INTEGER NOT NULL DEFAULT 0,
    is_subscribed INTEGER NOT NULL DEFAULT 1,
    UNIQUE (parent_id, name)
);

CREATE TABLE emails (
    id INTEGER PRIMARY KEY,
    blob_id INTEGER NOT NULL REFERENCES blobs (id),
    received_at TEXT NOT NULL,
    mailbox_ids TEXT NOT NULL CHECK (json_valid(mailbox_ids)),
    keywords TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(keywords)),
    message_match TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(message_match))
);

CREATE TABLE identities (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL,
    reply_to TEXT CHECK (reply_to IS NULL OR json_valid(reply_to)),
    bcc TEXT CHECK (bcc IS NULL OR json_valid(bcc)),
    text_signature TEXT NOT NULL DEFAULT '',
    html_signature TEXT NOT NULL DEFAULT ''
);

CREATE TABLE sieve_scripts (
    id INTEGER PRIMARY KEY,
    name TEXT UNIQUE,
    is_active INTEGER NOT NULL DEFAULT 0,
    blob_id INTEGER NOT NULL REFERENCES blobs (id)
);
CREATE UNIQUE INDEX sieve_scripts_active ON sieve_scripts (is_active) WHERE is_active = 1;

CREATE TABLE address_books (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    sort_order INTEGER NOT NULL DEFAULT 0,
    is_default INTEGER NOT NULL DEFAULT 0,
    is_subscribed INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE contact_cards (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    address_book_ids TEXT NOT NULL CHECK (json_valid(address_book_ids)),
    data TEXT NOT NULL CHECK (json_valid(data))
);

CREATE TABLE calendars (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    color TEXT,
    sort_order INTEGER NOT NULL DEFAULT 0,
    is_subscribed INTEGER NOT NULL DEFAULT 1,
    is_visible INTEGER NOT NULL DEFAULT 1,
    is_default INTEGER NOT NULL DEFAULT 0,
    include_in_availability TEXT NOT NULL DEFAULT 'all'
        CHECK (include_in_availability IN ('all', 'attending', 'none')),
    default_alerts_with_time TEXT CHECK (default_alerts_with_time IS NULL OR json_valid(default_alerts_with_time)),
    default_alerts_without_time TEXT CHECK (default_alerts_without_time IS NULL OR json_valid(default_alerts_without_time)),
    time_zone TEXT
);

CREATE TABLE calendar_events (
    id INTEGER PRIMARY KEY,
    calendar_ids TEXT NOT NULL CHECK (json_valid(calendar_ids)),
    is_draft INTEGER NOT NULL DEFAULT 0,
    use_default_alerts INTEGER NOT NULL DEFAULT 0,
    data TEXT NOT NULL CHECK (json_valid(data)),
    data_type TEXT NOT NULL DEFAULT 'Event'
);

CREATE TABLE participant_identities (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL DEFAULT '',
    calendar_address TEXT NOT NULL,
    is_default INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE file_nodes (
    id INTEGER PRIMARY KEY,
    parent_id INTEGER REFERENCES file_nodes (id),
    node_type TEXT NOT NULL CHECK (node_type IN ('file', 'directory', 'symlink')),
    blob_id INTEGER REFERENCES blobs (id),
    target TEXT CHECK (target IS NULL OR json_valid(target)),
    name TEXT NOT NULL,
    media_type TEXT,
    created TEXT NOT NULL,
    modified TEXT,
    is_subscribed INTEGER NOT NULL DEFAULT 1,
    role TEXT,
    UNIQUE (parent_id, name)
);

CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    session_url TEXT NOT NULL,
    account_id TEXT NOT NULL,
    account_name TEXT,
    username TEXT NOT NULL,
    UNIQUE (kind, session_url, account_id)
);

CREATE TABLE sync_id_jmap (
    source_id INTEGER NOT NULL REFERENCES sources (id),
    type_name TEXT NOT NULL,
    jmap_id TEXT NOT NULL,
    local_id INTEGER NOT NULL,
    PRIMARY KEY (source_id, type_name, jmap_id),
    UNIQUE (source_id, type_name, local_id)
);

CREATE TABLE sync_state_jmap (
    source_id INTEGER NOT NULL REFERENCES sources (id),
    type_name TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (source_id, type_name)
);

CREATE TABLE malle_objects (
    id INTEGER PRIMARY KEY,
    type_name TEXT NOT NULL,
    jmap_id TEXT NOT NULL,
    json TEXT NOT NULL,
    blob_id INTEGER REFERENCES blobs (id),
    local_id INTEGER
);
CREATE INDEX malle_objects_type ON malle_objects (type_name, jmap_id);

CREATE TABLE malle_emails (
    local_id INTEGER PRIMARY KEY REFERENCES emails (id),
    jmap_id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    mailbox_ids TEXT NOT NULL
);
";

/// A file that is thrown away when anything fails needs no journal; what is handed over has none left.
pub(crate) const PRAGMAS: &str = "
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -16384;
PRAGMA foreign_keys = ON;
";
