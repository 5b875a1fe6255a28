//! Leases: of several replicas, one works on a thing at a time. A lease ends by itself when its holder dies.

use crate::{Db, StoreError, sql::args};
use ferrogate_model::Timestamp;

/// Takes a lease that is free, expired, or held by `holder` already; tells whether it is now `holder`'s.
///
/// # Errors
/// What the database said.
pub async fn claim(
    db: impl Into<Db<'_>>,
    name: &str,
    holder: &str,
    now: Timestamp,
    expires: Timestamp,
) -> Result<bool, StoreError> {
    let rows = db
        .into()
        .execute(
            "INSERT INTO leases (name, holder, expires) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires \
             WHERE leases.expires <= $4 OR leases.holder = excluded.holder",
            args![name, holder, expires, now],
        )
        .await?;
    Ok(rows == 1)
}

/// Keeps a lease that is still held; `false` means it was lost, and the work must stop.
///
/// # Errors
/// What the database said.
pub async fn renew(
    db: impl Into<Db<'_>>,
    name: &str,
    holder: &str,
    now: Timestamp,
    expires: Timestamp,
) -> Result<bool, StoreError> {
    let rows = db
        .into()
        .execute(
            "UPDATE leases SET expires = $3 WHERE name = $1 AND holder = $2 AND expires > $4",
            args![name, holder, expires, now],
        )
        .await?;
    Ok(rows == 1)
}

/// Gives a lease back, if it is still `holder`'s.
///
/// # Errors
/// What the database said.
pub async fn release(db: impl Into<Db<'_>>, name: &str, holder: &str) -> Result<(), StoreError> {
    db.into().execute("DELETE FROM leases WHERE name = $1 AND holder = $2", args![name, holder]).await?;
    Ok(())
}

/// Who holds a lease and until when, expired or not.
///
/// # Errors
/// What the database said.
pub async fn holder(db: impl Into<Db<'_>>, name: &str) -> Result<Option<(String, Timestamp)>, StoreError> {
    db.into()
        .read_one("leases", "SELECT name AS id, holder, expires FROM leases WHERE name = $1", args![name], |row| {
            Ok((row.text("holder")?, row.time("expires")?))
        })
        .await
}

/// Forgets the leases that expired before `before`; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM leases WHERE expires < $1", args![before]).await
}
