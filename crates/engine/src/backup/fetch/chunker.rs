//! Cuts long content where the content itself says so, so that the same attachment in another email gives the same chunks.

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::FastCDC;

/// Content up to this length is stored in one piece.
pub(crate) const WHOLE: usize = 256 << 10;
const MIN: usize = 64 << 10;
const AVERAGE: usize = 256 << 10;
const MAX: usize = repository::MAX_BLOB;

/// Takes content in pieces, gives it back in chunks of 64 KiB to 1 MiB.
#[derive(Default)]
pub(crate) struct Chunker {
    held: BytesMut,
}

impl Chunker {
    /// The chunks that are certain after this piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<Bytes> {
        // Room for a whole chunk at once: growing piece by piece would copy what is held again and again.
        if self.held.capacity() - self.held.len() < piece.len() {
            self.held.reserve(piece.len().max(MAX));
        }
        self.held.extend_from_slice(piece);
        let mut chunks = Vec::new();
        // A cut depends on at most MAX bytes, so with that many at hand it no longer moves.
        while self.held.len() >= MAX {
            chunks.push(self.cut());
        }
        chunks
    }

    /// The chunks that are left.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        while !self.held.is_empty() {
            chunks.push(self.cut());
        }
        chunks
    }

    fn cut(&mut self) -> Bytes {
        let (_, end) = FastCDC::new(&self.held, MIN, AVERAGE, MAX).cut(0, self.held.len());
        self.held.split_to(end).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(length)
        .collect()
    }

    fn chunks(content: &[u8], piece: usize) -> Vec<Bytes> {
        let mut chunker = Chunker::default();
        let mut chunks: Vec<Bytes> = content.chunks(piece).flat_map(|p| chunker.push(p)).collect();
        chunks.extend(chunker.finish());
        chunks
    }

    #[test]
    fn chunks_add_up_and_do_not_depend_on_the_pieces() {
        let content = noise(5_000_000, 1);
        let whole = chunks(&content, content.len());
        assert_eq!(whole.concat(), content);
        assert!(whole.iter().all(|c| c.len() <= MAX));
        assert_eq!(chunks(&content, 7_777), whole);
        assert_eq!(chunks(&[], 1), Vec::<Bytes>::new());
    }

    #[test]
    fn the_same_attachment_behind_another_text_shares_most_chunks() {
        let attachment = noise(8_000_000, 2);
        let first = chunks(&[noise(3_000, 3), attachment.clone()].concat(), 65_536);
        let second = chunks(&[noise(70_001, 4), attachment].concat(), 65_536);
        let shared: usize = second.iter().filter(|c| first.contains(c)).map(Bytes::len).sum();
        assert!(shared > 6_000_000, "{shared}");
    }
}
