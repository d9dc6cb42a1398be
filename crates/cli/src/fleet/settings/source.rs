use std::env;
use std::path::PathBuf;

use model::forms::Single;
use model::settings::{Allowed, Value};
use zeroize::Zeroizing;

use crate::secrets::secret_in;
use crate::terminal::failure::Failure;

/// Where a secret is.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    File(PathBuf),
    Env(String),
}

/// The form of a [`Source`]. Whatever else stands there may be the secret itself, and must not get into an error.
pub(crate) fn secret() -> Single<Source> {
    let allowed = "{ file = \"…\" } or { env = \"…\" }, which name where the secret is and never hold it";
    let read = |value: &Value| {
        let Value::Table(table) = value else { return Err(String::new()) };
        let text = |key| table.get(key)?.value.as_text().filter(|text| !text.is_empty());
        match (text("file"), text("env"), table.len()) {
            (Some(file), None, 1) => Ok(Source::File(file.into())),
            (None, Some(name), 1) => Ok(Source::Env(name.to_owned())),
            _ => Err(String::new()),
        }
    };
    Single::new(Allowed::Table(allowed), read, |_| None)
}

impl Source {
    /// The secret.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, Failure> {
        match self {
            Source::File(path) => match secret_in(path)? {
                // As it is while somebody replaces it.
                secret if secret.is_empty() => {
                    let what = format!("read a secret: {} is empty", path.display());
                    Err(Failure::usage(what, "write the secret into it"))
                }
                secret => Ok(secret),
            },
            Source::Env(name) => env::var(name).map(Zeroizing::new).map_err(|_| {
                Failure::usage(
                    format!("read a secret: the variable {name} is not set"),
                    "set it, or name a file",
                )
            }),
        }
    }
}
