use jmap::{Class, Client, Error, Warning};
use tokio::net::TcpListener;

use crate::server::{Server, answer, not_found, ok, session};
use crate::{PASSWORD, chain, config};

/// Connects to a server that has its session at one place and nothing elsewhere.
async fn check(place: &'static str, path: &str, asked: &[&str]) {
    let server = Server::start(move |seen| match seen.line == format!("get {place}") {
        true => ok(session("", 4)),
        false => not_found(),
    })
    .await;
    let client = Client::connect(config(&format!("{}{path}", server.url))).await.unwrap();
    assert_eq!(client.session().username, "admin");
    assert_eq!(server.lines(), asked);
    assert!(server.seen().iter().all(|seen| seen.head.contains("authorization: basic ")));
    assert_eq!(client.warnings(), []);
}

#[tokio::test]
async fn a_session_is_found_in_the_usual_places() {
    check("/.well-known/jmap", "", &["get /.well-known/jmap"]).await;
    check("/jmap/session", "", &["get /.well-known/jmap", "get /jmap/session"]).await;
    check("/jmap/session", "/jmap/session", &["get /jmap/session"]).await;
    check("/own", "/own", &["get /own/.well-known/jmap", "get /own/jmap/session", "get /own"]).await;
}

#[tokio::test]
async fn redirects_within_the_origin_are_followed_with_credentials() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "get /.well-known/jmap" => answer("307 Temporary Redirect", "location: /jmap/session\r\n", ""),
        "get /jmap/session" => ok(session("", 4)),
        _ => not_found(),
    })
    .await;
    Client::connect(config(&server.url)).await.unwrap();
    assert!(server.seen()[1].head.contains("authorization: basic "));
}

#[tokio::test]
async fn redirects_to_another_origin_are_an_error_and_carry_nothing_there() {
    let other = Server::start(|_| ok(session("", 4))).await;
    let location = format!("location: {}/jmap/session\r\n", other.url);
    let server = Server::start(move |seen| match seen.line.as_str() {
        "get /.well-known/jmap" => answer("307 Temporary Redirect", &location, ""),
        _ => not_found(),
    })
    .await;
    let error = Client::connect(config(&server.url)).await.unwrap_err();
    assert!(matches!(&error, Error::ForeignRedirect { to } if *to == other.url), "{error}");
    assert_eq!(error.class(), Class::Permanent);
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn redirects_in_circles_end() {
    let server = Server::start(|_| answer("302 Found", "location: /again\r\n", "")).await;
    let error = Client::connect(config(&format!("{}/jmap/session", server.url))).await.unwrap_err();
    assert!(chain(&error).contains("redirects in circles"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let server = Server::start(|_| answer("401 Unauthorized", "", PASSWORD)).await;
    let error = Client::connect(config(&server.url)).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized));
    assert_eq!(error.class(), Class::Auth);
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn session_urls_of_another_origin_are_used_by_their_path_with_a_warning() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "get /.well-known/jmap" => ok(session("https://mail.example.org/pub", 4)),
        "post /pub/api" => ok(r#"{"methodResponses":[],"sessionState":"s"}"#),
        _ => not_found(),
    })
    .await;
    let client = Client::connect(config(&server.url)).await.unwrap();
    let named: Vec<_> = client
        .warnings()
        .into_iter()
        .map(|warning| match warning {
            Warning::ForeignUrl { which, origin } => format!("{which} {origin}"),
            Warning::PlainHttp => "plain".into(),
        })
        .collect();
    assert_eq!(named, ["apiUrl https://mail.example.org", "downloadUrl https://mail.example.org"]);
    client.call(&jmap::Batch::new(&crate::account())).await.unwrap();
}

#[tokio::test]
async fn what_is_no_jmap_server_is_told_apart() {
    let page = Server::start(|_| ok("<html>hello</html>")).await;
    let error = Client::connect(config(&page.url)).await.unwrap_err();
    assert!(matches!(error, Error::NoSession(_)) && error.class() == Class::Corrupt, "{error}");

    let empty = Server::start(|_| not_found()).await;
    let error = Client::connect(config(&empty.url)).await.unwrap_err();
    assert!(matches!(error, Error::NoSession(_)) && error.class() == Class::Permanent, "{error}");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Client::connect(config(&format!("http://{closed}"))).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    assert_eq!(error.class(), Class::Transient { retry_after: None });
}

#[tokio::test]
async fn a_server_that_hangs_up_at_once_may_have_blocked_us() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hangs_up = async || {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    for scheme in ["http", "https"] {
        let error = tokio::select! {
            connected = Client::connect(config(&format!("{scheme}://127.0.0.1:{port}"))) => connected.unwrap_err(),
            () = hangs_up() => unreachable!("it goes on"),
        };
        assert!(matches!(error, Error::ClosedAtOnce(_)), "{scheme}: {}", chain(&error));
        assert!(
            error.class() == Class::Transient { retry_after: None } && !chain(&error).contains("127.0.0.1")
        );
    }
}

#[tokio::test]
async fn https_to_what_speaks_no_tls_is_for_people_to_mend() {
    let server = Server::start_raw(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let error = Client::connect(config(&server.url.replace("http:", "https:"))).await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{}", chain(&error));
    assert_eq!(error.class(), Class::Auth);
}

#[tokio::test]
async fn a_session_without_end_is_cut() {
    let server = Server::start(|_| ok(format!("\"{}\"", "x".repeat(3000)))).await;
    let mut config = config(&format!("{}/jmap/session", server.url));
    config.limits.session = 1000;
    let error = Client::connect(config).await.unwrap_err();
    assert!(chain(&error).contains("exceeds 1000 bytes"), "{}", chain(&error));
}
