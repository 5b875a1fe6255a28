//! Tenants of the plane.

use crate::{
    app::{credentials, users as app_users, wire},
    auth::{Principal, password},
    context::Context,
    failure::Outcome,
};
use ferrogate_api::{Page, PageQuery, Tenant, TenantCreate};
use ferrogate_model::{TenantId, UserId};
use ferrogate_store::{
    tenants,
    users::{self, Role, User},
};

/// A page of the plane's tenants.
pub(crate) async fn list(context: &Context, query: &PageQuery) -> Outcome<Page<Tenant>> {
    Ok(wire::listed(tenants::list(&context.store, &wire::page(query)?).await?, shown))
}

/// Makes a tenant and its first admin.
pub(crate) async fn create(context: &Context, who: &Principal, request: TenantCreate) -> Outcome<Tenant> {
    let now = context.now();
    let name = app_users::check_tenant_name(&request.name)?;
    let email = app_users::check_email(&request.admin_email)?;
    let password = request.admin_password.into_inner();
    password::check(&password)?;
    let password_hash = password::hash(password).await?;
    let tenant = tenants::Tenant { id: TenantId::new(), name, created: now };
    let admin = User {
        id: UserId::new(),
        tenant: tenant.id,
        email,
        password_hash: Some(password_hash.into()),
        role: Role::Admin,
        platform_admin: false,
        disabled: false,
        created: now,
    };
    let (mut tx, _) = credentials::making(context, who).await?;
    tenants::insert(&mut tx, &tenant).await?;
    users::insert(&mut tx, &admin).await?;
    tx.commit().await?;
    Ok(shown(tenant))
}

fn shown(tenant: tenants::Tenant) -> Tenant {
    Tenant { id: tenant.id, name: tenant.name, created_at: tenant.created }
}
