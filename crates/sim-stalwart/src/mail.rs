//! The generated mailbox: email number i of an account, as a pure function of (seed, i).

use std::borrow::Cow;

use crate::dates;
use crate::letter::Letter;
use crate::recipe::Recipe;
use crate::rng::{Rng, mix};
use crate::sizes::Sizes;

/// 2016-01-01, when the oldest email arrived.
const OLDEST: u64 = 1_451_606_400;
/// Seconds over which the mailbox filled up: about ten years.
const SPAN: u64 = 315_000_000;
/// What every tag begins with.
const TAG: &str = "sim-";

/// Everything that decides what the emails of an account are.
#[derive(Clone, Debug)]
pub(crate) struct Mails {
    pub(crate) seed: u64,
    pub(crate) sizes: Sizes,
    /// Number of emails that were there from the beginning.
    pub(crate) count: u32,
    /// Whose mailbox it is, for the headers.
    pub(crate) owner: String,
}

impl Mails {
    fn rng(&self, number: u32, purpose: u64) -> Rng {
        Rng::new(mix(mix(self.seed, purpose), u64::from(number)))
    }

    /// Which content email `index` has: its own, or in a fiftieth of cases its predecessor's (a Sent copy
    /// and its list copy are the same bytes).
    pub(crate) fn content_of(&self, index: u32) -> u32 {
        index - u32::from(self.is_copy(index))
    }

    fn is_copy(&self, index: u32) -> bool {
        let copied = |index| self.rng(index, 1).chance(20);
        index > 0 && copied(index) && !copied(index - 1)
    }

    /// The emails of the beginning that have this content.
    pub(crate) fn sharers(&self, content: u32) -> impl Iterator<Item = u32> + '_ {
        [Some(content), content.checked_add(1)]
            .into_iter()
            .flatten()
            .filter(move |index| *index < self.count && self.content_of(*index) == content)
    }

    pub(crate) fn size(&self, content: u32) -> u64 {
        self.sizes.draw(&mut self.rng(content, 2))
    }

    pub(crate) fn recipe(&self, content: u32) -> Recipe {
        let letter = Letter {
            rng: self.rng(content, 3),
            tag: self.tag(content),
            thread_tag: (self.thread(content) != content).then(|| self.tag(self.thread(content))),
            date: dates::rfc5322(self.received_at(content).saturating_sub(3)),
            owner: &self.owner,
            size: self.size(content),
        };
        letter.write()
    }

    /// The recipe of an email of this size that belongs to no content number.
    pub(crate) fn large(&self, index: u32, bytes: u32) -> Recipe {
        let letter = Letter {
            rng: self.rng(index, 8),
            tag: format!("large-{index:08x}-{bytes}"),
            thread_tag: None,
            date: dates::rfc5322(OLDEST),
            owner: &self.owner,
            size: u64::from(bytes).max(30_000),
        };
        letter.write()
    }

    /// Stands in every generated email's first kilobyte, so that one delivered again is recognised.
    fn tag(&self, content: u32) -> String {
        format!("{TAG}{:016x}-{content:08x}", self.key())
    }

    /// What the tags of this account's mail begin with.
    pub(crate) const fn key(&self) -> u64 {
        mix(self.seed, 0x7a6)
    }

    /// The number of generated content that equals these bytes, if there is one.
    pub(crate) fn recognise(&self, raw: &[u8], tags: &[(u64, u32)]) -> Option<u32> {
        let own = tags.iter().filter(|(key, _)| *key == self.key());
        own.map(|(_, number)| *number).find(|number| self.generates(*number, raw))
    }

    /// Whether these bytes are that generated content.
    pub(crate) fn generates(&self, content: u32, raw: &[u8]) -> bool {
        content < self.count && self.is_rendering_of(content, raw)
    }

    fn is_rendering_of(&self, content: u32, raw: &[u8]) -> bool {
        if self.size(content) != raw.len() as u64 {
            return false;
        }
        let mut rendered = Vec::new();
        self.recipe(content).render(&mut rendered);
        rendered == raw
    }

    /// Seconds since 1970; grows with the index on the whole, with ties and small disorder.
    pub(crate) fn received_at(&self, index: u32) -> u64 {
        let step = SPAN / u64::from(self.count.max(1));
        let jitter = u64::from(self.rng(index, 4).below(u32::try_from(step.max(1) * 3).unwrap_or(u32::MAX)));
        OLDEST + u64::from(index) * SPAN / u64::from(self.count.max(1)) + jitter
    }

    /// The first email of the thread that `index` belongs to.
    pub(crate) fn thread(&self, index: u32) -> u32 {
        if index < self.count && self.rng(index / 4, 5).chance(300) { index & !3 } else { index }
    }

    pub(crate) fn keywords(&self, index: u32) -> Vec<Cow<'static, str>> {
        const SHARES: [(&str, u32); 8] = [
            ("$seen", 800),
            ("$answered", 150),
            ("$flagged", 50),
            ("$forwarded", 30),
            ("$junk", 10),
            ("$label1", 20),
            ("facture-2024", 5),
            ("it's \"odd\"", 2),
        ];
        let mut rng = self.rng(index, 6);
        SHARES.iter().filter(|(_, share)| rng.chance(*share)).map(|(name, _)| Cow::Borrowed(*name)).collect()
    }

    /// Positions, in a list of `count` folders, of those that email `index` lies in: mostly one, sometimes two.
    /// The first folder gets a third of the mail.
    pub(crate) fn folders(&self, index: u32, count: usize) -> Vec<usize> {
        let mut rng = self.rng(index, 7);
        if count == 0 {
            return Vec::new();
        }
        let first = if rng.chance(333) { 0 } else { rng.index(count) };
        let second = rng.index(count);
        if rng.chance(30) && second != first { vec![first, second] } else { vec![first] }
    }
}

/// The tags in a mail's first 4 KiB: the key of an account and the number of its content.
pub(crate) fn tags(raw: &[u8]) -> Vec<(u64, u32)> {
    let head = &raw[..raw.len().min(4096)];
    let starts = head.windows(TAG.len()).enumerate().filter(|(_, window)| *window == TAG.as_bytes());
    let parse = |at: usize| {
        let text = std::str::from_utf8(head.get(at + TAG.len()..at + TAG.len() + 25)?).ok()?;
        let (key, number) = text.split_at_checked(16)?;
        let number = u32::from_str_radix(number.strip_prefix('-')?, 16).ok()?;
        Some((u64::from_str_radix(key, 16).ok()?, number))
    };
    starts.filter_map(|(at, _)| parse(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mails() -> Mails {
        Mails { seed: 7, sizes: Sizes::light(), count: 3000, owner: "alice@example.org".to_owned() }
    }

    fn raw(mails: &Mails, content: u32) -> Vec<u8> {
        let mut out = Vec::new();
        mails.recipe(content).render(&mut out);
        out
    }

    #[test]
    fn every_email_has_the_size_it_was_said_to_have() {
        let mails = mails();
        for content in 0..3000 {
            assert_eq!(raw(&mails, content).len() as u64, mails.size(content), "content {content}");
        }
    }

    #[test]
    fn tiny_and_large_emails_are_exact_too() {
        for sizes in [Sizes::tiny(), Sizes::between(480, 3000), Sizes::between(100_000, 3_000_000)] {
            let mails = Mails { sizes, ..mails() };
            for content in 0..100 {
                assert_eq!(raw(&mails, content).len() as u64, mails.size(content), "content {content}");
            }
        }
    }

    #[test]
    fn generated_bytes_are_recognised_and_others_are_not() {
        let mails = mails();
        for content in 0..500 {
            let mut bytes = raw(&mails, content);
            assert_eq!(mails.recognise(&bytes, &tags(&bytes)), Some(content));
            bytes.push(b'!');
            assert_eq!(mails.recognise(&bytes, &tags(&bytes)), None);
        }
    }

    #[test]
    fn a_share_is_no_valid_utf8_and_a_share_is_a_copy() {
        let mails = mails();
        let odd = (0..1000).filter(|content| std::str::from_utf8(&raw(&mails, *content)).is_err()).count();
        assert!((20..150).contains(&odd), "{odd}");
        let copies = (0..3000).filter(|index| mails.content_of(*index) != *index).count();
        assert!((30..100).contains(&copies), "{copies}");
    }
}
