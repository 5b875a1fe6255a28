//! Tenants, users and API tokens.

use super::{
    Ctx, Page,
    extract::{Json as Body, Params},
};
use crate::{
    app::{tenants, tokens, users},
    auth::{Call, Principal},
    failure::Outcome,
};
use axum::{Json, extract::Path};
use ferrogate_api::{
    PageQuery, Tenant, TenantCreate, Token, TokenCreate, TokenCreated, User, UserCreate, UserUpdate, UserUpdated,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_tenants, create_tenant))
        .routes(routes!(list_users, create_user))
        .routes(routes!(read_user, update_user))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
}

/// Lists the tenants of the plane.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", params(PageQuery),
    responses((status = 200, description = "The tenants", body = Page<Tenant>)))]
async fn list_tenants(ctx: super::State, Params(page): Params<PageQuery>) -> Outcome<Json<Page<Tenant>>> {
    Ok(Json(tenants::list(&ctx, &page).await?))
}

/// Makes a tenant with its first admin.
#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenants", request_body = TenantCreate,
    responses((status = 201, description = "Made", body = Tenant)))]
async fn create_tenant(
    ctx: super::State,
    who: Principal,
    call: Call,
    Body(request): Body<TenantCreate>,
) -> Outcome<(StatusCode, Json<Tenant>)> {
    let tenant = tenants::create(&ctx, &who, request).await?;
    call.about(tenant.id);
    Ok((StatusCode::CREATED, Json(tenant)))
}

/// Lists the users of the tenant.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(PageQuery),
    responses((status = 200, description = "The users", body = Page<User>)))]
async fn list_users(ctx: super::State, who: Principal, Params(page): Params<PageQuery>) -> Outcome<Json<Page<User>>> {
    Ok(Json(users::list(&ctx, &who, &page).await?))
}

/// Makes a local user.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = UserCreate,
    responses((status = 201, description = "Made", body = User)))]
async fn create_user(
    ctx: super::State,
    who: Principal,
    call: Call,
    Body(request): Body<UserCreate>,
) -> Outcome<(StatusCode, Json<User>)> {
    let user = users::create(&ctx, &who, request).await?;
    call.about(user.id);
    Ok((StatusCode::CREATED, Json(user)))
}

/// Shows a user.
#[utoipa::path(get, path = "/api/v1/users/{user}", tag = "users",
    params(("user" = String, Path, description = "Id of the user", example = "usr_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 200, description = "The user", body = User)))]
async fn read_user(ctx: super::State, who: Principal, Path(user): Path<String>) -> Outcome<Json<User>> {
    Ok(Json(users::read(&ctx, &who, &user).await?))
}

/// Changes a user: role, password, enabled or not. A new password or a disabled user ends the user's sessions, tokens,
/// kubeconfigs and unused pairing codes; the answer says how many.
#[utoipa::path(patch, path = "/api/v1/users/{user}", tag = "users", request_body = UserUpdate,
    params(("user" = String, Path, description = "Id of the user", example = "usr_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 200, description = "Changed", body = UserUpdated)))]
async fn update_user(
    ctx: super::State,
    who: Principal,
    Path(user): Path<String>,
    Body(request): Body<UserUpdate>,
) -> Outcome<Json<UserUpdated>> {
    Ok(Json(users::update(&ctx, &who, &user, request).await?))
}

/// Lists one's own API tokens; an admin sees all of the tenant.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, description = "The tokens", body = Page<Token>)))]
async fn list_tokens(ctx: super::State, who: Principal, Params(page): Params<PageQuery>) -> Outcome<Json<Page<Token>>> {
    Ok(Json(tokens::list(&ctx, &who, &page).await?))
}

/// Makes an API token that acts for its maker, with at most its maker's role. It is shown only in this answer.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenCreate,
    responses((status = 201, description = "Made", body = TokenCreated)))]
async fn create_token(
    ctx: super::State,
    who: Principal,
    call: Call,
    Body(request): Body<TokenCreate>,
) -> Outcome<(StatusCode, Json<TokenCreated>)> {
    let created = tokens::create(&ctx, &who, request).await?;
    call.about(created.token.id);
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revokes an API token, with the kubeconfigs and unused pairing codes that it made: one's own, or as an admin any of the
/// tenant.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "Id of the token", example = "tok_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 204, description = "Revoked")))]
async fn revoke_token(ctx: super::State, who: Principal, Path(token): Path<String>) -> Outcome<StatusCode> {
    tokens::revoke(&ctx, &who, &token).await?;
    Ok(StatusCode::NO_CONTENT)
}
