use std::env;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::secrets::secret_in;

/// Where a secret is.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) enum Source {
    File(PathBuf),
    Env(String),
}

/// As it is written. Whatever else stands there may be the secret itself, and must not get into an error.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    File { file: PathBuf },
    Env { env: String },
    Other(IgnoredAny),
}

impl TryFrom<Written> for Source {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Source, &'static str> {
        match written {
            Written::File { file } => Ok(Source::File(file)),
            Written::Env { env } => Ok(Source::Env(env)),
            Written::Other(_) => {
                Err("a secret is written as { file = \"…\" } or { env = \"…\" }, never itself")
            }
        }
    }
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
