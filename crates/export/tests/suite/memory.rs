//! Peak memory of a process of its own, as the kernel counts it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use export::{Email, Format, Limits, Object, Receiver, Result, Writer};
use model::{EmailId, FolderId};

use crate::mailbox::Mailbox;
use crate::place::{Container, Place, origin, run};

const BOUND: u64 = 64 << 20;
const TINY: u64 = 200_000;
const LARGE: u64 = 100 << 20;
/// Set in the process that is measured: format, container, what to do, where.
const TASK: &str = "MALLE_EXPORT_TASK";

#[test]
fn two_hundred_thousand_emails_take_little_memory() {
    measured("tiny");
}

#[test]
fn an_email_of_a_hundred_megabytes_takes_little_memory() {
    measured("large");
}

fn measured(task: &str) {
    for format in 0..4 {
        for container in 0..3 {
            // In the usual run one container for each format.
            let is_soak = std::env::var_os("MALLE_SOAK").is_some();
            if !is_soak && (format + container) % 3 > 0 {
                continue;
            }
            let place = Place::below(&fast_directory(), Container::ALL[container]);
            for way in ["write", "read"] {
                let peak = child(&format!("{format} {container} {task} {way} {}", place.dir.display()));
                println!("{} {container} {task} {way}: {} MiB", Format::ALL[format], peak >> 20);
                assert!(peak < BOUND, "{peak}");
            }
        }
    }
}

/// Hundreds of thousands of files take minutes on a busy disk. What lies in a tmpfs is not the process's memory.
fn fast_directory() -> PathBuf {
    let tmpfs = PathBuf::from("/dev/shm");
    if tempfile::tempdir_in(&tmpfs).is_ok() { tmpfs } else { std::env::temp_dir() }
}

fn child(task: &str) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let out =
        run(command.args(["--exact", "memory::the_process_that_is_measured", "--nocapture"]).env(TASK, task));
    let peak = out.lines().find_map(|line| line.split("peak kB: ").nth(1)).expect("the child says its peak");
    peak.trim().parse::<u64>().unwrap() << 10
}

#[test]
fn the_process_that_is_measured() {
    let Ok(task) = std::env::var(TASK) else { return };
    let words: Vec<&str> = task.splitn(5, ' ').collect();
    let (format, container) = (words[0].parse::<usize>().unwrap(), words[1].parse::<usize>().unwrap());
    let place = Place::at(Path::new(words[4]), Container::ALL[container]);
    match words[3] {
        "write" => write(&place, Format::ALL[format], words[2]),
        _ => read(&place, words[2]),
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak kB: {}", peak.trim().trim_end_matches(" kB"));
}

fn write(place: &Place, format: Format, task: &str) {
    let mut writer = Writer::create(format, place.target(), &place.spool(), &origin()).unwrap();
    let mut folders = Mailbox::default();
    folders.folder("a", "A", None);
    folders.folder("b", "B", None);
    folders.give(&mut writer).unwrap();
    if task == "large" {
        email(&mut writer, 0, LARGE, &mut io::repeat(b'x').take(LARGE));
    } else {
        for number in 0..TINY {
            let raw = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nhello\r\n");
            email(&mut writer, number, raw.len() as u64, &mut raw.as_bytes());
        }
    }
    writer.finish().unwrap();
}

fn email(writer: &mut Writer, number: u64, size: u64, content: &mut dyn Read) {
    let folders = [FolderId::from(["a", "b"][usize::try_from(number % 2).unwrap()])];
    let keywords = ["$seen".to_owned(), "work".to_owned()];
    let id = EmailId::from(format!("email-{number}"));
    let received_at = 1_700_000_000 + i64::try_from(number).unwrap();
    let email = Email { id: &id, folders: &folders, keywords: &keywords, received_at, size };
    writer.email(&email, content).unwrap();
}

#[derive(Default)]
struct Counter {
    emails: u64,
    bytes: u64,
}

impl Receiver for Counter {
    fn object(&mut self, _: Object<'_>) -> Result<()> {
        Ok(())
    }

    fn email(&mut self, _: &Email<'_>, content: &mut dyn Read) -> Result<()> {
        self.emails += 1;
        self.bytes += io::copy(content, &mut io::sink()).unwrap();
        Ok(())
    }
}

fn read(place: &Place, task: &str) {
    let mut counter = Counter::default();
    export::read(&place.export(), &place.spool(), Limits::GENEROUS, &mut counter).unwrap();
    match task {
        "large" => assert_eq!((counter.emails, counter.bytes), (1, LARGE)),
        _ => assert_eq!(counter.emails, TINY),
    }
}
