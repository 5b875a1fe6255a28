//! Gateways and their nodes.

use super::{
    Ctx, Page,
    extract::{Json as Body, Params},
};
use crate::{
    app::{gateways, orphans},
    auth::Principal,
    failure::Outcome,
};
use axum::{Json, extract::Path};
use ferrogate_api::{Gateway, GatewayForceDelete, GatewayNode, Operation, Orphan, PageQuery};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_gateways))
        .routes(routes!(read_gateway, delete_gateway))
        .routes(routes!(force_delete_gateway))
        .routes(routes!(list_orphans))
        .routes(routes!(resolve_orphan))
        .routes(routes!(list_gateway_nodes))
        .routes(routes!(revoke_gateway_node))
}

/// Lists the gateways of the tenant.
#[utoipa::path(get, path = "/api/v1/gateways", tag = "gateways", params(PageQuery),
    responses((status = 200, description = "The gateways", body = Page<Gateway>)))]
async fn list_gateways(
    ctx: super::State,
    who: Principal,
    Params(page): Params<PageQuery>,
) -> Outcome<Json<Page<Gateway>>> {
    Ok(Json(gateways::list(&ctx, &who, &page).await?))
}

/// Shows a gateway.
#[utoipa::path(get, path = "/api/v1/gateways/{gateway}", tag = "gateways",
    params(("gateway" = String, Path, description = "Id or name of the gateway", example = "maas-pcg-1")),
    responses((status = 200, description = "The gateway", body = Gateway)))]
async fn read_gateway(ctx: super::State, who: Principal, Path(gateway): Path<String>) -> Outcome<Json<Gateway>> {
    Ok(Json(gateways::read(&ctx, &who, &gateway).await?))
}

/// Deletes a gateway and gives its machines back to MAAS. Refused with the list of clusters while any uses it.
#[utoipa::path(delete, path = "/api/v1/gateways/{gateway}", tag = "gateways",
    params(("gateway" = String, Path, description = "Id or name of the gateway", example = "maas-pcg-1")),
    responses((status = 202, description = "Being deleted", body = Operation)))]
async fn delete_gateway(
    ctx: super::State,
    who: Principal,
    Path(gateway): Path<String>,
) -> Outcome<(StatusCode, Json<Operation>)> {
    Ok((StatusCode::ACCEPTED, Json(gateways::delete(&ctx, &who, &gateway).await?)))
}

/// Ends a gateway whose deletion is stuck, whatever is left behind in MAAS; that is recorded. Its name must be given once
/// more.
#[utoipa::path(post, path = "/api/v1/gateways/{gateway}/force-delete", tag = "gateways", request_body = GatewayForceDelete,
    params(("gateway" = String, Path, description = "Id or name of the gateway", example = "maas-pcg-1")),
    responses((status = 202, description = "Being ended", body = Operation)))]
async fn force_delete_gateway(
    ctx: super::State,
    who: Principal,
    Path(gateway): Path<String>,
    Body(request): Body<GatewayForceDelete>,
) -> Outcome<(StatusCode, Json<Operation>)> {
    Ok((StatusCode::ACCEPTED, Json(gateways::force_delete(&ctx, &who, &gateway, &request).await?)))
}

/// Lists what may have been left behind in a MAAS by gateways that were deleted by force.
#[utoipa::path(get, path = "/api/v1/orphans", tag = "gateways", params(PageQuery),
    responses((status = 200, description = "What may have been left behind", body = Page<Orphan>)))]
async fn list_orphans(
    ctx: super::State,
    who: Principal,
    Params(page): Params<PageQuery>,
) -> Outcome<Json<Page<Orphan>>> {
    Ok(Json(orphans::list(&ctx, &who, &page).await?))
}

/// Forgets the record of something that was left behind, because it is released. Nothing is done in MAAS.
#[utoipa::path(delete, path = "/api/v1/orphans/{orphan}", tag = "gateways",
    params(("orphan" = String, Path, description = "Id of the record", example = "orph_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 204, description = "Forgotten")))]
async fn resolve_orphan(ctx: super::State, who: Principal, Path(orphan): Path<String>) -> Outcome<StatusCode> {
    orphans::resolve(&ctx, &who, &orphan).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the nodes of a gateway with the health of each.
#[utoipa::path(get, path = "/api/v1/gateways/{gateway}/nodes", tag = "gateways",
    params(("gateway" = String, Path, description = "Id or name of the gateway", example = "maas-pcg-1")),
    responses((status = 200, description = "The nodes", body = Page<GatewayNode>)))]
async fn list_gateway_nodes(
    ctx: super::State,
    who: Principal,
    Path(gateway): Path<String>,
) -> Outcome<Json<Page<GatewayNode>>> {
    Ok(Json(gateways::nodes(&ctx, &who, &gateway).await?))
}

/// Revokes a node's key: it is disconnected and can never come back with it. No other node is touched.
#[utoipa::path(post, path = "/api/v1/gateways/{gateway}/nodes/{node}/revoke", tag = "gateways",
    params(("gateway" = String, Path, description = "Id or name of the gateway", example = "maas-pcg-1"),
        ("node" = String, Path, description = "Id or name of the node", example = "node02")),
    responses((status = 204, description = "Revoked")))]
async fn revoke_gateway_node(
    ctx: super::State,
    who: Principal,
    Path((gateway, node)): Path<(String, String)>,
) -> Outcome<StatusCode> {
    gateways::revoke_node(&ctx, &who, &gateway, &node).await?;
    Ok(StatusCode::NO_CONTENT)
}
