//! The plane over HTTP: thin handlers, a file a noun. Who may call what is in [`routes`]; every request passes [`guard`].

mod accounts;
mod answer;
mod clusters;
mod document;
mod events;
mod examples;
mod extract;
mod gateways;
mod guard;
mod kubernetes;
mod pages;
mod pairing;
pub(crate) mod routes;
mod sessions;
mod users;

use crate::{context::Context, failure::Failure};
use axum::{Router, middleware};
use ferrogate_api::Page;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

pub use document::openapi;

/// What handlers share.
type Ctx = Arc<Context>;
/// The same, as a handler takes it.
type State = axum::extract::State<Ctx>;

/// The described part of the API.
fn described() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .merge(pages::described())
        .merge(sessions::router())
        .merge(users::router())
        .merge(pairing::router())
        .merge(gateways::router())
        .merge(accounts::router())
        .merge(clusters::router())
        .merge(events::router())
}

/// Everything the plane answers.
pub(crate) fn router(context: &Ctx) -> Router {
    let (api, _) = described().split_for_parts();
    api.merge(pages::router())
        .merge(kubernetes::router())
        .fallback(|| async { Failure::new(404, "no_such_path", "there is nothing here") })
        .layer(middleware::from_fn_with_state(Arc::clone(context), guard::guard))
        .with_state(Arc::clone(context))
}

/// What the admin listener answers: health and metrics, to everybody who reaches it.
pub(crate) fn admin_router(context: &Ctx) -> Router {
    pages::admin_router().with_state(Arc::clone(context))
}
