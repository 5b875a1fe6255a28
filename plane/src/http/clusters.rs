//! Clusters, their machines and their kubeconfigs.

use super::{
    Ctx, Page,
    extract::{Json as Body, Params},
};
use crate::{
    app::{clusters, kubeconfig, machines},
    auth::{Call, Principal},
    failure::Outcome,
};
use axum::{Json, extract::Path};
use ferrogate_api::{
    Cluster, ClusterAccepted, ClusterCreate, ClusterDelete, ClusterLookup, ClusterPlan, ClusterUpdate, KnownCluster,
    KubeconfigCreate, KubeconfigCreated, Machine, PageQuery,
};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_clusters, create_cluster))
        .routes(routes!(plan_cluster))
        .routes(routes!(lookup_clusters))
        .routes(routes!(read_cluster, update_cluster, delete_cluster))
        .routes(routes!(list_cluster_machines))
        .routes(routes!(create_kubeconfig))
        .routes(routes!(list_machines))
}

/// Lists the clusters of the tenant, deleted ones for 72 hours.
#[utoipa::path(get, path = "/api/v1/clusters", tag = "clusters", params(PageQuery),
    responses((status = 200, description = "The clusters", body = Page<Cluster>)))]
async fn list_clusters(
    ctx: super::State,
    who: Principal,
    Params(page): Params<PageQuery>,
) -> Outcome<Json<Page<Cluster>>> {
    Ok(Json(clusters::list(&ctx, &who, &page).await?))
}

/// Asks for a cluster. Everything is checked through the gateway first; every problem found is in the answer.
#[utoipa::path(post, path = "/api/v1/clusters", tag = "clusters", request_body = ClusterCreate,
    responses((status = 202, description = "Accepted", body = ClusterAccepted)))]
async fn create_cluster(
    ctx: super::State,
    who: Principal,
    call: Call,
    Body(request): Body<ClusterCreate>,
) -> Outcome<(StatusCode, Json<ClusterAccepted>)> {
    let accepted = clusters::create(&ctx, &who, request).await?;
    call.about(accepted.cluster.id);
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

/// Shows what creating the cluster would do: every check, and the machines that would be taken. Nothing is reserved.
#[utoipa::path(post, path = "/api/v1/clusters/plan", tag = "clusters", request_body = ClusterCreate,
    responses((status = 200, description = "The plan", body = ClusterPlan)))]
async fn plan_cluster(
    ctx: super::State,
    who: Principal,
    Body(request): Body<ClusterCreate>,
) -> Outcome<Json<ClusterPlan>> {
    Ok(Json(clusters::plan(&ctx, &who, request).await?))
}

/// Tells which of these clusters the plane knows, whosever they are. What bears the mark of one that exists is no leak.
#[utoipa::path(post, path = "/api/v1/clusters/lookup", tag = "clusters", request_body = ClusterLookup,
    responses((status = 200, description = "What the plane knows", body = Page<KnownCluster>)))]
async fn lookup_clusters(
    ctx: super::State,
    _who: Principal,
    Body(request): Body<ClusterLookup>,
) -> Outcome<Json<Page<KnownCluster>>> {
    Ok(Json(clusters::lookup(&ctx, &request).await?))
}

/// Shows a cluster.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}", tag = "clusters",
    params(("cluster" = String, Path, description = "Id or name of the cluster", example = "web")),
    responses((status = 200, description = "The cluster", body = Cluster)))]
async fn read_cluster(ctx: super::State, who: Principal, Path(cluster): Path<String>) -> Outcome<Json<Cluster>> {
    Ok(Json(clusters::read(&ctx, &who, &cluster).await?))
}

/// Changes what a cluster should be, for example the size of its worker pools.
#[utoipa::path(patch, path = "/api/v1/clusters/{cluster}", tag = "clusters", request_body = ClusterUpdate,
    params(("cluster" = String, Path, description = "Id or name of the cluster", example = "web")),
    responses((status = 202, description = "Accepted", body = ClusterAccepted)))]
async fn update_cluster(
    ctx: super::State,
    who: Principal,
    Path(cluster): Path<String>,
    Body(request): Body<ClusterUpdate>,
) -> Outcome<(StatusCode, Json<ClusterAccepted>)> {
    Ok((StatusCode::ACCEPTED, Json(clusters::update(&ctx, &who, &cluster, request).await?)))
}

/// Deletes a cluster and gives its machines back to MAAS. Its name must be given once more.
#[utoipa::path(delete, path = "/api/v1/clusters/{cluster}", tag = "clusters", request_body = ClusterDelete,
    params(("cluster" = String, Path, description = "Id or name of the cluster", example = "web")),
    responses((status = 202, description = "Being deleted", body = ClusterAccepted)))]
async fn delete_cluster(
    ctx: super::State,
    who: Principal,
    Path(cluster): Path<String>,
    Body(request): Body<ClusterDelete>,
) -> Outcome<(StatusCode, Json<ClusterAccepted>)> {
    Ok((StatusCode::ACCEPTED, Json(clusters::delete(&ctx, &who, &cluster, &request).await?)))
}

/// Lists the machines of a cluster.
#[utoipa::path(get, path = "/api/v1/clusters/{cluster}/machines", tag = "machines",
    params(("cluster" = String, Path, description = "Id or name of the cluster", example = "web")),
    responses((status = 200, description = "The machines", body = Page<Machine>)))]
async fn list_cluster_machines(
    ctx: super::State,
    who: Principal,
    Path(cluster): Path<String>,
) -> Outcome<Json<Page<Machine>>> {
    Ok(Json(machines::of_cluster(&ctx, &who, &cluster).await?))
}

/// Makes a kubeconfig that reaches the cluster through the plane, with the rights of its maker.
#[utoipa::path(post, path = "/api/v1/clusters/{cluster}/kubeconfig", tag = "clusters", request_body = KubeconfigCreate,
    params(("cluster" = String, Path, description = "Id or name of the cluster", example = "web")),
    responses((status = 201, description = "Made", body = KubeconfigCreated)))]
async fn create_kubeconfig(
    ctx: super::State,
    who: Principal,
    Path(cluster): Path<String>,
    Body(request): Body<KubeconfigCreate>,
) -> Outcome<(StatusCode, Json<KubeconfigCreated>)> {
    Ok((StatusCode::CREATED, Json(kubeconfig::create(&ctx, &who, &cluster, &request).await?)))
}

/// Lists the machines of all clusters and gateways of the tenant.
#[utoipa::path(get, path = "/api/v1/machines", tag = "machines", params(PageQuery),
    responses((status = 200, description = "The machines", body = Page<Machine>)))]
async fn list_machines(
    ctx: super::State,
    who: Principal,
    Params(page): Params<PageQuery>,
) -> Outcome<Json<Page<Machine>>> {
    Ok(Json(machines::list(&ctx, &who, &page).await?))
}
