//! Rows read in place: whoever looks at a million of them builds only those that it keeps.

/// Bytes that are no row, or text in them that is no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARow;

/// Field numbers of `Row` and `Email` in `proto/repository.proto`.
mod field {
    pub(super) const KEY: u32 = 1;
    pub(super) const GONE: u32 = 2;
    pub(super) const EMAIL: u32 = 3;
    pub(super) const FAILURE: u32 = 6;
    pub(super) const RECEIVED_AT: u32 = 3;
    pub(super) const SIZE: u32 = 4;
    pub(super) const FOLDER: u32 = 5;
    pub(super) const FROM: u32 = 7;
    pub(super) const TO: u32 = 8;
    pub(super) const SUBJECT: u32 = 9;
    pub(super) const MESSAGE_ID: u32 = 10;
    pub(super) const ATTACHMENT: u32 = 12;
}

/// An encoded [`Row`](crate::repository::Row) as its two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowParts<'a> {
    /// Its key.
    pub key: &'a [u8],
    content: Option<(u32, &'a [u8])>,
}

impl<'a> RowParts<'a> {
    /// Takes an encoded row apart; what is inside its content is not looked at.
    pub fn parse(encoded: &'a [u8]) -> Result<RowParts<'a>, NotARow> {
        let mut parts = RowParts { key: &[], content: None };
        for field in Fields(encoded) {
            match field? {
                (field::KEY, Value::Bytes(key)) => parts.key = key,
                (number @ field::GONE..=field::FAILURE, Value::Bytes(content)) => {
                    parts.content = Some((number, content));
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    /// The key is no more; said, or by having no content at all.
    pub fn is_gone(&self) -> bool {
        matches!(self.content, None | Some((field::GONE, _)))
    }

    /// The email, if it is one.
    pub fn email(&self) -> Result<EmailRow<'a>, NotARow> {
        match self.content {
            Some((field::EMAIL, email)) => EmailRow::parse(self.key, email),
            _ => Err(NotARow),
        }
    }
}

/// An email's row, its texts borrowed from the bytes they were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailRow<'a> {
    /// The JMAP id.
    pub id: &'a str,
    /// `receivedAt`, seconds since 1970 UTC.
    pub received_at: i64,
    /// Length of the raw bytes.
    pub size: u64,
    /// As in [`model::Envelope`].
    pub from: &'a str,
    /// `To` and `Cc`.
    pub to: &'a str,
    /// Decoded.
    pub subject: &'a str,
    /// Without brackets.
    pub message_id: &'a str,
    /// Whether any attachment has a name.
    pub has_attachment: bool,
    encoded: &'a [u8],
}

impl<'a> EmailRow<'a> {
    fn parse(key: &'a [u8], encoded: &'a [u8]) -> Result<EmailRow<'a>, NotARow> {
        let mut row = EmailRow {
            id: text(key)?,
            received_at: 0,
            size: 0,
            from: "",
            to: "",
            subject: "",
            message_id: "",
            has_attachment: false,
            encoded,
        };
        for field in Fields(encoded) {
            match field? {
                (field::RECEIVED_AT, Value::Number(seconds)) => row.received_at = seconds.cast_signed(),
                (field::SIZE, Value::Number(size)) => row.size = size,
                (field::FROM, Value::Bytes(from)) => row.from = text(from)?,
                (field::TO, Value::Bytes(to)) => row.to = text(to)?,
                (field::SUBJECT, Value::Bytes(subject)) => row.subject = text(subject)?,
                (field::MESSAGE_ID, Value::Bytes(id)) => row.message_id = text(id)?,
                (field::FOLDER, Value::Bytes(folder)) => drop(text(folder)?),
                (field::ATTACHMENT, Value::Bytes(name)) => {
                    text(name)?;
                    row.has_attachment = true;
                }
                _ => {}
            }
        }
        Ok(row)
    }

    /// Ids of the folders it is in.
    pub fn folders(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.texts(field::FOLDER)
    }

    /// Names of its attachments.
    pub fn attachments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.texts(field::ATTACHMENT)
    }

    /// `parse` has looked at all of them: nothing is left out here.
    fn texts(&self, wanted: u32) -> impl Iterator<Item = &'a str> + use<'a> {
        Fields(self.encoded).filter_map(move |field| match field {
            Ok((number, Value::Bytes(bytes))) if number == wanted => text(bytes).ok(),
            _ => None,
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, NotARow> {
    std::str::from_utf8(bytes).map_err(|_| NotARow)
}

enum Value<'a> {
    /// A varint, or a number of fixed length, which nobody here wants.
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of an encoded message, in their order; ends behind the first that is malformed.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    fn field(&mut self) -> Option<(u32, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.bytes(8).map(|_| Value::Number(0))?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| Value::Number(0))?,
            _ => return None,
        };
        Some((u32::try_from(tag >> 3).ok()?, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), NotARow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(NotARow))
    }
}

#[cfg(test)]
mod tests {
    use model::{BlobId, EmailId, EmailRecord, Envelope, FolderId};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::repository::{Gone, Row, row::Content};

    fn texts(most: usize) -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("\\PC{0,12}", 0..most)
    }

    prop_compose! {
        fn record()(
            one in ["\\PC{1,9}", "\\PC{0,40}", "\\PC{0,40}", "\\PC{0,40}", "\\PC{0,40}"],
            numbers in any::<(u64, i64, u64, Option<i64>, u32)>(),
            folders in texts(4),
            lists in (texts(4), texts(4)),
        ) -> EmailRecord {
            let [id, from, to, subject, message_id] = one;
            let (source_hash, received_at, size, date, version) = numbers;
            let (keywords, attachments) = lists;
            EmailRecord {
                id: EmailId::from(id),
                blob: BlobId([7; 32]),
                source_hash,
                received_at,
                size,
                folders: folders.into_iter().map(FolderId::from).collect(),
                keywords,
                envelope: Envelope { from, to, subject, message_id, date, attachments, version },
            }
        }
    }

    proptest! {
        #[test]
        fn a_row_read_in_place_says_what_the_decoded_one_says(record in record()) {
            let encoded = Row::from(record.clone()).encode_to_vec();
            let parts = RowParts::parse(&encoded).expect("a row");
            prop_assert!(!parts.is_gone());
            let row = parts.email().expect("an email");
            let envelope = &record.envelope;
            prop_assert_eq!(row.id, record.id.as_str());
            prop_assert_eq!((row.received_at, row.size), (record.received_at, record.size));
            prop_assert_eq!((row.from, row.to), (envelope.from.as_str(), envelope.to.as_str()));
            prop_assert_eq!(
                (row.subject, row.message_id),
                (envelope.subject.as_str(), envelope.message_id.as_str())
            );
            let folders: Vec<_> = row.folders().map(FolderId::from).collect();
            prop_assert_eq!(folders, record.folders);
            prop_assert_eq!(row.has_attachment, !envelope.attachments.is_empty());
            let attachments: Vec<_> = row.attachments().map(str::to_owned).collect();
            prop_assert_eq!(&attachments, &envelope.attachments);
        }

        #[test]
        fn bytes_that_prost_refuses_are_refused_or_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let read = RowParts::parse(&bytes).and_then(|parts| parts.email());
            if let (Ok(read), Ok(row)) = (read, Row::decode(bytes.as_slice())) {
                prop_assert_eq!(read.id.as_bytes(), row.key.as_ref());
            }
        }
    }

    #[test]
    fn a_row_that_is_gone_is_no_email() {
        let gone = Row { key: "e".into(), content: Some(Content::Gone(Gone {})) }.encode_to_vec();
        let empty = Row { key: "e".into(), content: None }.encode_to_vec();
        for encoded in [gone, empty] {
            let parts = RowParts::parse(&encoded).expect("a row");
            assert!(parts.is_gone() && parts.email().is_err());
            assert_eq!(parts.key, b"e");
        }
    }
}
