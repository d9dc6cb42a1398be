use jmap::{AccountId, AccountRef, Capability, Class, Error};

use crate::server::{Server, ok};
use crate::{chain, connect, server};

/// A server whose directory answers every query with the same principals.
async fn directory(principals: &'static str) -> Server {
    server(move |_| {
        ok(format!(
            r#"{{"methodResponses":[["Principal/query",{{"accountId":"adm","ids":[]}},"0"],
            ["Principal/get",{{"accountId":"adm","list":[{principals}]}},"1"]]}}"#
        ))
    })
    .await
}

async fn check(principals: &'static str, wanted: &str, expected: Result<&str, &str>) {
    let server = directory(principals).await;
    let client = connect(&server).await;
    let result = client.resolve_account(&AccountRef::Named(wanted.into())).await;
    match (&result, expected) {
        (Ok(account), Ok(id)) => assert_eq!(account.id.as_str(), id, "{wanted}"),
        (Err(error), Err(text)) => {
            assert!(error.to_string().contains(text), "{wanted}: {error}");
            assert_eq!(error.class(), Class::Permanent);
        }
        _ => panic!("{wanted}: {result:?}"),
    }
}

const ALICE: &str = r#"{"id":"p1","name":"alice","email":"alice@example.org","type":"individual"},
    {"id":"p2","name":"alice2","email":"alice@example.org.evil","type":"individual"},{"id":"p3","name":null}"#;

#[tokio::test]
async fn accounts_are_found_by_exact_name_or_address() {
    check("", "ADMIN", Ok("adm")).await;
    check(ALICE, "Alice@Example.org", Ok("p1")).await;
    check(ALICE, "alice2", Ok("p2")).await;
}

#[tokio::test]
async fn what_only_resembles_the_name_is_unknown() {
    check(ALICE, "alic", Err("knows no account")).await;
    check(ALICE, "bob@example.org", Err("knows no account")).await;
    check(r#"{"id":"p3","name":"alice"}"#, "alice@example.org", Err("knows no account")).await;
    check("", "", Err("knows no account")).await;
}

#[tokio::test]
async fn a_name_that_several_carry_is_refused() {
    check("", "team", Err("2 accounts are named")).await;
    check(r#"{"id":"p1","name":"x"},{"id":"p2","email":"X"}"#, "x", Err("2 accounts are named")).await;
}

#[tokio::test]
async fn a_directory_that_refuses_is_named_as_the_reason() {
    let server = server(|_| {
        ok(r#"{"methodResponses":[["error",{"type":"forbidden","description":"disabled"},"0"],
            ["error",{"type":"invalidResultReference"},"1"]]}"#)
    })
    .await;
    let client = connect(&server).await;
    let error = client.resolve_account(&AccountRef::Named("bob".into())).await.unwrap_err();
    assert!(matches!(error, Error::UnknownAccount { .. }));
    assert!(chain(&error).contains("Principal/query failed: forbidden (disabled)"), "{}", chain(&error));
}

#[tokio::test]
async fn the_users_accounts_need_no_directory() {
    let server = directory("").await;
    let client = connect(&server).await;
    let own = client.resolve_account(&AccountRef::Own).await.unwrap();
    assert_eq!((own.id.as_str(), own.is_personal), ("adm", true));
    let team = client.resolve_account(&AccountRef::Id(AccountId::new("t1").unwrap())).await.unwrap();
    assert_eq!(team.name, "team");
    assert_eq!(server.lines().len(), 1);
}

/// Resolves an id that the session does not list, on a server that answers so to `Principal/get`.
async fn by_id(answer: &'static str) -> Result<jmap::Account, Error> {
    let server = server(move |_| ok(format!(r#"{{"methodResponses":[[{answer},"0"]]}}"#))).await;
    let client = connect(&server).await;
    client.resolve_account(&AccountRef::Id(AccountId::new("zz").unwrap())).await
}

#[tokio::test]
async fn other_ids_must_be_in_the_directory_if_it_may_be_asked() {
    let known =
        by_id(r#""Principal/get",{"list":[{"id":"zz","name":"z","email":"z@example.org"}]}"#).await.unwrap();
    assert_eq!((known.name.as_str(), known.is_personal), ("z@example.org", false));
    assert!(known.has(Capability::BLOB), "the server's own capabilities");
    let unknown = by_id(r#""Principal/get",{"list":[],"notFound":["zz"]}"#).await.unwrap_err();
    assert!(matches!(unknown, Error::UnknownAccount { .. }));
    let unasked = by_id(r#""error",{"type":"forbidden"}"#).await.unwrap();
    assert_eq!(unasked.name, "zz");
    let later = by_id(r#""error",{"type":"serverFail"}"#).await.unwrap_err();
    assert!(matches!(later.class(), Class::Transient { .. }));
}
