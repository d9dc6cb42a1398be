//! Key rings, passwords and tokens: from files, the environment or a prompt, never from the command line.

use std::env;
use std::fmt;
use std::fs;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use jmap::{Credentials, Renewal};
use repository::KeyRing;
use zeroize::Zeroizing;

use crate::args::shared::KeyFile;
use crate::terminal::exit::Exit;
use crate::terminal::failure::Failure;
use crate::terminal::output::Out;

/// No file with a secret, and no configuration, is larger.
const MOST: u64 = 1 << 20;

/// The key ring named by `--key-file` or `MALLE_KEY_FILE`.
pub(crate) fn ring(key: &KeyFile, out: &Out) -> Result<KeyRing> {
    let path = ring_path(key)?;
    let text = read_file(path, Exit::Key).context("read the key ring")?;
    if is_public(path) {
        out.warn(format_args!(
            "warning: everyone on this machine can read the key ring; run `chmod 600 {}`",
            path.display()
        ));
    }
    Ok(text.parse::<KeyRing>()?)
}

/// Where the key ring is.
pub(crate) fn ring_path(key: &KeyFile) -> Result<&Path, Failure> {
    key.key_file.as_deref().ok_or_else(|| {
        let hint = "give --key-file or set MALLE_KEY_FILE; `malle key new --output ring.key` makes one";
        Failure::usage("find the key ring: none is named", hint)
    })
}

fn is_public(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

pub(crate) fn read_file(path: &Path, exit: Exit) -> Result<Zeroizing<String>, Failure> {
    let failed = |why: String| {
        let hint = "name a text file that this user may read";
        Failure::new(exit, format!("open {}: {why}", path.display()), hint)
    };
    let file = fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let length = file.take(MOST + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if length as u64 > MOST {
        return Err(failed(format!("it has more than {MOST} bytes")));
    }
    Ok(text)
}

/// A secret, and the file that it came from.
struct Found {
    secret: Zeroizing<String>,
    file: Option<PathBuf>,
}

/// A secret from a variable, or from the file that the variable with `_FILE` behind its name points to.
fn variable(name: &str) -> Result<Option<Found>, Failure> {
    let file = format!("{name}_FILE");
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    match (set(name), set(&file)) {
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("read {name}: {file} is set too"), "set one of them"))
        }
        (Some(value), None) => match value.into_string() {
            Ok(secret) => Ok(Some(Found { secret: Zeroizing::new(secret), file: None })),
            Err(_) => Err(Failure::usage(format!("read {name}: it is not UTF-8"), "set it again")),
        },
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let secret = secret_in(&path)?;
            if secret.is_empty() {
                let what = format!("read {file}: {} is empty", path.display());
                return Err(Failure::usage(what, "write the secret into it"));
            }
            Ok(Some(Found { secret, file: Some(path) }))
        }
        (None, None) => Ok(None),
    }
}

/// Whether a token signs in: then nobody need be named.
pub(crate) fn has_token() -> bool {
    ["MALLE_TOKEN", "MALLE_TOKEN_FILE"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|set| !set.is_empty()))
}

/// A file's text without the line breaks at its end.
pub(crate) fn secret_in(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = read_file(path, Exit::Usage)?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Who signs in at the mail server, and where a newer secret comes from.
pub(crate) struct SignIn {
    pub(crate) credentials: Credentials,
    /// Only of a secret in a file.
    pub(crate) renewal: Option<Arc<dyn Renewal>>,
}

/// A file with a secret that may be replaced while the program runs: tokens expire.
pub(crate) struct SecretFile {
    path: PathBuf,
    /// Whose password it is; `None`: it is a token.
    user: Option<String>,
}

impl SecretFile {
    pub(crate) fn of(path: &Path, user: Option<&str>) -> Arc<dyn Renewal> {
        Arc::new(SecretFile { path: path.to_owned(), user: user.map(str::to_owned) })
    }
}

impl Renewal for SecretFile {
    fn renewed(&self) -> Option<Credentials> {
        // An empty file is one that is being written.
        let secret = secret_in(&self.path).ok().filter(|secret| !secret.is_empty())?;
        Some(match &self.user {
            Some(user) => Credentials::basic(user.as_str(), secret),
            None => Credentials::bearer(secret),
        })
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretFile(…)")
    }
}

/// A token, or a user with a password; may ask for the password.
pub(crate) fn sign_in(user: Option<&str>, account: Option<&str>, host: &str) -> Result<SignIn> {
    let (token, password) = (variable("MALLE_TOKEN")?, variable("MALLE_PASSWORD")?);
    if token.is_some() && password.is_some() {
        let what = "choose how to sign in: both a token and a password are set";
        return Err(Failure::usage(what, "unset MALLE_TOKEN or MALLE_PASSWORD").into());
    }
    if let Some(Found { secret, file }) = token {
        let renewal = file.map(|path| SecretFile::of(&path, None));
        return Ok(SignIn { credentials: Credentials::bearer(secret), renewal });
    }
    let user = user.filter(|user| !user.is_empty()).or(account).ok_or_else(|| {
        let hint = "set MALLE_USER and MALLE_PASSWORD (or MALLE_PASSWORD_FILE), or MALLE_TOKEN";
        Failure::usage("sign in: nobody is named", hint)
    })?;
    let Found { secret, file } = match password {
        Some(password) => password,
        None => Found { secret: ask(user, host)?, file: None },
    };
    let renewal = file.map(|path| SecretFile::of(&path, Some(user)));
    Ok(SignIn { credentials: Credentials::basic(user, secret), renewal })
}

fn ask(user: &str, host: &str) -> Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let hint = "set MALLE_PASSWORD or MALLE_PASSWORD_FILE (or MALLE_TOKEN or MALLE_TOKEN_FILE)";
        return Err(Failure::usage("sign in: there is neither a password nor a token", hint).into());
    }
    let prompt = format!("Password of {user} at {host}: ");
    let password = rpassword::prompt_password(prompt).map_err(|error| {
        Failure::usage(format!("ask for the password: {error}"), "set MALLE_PASSWORD_FILE")
    })?;
    Ok(Zeroizing::new(password))
}
