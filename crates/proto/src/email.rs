use model::{BlobId, EmailId, EmailRecord, Envelope, FolderId};

use crate::repository::{Email, Row, row::Content};

impl From<EmailRecord> for Row {
    fn from(record: EmailRecord) -> Row {
        let envelope = record.envelope;
        Row {
            key: String::from(record.id).into_bytes().into(),
            content: Some(Content::Email(Email {
                blob: record.blob.0.to_vec().into(),
                source_hash: record.source_hash,
                received_at: record.received_at,
                size: record.size,
                folders: record.folders.into_iter().map(String::from).collect(),
                keywords: record.keywords,
                from: envelope.from,
                to: envelope.to,
                subject: envelope.subject,
                message_id: envelope.message_id,
                date: envelope.date,
                attachments: envelope.attachments,
                envelope_version: envelope.version,
            })),
        }
    }
}

/// A row that is not an email, or whose blob id or key is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnEmail;

impl TryFrom<Row> for EmailRecord {
    type Error = NotAnEmail;

    fn try_from(row: Row) -> Result<EmailRecord, NotAnEmail> {
        let Some(Content::Email(email)) = row.content else {
            return Err(NotAnEmail);
        };
        let id = String::from_utf8(row.key.to_vec()).map_err(|_| NotAnEmail)?;
        Ok(EmailRecord {
            id: EmailId::from(id),
            blob: BlobId(email.blob.as_ref().try_into().map_err(|_| NotAnEmail)?),
            source_hash: email.source_hash,
            received_at: email.received_at,
            size: email.size,
            folders: email.folders.into_iter().map(FolderId::from).collect(),
            keywords: email.keywords,
            envelope: Envelope {
                from: email.from,
                to: email.to,
                subject: email.subject,
                message_id: email.message_id,
                date: email.date,
                attachments: email.attachments,
                version: email.envelope_version,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn record() -> EmailRecord {
        EmailRecord {
            id: EmailId::from("e1"),
            blob: BlobId([7; 32]),
            source_hash: 0x0102_0304_0506_0708,
            received_at: -1,
            size: 300,
            folders: vec![FolderId::from("a")],
            keywords: vec!["$seen".to_owned()],
            envelope: Envelope { subject: "héllo".to_owned(), date: Some(0), ..Envelope::default() },
        }
    }

    #[test]
    fn golden_bytes_of_an_email_row() {
        let bytes = Row::from(record()).encode_to_vec();
        let expected = [
            &[0x0a, 0x02][..],
            b"e1",
            &[0x1a, 0x4d, 0x0a, 0x20],
            &[7; 32],
            &[0x11, 8, 7, 6, 5, 4, 3, 2, 1],
            &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x20, 0xac, 0x02, 0x2a, 0x01, b'a', 0x32, 0x05],
            b"$seen",
            &[0x4a, 0x06],
            "héllo".as_bytes(),
            &[0x58, 0x00],
        ]
        .concat();
        assert_eq!(bytes, expected);
        let row = Row::decode(bytes.as_slice()).expect("decodes");
        assert_eq!(EmailRecord::try_from(row), Ok(record()));
    }

    #[test]
    fn a_row_with_a_short_blob_id_is_refused() {
        let mut row = Row::from(record());
        if let Some(Content::Email(email)) = &mut row.content {
            email.blob = vec![7; 31].into();
        }
        assert_eq!(EmailRecord::try_from(row), Err(NotAnEmail));
    }
}
