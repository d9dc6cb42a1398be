//! The command line.

use std::path::PathBuf;

pub const USAGE: &str = "\
Usage: test-stalwart --dir DIR [--http-port P] [--imap-port P] [--set KEY=VALUE]...

  --dir DIR        where the data lies; made if missing, found again if not
  --http-port P    absent or 0: a free port of 127.0.0.1
  --imap-port P    the same
  --set KEY=VALUE  any Stalwart setting, over this program's own (see config.rs)

The administrator is called `admin`; TEST_STALWART_ADMIN_SECRET holds the password.
Prints {\"http\":URL,\"imap\":ADDRESS} when ready. Ends on SIGTERM or when stdin closes.";

#[derive(Debug, Default)]
pub struct Options {
    pub dir: PathBuf,
    pub http_port: u16,
    pub imap_port: u16,
    pub settings: Vec<(String, String)>,
}

impl Options {
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--dir" => options.dir = value.into(),
                "--http-port" => options.http_port = port(&value)?,
                "--imap-port" => options.imap_port = port(&value)?,
                "--set" => options.settings.push(setting(&value)?),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        if options.dir.as_os_str().is_empty() {
            return Err("--dir is missing".into());
        }
        Ok(options)
    }
}

fn port(value: &str) -> Result<u16, String> {
    value.parse().map_err(|_| format!("{value} is no port"))
}

fn setting(value: &str) -> Result<(String, String), String> {
    let (key, value) = value
        .split_once('=')
        .ok_or_else(|| format!("{value} is not KEY=VALUE"))?;
    Ok((key.trim().into(), value.trim().into()))
}
