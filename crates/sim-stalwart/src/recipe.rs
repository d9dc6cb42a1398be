//! Bytes that are described, not held: literals and fillers, rendered whole, in part or as a stream.

use crate::rng::mix;
use crate::vocabulary::{self, BASE64_LINE, Flavour};

/// Fillers are made in blocks, so that a stream holds one block at a time; whole lines of base64 fit.
const BLOCK: usize = BASE64_LINE * 840;

/// A piece of a recipe.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Literal(Vec<u8>),
    Text { seed: u64, len: u64, flavour: Flavour },
    Base64 { seed: u64, len: u64 },
    Noise { seed: u64, len: u64 },
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Literal(bytes) => bytes.len() as u64,
            Self::Text { len, .. } | Self::Base64 { len, .. } | Self::Noise { len, .. } => *len,
        }
    }

    /// Appends the block that begins at `from`, and returns its length.
    fn render(&self, from: u64, out: &mut Vec<u8>) -> u64 {
        let len = (self.len() - from).min(BLOCK as u64);
        let size = usize::try_from(len).unwrap_or(BLOCK);
        let number = from / BLOCK as u64;
        match self {
            Self::Literal(bytes) => {
                let start = usize::try_from(from).unwrap_or(0);
                out.extend_from_slice(&bytes[start..start + size]);
            }
            Self::Text { seed, flavour, .. } => vocabulary::text(mix(*seed, number), *flavour, size, out),
            Self::Base64 { seed, .. } => vocabulary::base64(mix(*seed, number), size, out),
            Self::Noise { seed, .. } => vocabulary::noise(mix(*seed, number), size, out),
        }
        len
    }
}

/// A body as the list of its pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipe {
    parts: Vec<Part>,
}

impl Recipe {
    pub(crate) const fn new(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    pub(crate) fn len(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }

    /// The literal a mail begins with: its header, or as much of it as was meant to be one.
    pub(crate) fn head(&self) -> &[u8] {
        match self.parts.first() {
            Some(Part::Literal(bytes)) => bytes,
            _ => &[],
        }
    }

    pub(crate) fn blocks(self) -> Blocks {
        Blocks { recipe: self, part: 0, from: 0 }
    }

    pub(crate) fn render(&self, out: &mut Vec<u8>) {
        out.reserve(usize::try_from(self.len()).unwrap_or(0));
        for part in &self.parts {
            let mut from = 0;
            while from < part.len() {
                from += part.render(from, out);
            }
        }
    }
}

/// The bytes of a recipe, a block at a time.
#[derive(Debug)]
pub(crate) struct Blocks {
    recipe: Recipe,
    part: usize,
    from: u64,
}

impl Iterator for Blocks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while out.is_empty() {
            let part = self.recipe.parts.get(self.part)?;
            self.from += part.render(self.from, &mut out);
            if self.from >= part.len() {
                (self.part, self.from) = (self.part + 1, 0);
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_and_whole_are_the_same_bytes() {
        let recipe = Recipe::new(vec![
            Part::Literal(vec![b'x'; BLOCK + 5]),
            Part::Text { seed: 1, len: 200_001, flavour: Flavour::Utf8 },
            Part::Noise { seed: 2, len: 0 },
            Part::Base64 { seed: 2, len: BASE64_LINE as u64 * 2000 },
            Part::Noise { seed: 2, len: 77 },
        ]);
        let mut whole = Vec::new();
        recipe.render(&mut whole);
        assert_eq!(whole.len() as u64, recipe.len());
        let streamed: Vec<u8> = recipe.blocks().flatten().collect();
        assert!(streamed == whole);
    }
}
