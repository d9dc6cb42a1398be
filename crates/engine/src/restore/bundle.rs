//! Short emails go up together: as the attachments of one message, which the server then takes apart (`Email/parse`, RFC
//! 8621 section 4.9) into blobs of their own. It stores one blob instead of a hundred: on Stalwart half the work of a
//! restore, and one file of the upload quota. Attachments are base64 of plain bytes, so that no rule about the text of
//! messages touches them; what comes back is compared by name and length.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jmap::{Attachments, JmapBlobId};

/// Base64 has no minus: no line of it can be one of these.
const BOUNDARY: &str = "--malle-restore";
/// Bytes that make a line of 76 characters (RFC 2045 section 6.8).
const LINE: usize = 57;

/// A message with these attachments, each named by its number.
pub(super) fn message(parts: &[(usize, &Bytes)]) -> Bytes {
    let raw: usize = parts.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut message = String::with_capacity(raw / LINE * 78 + parts.len() * 256 + 256);
    message += "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"malle-restore\"\r\n\r\n";
    for (number, bytes) in parts {
        message += &format!(
            "{BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; \
             filename=\"{number}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        );
        for line in bytes.chunks(LINE) {
            BASE64.encode_string(line, &mut message);
            message += "\r\n";
        }
    }
    message += BOUNDARY;
    message += "--\r\n";
    message.into()
}

/// The blobs of the parts, in their order; `None` when the server did not take the message apart as it was put together.
pub(super) fn blobs(parts: &[(usize, &Bytes)], found: Attachments) -> Option<Vec<JmapBlobId>> {
    let found = found.list.filter(|list| list.len() == parts.len())?;
    let is_same = |((number, bytes), attachment): (&(usize, &Bytes), &jmap::Attachment)| {
        let name = number.to_string();
        attachment.size == bytes.len() as u64 && attachment.name.as_deref() == Some(&*name)
    };
    let is_whole = parts.iter().zip(&found).all(is_same);
    is_whole.then(|| found.into_iter().map(|attachment| attachment.blob_id).collect())
}

#[cfg(test)]
mod tests {
    use jmap::Attachment;

    use super::*;

    fn attachment(name: &str, size: u64) -> Attachment {
        let blob_id = JmapBlobId::new(&format!("blob-{name}")).expect("an id");
        Attachment { blob_id, size, name: Some(name.to_owned()) }
    }

    #[test]
    fn a_message_that_any_reader_takes_apart() {
        let (one, two) =
            (Bytes::from_static(b"From \r\n.\r\n--malle-restore--\r\n"), Bytes::from(vec![0xff; 60]));
        let text = String::from_utf8(message(&[(3, &one), (7, &two)]).to_vec()).expect("ASCII");
        assert_eq!(text.matches("--malle-restore\r\n").count(), 2);
        assert!(text.ends_with("\r\n--malle-restore--\r\n"), "{text}");
        let parsed = mail_parser::MessageParser::default().parse(text.as_bytes()).expect("a message");
        let contents: Vec<&[u8]> = parsed.attachments().map(mail_parser::MessagePart::contents).collect();
        assert_eq!(contents, [&one[..], &two[..]]);
        assert!(text.lines().all(|line| line.len() <= 76), "{text}");
    }

    #[test]
    fn other_names_lengths_or_numbers_are_not_believed() {
        let bytes = Bytes::from_static(b"abc");
        let parts = [(0, &bytes), (2, &bytes)];
        let check =
            |list: Option<Vec<Attachment>>| blobs(&parts, Attachments { list }).map(|blobs| blobs.len());
        assert_eq!(check(Some(vec![attachment("0", 3), attachment("2", 3)])), Some(2));
        for wrong in [
            None,
            Some(vec![]),
            Some(vec![attachment("0", 3)]),
            Some(vec![attachment("0", 3), attachment("2", 4)]),
            Some(vec![attachment("2", 3), attachment("0", 3)]),
            Some(vec![attachment("0", 3), Attachment { name: None, ..attachment("2", 3) }]),
        ] {
            assert_eq!(check(wrong.clone()), None, "{wrong:?}");
        }
    }
}
