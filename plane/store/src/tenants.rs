//! Tenants: organisations with their own users, gateways and clusters.

use crate::{
    Db, List, Page, StoreError,
    sql::{OnConflict, Row, args},
};
use ferrogate_model::{TenantId, Timestamp};

const TABLE: &str = "tenants";

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// What people call it; unique in the plane.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

/// Adds a tenant.
///
/// # Errors
/// [`StoreError::Conflict`] when the name is taken.
pub async fn insert(db: impl Into<Db<'_>>, tenant: &Tenant) -> Result<(), StoreError> {
    db.into()
        .execute(
            "INSERT INTO tenants (id, name, created) VALUES ($1, $2, $3)",
            args![tenant.id, &tenant.name, tenant.created],
        )
        .await
        .conflict("tenant", &tenant.name)?;
    Ok(())
}

/// One tenant.
///
/// # Errors
/// What the database said.
pub async fn get(db: impl Into<Db<'_>>, id: TenantId) -> Result<Option<Tenant>, StoreError> {
    db.into().read_one(TABLE, "SELECT id, name, created FROM tenants WHERE id = $1", args![id], read).await
}

/// Every tenant, oldest first.
///
/// # Errors
/// What the database said.
pub async fn list(db: impl Into<Db<'_>>, page: &Page) -> Result<List<Tenant>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            "SELECT id, name, created FROM tenants WHERE $1 IS NULL OR id > $1 ORDER BY id LIMIT $2",
            args![&page.after, page.rows()],
        )
        .await?;
    page.list(&rows, read, |tenant| tenant.id.to_string())
}

fn read(row: &Row) -> Result<Tenant, StoreError> {
    Ok(Tenant { id: row.parse("id")?, name: row.text("name")?, created: row.time("created")? })
}
