//! The carrier for everything that speaks `http/1.1` between a gateway and the plane.

/// Answers the WebSocket upgrade of a gateway: `101` with the right headers, or `None` where the request is not one.
///
/// The caller sends the answer, then hands the upgraded connection to [`crate::Hub::serve_websocket`].
#[must_use]
pub fn accept<B>(request: &http::Request<B>) -> Option<http::Response<()>> {
    let header = |name: http::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let has = |name, wanted: &str| {
        header(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(wanted)))
    };
    let wanted = request.method() == http::Method::GET
        && has(http::header::UPGRADE, "websocket")
        && has(http::header::CONNECTION, "upgrade")
        && header(http::header::SEC_WEBSOCKET_VERSION) == Some("13");
    let key = request.headers().get(http::header::SEC_WEBSOCKET_KEY).filter(|_| wanted)?;
    http::Response::builder()
        .status(http::StatusCode::SWITCHING_PROTOCOLS)
        .header(http::header::UPGRADE, "websocket")
        .header(http::header::CONNECTION, "Upgrade")
        .header(
            http::header::SEC_WEBSOCKET_ACCEPT,
            tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes()),
        )
        .body(())
        .ok()
}
