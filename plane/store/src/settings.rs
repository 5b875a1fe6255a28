//! Settings of the plane itself, sealed one and all: the set-up token, keys, choices of the platform admin.

use crate::{Db, StoreError, sql::args};
use secrecy::SecretString;

const TABLE: &str = "settings";

/// The value of a setting.
///
/// # Errors
/// [`StoreError::Tampered`] or [`StoreError::WrongKey`] when it cannot be opened.
pub async fn get(db: impl Into<Db<'_>>, key: &str) -> Result<Option<SecretString>, StoreError> {
    let mut db = db.into();
    let rows = db.read(TABLE, "SELECT key AS id, value FROM settings WHERE key = $1", args![key]).await?;
    rows.first().map(|row| db.key().open_text(TABLE, "value", key, &row.bytes("value")?)).transpose()
}

/// Sets a setting, whatever it was.
///
/// # Errors
/// What the database said.
pub async fn set(db: impl Into<Db<'_>>, key: &str, value: &SecretString) -> Result<(), StoreError> {
    let mut db = db.into();
    let sealed = db.key().seal_text(TABLE, "value", key, value);
    db.execute(
        "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        args![key, sealed],
    )
    .await?;
    Ok(())
}

/// Sets a setting only where it has none; tells whether it did. Of several at once, one wins.
///
/// # Errors
/// What the database said.
pub async fn set_if_absent(db: impl Into<Db<'_>>, key: &str, value: &SecretString) -> Result<bool, StoreError> {
    let mut db = db.into();
    let sealed = db.key().seal_text(TABLE, "value", key, value);
    let rows = db
        .execute("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING", args![key, sealed])
        .await?;
    Ok(rows == 1)
}

/// Forgets a setting; tells whether there was one. Of several at once, one is told yes.
///
/// # Errors
/// What the database said.
pub async fn remove(db: impl Into<Db<'_>>, key: &str) -> Result<bool, StoreError> {
    Ok(db.into().execute("DELETE FROM settings WHERE key = $1", args![key]).await? == 1)
}
