use catalog::{Catalog, Error, Settings};
use model::ErrorClass;
use testkit::{Postgres, postgres::PASSWORD};

use crate::room::{Room, settings, sql_at};

/// How many there are.
fn migrations() -> usize {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    files.count()
}

#[tokio::test]
async fn two_at_once_migrate_once_and_schemas_are_apart() {
    let postgres = Postgres::start().await.unwrap();
    let settings = settings(&postgres);
    let (one, two) = (Catalog::connect(&settings).await.unwrap(), Catalog::connect(&settings).await.unwrap());
    assert!(matches!(one.require_migrated().await, Err(Error::NotMigrated { number: 1 })));

    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    assert_eq!(first.unwrap() + second.unwrap(), migrations(), "one of them did it");
    assert_eq!(one.migrate().await.unwrap(), 0, "and nothing is left");
    one.require_migrated().await.unwrap();

    let other = Settings { schema: "other".into(), ..settings };
    let other = Catalog::connect(&other).await.unwrap();
    assert!(matches!(other.require_migrated().await, Err(Error::NotMigrated { number: 1 })));
    assert_eq!(other.migrate().await.unwrap(), migrations());
}

#[tokio::test]
async fn an_edited_migration_and_a_newer_database_are_refused() {
    let Room { catalog, postgres } = Room::new().await;
    let newer = migrations() + 1;
    let insert = format!("INSERT INTO migrations (number, checksum) VALUES ({newer}, 'of the future')");
    sql_at(&postgres.url(), &insert).await;
    let refused = catalog.migrate().await;
    assert!(matches!(refused, Err(Error::Newer { number }) if number as usize == newer), "{refused:?}");
    catalog.require_migrated().await.expect("an old program runs on while the new one is rolled out");

    sql_at(&postgres.url(), "UPDATE migrations SET checksum = 'of another text' WHERE number = 1").await;
    for refused in [catalog.migrate().await.map(drop), catalog.require_migrated().await] {
        assert!(matches!(refused, Err(Error::Edited { number: 1 })), "{refused:?}");
    }
}

#[tokio::test]
async fn what_keeps_us_out_is_named_without_the_password() {
    let postgres = Postgres::start().await.unwrap();
    let wrong = postgres.url().replace(PASSWORD, "not-the-password");
    let closed = format!("postgres://malle:{PASSWORD}@127.0.0.1:1/postgres");
    let without = postgres.url().replace(&format!(":{PASSWORD}"), "");
    let transient = ErrorClass::Transient { retry_after: None };
    for (url, class) in [(wrong, ErrorClass::Auth), (closed, transient), (without, ErrorClass::Permanent)] {
        let error = Catalog::connect(&Settings::new(url, "test")).await.expect_err("kept out");
        assert_eq!(error.class(), class, "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(PASSWORD) && !shown.contains("not-the-password"), "{shown}");
    }
}
