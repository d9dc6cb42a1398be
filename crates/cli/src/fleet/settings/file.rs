//! Reads settings from a TOML file and the environment: every mistake at once, each with its key, its place and what is allowed.
//!
//! No text of the file is quoted, except the words of a choice and names: it may hold a secret that stands in the wrong place.

use std::collections::BTreeSet;
use std::mem::take;

use model::settings::{Allowed, Key, Node, Place, Section, Table, Tables, Value, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What begins the name of a variable that overrides a key; the rest is the key, with `__` for each dot.
const PREFIX: &str = "MALLE__";

/// Reads every key of these settings, or says everything that is wrong.
pub(crate) fn read(
    settings: &mut impl Section,
    text: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), Vec<String>> {
    let mut table = parse(text)?;
    for (name, value) in variables {
        let Some(key) = name.get(..PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(PREFIX)) else {
            continue;
        };
        let path = name[key.len()..].to_lowercase();
        let place = Place::Variable(name);
        set(&mut table, &path.split("__").collect::<Vec<_>>(), Node { value: Value::Variable(value), place });
    }
    let mut reader = Reader { table, ..Reader::default() };
    settings.visit(&mut reader);
    reader.refuse_the_rest();
    if reader.mistakes.is_empty() { Ok(()) } else { Err(reader.mistakes) }
}

/// Every key of the file, whether it is known or not.
pub(crate) fn parse(text: &str) -> Result<Table, Vec<String>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table_of(table.into_inner(), text));
    }
    Err(errors.iter().map(|error| in_words(error, text)).collect())
}

/// The library's message without the line that it quotes; of a key that stands there twice its whole name.
fn in_words(error: &toml::de::Error, text: &str) -> String {
    let Some(span) = error.span() else { return error.message().to_owned() };
    let line = line_at(text, span.start);
    if error.message() != "duplicate key" {
        return format!("line {line}: {}", error.message());
    }
    let header = text[..span.start].lines().map(str::trim_start).rfind(|line| line.starts_with('['));
    // Of a header that stands there twice nothing but the bracket is before it.
    let section = header.and_then(|line| line.split(']').next()).map(|line| line.trim_matches(['[', ' ']));
    let words = section.filter(|section| !section.is_empty()).into_iter().chain(text.get(span));
    let key = words.collect::<Vec<_>>().join(".");
    format!("{key} (line {line}) stands there twice: write it once")
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn table_of(table: DeTable<'_>, text: &str) -> Table {
    table.into_iter().map(|(key, value)| (key.into_inner().into_owned(), node(value, text))).collect()
}

fn node(spanned: Spanned<DeValue<'_>>, text: &str) -> Node {
    let place = Place::Line(line_at(text, spanned.span().start));
    let value = match spanned.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other, Value::Whole)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(Value::Other, Value::Number),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(_) => Value::Other,
        DeValue::Array(values) => Value::List(values.into_iter().map(|value| node(value, text)).collect()),
        DeValue::Table(table) => Value::Table(table_of(table, text)),
    };
    Node { value, place }
}

/// Puts a value where this path leads; what is no table on the way is replaced.
fn set(table: &mut Table, path: &[&str], node: Node) {
    match path {
        [] => {}
        [key] => drop(table.insert((*key).to_owned(), node)),
        [key, rest @ ..] => {
            let empty = || Node { value: Value::Table(Table::new()), place: node.place.clone() };
            let under = table.entry((*key).to_owned()).or_insert_with(empty);
            if !matches!(under.value, Value::Table(_)) {
                *under = empty();
            }
            if let Value::Table(table) = &mut under.value {
                set(table, rest, node);
            }
        }
    }
}

/// Takes what it reads out of a table: what is left in the end are keys that nobody knows.
#[derive(Default)]
struct Reader {
    table: Table,
    /// Names of sections.
    sections: BTreeSet<&'static str>,
    /// The name of the table, with a dot behind it; empty for the whole file.
    prefix: String,
    /// Where the table stands, for what it lacks.
    place: Option<Place>,
    mistakes: Vec<String>,
}

impl Reader {
    /// Takes the key's value out of its table.
    fn take(&mut self, name: &'static str) -> Option<Node> {
        let Some((section, key)) = name.split_once('.') else { return self.table.remove(name) };
        self.sections.insert(section);
        match &mut self.table.get_mut(section)?.value {
            Value::Table(table) => table.remove(key),
            _ => None,
        }
    }

    fn wrong(&mut self, name: &str, node: &Node, why: &str) {
        self.mistakes.push(format!("{}{name} ({}) {why}", self.prefix, node.place));
    }

    /// Reads one table behind a key.
    fn below(&mut self, name: &str, node: Node, each: &mut dyn FnMut(&mut dyn Visitor)) {
        let Value::Table(table) = node.value else {
            return self.wrong(name, &node, "has to be a table, { key = … }");
        };
        let prefix = format!("{}{name}.", self.prefix);
        let mut reader = Reader { table, prefix, place: Some(node.place), ..Reader::default() };
        each(&mut reader);
        reader.refuse_the_rest();
        self.mistakes.append(&mut reader.mistakes);
    }

    fn refuse_twins(&mut self, name: &str, nodes: &[Node]) {
        let mut seen = BTreeSet::new();
        for node in nodes {
            let Value::Table(table) = &node.value else { continue };
            let Some(named) = table.get("name").and_then(|node| Some((node, node.value.as_text()?))) else {
                continue;
            };
            if !seen.insert(named.1) {
                self.wrong(
                    &format!("{name}.name"),
                    named.0,
                    "is the name of another one, too: each has its own",
                );
            }
        }
    }

    fn refuse_the_rest(&mut self) {
        for (name, node) in take(&mut self.table) {
            match &node.value {
                Value::Table(rest) if self.sections.contains(name.as_str()) => {
                    for (key, node) in rest {
                        self.wrong(&format!("{name}.{key}"), node, "is not a key that malle knows");
                    }
                }
                _ if self.sections.contains(name.as_str()) => {
                    self.wrong(&name, &node, "has to be a table, [section]");
                }
                _ => self.wrong(&name, &node, "is not a key that malle knows"),
            }
        }
    }
}

impl Visitor for Reader {
    fn key(&mut self, key: Key<'_>) {
        let Some(node) = self.take(key.name) else {
            if key.is_required {
                let place = self.place.as_ref().map_or(String::new(), |place| format!(" ({place})"));
                self.mistakes.push(format!(
                    "{}{}{place} is missing: it has to be {}",
                    self.prefix, key.name, key.allowed
                ));
            }
            return;
        };
        let Err(why) = (key.set)(&node.value) else { return };
        // What stands where a secret's place belongs may be the secret.
        let shown = match key.allowed {
            Allowed::Table(_) => String::new(),
            _ => node.value.shown(),
        };
        let why = if why.is_empty() { why } else { format!(": {why}") };
        self.wrong(&format!("{}{shown}", key.name), &node, &format!("has to be {}{why}", key.allowed));
    }

    fn tables(
        &mut self,
        name: &'static str,
        _about: &'static str,
        shape: Tables,
        each: &mut dyn FnMut(&mut dyn Visitor),
    ) {
        let Some(node) = self.take(name) else { return };
        match (shape, node) {
            (Tables::One, node) => self.below(name, node, each),
            (Tables::Many, Node { value: Value::List(nodes), .. }) => {
                self.refuse_twins(name, &nodes);
                for node in nodes {
                    self.below(name, node, each);
                }
            }
            (Tables::Many, node) => {
                self.wrong(name, &node, "has to be a list of tables, [[section]] or [{ key = … }]");
            }
        }
    }
}
