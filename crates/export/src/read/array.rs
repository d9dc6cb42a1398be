//! JSON arrays of any length, one element at a time.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use serde::Deserializer;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::root::Root;
use crate::{Error, Result};

/// Calls `take` with every element of the array in a file.
pub(super) fn elements(root: &Root, path: &str, take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let (file, _) = root.open(path)?;
    let used = Rc::new(Cell::new(0));
    let metered = Metered { inner: file, used: Rc::clone(&used), limit: root.limits.description };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(metered));
    let mut failure = None;
    let elements = Elements { take, used: &used, failure: &mut failure };
    let result = json.deserialize_seq(elements).and_then(|()| json.end());
    match (failure, result) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(Error::corrupt(path, format!("it is no array of objects: {error}"))),
    }
}

/// Fails when one element is too long.
struct Metered<R> {
    inner: R,
    used: Rc<Cell<u64>>,
    limit: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.used.set(self.used.get() + read as u64);
        if self.used.get() > self.limit {
            return Err(io::Error::other("an element is larger than allowed"));
        }
        Ok(read)
    }
}

struct Elements<'a> {
    take: &'a mut dyn FnMut(&str) -> Result<()>,
    used: &'a Cell<u64>,
    failure: &'a mut Option<Error>,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element::<Box<RawValue>>()? {
            self.used.set(0);
            if let Err(error) = (self.take)(element.get()) {
                *self.failure = Some(error);
                return Err(A::Error::custom("the element was refused"));
            }
        }
        Ok(())
    }
}
