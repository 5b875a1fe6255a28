//! The Kubernetes API of clusters, for `kubectl`.

use super::Ctx;
use crate::{
    auth::{Call, Principal},
    failure::Outcome,
    kubernetes,
};
use axum::{
    Router,
    extract::{Path, Request},
    response::Response,
    routing::any,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/k8s/clusters/{cluster}/{*path}", any(forward))
}

async fn forward(
    ctx: super::State,
    call: Call,
    who: Principal,
    Path((cluster, _)): Path<(String, String)>,
    request: Request,
) -> Outcome<Response> {
    kubernetes::forward(&ctx, &call, &who, &cluster, request).await
}
