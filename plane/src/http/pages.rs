//! What is not the API: pages, health, metrics, artifacts and the tunnel's WebSocket.

use super::Ctx;
use crate::{
    app::{health, setup},
    auth::Call,
    console,
    failure::{Failure, Outcome},
    peer::Peer,
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, Request},
    response::Response,
    routing::get,
};
use ferrogate_api::Version;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio_util::io::ReaderStream;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Pieces in which files are read and sent.
const PIECE: usize = 64 * 1024;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/", get(landing))
        .route("/style.css", get(style))
        .route("/problems/{code}", get(problem))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/tunnel", get(tunnel))
        .route("/artifacts/{*path}", get(artifact))
        .route("/api/v1/openapi.json", get(document))
}

/// The same health and metrics, for the admin listener.
pub(super) fn admin_router() -> Router<Ctx> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).route("/metrics", get(admin_metrics))
}

/// The part of it that is in the API's document.
pub(super) fn described() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(version))
}

fn answer(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn html(body: String) -> Response {
    let mut response = answer("text/html; charset=utf-8", body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(console::CONTENT_SECURITY_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn landing(ctx: super::State) -> Outcome<Response> {
    Ok(html(console::landing(ctx.public_url.as_str(), setup::is_done(&ctx).await?)))
}

async fn style() -> Response {
    answer("text/css; charset=utf-8", console::STYLE)
}

async fn problem(Path(code): Path<String>) -> Response {
    html(console::problem(&code))
}

async fn document(ctx: super::State) -> Response {
    answer("application/json", ctx.document.clone())
}

/// The plane's version and what it installs by default.
#[utoipa::path(get, path = "/api/v1/version", tag = "plane",
    responses((status = 200, description = "The version", body = Version)))]
async fn version(ctx: super::State) -> Outcome<Json<Version>> {
    Ok(Json(health::version(&ctx).await?))
}

async fn livez() -> Response {
    answer("text/plain; charset=utf-8", "ok\n")
}

/// Ready means that the store answers and the plane does not shut down.
async fn readyz(ctx: super::State) -> Response {
    let (ready, text) = health::ready(&ctx).await;
    let mut response = answer("text/plain; charset=utf-8", text);
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

async fn metrics(ctx: super::State) -> Outcome<Response> {
    Ok(answer("text/plain; version=0.0.4; charset=utf-8", health::metrics(&ctx).await?))
}

async fn admin_metrics(ctx: super::State) -> Response {
    match health::metrics(&ctx).await {
        Ok(text) => answer("text/plain; version=0.0.4; charset=utf-8", text),
        Err(failure) => super::answer::problem(&failure, "admin"),
    }
}

async fn artifact(ctx: super::State, Path(path): Path<String>) -> Outcome<Response> {
    let opened = ctx.artifacts.open(&path).await?;
    let mut response =
        answer("application/octet-stream", Body::from_stream(ReaderStream::with_capacity(opened.file, PIECE)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(opened.length));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", opened.sha256)) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// A gateway's carrier where something between it and the plane speaks only HTTP/1.1.
async fn tunnel(
    ctx: super::State,
    _: Call,
    Extension(Peer(peer)): Extension<Peer>,
    mut request: Request,
) -> Outcome<Response> {
    let accepted = ferrogate_tunnel::carrier::websocket::accept(&request).ok_or_else(|| {
        Failure::new(426, "websocket_expected", "gateways open a WebSocket here")
            .hint("this address is for ferrogate-gateway, not for people")
    })?;
    let upgrade = hyper::upgrade::on(&mut request);
    let (hub, closing) = (ctx.hub.clone(), ctx.closing.clone());
    ctx.tasks.spawn(async move {
        let serve = async {
            match upgrade.await {
                Ok(upgraded) => hub.serve_websocket(Box::new(TokioIo::new(upgraded)), peer).await,
                Err(error) => tracing::debug!(%peer, %error, "a carrier's upgrade failed"),
            }
        };
        tokio::select! {
            () = serve => {}
            () = closing.cancelled() => {}
        }
    });
    Ok(accepted.map(|()| Body::empty()))
}
