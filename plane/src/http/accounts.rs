//! Cloud accounts.

use super::{
    Ctx, Page,
    extract::{Json as Body, Params},
};
use crate::{
    app::accounts,
    auth::{Call, Principal},
    failure::Outcome,
};
use axum::{Json, extract::Path};
use ferrogate_api::{Account, AccountCreate, AccountProperties, AccountUpdate, PageQuery};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_accounts, create_account))
        .routes(routes!(read_account, update_account, delete_account))
        .routes(routes!(read_account_properties))
}

/// Lists the cloud accounts of the tenant.
#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts", params(PageQuery),
    responses((status = 200, description = "The cloud accounts", body = Page<Account>)))]
async fn list_accounts(
    ctx: super::State,
    who: Principal,
    Params(page): Params<PageQuery>,
) -> Outcome<Json<Page<Account>>> {
    Ok(Json(accounts::list(&ctx, &who, &page).await?))
}

/// Registers a cloud account. Saved only if MAAS, asked through the gateway, accepts the key.
#[utoipa::path(post, path = "/api/v1/accounts", tag = "accounts", request_body = AccountCreate,
    responses((status = 201, description = "Registered", body = Account)))]
async fn create_account(
    ctx: super::State,
    who: Principal,
    call: Call,
    Body(request): Body<AccountCreate>,
) -> Outcome<(StatusCode, Json<Account>)> {
    let account = accounts::create(&ctx, &who, request).await?;
    call.about(account.id);
    Ok((StatusCode::CREATED, Json(account)))
}

/// Shows a cloud account.
#[utoipa::path(get, path = "/api/v1/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "Id or name of the cloud account", example = "maas-pcg-1")),
    responses((status = 200, description = "The cloud account", body = Account)))]
async fn read_account(ctx: super::State, who: Principal, Path(account): Path<String>) -> Outcome<Json<Account>> {
    Ok(Json(accounts::read(&ctx, &who, &account).await?))
}

/// Changes a cloud account. Saved only if MAAS, asked through the gateway, accepts the result.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}", tag = "accounts", request_body = AccountUpdate,
    params(("account" = String, Path, description = "Id or name of the cloud account", example = "maas-pcg-1")),
    responses((status = 200, description = "Changed", body = Account)))]
async fn update_account(
    ctx: super::State,
    who: Principal,
    Path(account): Path<String>,
    Body(request): Body<AccountUpdate>,
) -> Outcome<Json<Account>> {
    Ok(Json(accounts::update(&ctx, &who, &account, request).await?))
}

/// Deletes a cloud account. Refused with the list of clusters while any uses it.
#[utoipa::path(delete, path = "/api/v1/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "Id or name of the cloud account", example = "maas-pcg-1")),
    responses((status = 204, description = "Deleted")))]
async fn delete_account(ctx: super::State, who: Principal, Path(account): Path<String>) -> Outcome<StatusCode> {
    accounts::delete(&ctx, &who, &account).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads live, through the gateway, what MAAS offers.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/properties", tag = "accounts",
    params(("account" = String, Path, description = "Id or name of the cloud account", example = "maas-pcg-1")),
    responses((status = 200, description = "What MAAS offers", body = AccountProperties)))]
async fn read_account_properties(
    ctx: super::State,
    who: Principal,
    Path(account): Path<String>,
) -> Outcome<Json<AccountProperties>> {
    Ok(Json(accounts::properties(&ctx, &who, &account).await?))
}
