//! Gateways and their nodes.

use super::{Ctx, Page, extract::Params};
use crate::{app::gateways, auth::Principal, failure::Outcome};
use axum::{Json, extract::Path};
use ferrogate_api::{Gateway, GatewayNode, Operation, PageQuery};
use http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_gateways))
        .routes(routes!(read_gateway, delete_gateway))
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
