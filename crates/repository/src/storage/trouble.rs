//! What the error of an object store means to the person who runs it, whichever store it is.

use std::error::Error as StdError;
use std::fmt;
use std::io::ErrorKind;

use model::ErrorClass;

/// Nothing of a store's answer is repeated at greater length.
const LONGEST: usize = 48;

/// An answer of a store that is an error, or is not the store's at all.
///
/// `object_store` keeps of such an answer only text. Whoever makes a store's HTTP client puts this into the chain of
/// causes instead, and [`Trouble::of`] finds it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAnswer {
    status: u16,
    code: String,
    region: String,
    is_page: bool,
}

/// Why an object store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No answer came, or one that says "later".
    Unreachable,
    /// The bucket, container or directory does not exist.
    NoBucket,
    /// The credentials are unknown or do not fit.
    Credentials,
    /// The credentials were right once.
    Expired,
    /// The request's time is too far from the store's.
    ClockSkew,
    /// The bucket lies in another region; the right one if the store named it.
    WrongRegion(String),
    /// The credentials may not do this.
    Denied,
    /// The file system does not let this user do this.
    NotPermitted,
    /// A web page, or another text, came in place of the store's answer.
    Stranger,
    /// The store does not know how to do what it was asked.
    NotImplemented,
    /// The store says that other bytes arrived than were sent.
    Damaged,
    /// The store has no room left, or a quota is used up.
    Full,
    /// Any other refusal: status and code.
    Refused(String),
}

impl StoreAnswer {
    /// Takes what matters from the status and the body of an answer. `region` is what its header says of the bucket's.
    pub fn new(status: u16, region: Option<&str>, body: &[u8]) -> StoreAnswer {
        let text = String::from_utf8_lossy(body);
        let region = region.or_else(|| element(&text, "Region")).unwrap_or_default();
        StoreAnswer {
            status,
            code: plain(element(&text, "Code").unwrap_or_default()),
            region: plain(region),
            is_page: is_page(body),
        }
    }

    /// Whether the store itself gave a reason.
    pub fn has_code(&self) -> bool {
        !self.code.is_empty()
    }

    /// Whether asking again is useless. "Absent", "exists already", "later" and failures of the store's own are not final.
    pub fn is_final(&self) -> bool {
        self.trouble() != Trouble::Unreachable
    }

    fn trouble(&self) -> Trouble {
        let passing = matches!(self.status, 408 | 429 | 500..=599);
        if self.status == 511 || (self.is_page && !passing) {
            return Trouble::Stranger;
        }
        by_code(&self.code, &self.region).unwrap_or_else(|| match self.status {
            507 => Trouble::Full,
            501 => Trouble::NotImplemented,
            // What these mean depends on the request; the store's client knows it.
            304 | 404 | 408 | 409 | 412 | 416 | 429 => Trouble::Unreachable,
            300..=399 => Trouble::WrongRegion(self.region.clone()),
            401 => Trouble::Credentials,
            403 => Trouble::Denied,
            // An object's place holds something else.
            200..=299 if !self.has_code() => Trouble::Stranger,
            400..=499 => Trouble::Refused(self.to_string()),
            _ => Trouble::Unreachable,
        })
    }
}

impl fmt::Display for StoreAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if self.has_code() {
            write!(f, " {}", self.code)?;
        }
        Ok(())
    }
}

impl StdError for StoreAnswer {}

/// Codes of Amazon's S3, of those that speak it, of Azure and of Google.
fn by_code(code: &str, region: &str) -> Option<Trouble> {
    let lower = code.to_ascii_lowercase();
    let full = ["quota", "storagefull", "insufficientstorage", "capexceeded", "notenoughspace", "toolarge"];
    // A quota of requests passes by itself.
    let is_rate = lower.contains("request") || lower.contains("rate");
    if full.iter().any(|part| lower.contains(part)) && !is_rate {
        return Some(Trouble::Full);
    }
    Some(match code {
        "NoSuchBucket" | "ContainerNotFound" => Trouble::NoBucket,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Trouble::Expired,
        "RequestTimeTooSkewed" | "RequestExpired" => Trouble::ClockSkew,
        "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException" => {
            Trouble::WrongRegion(region.to_owned())
        }
        // It also says this of an invalid access key.
        "AuthorizationHeaderMalformed" if !region.is_empty() => Trouble::WrongRegion(region.to_owned()),
        "AuthorizationHeaderMalformed"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "AuthenticationFailed"
        | "InvalidAuthenticationInfo" => Trouble::Credentials,
        "NotImplemented" => Trouble::NotImplemented,
        // Amazon answers 400 when a body stalls or breaks off.
        "RequestTimeout" | "IncompleteBody" | "SlowDown" | "Throttling" | "ThrottlingException" => {
            Trouble::Unreachable
        }
        "BadDigest" | "Md5Mismatch" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch" => {
            Trouble::Damaged
        }
        _ => return None,
    })
}

impl Trouble {
    /// Finds out what an error means.
    pub fn of(error: &object_store::Error) -> Trouble {
        use object_store::Error as E;
        causes(error).find_map(told).unwrap_or_else(|| match error {
            E::NotFound { .. } => Trouble::NoBucket,
            E::PermissionDenied { .. } => Trouble::Denied,
            E::Unauthenticated { .. } => Trouble::Credentials,
            E::NotSupported { .. } | E::NotImplemented { .. } => Trouble::NotImplemented,
            E::InvalidPath { .. } | E::UnknownConfigurationKey { .. } => {
                Trouble::Refused("its client does".to_owned())
            }
            _ => Trouble::Unreachable,
        })
    }

    /// What a caller should do about it. Credentials and rights are asked for again later; a full store ends the job.
    pub fn class(&self) -> ErrorClass {
        match self {
            Trouble::NoBucket
            | Trouble::Credentials
            | Trouble::Expired
            | Trouble::WrongRegion(_)
            | Trouble::Denied
            | Trouble::NotPermitted => ErrorClass::Auth,
            Trouble::Unreachable | Trouble::ClockSkew | Trouble::Stranger | Trouble::Damaged => {
                ErrorClass::Transient { retry_after: None }
            }
            Trouble::NotImplemented | Trouble::Full | Trouble::Refused(_) => ErrorClass::Permanent,
        }
    }

    /// Whether the store said for certain that it did nothing, and would say so again.
    pub fn is_final(&self) -> bool {
        !matches!(self, Trouble::Unreachable | Trouble::Stranger | Trouble::Damaged)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Trouble::Unreachable => "it cannot be reached, or is too busy to answer",
            Trouble::NoBucket => "the bucket or directory does not exist",
            Trouble::Credentials => "it does not accept the credentials",
            Trouble::Expired => "the credentials have expired",
            Trouble::ClockSkew => "the clocks of this machine and of the store differ by too much",
            Trouble::WrongRegion(right) if right.is_empty() => "the bucket lies in another region",
            Trouble::WrongRegion(right) => return write!(f, "the bucket lies in the region {right}"),
            Trouble::Denied => {
                "it denies access (credentials that may not list a bucket get this answer for an absent object too)"
            }
            Trouble::NotPermitted => "the file system does not permit it",
            Trouble::Stranger => "a web page or another program answered in its place",
            Trouble::NotImplemented => "it does not implement what it was asked for",
            Trouble::Damaged => "other bytes arrived there than were sent",
            Trouble::Full => "it is full",
            Trouble::Refused(answer) => return write!(f, "it refuses the request ({answer})"),
        };
        f.write_str(text)
    }
}

/// What one cause alone tells.
fn told(cause: &(dyn StdError + 'static)) -> Option<Trouble> {
    if let Some(answer) = cause.downcast_ref::<StoreAnswer>() {
        return Some(answer.trouble());
    }
    match cause.downcast_ref::<std::io::Error>()?.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Some(Trouble::Full),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(Trouble::NotPermitted),
        // Without hard links a file cannot be created only if it is absent.
        ErrorKind::Unsupported => Some(Trouble::NotImplemented),
        _ => None,
    }
}

fn causes<'a>(error: &'a object_store::Error) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(first), |cause| (**cause).source())
}

/// Whether bytes are a page or an error as text: no object of a repository begins like that.
pub(crate) fn is_stray(bytes: &[u8]) -> bool {
    begins(bytes, &["<?xml", "<error", "<!doctype html", "<html", "<head"])
}

fn is_page(bytes: &[u8]) -> bool {
    begins(bytes, &["<!doctype html", "<html", "<head"])
}

fn begins(bytes: &[u8], with: &[&str]) -> bool {
    let text = bytes.trim_ascii_start();
    let start = text.get(..text.len().min(16)).unwrap_or_default().to_ascii_lowercase();
    with.iter().any(|begin| start.starts_with(begin.as_bytes()))
}

/// The text of an XML element that has no attributes.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let length = text.get(start..)?.find('<')?;
    text.get(start..start + length)
}

/// A word that may be shown: it came from outside.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: &Trouble) {
        let answer = StoreAnswer::new(status, None, body.as_bytes());
        let source = Box::new(answer);
        let error = object_store::Error::Generic { store: "S3", source };
        assert_eq!(Trouble::of(&error), *expected, "{status} {body}");
    }

    fn coded(code: &str) -> String {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Region>eu-west-1</Region></Error>")
    }

    #[test]
    fn codes_and_statuses_mean_what_real_stores_mean_by_them() {
        for (status, code, expected) in [
            (403, "QuotaExceeded", Trouble::Full),
            (400, "XMinioAdminBucketQuotaExceeded", Trouble::Full),
            (507, "XMinioStorageFull", Trouble::Full),
            (400, "EntityTooLarge", Trouble::Full),
            (403, "StorageCapExceeded", Trouble::Full),
            (503, "RequestQuotaExceeded", Trouble::Unreachable),
            (404, "NoSuchBucket", Trouble::NoBucket),
            (404, "NoSuchKey", Trouble::Unreachable),
            (400, "ExpiredToken", Trouble::Expired),
            (403, "RequestTimeTooSkewed", Trouble::ClockSkew),
            (400, "AuthorizationHeaderMalformed", Trouble::WrongRegion("eu-west-1".to_owned())),
            (301, "PermanentRedirect", Trouble::WrongRegion("eu-west-1".to_owned())),
            (403, "SignatureDoesNotMatch", Trouble::Credentials),
            (403, "AccessDenied", Trouble::Denied),
            (501, "NotImplemented", Trouble::NotImplemented),
            (400, "BadDigest", Trouble::Damaged),
            (409, "ConditionalRequestConflict", Trouble::Unreachable),
            (412, "PreconditionFailed", Trouble::Unreachable),
            (503, "SlowDown", Trouble::Unreachable),
            (500, "InternalError", Trouble::Unreachable),
            (400, "InvalidRequest", Trouble::Refused("400 InvalidRequest".to_owned())),
        ] {
            check(status, &coded(code), &expected);
        }
        for (status, body, expected) in [
            (507, "", Trouble::Full),
            (501, "", Trouble::NotImplemented),
            (200, "<!DOCTYPE html><title>Sign in</title>", Trouble::Stranger),
            (404, "\n<html>no such page</html>", Trouble::Stranger),
            (511, "", Trouble::Stranger),
            (502, "<html>Bad Gateway</html>", Trouble::Unreachable),
            (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>", Trouble::Credentials),
        ] {
            check(status, body, &expected);
        }
    }

    #[test]
    fn of_an_answer_only_a_short_word_is_repeated() {
        let body = format!("<Code>\u{1b}[31mBad{}</Code>", "x".repeat(999));
        let shown = StoreAnswer::new(400, None, body.as_bytes()).to_string();
        assert!(shown.starts_with("400 31mBadxxx") && shown.len() < 60, "{shown}");
    }
}
