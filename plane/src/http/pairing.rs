//! Pairing codes, pairing itself, and what an installer asks for afterwards.

use super::{
    Ctx, Page,
    extract::{Json as Body, Params},
};
use crate::{
    app::{install, pairing, pairing_codes},
    auth::{Call, Installer, Principal},
    failure::Outcome,
};
use axum::{Json, extract::Path};
use ferrogate_api::{
    EnrolmentTokenCreate, EnrolmentTokenCreated, InstallProgress, InstallStatus, PageQuery, PairRequest, PairResponse,
    PairingCode, PairingCodeCreate, PairingCodeCreated,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_pairing_codes, create_pairing_code))
        .routes(routes!(revoke_pairing_code))
        .routes(routes!(pair))
        .routes(routes!(install_status))
        .routes(routes!(create_enrolment_token))
        .routes(routes!(report_install))
        .routes(routes!(abandon_install))
}

/// Lists pairing codes: what became of each, never the code itself.
#[utoipa::path(get, path = "/api/v1/pairing-codes", tag = "pairing", params(PageQuery),
    responses((status = 200, description = "The pairing codes", body = Page<PairingCode>)))]
async fn list_pairing_codes(
    ctx: super::State,
    who: Principal,
    Params(page): Params<PageQuery>,
) -> Outcome<Json<Page<PairingCode>>> {
    Ok(Json(pairing_codes::list(&ctx, &who, &page).await?))
}

/// Makes a pairing code: good for one gateway within 24 hours. It is shown only in this answer.
#[utoipa::path(post, path = "/api/v1/pairing-codes", tag = "pairing", request_body = PairingCodeCreate,
    responses((status = 201, description = "Made", body = PairingCodeCreated)))]
async fn create_pairing_code(
    ctx: super::State,
    who: Principal,
    call: Call,
    Body(request): Body<PairingCodeCreate>,
) -> Outcome<(StatusCode, Json<PairingCodeCreated>)> {
    let created = pairing_codes::create(&ctx, &who, request).await?;
    call.about(created.pairing_code.id);
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revokes a pairing code that was not used yet.
#[utoipa::path(delete, path = "/api/v1/pairing-codes/{pairing_code}", tag = "pairing",
    params(("pairing_code" = String, Path, description = "Id of the pairing code", example = "pair_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 204, description = "Revoked")))]
async fn revoke_pairing_code(ctx: super::State, who: Principal, Path(code): Path<String>) -> Outcome<StatusCode> {
    pairing_codes::revoke(&ctx, &who, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Uses a pairing code: makes the gateway and hands its installer what it needs to build it.
#[utoipa::path(post, path = "/api/v1/pair", tag = "pairing", request_body = PairRequest,
    responses((status = 201, description = "Paired", body = PairResponse)))]
async fn pair(
    ctx: super::State,
    call: Call,
    Body(request): Body<PairRequest>,
) -> Outcome<(StatusCode, Json<PairResponse>)> {
    let paired = pairing::pair(&ctx, &call, request).await?;
    call.about(paired.gateway_id);
    Ok((StatusCode::CREATED, Json(paired)))
}

/// How the gateway stands, for the installer that waits for it.
#[utoipa::path(get, path = "/api/v1/install/{gateway}", tag = "install",
    params(("gateway" = String, Path, description = "Id of the gateway", example = "gw_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 200, description = "How it stands", body = InstallStatus)))]
async fn install_status(ctx: super::State, who: Installer) -> Outcome<Json<InstallStatus>> {
    Ok(Json(install::status(&ctx, &who).await?))
}

/// Makes a token with which one machine may register its key, once.
#[utoipa::path(post, path = "/api/v1/install/{gateway}/enrolment-tokens", tag = "install", request_body = EnrolmentTokenCreate,
    params(("gateway" = String, Path, description = "Id of the gateway", example = "gw_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 201, description = "Made", body = EnrolmentTokenCreated)))]
async fn create_enrolment_token(
    ctx: super::State,
    who: Installer,
    Body(request): Body<EnrolmentTokenCreate>,
) -> Outcome<(StatusCode, Json<EnrolmentTokenCreated>)> {
    Ok((StatusCode::CREATED, Json(install::enrolment_token(&ctx, &who, request).await?)))
}

/// Tells the plane how far the installer is.
#[utoipa::path(post, path = "/api/v1/install/{gateway}/progress", tag = "install", request_body = InstallProgress,
    params(("gateway" = String, Path, description = "Id of the gateway", example = "gw_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 204, description = "Noted")))]
async fn report_install(
    ctx: super::State,
    who: Installer,
    Body(request): Body<InstallProgress>,
) -> Outcome<StatusCode> {
    install::progress(&ctx, &who, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the gateway up: the installer has released, or will release, every machine it took for it.
#[utoipa::path(post, path = "/api/v1/install/{gateway}/abandon", tag = "install",
    params(("gateway" = String, Path, description = "Id of the gateway", example = "gw_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 204, description = "Given up")))]
async fn abandon_install(ctx: super::State, who: Installer) -> Outcome<StatusCode> {
    install::abandon(&ctx, &who).await?;
    Ok(StatusCode::NO_CONTENT)
}
