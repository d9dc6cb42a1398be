//! Key rings, passwords and tokens: from files, the environment or a prompt, never from the command line.

use std::env;
use std::fs;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use jmap::Credentials;
use repository::KeyRing;
use zeroize::Zeroizing;

use crate::args::KeyFile;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Out;

/// No file with a secret is larger.
const MOST: u64 = 64 << 10;

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
        let hint = "check the path and who may read it";
        Failure::new(exit, format!("open {}: {why}", path.display()), hint)
    };
    let file = fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Zeroizing::new(String::with_capacity(4096));
    file.take(MOST).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    Ok(text)
}

/// A secret from a variable, or from the file that the variable with `_FILE` behind its name points to.
fn variable(name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let file = format!("{name}_FILE");
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    match (set(name), set(&file)) {
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("read {name}: {file} is set too"), "set one of them"))
        }
        (Some(value), None) => match value.into_string() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(_) => Err(Failure::usage(format!("read {name}: it is not UTF-8"), "set it anew")),
        },
        (None, Some(path)) => {
            let text = read_file(Path::new(&path), Exit::Usage)?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Ok(Some(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned())))
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

/// Who signs in at the mail server: a token, or a user with a password.
pub(crate) fn credentials(user: Option<&str>, account: Option<&str>, host: &str) -> Result<Credentials> {
    let (token, password) = (variable("MALLE_TOKEN")?, variable("MALLE_PASSWORD")?);
    if token.is_some() && password.is_some() {
        let what = "choose how to sign in: both a token and a password are set";
        return Err(Failure::usage(what, "unset MALLE_TOKEN or MALLE_PASSWORD").into());
    }
    if let Some(token) = token {
        return Ok(Credentials::bearer(token));
    }
    let user = user.filter(|user| !user.is_empty()).or(account).ok_or_else(|| {
        let hint = "set MALLE_USER and MALLE_PASSWORD (or MALLE_PASSWORD_FILE), or MALLE_TOKEN";
        Failure::usage("sign in: nobody is named", hint)
    })?;
    let password = match password {
        Some(password) => password,
        None => ask(user, host)?,
    };
    Ok(Credentials::basic(user, password))
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
