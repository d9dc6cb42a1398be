mod access;
mod discover;
mod entry;
mod import;
mod lines;
mod listing;
mod rules;
mod stalwart_jmap;
mod stalwart_rest;

pub use access::StalwartCredentials;
pub use discover::{Directory, discover};
pub use entry::Entry;
pub use import::{BadLine, DirectoryError, Disappeared, Imported, OnBadLines, import};
pub use lines::{List, read_csv, read_json_lines};
pub use listing::{Listing, ListingError, Page};
pub use rules::{Rule, Rules};
pub use stalwart_jmap::StalwartJmap;
pub use stalwart_rest::StalwartRest;
