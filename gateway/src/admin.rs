//! The admin endpoints, on a port of their own:
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the process runs; depends on nothing |
//! | `/readyz` | 200 only while the plane has accepted a connection of this node, else 503; the text says why |
//! | `/metrics` | OpenMetrics text |

mod listener;

use crate::metrics::Metrics;
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use ferrogate_tunnel::AgentStatus;
use listener::LimitedListener;
use std::sync::Arc;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

struct Admin {
    status: watch::Receiver<AgentStatus>,
    metrics: Metrics,
}

/// Serves the admin endpoints until cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    status: watch::Receiver<AgentStatus>,
    metrics: Metrics,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(Arc::new(Admin { status, metrics }));
    // Not axum's graceful end: it waits for every idle connection of a scraper.
    tokio::select! {
        served = axum::serve(LimitedListener::new(listener), router) => served,
        () = cancel.cancelled() => Ok(()),
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let status = admin.status.borrow().clone();
    if status.connected {
        return (StatusCode::OK, format!("ok: {} connections to the plane\n", status.carriers));
    }
    let why = status.last_error.unwrap_or_else(|| "the first dial is under way".into());
    (StatusCode::SERVICE_UNAVAILABLE, format!("not connected to the plane: {why}\n"))
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let content_type = [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match admin.metrics.text() {
        Ok(text) => (content_type, text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
