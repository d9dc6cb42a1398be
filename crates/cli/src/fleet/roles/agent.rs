use zeroize::Zeroizing;

use crate::fleet::settings::mail_server::Server;
use crate::terminal::failure::Failure;

/// Who signs in at a server.
pub(crate) enum Agent<'a> {
    Token(Zeroizing<String>),
    User { name: &'a str, password: Zeroizing<String> },
}

pub(crate) fn agent(server: &Server) -> Result<Agent<'_>, Failure> {
    match (&server.token, &server.user, &server.password) {
        (Some(token), None, None) => Ok(Agent::Token(token.read()?)),
        (None, Some(name), Some(password)) => Ok(Agent::User { name, password: password.read()? }),
        _ => {
            let what =
                format!("sign in at the server {}: it needs a user and a password, or a token", server.name);
            Err(Failure::usage(what, "set user and password, or token, in its [[servers]]"))
        }
    }
}
