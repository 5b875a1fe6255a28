//! One request, carried.

use super::{
    head, may_stay_silent,
    reach::{self, Reach},
    upgrade,
};
use crate::{
    auth::{Call, Principal, body::EndingBody, revocation},
    context::{Context, DRAIN_DEADLINE},
    failure::{Failure, Outcome},
};
use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use ferrogate_join::names::{API_PORT, API_SERVER_NAME};
use ferrogate_model::fault::chain;
use ferrogate_net::{ConnectError, ConnectFailure, Target, connect_tls};
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Longest wait for a connection to one member, TLS included. The gateway's own wait for a carrier is within.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for the head of an answer: the API server itself gives up after 60 s.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);
/// Bodies up to this many bytes are kept until the answer comes, so that the request can be sent again.
const MAX_REPLAYED: u64 = 256 * 1024;

/// Sends a request on to a control-plane member and hands its answer back, piece by piece, until its end or that of the
/// credentials that opened it.
///
/// It is sent a second time only when no byte of an answer came and sending it twice is the same as sending it once.
pub(crate) async fn forward(
    context: &Arc<Context>,
    call: &Call,
    who: &Principal,
    cluster: &str,
    mut request: Request<Body>,
) -> Outcome<Response<Body>> {
    let reach = reach::find(context, who, cluster).await?;
    call.about(reach.cluster.id);
    let stream = revocation::open(context, call, who, Some((reach.cluster.id, reach.cluster.gateway))).await?;
    let uri = head::uri(request.uri())?;
    let headers = head::request(request.headers(), &who.email, who.role, &call.request_id)?;
    let wants_upgrade = headers.contains_key(header::UPGRADE);
    let client_upgrade = wants_upgrade.then(|| hyper::upgrade::on(&mut request));
    let is_safe = request.method().is_safe();
    let may_stay_silent = is_safe && may_stay_silent(uri.query()) && !wants_upgrade;
    let (parts, body) = request.into_parts();
    let body = EndingBody::new(body, Arc::clone(&stream), &context.closing);
    let answer = async {
        let mut carried = Carried::new(&parts, uri, headers, body).await?;
        exchange(context, &reach, &mut carried, may_stay_silent).await
    };
    let answer = tokio::select! {
        biased;
        () = stream.ended() => return Err(cut_off(is_safe)),
        answer = answer => answer?,
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match client_upgrade {
            Some(client) => Ok(upgrade::switch(context, stream, client, answer)),
            None => Err(lost(&reach, "the API server switched protocols without being asked")),
        };
    }
    let (mut head, body) = answer.into_parts();
    head::response(&mut head.headers);
    Ok(Response::from_parts(head, Body::new(EndingBody::new(body, stream, &context.closing))))
}

/// A request that may have to be sent twice.
struct Carried {
    method: Method,
    uri: http::Uri,
    headers: http::HeaderMap,
    body: Kept,
}

enum Kept {
    /// Can be sent again.
    Whole(Bytes),
    /// Can be sent once; `None` after that.
    Stream(Option<Body>),
}

impl Carried {
    async fn new(parts: &Parts, uri: http::Uri, headers: http::HeaderMap, body: EndingBody<Body>) -> Outcome<Self> {
        let is_idempotent = parts.method.is_idempotent();
        let size = body.size_hint().exact();
        let body = Body::new(body);
        let body = if is_idempotent && size.is_some_and(|size| size <= MAX_REPLAYED) {
            let whole = axum::body::to_bytes(body, usize::try_from(MAX_REPLAYED).unwrap_or(usize::MAX));
            let late = |_| Failure::new(408, "body_too_slow", "the body did not arrive in time");
            Kept::Whole(timeout(HEAD_DEADLINE, whole).await.map_err(late)?.map_err(|error| {
                Failure::new(400, "body_unreadable", "the body broke off").because(error.to_string())
            })?)
        } else {
            Kept::Stream(Some(body))
        };
        Ok(Self { method: parts.method.clone(), uri, headers, body })
    }

    /// The request, if it may (still) be sent.
    fn take(&mut self) -> Option<Request<Body>> {
        let body = match &mut self.body {
            Kept::Whole(bytes) => Body::from(bytes.clone()),
            Kept::Stream(body) => body.take()?,
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        Some(request)
    }
}

/// Sends the request to one member after the other until one answers.
async fn exchange(
    context: &Arc<Context>,
    reach: &Reach,
    carried: &mut Carried,
    may_stay_silent: bool,
) -> Outcome<Response<Incoming>> {
    let mut sent = 0;
    let mut last: Option<Failure> = None;
    // The first member once more at the end: where there is only one, that is the second try.
    for member in reach.members.iter().chain(reach.members.first()) {
        let mut sender = match connect(context, reach, *member).await {
            Ok(sender) => sender,
            Err(error) if error.failure == ConnectFailure::NoCarrier => return Err(unreachable(reach, &error)),
            Err(error) => {
                tracing::debug!(cluster = %reach.cluster.id, %member, error = %chain(&error), "an API server was not reached");
                last = Some(unreachable(reach, &error));
                continue;
            }
        };
        let Some(request) = carried.take() else { break };
        sent += 1;
        let answer = async {
            if may_stay_silent {
                Ok(sender.send_request(request).await)
            } else {
                timeout(HEAD_DEADLINE, sender.send_request(request)).await
            }
        };
        match answer.await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                last = Some(lost(reach, &chain(&error)));
                if sent >= 2 {
                    break;
                }
            }
            Err(_) => {
                let detail = format!("the API server did not answer within {} s", HEAD_DEADLINE.as_secs());
                return Err(Failure::new(504, "cluster_timed_out", detail));
            }
        }
    }
    Err(last.unwrap_or_else(|| lost(reach, "no member was left to ask")))
}

async fn connect(context: &Arc<Context>, reach: &Reach, member: IpAddr) -> Result<SendRequest<Body>, ConnectError> {
    let target = Target::new(member.to_string(), API_PORT);
    let io = reach.connector.connect(&target, CONNECT_DEADLINE).await?;
    let tls = connect_tls(io, &target, Some(API_SERVER_NAME), Arc::clone(&reach.config), CONNECT_DEADLINE).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(|error| ConnectError {
        failure: ConnectFailure::Other,
        target,
        via: None,
        detail: error.to_string(),
    })?;
    // Ends by itself when the request and its answer are dropped, or carries an upgraded stream to its end.
    let closing = context.closing.clone();
    context.tasks.spawn(async move {
        let driven = connection.with_upgrades();
        let mut driven = std::pin::pin!(driven);
        tokio::select! {
            ended = driven.as_mut() => if let Err(error) = ended {
                tracing::debug!(error = %chain(&error), "a connection to an API server ended badly");
            },
            () = closing.cancelled() => {
                // Answers that are under way may end within the shutdown's own deadline.
                let _ = timeout(DRAIN_DEADLINE, driven).await;
            }
        }
    });
    Ok(sender)
}

/// Why no answer is waited for any more.
fn cut_off(is_safe: bool) -> Failure {
    let failure = Failure::unauthenticated("the credentials ended before the API server had answered");
    if is_safe { failure } else { failure.hint("sign in, and look whether the change took effect before repeating it") }
}

fn unreachable(reach: &Reach, error: &ConnectError) -> Failure {
    let failure = Failure::explained(error);
    match error.failure {
        ConnectFailure::NoCarrier => failure.retry_after(Duration::from_secs(5)),
        ConnectFailure::Budget => failure.retry_after(Duration::from_secs(1)),
        _ => {
            let detail = format!("no API server of cluster `{}` was reached", reach.cluster.name);
            Failure::new(502, "cluster_unreachable", detail).because(chain(error)).item(
                error.target.to_string(),
                error.detail.clone(),
                None,
            )
        }
    }
}

fn lost(reach: &Reach, cause: &str) -> Failure {
    let detail = format!("the connection to cluster `{}` was lost before its API server answered", reach.cluster.name);
    Failure::new(502, "connection_lost", detail)
        .hint("look whether the change took effect before repeating it")
        .because(cause)
}
