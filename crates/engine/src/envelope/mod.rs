//! What people remember of an email.

#[cfg(test)]
mod charset_table;
mod scanner;
mod sections;
mod words;

pub(crate) use scanner::{EnvelopeScanner, is_outdated};
