//! `exec`, `attach` and `port-forward`: after the API server agreed to switch protocols, only bytes are carried.

use crate::{auth::open_streams::OpenStream, context::Context};
use axum::body::Body;
use http::{HeaderValue, Response, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::copy_bidirectional_with_sizes;

/// Bytes under way in each direction.
const BUFFER: usize = 64 * 1024;

/// The answer that tells the client to switch, and the carrying of bytes from then on.
/// They end with the credentials that the session was opened with.
pub(super) fn switch(
    context: &Arc<Context>,
    stream: Arc<OpenStream>,
    client: OnUpgrade,
    mut answer: Response<Incoming>,
) -> Response<Body> {
    let server = hyper::upgrade::on(&mut answer);
    let protocol = answer.headers().get(header::UPGRADE).cloned();
    let (mut head, _) = answer.into_parts();
    super::head::response(&mut head.headers);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(protocol) = protocol {
        head.headers.insert(header::UPGRADE, protocol);
    }
    let closing = context.closing.clone();
    context.tasks.spawn(async move {
        let carry = async {
            let (client, server) = match tokio::try_join!(client, server) {
                Ok(both) => both,
                Err(error) => return tracing::debug!(%error, "a session in a container did not begin"),
            };
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            if let Err(error) = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await {
                tracing::debug!(%error, "a session in a container broke off");
            }
        };
        tokio::select! {
            () = carry => {}
            () = closing.cancelled() => {}
            () = stream.ended() => {}
        }
    });
    Response::from_parts(head, Body::empty())
}
