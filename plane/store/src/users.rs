//! People who sign in.

use crate::{
    Db, List, Page, StoreError, Tx,
    sql::{OnConflict, Row, args, found},
    subject::words,
};
use ferrogate_model::{TenantId, Timestamp, UserId};
use secrecy::{ExposeSecret, SecretString};

const TABLE: &str = "users";

words! {
    /// What a user or a token may do in its tenant.
    Role {
        /// Everything, users and gateways included.
        Admin = "admin",
        /// Clusters and what they need.
        Operator = "operator",
        /// Look, not touch.
        Viewer = "viewer",
    }
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Where it belongs.
    pub tenant: TenantId,
    /// The sign-in name, lower case; unique in the plane.
    pub email: String,
    /// Hash of the password in PHC text form; `None` for a user who signs in elsewhere.
    pub password_hash: Option<SecretString>,
    /// What it may do.
    pub role: Role,
    /// Whether it may also manage tenants.
    pub platform_admin: bool,
    /// Whether it is shut out.
    pub disabled: bool,
    /// When it was made.
    pub created: Timestamp,
}

macro_rules! columns {
    () => {
        "id, tenant, email, password_hash, role, platform_admin, disabled, created"
    };
}

/// Adds a user.
///
/// # Errors
/// [`StoreError::Conflict`] when the e-mail address is taken.
pub async fn insert(db: impl Into<Db<'_>>, user: &User) -> Result<(), StoreError> {
    let password_hash = user.password_hash.as_ref().map(|hash| hash.expose_secret().to_owned());
    db.into()
        .execute(
            concat!("INSERT INTO users (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"),
            args![
                user.id,
                user.tenant,
                user.email.to_lowercase(),
                password_hash,
                user.role,
                user.platform_admin,
                user.disabled,
                user.created
            ],
        )
        .await
        .conflict("user", &user.email)?;
    Ok(())
}

/// One user, whatever its tenant.
///
/// # Errors
/// What the database said.
pub async fn get(db: impl Into<Db<'_>>, id: UserId) -> Result<Option<User>, StoreError> {
    db.into().read_one(TABLE, concat!("SELECT ", columns!(), " FROM users WHERE id = $1"), args![id], read).await
}

/// One user of a tenant.
///
/// # Errors
/// What the database said.
pub async fn find(db: impl Into<Db<'_>>, tenant: TenantId, id: UserId) -> Result<Option<User>, StoreError> {
    Ok(get(db, id).await?.filter(|user| user.tenant == tenant))
}

/// One user, locked until the transaction ends: whoever makes a credential of the user and whoever ends them come one
/// after the other, so that none is made by what has ended meanwhile.
///
/// # Errors
/// What the database said.
pub async fn lock(tx: &mut Tx, id: UserId) -> Result<Option<User>, StoreError> {
    let sql = concat!("UPDATE users SET disabled = disabled WHERE id = $1 RETURNING ", columns!());
    Db::from(tx).write(TABLE, sql, args![id]).await?.first().map(read).transpose()
}

/// The user with this e-mail address, in any case.
///
/// # Errors
/// What the database said.
pub async fn by_email(db: impl Into<Db<'_>>, email: &str) -> Result<Option<User>, StoreError> {
    let sql = concat!("SELECT ", columns!(), " FROM users WHERE email = $1");
    db.into().read_one(TABLE, sql, args![email.to_lowercase()], read).await
}

/// The users of a tenant, oldest first.
///
/// # Errors
/// What the database said.
pub async fn list(db: impl Into<Db<'_>>, tenant: TenantId, page: &Page) -> Result<List<User>, StoreError> {
    let rows = db
        .into()
        .read(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM users WHERE tenant = $1 AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3"
            ),
            args![tenant, &page.after, page.rows()],
        )
        .await?;
    page.list(&rows, read, |user| user.id.to_string())
}

/// How many users there are in the whole plane; none means it was never set up.
///
/// # Errors
/// What the database said.
pub async fn count(db: impl Into<Db<'_>>) -> Result<u64, StoreError> {
    let count = db
        .into()
        .read_one(TABLE, "SELECT COUNT(*) AS count FROM users", vec![], |row| row.int("count"))
        .await?
        .unwrap_or_default();
    Ok(count.try_into().unwrap_or_default())
}

/// Replaces the password's hash.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such user.
pub async fn set_password(db: impl Into<Db<'_>>, id: UserId, hash: &SecretString) -> Result<(), StoreError> {
    let rows =
        db.into().execute("UPDATE users SET password_hash = $2 WHERE id = $1", args![id, hash.expose_secret()]).await?;
    found(rows, "user", id)
}

/// Changes what a user may do. `None` leaves a thing as it is.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such user.
pub async fn change(
    db: impl Into<Db<'_>>,
    id: UserId,
    role: Option<Role>,
    disabled: Option<bool>,
) -> Result<(), StoreError> {
    let rows = db
        .into()
        .execute(
            "UPDATE users SET role = COALESCE($2, role), \
             disabled = CASE $3 WHEN 'yes' THEN TRUE WHEN 'no' THEN FALSE ELSE disabled END WHERE id = $1",
            args![
                id,
                role.map(|role| role.as_str().to_owned()),
                disabled.map(|disabled| if disabled { "yes" } else { "no" }.to_owned())
            ],
        )
        .await?;
    found(rows, "user", id)
}

fn read(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.parse("id")?,
        tenant: row.parse("tenant")?,
        email: row.text("email")?,
        password_hash: row.opt_text("password_hash")?.map(SecretString::from),
        role: row.parse("role")?,
        platform_admin: row.bool("platform_admin")?,
        disabled: row.bool("disabled")?,
        created: row.time("created")?,
    })
}
