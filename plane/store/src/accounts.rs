//! Cloud accounts: a MAAS, a key to it, and the gateway it is reached through.

use crate::{
    Db, List, Page, StoreError, Tx,
    sql::{OnConflict, Row, args, found},
    subject::words,
};
use ferrogate_model::{AccountId, GatewayId, Name, TenantId, Timestamp};
use secrecy::SecretString;

const TABLE: &str = "accounts";
const WHAT: &str = "cloud account";

words! {
    /// Whether an account worked when it was last tried.
    AccountState {
        /// Not tried yet.
        Unknown = "Unknown",
        /// MAAS answered and knows the key.
        Ready = "Ready",
        /// MAAS answered and refused the key.
        Refused = "Refused",
        /// MAAS was not reached.
        Unreachable = "Unreachable",
    }
}

/// A cloud account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Where it belongs.
    pub tenant: TenantId,
    /// What people call it; unique among the tenant's accounts that are not deleted.
    pub name: Name,
    /// The gateway MAAS is reached through.
    pub gateway: GatewayId,
    /// Address of MAAS.
    pub endpoint: String,
    /// MAAS API key (sealed).
    pub api_key: SecretString,
    /// Private CA (PEM) of MAAS.
    pub ca_pem: Option<String>,
    /// Whether it worked when it was last tried.
    pub state: AccountState,
    /// Why it did not, for people; may be empty.
    pub reason: String,
    /// Whether the plane made it when the gateway registered.
    pub auto_created: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
}

macro_rules! columns {
    () => {
        "id, tenant, name, gateway, endpoint, api_key, ca_pem, state, reason, auto_created, created, updated, deleted"
    };
}

/// Adds an account.
///
/// # Errors
/// [`StoreError::Conflict`] when the tenant has an account of this name.
pub async fn insert(db: impl Into<Db<'_>>, account: &Account) -> Result<(), StoreError> {
    let mut db = db.into();
    let api_key = db.key().seal_text(TABLE, "api_key", &account.id.to_string(), &account.api_key);
    db.execute(
        concat!(
            "INSERT INTO accounts (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
        ),
        args![
            account.id,
            account.tenant,
            &account.name,
            account.gateway,
            &account.endpoint,
            api_key,
            &account.ca_pem,
            account.state,
            &account.reason,
            account.auto_created,
            account.created,
            account.updated,
            account.deleted
        ],
    )
    .await
    .conflict(WHAT, &account.name)?;
    Ok(())
}

/// One account, whatever its tenant, deleted or not.
///
/// # Errors
/// What the database said, or a key that cannot be opened.
pub async fn get(db: impl Into<Db<'_>>, id: AccountId) -> Result<Option<Account>, StoreError> {
    let mut db = db.into();
    let rows = db.read(TABLE, concat!("SELECT ", columns!(), " FROM accounts WHERE id = $1"), args![id]).await?;
    rows.first().map(|row| read(&db, row)).transpose()
}

/// Locks an account that is not deleted until the end of the transaction.
///
/// # Errors
/// As [`get`].
pub async fn lock(tx: &mut Tx, id: AccountId) -> Result<Option<Account>, StoreError> {
    let mut db = Db::from(tx);
    let sql = concat!("UPDATE accounts SET state = state WHERE id = $1 AND deleted IS NULL RETURNING ", columns!());
    let rows = db.write(TABLE, sql, args![id]).await?;
    rows.first().map(|row| read(&db, row)).transpose()
}

/// One account of a tenant, deleted or not.
///
/// # Errors
/// As [`get`].
pub async fn find(db: impl Into<Db<'_>>, tenant: TenantId, id: AccountId) -> Result<Option<Account>, StoreError> {
    Ok(get(db, id).await?.filter(|account| account.tenant == tenant))
}

/// The tenant's account of this name that is not deleted.
///
/// # Errors
/// As [`get`].
pub async fn by_name(db: impl Into<Db<'_>>, tenant: TenantId, name: &Name) -> Result<Option<Account>, StoreError> {
    let mut db = db.into();
    let sql = concat!("SELECT ", columns!(), " FROM accounts WHERE tenant = $1 AND name = $2 AND deleted IS NULL");
    let rows = db.read(TABLE, sql, args![tenant, name]).await?;
    rows.first().map(|row| read(&db, row)).transpose()
}

/// The accounts of a tenant that are not deleted, optionally of one gateway, oldest first.
///
/// # Errors
/// As [`get`].
pub async fn list(
    db: impl Into<Db<'_>>,
    tenant: TenantId,
    gateway: Option<GatewayId>,
    page: &Page,
) -> Result<List<Account>, StoreError> {
    let mut db = db.into();
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM accounts WHERE tenant = $1 AND ($2 IS NULL OR gateway = $2) AND deleted IS NULL \
         AND ($3 IS NULL OR id > $3) ORDER BY id LIMIT $4"
    );
    let rows = db.read(TABLE, sql, args![tenant, gateway, &page.after, page.rows()]).await?;
    page.list(&rows, |row| read(&db, row), |account| account.id.to_string())
}

/// Replaces an account's name, gateway, endpoint, key and CA.
///
/// # Errors
/// [`StoreError::NotFound`] when it is gone, [`StoreError::Conflict`] when the new name is taken.
pub async fn change(db: impl Into<Db<'_>>, account: &Account, now: Timestamp) -> Result<(), StoreError> {
    let mut db = db.into();
    let api_key = db.key().seal_text(TABLE, "api_key", &account.id.to_string(), &account.api_key);
    let rows = db
        .execute(
            "UPDATE accounts SET name = $2, gateway = $3, endpoint = $4, api_key = $5, ca_pem = $6, updated = $7 \
             WHERE id = $1 AND deleted IS NULL",
            args![account.id, &account.name, account.gateway, &account.endpoint, api_key, &account.ca_pem, now],
        )
        .await
        .conflict(WHAT, &account.name)?;
    found(rows, WHAT, account.id)
}

/// Notes how the last try went.
///
/// # Errors
/// [`StoreError::NotFound`].
pub async fn set_state(
    db: impl Into<Db<'_>>,
    id: AccountId,
    state: AccountState,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = db
        .into()
        .execute(
            "UPDATE accounts SET state = $2, reason = $3, updated = $4 WHERE id = $1",
            args![id, state, reason, now],
        )
        .await?;
    found(rows, WHAT, id)
}

/// Marks an account deleted and forgets its key; tells whether it was there. Refused while a cluster or a gateway that is not
/// deleted uses it.
///
/// # Errors
/// What the database said.
pub async fn delete(db: impl Into<Db<'_>>, id: AccountId, now: Timestamp) -> Result<bool, StoreError> {
    let mut db = db.into();
    let nothing = db.key().seal_text(TABLE, "api_key", &id.to_string(), &SecretString::from(""));
    let rows = db
        .execute(
            "UPDATE accounts SET deleted = $2, updated = $2, api_key = $3 WHERE id = $1 AND deleted IS NULL \
             AND NOT EXISTS (SELECT 1 FROM clusters WHERE clusters.account = accounts.id AND clusters.deleted IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM gateways WHERE gateways.account = accounts.id AND gateways.deleted IS NULL)",
            args![id, now, nothing],
        )
        .await?;
    Ok(rows == 1)
}

/// Forgets the accounts deleted before `before`; returns how many.
///
/// # Errors
/// What the database said.
pub async fn purge(db: impl Into<Db<'_>>, before: Timestamp) -> Result<u64, StoreError> {
    db.into().execute("DELETE FROM accounts WHERE deleted < $1", args![before]).await
}

fn read(db: &Db<'_>, row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        name: row.parse("name")?,
        gateway: row.parse("gateway")?,
        endpoint: row.text("endpoint")?,
        api_key: db.key().open_text(TABLE, "api_key", &row.text("id")?, &row.bytes("api_key")?)?,
        ca_pem: row.opt_text("ca_pem")?,
        state: row.parse("state")?,
        reason: row.text("reason")?,
        auto_created: row.bool("auto_created")?,
        created: row.time("created")?,
        updated: row.time("updated")?,
        deleted: row.opt_time("deleted")?,
    })
}
