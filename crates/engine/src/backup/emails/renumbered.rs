//! Emails that a backup finds under other ids: a mailbox that was emptied and given back has lost nothing.

use model::BlobId;

/// Beginnings of the hashes of bytes: enough to tell emails of one mailbox apart.
#[derive(Debug, Default)]
pub(crate) struct Renumbered {
    came: Vec<u64>,
    went: Vec<u64>,
}

impl Renumbered {
    /// An email is there that the snapshot before did not have.
    pub(crate) fn came(&mut self, blob: &BlobId) {
        self.came.push(beginning(blob));
    }

    /// An email of the snapshot before is gone.
    pub(crate) fn went(&mut self, blob: &BlobId) {
        self.went.push(beginning(blob));
    }

    /// How many of those that went came again; each of those that came counts once.
    pub(crate) fn count(mut self) -> u64 {
        self.came.sort_unstable();
        self.went.sort_unstable();
        let (mut came, mut count) = (self.came.iter().peekable(), 0);
        for went in &self.went {
            while came.next_if(|came| *came < went).is_some() {}
            count += u64::from(came.next_if(|came| *came == went).is_some());
        }
        count
    }
}

fn beginning(blob: &BlobId) -> u64 {
    let (beginning, _) = blob.0.split_first_chunk().expect("a hash has 32 bytes");
    u64::from_be_bytes(*beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_again_is_counted_once_each() {
        for (came, went, expected) in [
            (&[][..], &[][..], 0),
            (&[1, 2, 3], &[3, 1, 2], 3),
            (&[1, 2, 3], &[4, 5], 0),
            (&[7, 7, 7, 7], &[7, 8, 9], 1),
            (&[7], &[7, 7, 7], 1),
            (&[2, 9, 2, 1], &[2, 2, 2, 9], 3),
        ] {
            let mut renumbered = Renumbered::default();
            came.iter().for_each(|came| renumbered.came(&BlobId([*came; 32])));
            went.iter().for_each(|went| renumbered.went(&BlobId([*went; 32])));
            assert_eq!(renumbered.count(), expected, "{came:?} {went:?}");
        }
    }
}
