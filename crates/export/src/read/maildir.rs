//! A Maildir++ that is not ours, or has lost its side files.

use std::collections::{BTreeMap, BTreeSet};

use model::{DataType, EmailId, FolderId};
use serde_json::json;

use super::root::Root;
use crate::Result;
use crate::formats::maildir::{FLAGS, INBOX, KEYWORDS, PORTABLE, ROOT, folder_name};
use crate::item::{Email, Object, Receiver};

pub(super) fn read(root: &Root, receiver: &mut dyn Receiver) -> Result<()> {
    let base = if root.exists(ROOT) { format!("{ROOT}/") } else { String::new() };
    let entries = root.list(base.trim_end_matches('/'))?;
    let dotted = entries.iter().filter(|entry| entry.is_dir).filter_map(|entry| entry.name.strip_prefix('.'));
    let dotted: Vec<&str> = dotted.filter(|name| root.exists(&format!("{base}.{name}/cur"))).collect();
    for folder in with_parents(&dotted) {
        folder_object(&folder, receiver)?;
    }
    emails(root, &base, INBOX, receiver)?;
    for folder in dotted {
        emails(root, &format!("{base}.{folder}/"), folder, receiver)?;
    }
    Ok(())
}

/// Every folder, and those that exist only because others are in them.
fn with_parents(dotted: &[&str]) -> BTreeSet<String> {
    let mut all = BTreeSet::from([INBOX.to_owned()]);
    for name in dotted {
        all.extend(name.match_indices('.').map(|(at, _)| name[..at].to_owned()));
        all.insert((*name).to_owned());
    }
    all.retain(|name| !name.is_empty());
    all
}

fn folder_object(dotted: &str, receiver: &mut dyn Receiver) -> Result<()> {
    let (parent, component) = match dotted.rsplit_once('.') {
        Some((parent, component)) => (Some(parent).filter(|parent| !parent.is_empty()), component),
        None => (None, dotted),
    };
    let role = (dotted == INBOX).then_some("inbox");
    let json = json!({"id": dotted, "name": folder_name(component), "parentId": parent, "role": role});
    let json = json.to_string();
    receiver.object(Object { data_type: DataType::Mailbox, id: dotted, json: json.as_bytes(), content: None })
}

fn emails(root: &Root, dir: &str, folder: &str, receiver: &mut dyn Receiver) -> Result<()> {
    let named = keywords(root, dir)?;
    for part in ["cur", "new"] {
        let part = format!("{dir}{part}");
        if !root.exists(&part) {
            continue;
        }
        for entry in root.list(&part)? {
            if !entry.is_dir && !entry.name.starts_with('.') {
                email(root, (&part, &entry.name), folder, &named, receiver)?;
            }
        }
    }
    Ok(())
}

/// What Dovecot's list says of each lower-case letter.
fn keywords(root: &Root, dir: &str) -> Result<BTreeMap<char, String>> {
    let path = format!("{dir}{KEYWORDS}");
    let mut named = BTreeMap::new();
    if root.exists(&path) {
        root.lines(&path, &mut |line| {
            let line = String::from_utf8_lossy(line);
            let parsed = line.split_once(' ').and_then(|(number, keyword)| {
                Some((('a'..='z').nth(number.parse().ok()?)?, keyword.trim().to_owned()))
            });
            named.extend(parsed);
            Ok(())
        })?;
    }
    Ok(named)
}

fn email(
    root: &Root,
    (dir, name): (&str, &str),
    folder: &str,
    named: &BTreeMap<char, String>,
    receiver: &mut dyn Receiver,
) -> Result<()> {
    let path = format!("{dir}/{name}");
    let (mut file, size) = root.open(&path)?;
    let portable = format!("{PORTABLE}2,");
    let (unique, flags) = name.split_once(":2,").or_else(|| name.split_once(&portable)).unwrap_or((name, ""));
    let set =
        FLAGS.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(keyword, _)| (*keyword).to_owned());
    let set: BTreeSet<String> =
        set.chain(flags.chars().filter_map(|flag| named.get(&flag).cloned())).collect();
    let keywords: Vec<String> = set.into_iter().collect();
    let seconds = unique.split('.').next().and_then(|digits| digits.parse().ok());
    let email = Email {
        id: &EmailId::from(format!("{folder}/{unique}")),
        folders: &[FolderId::from(folder)],
        keywords: &keywords,
        received_at: seconds.unwrap_or_else(|| root.modified(&path)),
        size,
    };
    receiver.email(&email, &mut file)
}
