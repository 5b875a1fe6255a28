//! The HTTP server: connections, faults, gates, and the way of a request to its handler.

use super::{
    Call, Fault, Faults, Gate, Speed, Verdict, answer::Answer, api, lifecycle::Effect, metadata, request::Request,
    state::State,
};
use crate::backend::Backend;
use bytes::Bytes;
use ferrogate_model::{Clock, SystemId};
use ferrogate_net::network::Listener;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Largest body that is read: user data is the largest thing a client sends.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// How long a connection may take to send a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How many calls are remembered.
const REMEMBERED_CALLS: usize = 20_000;
/// The root of the API.
pub(crate) const API: &str = "/MAAS/api/2.0/";

/// The connection is to be broken without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is made to break")]
struct Broken;

#[derive(Debug, Default)]
struct Calls {
    count: u64,
    recent: VecDeque<Call>,
}

/// What all connections and tasks share.
pub(crate) struct Inner {
    pub(crate) address: SocketAddr,
    pub(crate) faults: Faults,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) deploy_timeout: Option<Duration>,
    state: Mutex<State>,
    backend: Mutex<Option<Arc<dyn Backend>>>,
    speed: Mutex<Speed>,
    gate: Mutex<Option<Arc<dyn Gate>>>,
    calls: Mutex<Calls>,
    /// One switch a machine: power commands of one machine reach the backend one after the other.
    switches: Mutex<HashMap<SystemId, Arc<tokio::sync::Mutex<()>>>>,
    tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
}

impl fmt::Debug for Inner {
    /// Without the state: user data and power settings hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maas").field("address", &self.address).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn new(
        address: SocketAddr,
        state: State,
        clock: Arc<dyn Clock>,
        backend: Option<Arc<dyn Backend>>,
        speed: Speed,
        deploy_timeout: Option<Duration>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address,
            faults: Faults::default(),
            clock,
            deploy_timeout,
            state: Mutex::new(state),
            backend: Mutex::new(backend),
            speed: Mutex::new(speed),
            gate: Mutex::default(),
            calls: Mutex::default(),
            switches: Mutex::default(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn backend(&self) -> Option<Arc<dyn Backend>> {
        lock(&self.backend).clone()
    }

    pub(crate) fn set_backend(&self, backend: Option<Arc<dyn Backend>>) {
        *lock(&self.backend) = backend;
    }

    pub(crate) fn speed(&self) -> Speed {
        *lock(&self.speed)
    }

    pub(crate) fn set_speed(&self, speed: Speed) {
        *lock(&self.speed) = speed;
    }

    pub(crate) fn set_gate(&self, gate: Option<Arc<dyn Gate>>) {
        *lock(&self.gate) = gate;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).recent.iter().cloned().collect()
    }

    pub(crate) fn switch(&self, machine: &SystemId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.switches).entry(machine.clone()).or_default())
    }

    /// Runs a task until it ends or the server does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = task => {}
            }
        });
    }

    pub(crate) async fn shutdown(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Serves connections until the end.
    pub(crate) fn listen(self: &Arc<Self>, listener: Listener) {
        let inner = Arc::clone(self);
        self.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((io, _)) => {
                        let served = Arc::clone(&inner);
                        inner.spawn(async move {
                            let service = service_fn(|request| served.answer(request));
                            let connection = hyper::server::conn::http1::Builder::new()
                                .timer(TokioTimer::new())
                                .header_read_timeout(HEAD_DEADLINE)
                                .serve_connection(TokioIo::new(io), service);
                            if let Err(error) = connection.await {
                                tracing::debug!(%error, "a connection to the simulated MAAS ended");
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the simulated MAAS cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }

    async fn answer(self: &Arc<Self>, request: http::Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
        let (parts, body) = request.into_parts();
        let bytes = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return Ok(Answer::plain(StatusCode::PAYLOAD_TOO_LARGE, "").into_response()),
        };
        if parts.uri.path().starts_with(metadata::ROOT) {
            let (answer, effects) = metadata::handle(self, &parts, &bytes);
            self.perform(effects);
            return Ok(answer.into_response());
        }
        let mut request = Request::read(&parts, &bytes);
        let mut call = self.note_arrival(&request);
        let fault = self.faults.decide(&request.method, &request.path, request.op.as_deref());
        match &fault {
            Some(Fault::DropBefore) => return Err(Broken),
            Some(Fault::DropsFilter(parameter)) => request.query.retain(|(name, _)| name != parameter),
            _ => {}
        }
        if let Some(answer) = fault.as_ref().and_then(faulty_answer) {
            return Ok(self.note_answer(&mut call, answer));
        }
        let gate = lock(&self.gate).clone();
        if let Some(gate) = &gate
            && gate.before(&call).await == Verdict::Drop
        {
            return Err(Broken);
        }
        let answer = self.handle(&request, &mut call);
        call.status = Some(answer.status.as_u16());
        if let Some(gate) = &gate
            && gate.after(&call).await == Verdict::Drop
        {
            return Err(Broken);
        }
        match fault {
            Some(Fault::DropAfter) => return Err(Broken),
            Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        Ok(self.note_answer(&mut call, answer))
    }

    /// The request takes effect, at one instant.
    fn handle(self: &Arc<Self>, request: &Request, call: &mut Call) -> Answer {
        let mut effects: Vec<Effect> = Vec::new();
        let answer = {
            let mut state = self.state();
            api::handle(&mut state, request, self.clock.now(), &mut effects, &mut call.user)
        };
        self.perform(effects);
        answer
    }

    fn note_arrival(&self, request: &Request) -> Call {
        let mut calls = lock(&self.calls);
        calls.count += 1;
        let call = Call {
            number: calls.count,
            method: request.method.clone(),
            path: request.path.clone(),
            op: request.op.clone(),
            user: None,
            status: None,
            at: self.clock.now(),
        };
        if calls.recent.len() == REMEMBERED_CALLS {
            calls.recent.pop_front();
        }
        calls.recent.push_back(call.clone());
        call
    }

    fn note_answer(&self, call: &mut Call, answer: Answer) -> Response<Full<Bytes>> {
        call.status = Some(answer.status.as_u16());
        if let Some(noted) = lock(&self.calls).recent.iter_mut().rev().find(|noted| noted.number == call.number) {
            noted.status = call.status;
            noted.user.clone_from(&call.user);
        }
        answer.into_response()
    }
}

/// The answer a fault gives instead of MAAS.
fn faulty_answer(fault: &Fault) -> Option<Answer> {
    match fault {
        Fault::Unavailable => Some(Answer::unavailable("Service Unavailable")),
        Fault::ProxyPage => Some(Answer::proxy_page()),
        Fault::Conflict => Some(Answer::conflict("No machine available.")),
        Fault::Status(status, text) => Some(Answer::error(
            StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            text.clone(),
        )),
        Fault::Slow(_) | Fault::DropBefore | Fault::DropAfter | Fault::DropsFilter(_) => None,
    }
}
