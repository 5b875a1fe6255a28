//! Operations, events (listed and live) and the audit.

use super::{Ctx, Page, extract::Params};
use crate::{
    app::{audit, events, operations},
    auth::{Call, Principal, body::EndingBody, revocation},
    failure::Outcome,
};
use axum::{Json, body::Body, extract::Path, response::Response};
use ferrogate_api::{AuditEntry, AuditQuery, Event, EventQuery, Operation, OperationQuery};
use http::{HeaderMap, HeaderValue, header};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list_operations))
        .routes(routes!(read_operation))
        .routes(routes!(list_events))
        .routes(routes!(stream_events))
        .routes(routes!(list_audit))
        .routes(routes!(export_audit))
}

/// Lists operations, the newest first, without their steps.
#[utoipa::path(get, path = "/api/v1/operations", tag = "operations", params(OperationQuery),
    responses((status = 200, description = "The operations", body = Page<Operation>)))]
async fn list_operations(
    ctx: super::State,
    who: Principal,
    Params(query): Params<OperationQuery>,
) -> Outcome<Json<Page<Operation>>> {
    Ok(Json(operations::list(&ctx, &who, &query).await?))
}

/// Shows an operation with its steps.
#[utoipa::path(get, path = "/api/v1/operations/{operation}", tag = "operations",
    params(("operation" = String, Path, description = "Id of the operation", example = "op_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 200, description = "The operation", body = Operation)))]
async fn read_operation(ctx: super::State, who: Principal, Path(operation): Path<String>) -> Outcome<Json<Operation>> {
    Ok(Json(operations::read(&ctx, &who, &operation).await?))
}

/// Lists events, the newest first.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, description = "The events", body = Page<Event>)))]
async fn list_events(
    ctx: super::State,
    who: Principal,
    Params(query): Params<EventQuery>,
) -> Outcome<Json<Page<Event>>> {
    Ok(Json(events::list(&ctx, &who, &query).await?))
}

/// Sends events as they happen (`text/event-stream`): first those after `Last-Event-ID`, then the new ones. A comment
/// every 15 s keeps the connection open.
#[utoipa::path(get, path = "/api/v1/events/stream", tag = "events",
    params(("last-event-id" = Option<String>, Header, description = "Id of the last event that was received", example = "ev_01990f3e6b0a7c31a5d2c0ffee123456")),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String,
        example = "id: ev_01990f3e6b0a7c31a5d2c0ffee123456\nevent: event\ndata: {\"id\":\"ev_01990f3e6b0a7c31a5d2c0ffee123456\"}\n\n")))]
async fn stream_events(ctx: super::State, call: Call, who: Principal, headers: HeaderMap) -> Outcome<Response> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let events = events::follow(ctx.0, &call, &who, last).await?;
    let body = Body::from_stream(events);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that collect answers before they pass them on would make live events late.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Lists the audit: every change and every refusal, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "The entries", body = Page<AuditEntry>)))]
async fn list_audit(
    ctx: super::State,
    who: Principal,
    Params(query): Params<AuditQuery>,
) -> Outcome<Json<Page<AuditEntry>>> {
    Ok(Json(audit::list(&ctx, &who, &query).await?))
}

/// The audit as CSV, all pages of it, the newest first.
#[utoipa::path(get, path = "/api/v1/audit.csv", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "The entries", content_type = "text/csv", body = String,
        example = "id,at,actor_kind,actor,from_ip,action,subject,result,detail,request_id\n")))]
async fn export_audit(
    ctx: super::State,
    call: Call,
    who: Principal,
    Params(query): Params<AuditQuery>,
) -> Outcome<Response> {
    let stream = revocation::open(&ctx, &call, &who, None).await?;
    let closing = ctx.closing.clone();
    let rows = Body::from_stream(audit::csv(ctx.0, who, query));
    let mut response = Response::new(Body::new(EndingBody::new(rows, stream, &closing)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"audit.csv\""));
    Ok(response)
}
