//! First start, sign-in, sessions and who one is.

use super::{Ctx, Page, extract::Json as Body};
use crate::{
    app::{password_change, sessions, setup},
    auth::{Call, Principal},
    failure::Outcome,
};
use axum::{Json, extract::Path};
use ferrogate_api::{EndedCredentials, Identity, PasswordChange, Session, SessionCreate, SessionCreated, SetupRequest};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(setup_plane))
        .routes(routes!(create_session, list_sessions))
        .routes(routes!(delete_session))
        .routes(routes!(who_am_i))
        .routes(routes!(change_password))
}

/// Makes the first tenant and its admin, with the one-time token that the plane showed on its first start.
#[utoipa::path(post, path = "/api/v1/setup", tag = "sessions", request_body = SetupRequest,
    responses((status = 201, description = "Set up and signed in", body = SessionCreated)))]
async fn setup_plane(
    ctx: super::State,
    call: Call,
    Body(request): Body<SetupRequest>,
) -> Outcome<(StatusCode, Json<SessionCreated>)> {
    let created = setup::run(&ctx, &call, request).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Signs in a local user.
#[utoipa::path(post, path = "/api/v1/sessions", tag = "sessions", request_body = SessionCreate,
    responses((status = 201, description = "Signed in", body = SessionCreated)))]
async fn create_session(
    ctx: super::State,
    call: Call,
    Body(request): Body<SessionCreate>,
) -> Outcome<(StatusCode, Json<SessionCreated>)> {
    let created = sessions::create(&ctx, &call, request).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Lists one's own sessions.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions",
    responses((status = 200, description = "The sessions", body = Page<Session>)))]
async fn list_sessions(ctx: super::State, who: Principal) -> Outcome<Json<Page<Session>>> {
    Ok(Json(sessions::list(&ctx, &who).await?))
}

/// Ends one of one's own sessions; `current` is the one that asks. Ending another one also revokes what it made: tokens,
/// kubeconfigs and unused pairing codes.
#[utoipa::path(delete, path = "/api/v1/sessions/{session}", tag = "sessions",
    params(("session" = String, Path, description = "Id of the session, or `current`", example = "current")),
    responses((status = 204, description = "Ended")))]
async fn delete_session(ctx: super::State, who: Principal, Path(session): Path<String>) -> Outcome<StatusCode> {
    sessions::delete(&ctx, &who, &session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks, and what these credentials may do.
#[utoipa::path(get, path = "/api/v1/me", tag = "sessions",
    responses((status = 200, description = "Who asks", body = Identity)))]
async fn who_am_i(ctx: super::State, who: Principal) -> Outcome<Json<Identity>> {
    Ok(Json(sessions::identity(&ctx, &who).await?))
}

/// Changes one's own password. It ends one's other sessions, and one's tokens, kubeconfigs and unused pairing codes; the
/// answer says how many. The session that asks goes on.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "sessions", request_body = PasswordChange,
    responses((status = 200, description = "Changed", body = EndedCredentials)))]
async fn change_password(
    ctx: super::State,
    who: Principal,
    call: Call,
    Body(request): Body<PasswordChange>,
) -> Outcome<Json<EndedCredentials>> {
    call.about(who.user);
    Ok(Json(password_change::run(&ctx, &call, &who, request).await?))
}
