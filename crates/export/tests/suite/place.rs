//! A directory to write into, with everything around it under watch.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use export::{Format, Limits, Options, Origin, Output, Report, Result, Target, Writer};
use model::DataType;
use tempfile::TempDir;

use crate::mailbox::Mailbox;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Folder,
    TarZst,
    Zip,
}

impl Container {
    pub(crate) const ALL: [Container; 3] = [Container::Folder, Container::TarZst, Container::Zip];
}

/// Every format in every container.
pub(crate) fn everywhere(check: impl Fn(Format, Container)) {
    for format in Format::ALL {
        for container in Container::ALL {
            println!("{format} {container:?}");
            check(format, container);
        }
    }
}

pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    container: Container,
    /// Removes it at the end.
    _owned: Option<TempDir>,
}

impl Place {
    pub(crate) fn new(container: Container) -> Place {
        Place::below(&std::env::temp_dir(), container)
    }

    pub(crate) fn below(dir: &Path, container: Container) -> Place {
        let owned = tempfile::tempdir_in(dir).unwrap();
        fs::create_dir(owned.path().join("spool")).unwrap();
        Place { dir: owned.path().to_owned(), container, _owned: Some(owned) }
    }

    /// One that another process owns.
    pub(crate) fn at(dir: &Path, container: Container) -> Place {
        Place { dir: dir.to_owned(), container, _owned: None }
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// Where the export goes.
    pub(crate) fn export(&self) -> PathBuf {
        self.dir.join(match self.container {
            Container::Folder => "export",
            Container::TarZst => "export.tar.zst",
            Container::Zip => "export.zip",
        })
    }

    pub(crate) fn target(&self) -> Target {
        let file = || Output::Stream(Box::new(File::create_new(self.export()).unwrap()));
        match self.container {
            Container::Folder => Target::Folder(self.export()),
            Container::TarZst => Target::TarZst(file()),
            Container::Zip => Target::Zip(file()),
        }
    }

    pub(crate) fn write(&self, format: Format, mailbox: &Mailbox) -> Result<Report> {
        self.write_with(format, mailbox, Options::default())
    }

    pub(crate) fn write_with(&self, format: Format, mailbox: &Mailbox, options: Options) -> Result<Report> {
        let mut writer = Writer::create(format, self.target(), &self.spool(), &origin())?;
        writer.set_options(options);
        mailbox.give(&mut writer)?;
        writer.finish()
    }

    pub(crate) fn read(&self) -> Result<(Format, Mailbox)> {
        let mut mailbox = Mailbox::default();
        let format = export::read(&self.export(), &self.spool(), Limits::GENEROUS, &mut mailbox)?;
        Ok((format, mailbox))
    }

    /// Nothing but the export, and the spool empty.
    pub(crate) fn assert_clean(&self) {
        let name = self.export().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(names(&self.dir), BTreeSet::from([name, "spool".to_owned()]));
        assert_eq!(names(&self.spool()), BTreeSet::new());
    }

    /// The export as a directory; archives are unpacked by the system's tools, which also check them.
    pub(crate) fn unpacked(&self) -> PathBuf {
        let into = self.dir.join("unpacked");
        let archive = self.export();
        match self.container {
            Container::Folder => return archive,
            Container::TarZst => {
                run(Command::new("zstd").args(["--test", "--quiet"]).arg(&archive));
                fs::create_dir(&into).unwrap();
                run(Command::new("tar").args(["--zstd", "-xf"]).arg(&archive).arg("-C").arg(&into));
            }
            Container::Zip => {
                let script = "import sys, zipfile; assert zipfile.ZipFile(sys.argv[1]).testzip() is None";
                run(Command::new("python3").args(["-c", script]).arg(&archive));
                run(Command::new("unzip").arg("-tqq").arg(&archive));
                run(Command::new("unzip").arg("-qq").arg(&archive).arg("-d").arg(&into));
            }
        }
        into
    }
}

pub(crate) fn origin() -> Origin {
    Origin {
        session_url: Some("https://mail.example.org/jmap/session".to_owned()),
        account_id: Some("c".to_owned()),
        account_name: Some("me@example.org".to_owned()),
        user_name: None,
        states: vec![(DataType::Email, "s1".to_owned()), (DataType::Mailbox, "s2".to_owned())],
    }
}

pub(crate) fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.collect()
}

/// Every file and directory below, by its path.
pub(crate) fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

/// Runs a program that must succeed; returns what it says.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}
