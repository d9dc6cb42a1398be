use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

/// What an export looks like inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// What `stalwart-cli import account` reads (Stalwart up to 0.15).
    AccountDirectory,
    /// What `vandelay export` reads (Stalwart 0.16 and later): one SQLite file.
    Vandelay,
    /// Maildir++, as Dovecot and Courier keep mail.
    Maildir,
    /// One mboxrd file per folder.
    Mbox,
}

/// Where an export goes.
pub enum Target {
    /// A directory that does not exist yet, or is empty.
    Folder(PathBuf),
    /// A zstd-compressed tar archive, written front to back.
    TarZst(Output),
    /// A zip archive, written front to back.
    Zip(Output),
}

/// What may be asked for besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// mbox: no file is longer than so many bytes, unless it holds a single email.
    pub split: Option<u64>,
    /// mbox: files and directories are called as Thunderbird calls its own, `A` and `A.sbd`, instead of `A.mbox` and `A`.
    pub thunderbird: bool,
    /// Names that FAT, exFAT, NTFS and Windows take, too. A directory on a file system that takes no others gets them anyway.
    pub portable_names: bool,
}

/// Where an archive goes.
pub enum Output {
    /// A file that does not exist yet. It appears when the export is whole.
    File(PathBuf),
    /// Anything else. What has come before an error or a drop is cut off there, and every reader says so.
    Stream(Box<dyn Write + Send>),
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::AccountDirectory, Format::Vandelay, Format::Maildir, Format::Mbox];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::AccountDirectory => "account-directory",
            Format::Vandelay => "vandelay",
            Format::Maildir => "maildir",
            Format::Mbox => "mbox",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A format that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("know the format `{0}`: there are account-directory, vandelay, maildir and mbox")]
pub struct NoSuchFormat(String);

impl FromStr for Format {
    type Err = NoSuchFormat;

    fn from_str(text: &str) -> Result<Format, NoSuchFormat> {
        let named = Format::ALL.into_iter().find(|format| format.name() == text);
        named.ok_or_else(|| NoSuchFormat(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("Maildir++".parse::<Format>().unwrap_err().to_string().contains("`Maildir++`"));
    }
}
