//! What is SQLite's alone: its file.

use crate::fixture::{Fixture, secret};
use ferrogate_model::Explain;
use ferrogate_store::{MasterKey, Store, settings};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn the_database_file_and_its_side_files_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane.db");
    let fixture = Fixture::open(path.display().to_string()).await;
    settings::set(&fixture.store, "a", &secret("b")).await.unwrap();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        seen.push(entry.file_name().into_string().unwrap());
    }
    assert!(seen.contains(&"plane.db-wal".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane.db");
    let fixture = Fixture::open(format!("sqlite:{}", path.display())).await;
    settings::set(&fixture.store, "a", &secret("b")).await.unwrap();
    fixture.store.close().await;
    let again = Store::open_file(&path, fixture.key.clone()).await.unwrap();
    assert!(settings::get(&again, "a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named() {
    let location = "/nonexistent/folder/plane.db".to_owned();
    let error = Store::open(&secret(&location), MasterKey::generate()).await.unwrap_err();
    assert_eq!(error.code(), "database_not_opened");
    assert!(error.to_string().contains(&location), "{error}");
}

#[tokio::test]
async fn a_databases_password_is_not_in_the_error() {
    let error = Store::open(&secret("postgres://ferrogate:hunter2@127.0.0.1:1/plane"), MasterKey::generate())
        .await
        .unwrap_err();
    let text = ferrogate_model::fault::chain(&error);
    assert!(text.contains("127.0.0.1:1/plane") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn the_database_of_a_newer_plane_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::open(folder.path().join("plane.db").display().to_string()).await;
    fixture
        .raw(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'of the future', TRUE, x'00', 0)",
        )
        .await;
    fixture.store.close().await;
    let error = Store::open(&fixture.location, fixture.key.clone()).await.unwrap_err();
    assert_eq!(error.code(), "database_not_migrated");
    assert!(error.hint().unwrap().contains("newer"), "{:?}", error.hint());
}
