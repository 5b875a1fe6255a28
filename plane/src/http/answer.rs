//! How a failure leaves the plane: as a problem document, finished by the guard, which knows the request's id.

use crate::{failure::Failure, kubernetes};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use std::sync::Arc;

/// A failure that the guard has not yet turned into a body; travels as an extension of the response.
#[derive(Clone, Debug)]
pub(crate) struct Failed(pub(crate) Arc<Failure>);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(Failed(Arc::new(self)));
        response
    }
}

/// The problem document of `failure`, with the request's id in it.
pub(crate) fn problem(failure: &Failure, request_id: &str) -> Response {
    let mut document = failure.problem().clone();
    document.request_id = Some(request_id.to_owned());
    finished(failure, "application/problem+json", serde_json::to_vec(&document))
}

/// The same for `kubectl`: a Kubernetes `Status`.
pub(crate) fn status(failure: &Failure, request_id: &str) -> Response {
    let document = kubernetes::document(failure, request_id);
    finished(failure, "application/json", serde_json::to_vec(&document))
}

fn finished(failure: &Failure, kind: &'static str, body: serde_json::Result<Vec<u8>>) -> Response {
    let mut response = Response::new(Body::from(body.unwrap_or_else(|_| b"{}".to_vec())));
    let status = failure.problem().status;
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(wait) = failure.wait() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ferrogate\""));
    }
    response
}
