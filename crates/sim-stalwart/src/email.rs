//! What the server knows of one email, and where its bytes are.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{Ids, blob_of_bytes};
use crate::mail::Mails;
use crate::recipe::{Blocks, Recipe};

/// The row of an email.
#[derive(Clone, Debug)]
pub(crate) struct Email {
    pub(crate) content: Content,
    /// Numbers of the folders it lies in.
    pub(crate) folders: Vec<u32>,
    pub(crate) keywords: Vec<Cow<'static, str>>,
    pub(crate) received_at: u64,
    pub(crate) thread: u32,
}

impl Email {
    pub(crate) fn is_unread(&self) -> bool {
        !self.keywords.iter().any(|keyword| keyword == "$seen")
    }
}

/// Bytes that were given, or a recipe that was.
#[derive(Debug)]
pub(crate) struct StoredBlob {
    pub(crate) id: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bytes(Bytes),
    Recipe(Recipe),
    /// Generated content of another account.
    Lent(Arc<Mails>, u32),
    /// Bytes that were not kept.
    Forgotten {
        len: u64,
        digest: [u8; 32],
    },
}

impl StoredBlob {
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Self { id: blob_of_bytes(&blake3::hash(&bytes)), body: Body::Bytes(bytes) }
    }

    /// What another account generates.
    pub(crate) fn lent(mails: Arc<Mails>, content: u32) -> Self {
        let digest = digest(Content::Generated(content).pieces(&mails));
        Self { id: blob_of_bytes(&digest.into()), body: Body::Lent(mails, content) }
    }

    /// The same without its bytes: they can be compared, not read.
    pub(crate) fn forgotten(&self) -> Option<Self> {
        let Body::Bytes(bytes) = &self.body else { return None };
        let digest = *blake3::hash(bytes).as_bytes();
        Some(Self { id: self.id.clone(), body: Body::Forgotten { len: bytes.len() as u64, digest } })
    }

    /// A body that is made when it is read; `name` stands for its bytes in the blob id.
    pub(crate) fn of_recipe(name: &str, recipe: Recipe) -> Self {
        Self { id: blob_of_bytes(&blake3::hash(name.as_bytes())), body: Body::Recipe(recipe) }
    }
}

/// Where the bytes of a blob come from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Generated(u32),
    Stored(Arc<StoredBlob>),
}

impl Content {
    pub(crate) fn push_blob_id(&self, ids: Ids, out: &mut Vec<u8>) {
        match self {
            Self::Generated(content) => ids.push_blob(*content, out),
            Self::Stored(blob) => out.extend_from_slice(blob.id.as_bytes()),
        }
    }

    pub(crate) fn blob_id(&self, ids: Ids) -> String {
        match self {
            Self::Generated(content) => ids.blob(*content),
            Self::Stored(blob) => blob.id.clone(),
        }
    }

    pub(crate) fn size(&self, mails: &Mails) -> u64 {
        match self {
            Self::Generated(content) => mails.size(*content),
            Self::Stored(blob) => match &blob.body {
                Body::Bytes(bytes) => bytes.len() as u64,
                Body::Recipe(recipe) => recipe.len(),
                Body::Lent(mails, content) => mails.size(*content),
                Body::Forgotten { len, .. } => *len,
            },
        }
    }

    /// BLAKE3 of the bytes.
    pub(crate) fn digest(&self, mails: &Mails) -> [u8; 32] {
        match self {
            Self::Stored(blob) => match &blob.body {
                Body::Forgotten { digest, .. } => *digest,
                _ => digest(self.pieces(mails)),
            },
            Self::Generated(_) => digest(self.pieces(mails)),
        }
    }

    /// Whether the bytes were kept, or can be made again.
    pub(crate) fn is_readable(&self) -> bool {
        !matches!(self, Self::Stored(blob) if matches!(blob.body, Body::Forgotten { .. }))
    }

    /// All bytes; a stored blob is not copied.
    pub(crate) fn bytes(&self, mails: &Mails) -> Bytes {
        let rendered = |recipe: &Recipe| {
            let mut out = Vec::new();
            recipe.render(&mut out);
            Bytes::from(out)
        };
        match self {
            Self::Generated(content) => rendered(&mails.recipe(*content)),
            Self::Stored(blob) => match &blob.body {
                Body::Bytes(bytes) => bytes.clone(),
                Body::Recipe(recipe) => rendered(recipe),
                Body::Lent(mails, content) => rendered(&mails.recipe(*content)),
                Body::Forgotten { .. } => Bytes::new(),
            },
        }
    }

    /// The bytes that hold the header.
    pub(crate) fn head(&self, mails: &Mails) -> Bytes {
        match self {
            Self::Generated(content) => Bytes::copy_from_slice(mails.recipe(*content).head()),
            Self::Stored(blob) => match &blob.body {
                Body::Bytes(bytes) => bytes.slice(..bytes.len().min(64 << 10)),
                Body::Recipe(recipe) => Bytes::copy_from_slice(recipe.head()),
                Body::Lent(mails, content) => Bytes::copy_from_slice(mails.recipe(*content).head()),
                Body::Forgotten { .. } => Bytes::new(),
            },
        }
    }

    /// The bytes as a stream of pieces of at most 64 KiB.
    pub(crate) fn pieces(&self, mails: &Mails) -> Pieces {
        match self {
            Self::Generated(content) => Pieces::Recipe(mails.recipe(*content).blocks()),
            Self::Stored(blob) => match &blob.body {
                Body::Bytes(bytes) => Pieces::Bytes(bytes.clone()),
                Body::Recipe(recipe) => Pieces::Recipe(recipe.clone().blocks()),
                Body::Lent(mails, content) => Pieces::Recipe(mails.recipe(*content).blocks()),
                Body::Forgotten { .. } => Pieces::Bytes(Bytes::new()),
            },
        }
    }
}

fn digest(pieces: Pieces) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for piece in pieces {
        hasher.update(&piece);
    }
    *hasher.finalize().as_bytes()
}

/// A blob's bytes, piece by piece.
pub(crate) enum Pieces {
    Bytes(Bytes),
    Recipe(Blocks),
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => None,
            Self::Bytes(bytes) => Some(bytes.split_to(bytes.len().min(64 << 10))),
            Self::Recipe(blocks) => blocks.next().map(Bytes::from),
        }
    }
}
