//! The files of an account, as files below `files/`. Directories may come after what lies in them; what waits is spooled.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;

use crate::Result;
use crate::content::Replay;
use crate::dates;
use crate::error::Doing;
use crate::layout::{Out, Parsed};
use crate::name::{SafePath, Taken};
use crate::report::Topic;
use crate::side::placed::Placed;

#[derive(Default)]
pub(crate) struct Files {
    directories: HashMap<String, SafePath>,
    /// Nodes by the id of the directory they wait for.
    waiting: HashMap<String, Vec<Node>>,
    taken: Taken,
}

struct Node {
    placed: Placed,
    name: String,
    kind: Kind,
    modified: u32,
    spooled: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
    Link,
}

impl Node {
    fn new(object: &Parsed<'_>, has_content: bool) -> Node {
        let has_blob = has_content || object.text("blobId").is_some();
        let kind = match object.text("nodeType") {
            Some("directory") => Kind::Directory,
            Some("symlink") => Kind::Link,
            None if !has_blob => Kind::Directory,
            _ => Kind::File,
        };
        let modified = object.text("modified").or_else(|| object.text("created")).and_then(dates::seconds);
        Node {
            placed: Placed::new(object, None),
            name: object.text("name").unwrap_or_default().to_owned(),
            kind,
            modified: modified.map_or_else(dates::now, dates::file_time),
            spooled: None,
        }
    }
}

impl Files {
    pub(crate) fn add(
        &mut self,
        object: &Parsed<'_>,
        content: Option<&mut Replay>,
        out: &mut Out,
    ) -> Result<Vec<Placed>> {
        let mut node = Node::new(object, content.is_some());
        let directory = match object.text("parentId") {
            None => Some(SafePath::top("files")),
            Some(parent) => self.directories.get(parent).cloned(),
        };
        if let Some(directory) = directory {
            return self.place_all(node, &directory, content, out);
        }
        if let Some(content) = content {
            node.spooled = Some(set_aside(content, out)?);
        }
        let parent = object.text("parentId").unwrap_or_default().to_owned();
        self.waiting.entry(parent).or_default().push(node);
        Ok(Vec::new())
    }

    /// What still waits has no directory to wait for, or waits in a circle.
    pub(crate) fn end(&mut self, out: &mut Out) -> Result<Vec<Placed>> {
        let mut placed = Vec::new();
        while let Some(parent) = self.next_missing() {
            for node in self.waiting.remove(&parent).unwrap_or_default() {
                out.note(Topic::Orphaned, || format!("file `{}`", node.name));
                placed.extend(self.place_all(node, &SafePath::top("files"), None, out)?);
            }
        }
        Ok(placed)
    }

    /// A directory that is waited for and does not itself wait; in a circle, any.
    fn next_missing(&self) -> Option<String> {
        let waiting: HashSet<&str> =
            self.waiting.values().flatten().map(|node| node.placed.id.as_str()).collect();
        let missing = self.waiting.keys().filter(|id| !waiting.contains(id.as_str())).min();
        missing.or_else(|| self.waiting.keys().min()).cloned()
    }

    /// Places a node, and if it is a directory all that waited for it.
    fn place_all(
        &mut self,
        node: Node,
        directory: &SafePath,
        content: Option<&mut Replay>,
        out: &mut Out,
    ) -> Result<Vec<Placed>> {
        let mut placed = Vec::new();
        let mut fresh = vec![self.place(node, directory, content, out)?];
        while let Some(node) = fresh.pop() {
            if let Some(path) = self.directories.get(&node.id).cloned() {
                for child in self.waiting.remove(&node.id).unwrap_or_default() {
                    fresh.push(self.place(child, &path, None, out)?);
                }
            }
            placed.push(node);
        }
        Ok(placed)
    }

    fn place(
        &mut self,
        node: Node,
        directory: &SafePath,
        content: Option<&mut Replay>,
        out: &mut Out,
    ) -> Result<Placed> {
        let Node { mut placed, name: raw, kind, modified, spooled } = node;
        if kind == Kind::Link {
            out.note(Topic::LeftOut, || format!("link `{raw}`; what it is stays in malle/objects.jsonl"));
            return Ok(placed);
        }
        let path = self.path(&raw, directory, out);
        match (kind, content, spooled) {
            (Kind::Directory, ..) => {
                out.sink.directory(&path)?;
                self.directories.insert(placed.id.clone(), path);
                return Ok(placed);
            }
            (_, Some(content), _) => out.replay(&path, modified, content)?,
            (_, None, Some(spooled)) => out.sink.adopt(&path, modified, &spooled)?,
            (_, None, None) => {
                out.note(Topic::NoContent, || format!("file `{raw}`"));
                return Ok(placed);
            }
        }
        placed.file = Some(path);
        Ok(placed)
    }

    fn path(&mut self, raw: &str, directory: &SafePath, out: &mut Out) -> SafePath {
        let top = SafePath::top("files");
        let below = if directory.has_room() { directory } else { &top };
        let name = self.taken.claim_file(below.as_str(), raw);
        let path = below.join(&name);
        if name.as_str() != raw || below != directory {
            out.note(Topic::Renamed, || format!("file `{raw}` is `{}`", path.as_str()));
        }
        path
    }
}

fn set_aside(content: &mut Replay, out: &mut Out) -> Result<PathBuf> {
    let path = out.spool.path();
    let mut file = std::fs::File::create_new(&path).doing("create", &path)?;
    io::copy(&mut content.reader()?, &mut file).doing("write", &path)?;
    Ok(path)
}
