//! The one place every request passes: gives it an id, finds its route, finds out who calls, refuses what the route does
//! not permit, finishes problem documents, and writes the audit.

use super::{
    answer::{self, Failed},
    extract::MAX_BODY,
    routes::{self, Found, Route},
};
use crate::{
    app::audit::{self, Record},
    auth::{Call, Caller, authenticate, limits},
    context::Context,
    failure::{Failure, Outcome},
    kubernetes,
    peer::Peer,
};
use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use ferrogate_api::API_PREFIX;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tracing::Instrument as _;

/// How long a handler of the API may take until it begins to answer. Waits inside it end sooner and say more.
const DEADLINE: Duration = Duration::from_secs(90);
/// Who was let in is asked again for a change whose body comes later than that. What this plane revokes itself is noticed at
/// once; another replica may have revoked it.
const SURE_FOR: Duration = Duration::from_secs(5);
/// What everybody may read; a wrong path there is a typing error, not a refusal.
const OPEN_READS: [&str; 3] = ["artifact.read", "page.read", "document.read"];
/// So many characters of a request's path are written into the audit.
const MAX_AUDITED: usize = 500;
/// Carries the request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Passes a request to its handler, or refuses it.
pub(crate) async fn guard(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let request_id: Arc<str> = request_id(request.headers()).into();
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let span = tracing::debug_span!("request", %method, path, request_id = &*request_id);
    let visit = Visit { context: Arc::clone(&context), request_id, method, path };
    let finishes =
        visit.changes() || visit.is_kubernetes() && kubernetes::must_finish(&visit.method, request.headers());
    let work = async move { visit.pass(request, next).await }.instrument(span);
    if !finishes {
        return work.await;
    }
    // A client that hangs up must not stop a change half-way, nor keep it out of the audit.
    match context.tasks.spawn(work).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "a handler panicked");
            answer::problem(&Failure::internal("a handler panicked"), "unknown")
        }
    }
}

struct Visit {
    context: Arc<Context>,
    request_id: Arc<str>,
    method: Method,
    path: String,
}

impl Visit {
    /// Whether the request changes something of ours.
    fn changes(&self) -> bool {
        !self.method.is_safe() && !self.is_kubernetes()
    }

    fn is_kubernetes(&self) -> bool {
        self.path.starts_with(ferrogate_api::KUBERNETES_PREFIX)
    }

    async fn pass(self, mut request: Request, next: Next) -> Response {
        let started = tokio::time::Instant::now();
        let from = request.extensions().get::<Peer>().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
        let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let found = routes::find(&self.method, matched.as_deref());
        let is_audited = self.changes()
            || self.is_kubernetes() && kubernetes::is_audited(&self.method, &self.path, request.headers());
        let changes_seen = self.context.streams.changes();
        let admitted = self.admit(found, request.headers(), from).await;
        let (caller, outcome) = match admitted {
            Ok((_, caller)) => (caller, Ok(())),
            Err((caller, failure)) => (caller, Err(failure)),
        };
        let mut call = Call::new(caller, from, Arc::clone(&self.request_id), changes_seen);
        let mut outcome = outcome;
        if outcome.is_ok() && self.changes() && self.path.starts_with(API_PREFIX) {
            (request, outcome) = self.read_body(request, found, &mut call).await;
        }
        let response = match outcome {
            Err(failure) => failure.into_response(),
            Ok(()) => {
                request.extensions_mut().insert(call.clone());
                self.answer(request, next).await
            }
        };
        let response = self.finish(response);
        let action = match found {
            Found::Route(route) => route.action,
            Found::WrongMethod | Found::Nothing => "unknown",
        };
        self.context.metrics.request(action, response.status().as_u16(), started.elapsed());
        let code = response.extensions().get::<Failed>().map(|Failed(failure)| failure.problem().code.clone());
        let status = response.status().as_u16();
        let is_refusal = matches!(status, 401 | 403 | 404 | 429) && !OPEN_READS.contains(&action) && code.is_some();
        if (is_audited || is_refusal) && self.is_worth_a_row(&call, status) {
            self.audit(action, &call, status, code.as_deref()).await;
        }
        self.dress(response)
    }

    /// Who calls, and whether the route permits it.
    async fn admit(
        &self,
        found: Found,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<(Route, Caller), (Caller, Failure)> {
        let route = match found {
            Found::Route(route) => route,
            Found::WrongMethod => {
                let detail = format!("{} is not something `{}` knows", self.method, self.path);
                return Err((Caller::Anonymous, Failure::new(405, "method_not_allowed", detail)));
            }
            Found::Nothing => {
                let failure = Failure::new(404, "no_such_path", format!("there is nothing at `{}`", self.path))
                    .hint("the API is described at /api/v1/openapi.json");
                return Err((Caller::Anonymous, failure));
            }
        };
        let bearer = bearer(headers);
        let object = routes::parameter(&route, &self.path, "gateway")
            .or_else(|| routes::parameter(&route, &self.path, "cluster"));
        match authenticate::admit(&self.context, route.access, bearer, object, from).await {
            Ok(caller) => Ok((route, caller)),
            Err(refused) => Err(refused),
        }
    }

    /// Reads the body of a request that changes something, and asks once more who calls where that took its time: whoever
    /// holds a body back must not be able to finish a change with a right that was taken away meanwhile.
    async fn read_body(&self, request: Request, found: Found, call: &mut Call) -> (Request, Outcome<()>) {
        let began = tokio::time::Instant::now();
        let (parts, body) = request.into_parts();
        let read = tokio::time::timeout(DEADLINE, axum::body::to_bytes(body, MAX_BODY)).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => {
                let detail = format!("the body is larger than {MAX_BODY} bytes or broke off");
                let failure = Failure::new(413, "body_unreadable", detail).because(error.to_string());
                return (Request::from_parts(parts, Body::empty()), Err(failure));
            }
            Err(_) => {
                let detail = format!("the body did not come within {} s", DEADLINE.as_secs());
                let failure = Failure::new(408, "body_too_slow", detail).hint("send it at once");
                return (Request::from_parts(parts, Body::empty()), Err(failure));
            }
        };
        let mut outcome = Ok(());
        let changes = self.context.streams.changes();
        if changes != call.changes_seen || began.elapsed() >= SURE_FOR {
            match self.admit(found, &parts.headers, call.from).await {
                Ok((_, caller)) => *call = Call::new(caller, call.from, Arc::clone(&self.request_id), changes),
                Err((_, failure)) => outcome = Err(failure),
            }
        }
        (Request::from_parts(parts, Body::from(bytes)), outcome)
    }

    async fn answer(&self, request: Request, next: Next) -> Response {
        if !self.path.starts_with(API_PREFIX) {
            return next.run(request).await;
        }
        match tokio::time::timeout(DEADLINE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let detail = format!("the plane did not manage this within {} s", DEADLINE.as_secs());
                Failure::new(504, "deadline_exceeded", detail).retry_after(Duration::from_secs(10)).into_response()
            }
        }
    }

    /// Gives a failure its document; logs what is the plane's own fault.
    fn finish(&self, response: Response) -> Response {
        let Some(Failed(failure)) = response.extensions().get::<Failed>().cloned() else { return response };
        let cause = failure.cause().unwrap_or("");
        let code = failure.problem().code.as_str();
        if response.status().is_server_error() {
            tracing::warn!(status = response.status().as_u16(), code, cause, detail = %failure, "a request failed");
        } else {
            tracing::debug!(status = response.status().as_u16(), code, cause, "a request was refused");
        }
        let mut finished = if self.is_kubernetes() {
            answer::status(&failure, &self.request_id)
        } else {
            answer::problem(&failure, &self.request_id)
        };
        finished.extensions_mut().insert(Failed(failure));
        finished
    }

    /// Whether there is room for it in the audit: strangers who are refused may not fill the database.
    fn is_worth_a_row(&self, call: &Call, status: u16) -> bool {
        if status < 400 || !matches!(call.actor(), Caller::Anonymous) {
            return true;
        }
        let fits = self.context.limits.anonymous_refusals.take(&limits::source(call.from)).is_ok();
        if !fits {
            tracing::debug!(from = %call.from, status, path = self.path, "one refusal of many was not written down");
        }
        fits
    }

    /// Writes the audit row of the request.
    async fn audit(&self, action: &str, call: &Call, status: u16, code: Option<&str>) {
        let record = Record {
            action,
            request: format!("{} {}", self.method, self.path).chars().take(MAX_AUDITED).collect(),
            subject: call.subject(),
            status,
            code,
            from: call.from,
            request_id: &self.request_id,
        };
        audit::write(&self.context, call.actor(), &record).await;
    }

    /// The headers every answer has.
    fn dress(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        if self.path.starts_with(API_PREFIX) {
            headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        response
    }
}

/// The id a client gave its request, where it is one we can print; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        })
        .map_or_else(|| format!("req_{}", uuid::Uuid::now_v7().simple()), str::to_owned)
}

/// The bearer token of a request; an error where the header is there and is something else.
fn bearer(headers: &HeaderMap) -> Outcome<Option<secrecy::SecretString>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Some(token.trim().to_owned().into()))
        .ok_or_else(|| Failure::unauthenticated("the authorization header is not `Bearer …`"))
}
