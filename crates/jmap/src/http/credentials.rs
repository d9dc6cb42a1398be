//! Who we are to the server.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::error::Error;

/// Credentials, wiped from memory when dropped; `Debug` shows the kind only.
///
/// The HTTP stack holds one copy of the `Authorization` header for the life of a client or until it is renewed, marked
/// sensitive (never logged, never compressed), which is not wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Basic { user: String, password: Zeroizing<String> },
    Bearer(Zeroizing<String>),
}

impl Credentials {
    /// HTTP Basic (RFC 7617).
    #[must_use]
    pub fn basic(user: impl Into<String>, password: impl Into<Zeroizing<String>>) -> Self {
        Self(Kind::Basic { user: user.into(), password: password.into() })
    }

    /// A bearer token (RFC 6750): OAuth access token or API key.
    #[must_use]
    pub fn bearer(token: impl Into<Zeroizing<String>>) -> Self {
        Self(Kind::Bearer(token.into()))
    }

    /// Those by which this user signs in as another one: `owner%user` and the user's own password (Stalwart 0.16, for users who
    /// may impersonate). `None`: a token cannot, and nobody can as one whose name holds a colon.
    #[must_use]
    pub fn acting_as(&self, owner: &str) -> Option<Credentials> {
        match &self.0 {
            Kind::Basic { user, password } if !owner.contains(':') => {
                Some(Credentials::basic(format!("{owner}%{user}"), password.clone()))
            }
            Kind::Basic { .. } | Kind::Bearer(_) => None,
        }
    }

    /// The value of `Authorization`.
    pub(crate) fn header(&self) -> Result<HeaderValue, Error> {
        if matches!(&self.0, Kind::Basic { user, .. } if user.contains(':')) {
            return Err(Error::InvalidCredentials);
        }
        let mut value = HeaderValue::from_str(&self.expose()).map_err(|_| Error::InvalidCredentials)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Returns them as the server is shown them: `Basic …` or `Bearer …`, the secret itself.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.0 {
            Kind::Basic { user, password } => {
                let pair = Zeroizing::new(format!("{user}:{}", password.as_str()));
                format!("Basic {}", STANDARD.encode(pair.as_bytes()))
            }
            Kind::Bearer(token) => format!("Bearer {}", token.as_str()),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Basic { .. } => "Basic(…)",
            Kind::Bearer(_) => "Bearer(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_the_rfcs_say_and_marked_sensitive() {
        let basic = Credentials::basic("Aladdin", "open sesame".to_owned()).header().unwrap();
        assert_eq!(basic.to_str().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(basic.is_sensitive());
        let bearer = Credentials::bearer("t0ken".to_owned()).header().unwrap();
        assert_eq!(bearer.to_str().unwrap(), "Bearer t0ken");
        assert!(Credentials::bearer("t0\nken".to_owned()).header().is_err());
        assert!(Credentials::basic("a:b", "c".to_owned()).header().is_err());
    }

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", Credentials::basic("alice", "hunter2".to_owned()));
        assert_eq!(shown, "Basic(…)");
    }
}
