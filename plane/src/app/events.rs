//! Events: listed, and live.

use crate::{
    app::wire,
    auth::{Call, Principal, revocation},
    context::Context,
    failure::{Failure, Outcome},
};
use bytes::Bytes;
use ferrogate_api::{Event, EventQuery, Page, SubjectKind};
use ferrogate_model::{EventId, TenantId, Timestamp, state::Severity};
use ferrogate_store::{
    Subject, SubjectKind as Kind, accounts, clusters,
    events::{self, Filter},
    gateways,
};
use futures::{Stream, StreamExt as _, stream};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// A comment is sent when nothing else was for this long, so that nothing on the way thinks the stream is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The store is read at least this often: another replica may have added events.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Events read at once.
const BATCH: u32 = 200;

/// An event of an object, not written yet.
pub(crate) fn new(
    tenant: TenantId,
    subject: impl Into<Subject>,
    severity: Severity,
    reason: &str,
    message: impl Into<String>,
    at: Timestamp,
) -> events::Event {
    events::Event {
        id: EventId::new(),
        tenant,
        subject: subject.into(),
        severity,
        reason: reason.to_owned(),
        message: message.into(),
        at,
    }
}

/// A page of the tenant's events, the newest first.
pub(crate) async fn list(context: &Context, who: &Principal, query: &EventQuery) -> Outcome<Page<Event>> {
    let kind = query.subject_kind.map(stored_kind).transpose()?;
    let filter = Filter {
        tenant: Some(who.tenant),
        subject: query.subject_id.as_ref().map(|id| Subject { kind: kind.unwrap_or(Kind::Cluster), id: id.clone() }),
        kind,
        severity: query.severity,
    };
    let list = events::list(&context.store, &filter, &wire::page(&query.page())?).await?;
    let mut names = Names::default();
    let mut items = Vec::with_capacity(list.items.len());
    for event in list.items {
        let name = names.of(context, &event.subject).await?;
        items.push(wire::event(event, name));
    }
    Ok(Page { items, next: list.next })
}

fn stored_kind(kind: SubjectKind) -> Outcome<Kind> {
    kind.as_str().parse().map_err(|_| {
        Failure::invalid("bad_query", format!("there are no events of the kind `{kind}`"))
            .hint("leave `subject_kind` out to see all")
    })
}

/// The tenant's events as they happen, in the format of server-sent events, until the plane shuts down or the credentials
/// end.
///
/// Begins after `last`, or where that is not given with the next event.
pub(crate) async fn follow(
    context: Arc<Context>,
    call: &Call,
    who: &Principal,
    last: Option<&str>,
) -> Outcome<impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static> {
    let after = match last {
        Some(text) => {
            let bad = |_| Failure::invalid("bad_event_id", format!("`{}` is not an event's id", text.escape_debug()));
            Some(text.parse().map_err(bad)?)
        }
        None => events::newest(&context.store).await?,
    };
    let stream = revocation::open(&context, call, who, None).await?;
    let live = Live {
        filter: Filter { tenant: Some(who.tenant), ..Filter::default() },
        after,
        ready: VecDeque::new(),
        names: Names::default(),
        added: context.events.subscribe(),
        silent_since: tokio::time::Instant::now(),
        // Tells the client at once that the stream stands, and how long to wait before it comes again.
        greeting: Some(Bytes::from_static(b"retry: 2000\n: connected\n\n")),
        context,
    };
    let events = stream::unfold(live, |mut live| async { live.next().await.map(|bytes| (Ok(bytes), live)) });
    let ended = async move { stream.ended().await };
    Ok(events.take_until(ended))
}

struct Live {
    context: Arc<Context>,
    filter: Filter,
    after: Option<EventId>,
    ready: VecDeque<events::Event>,
    names: Names,
    added: watch::Receiver<()>,
    silent_since: tokio::time::Instant,
    greeting: Option<Bytes>,
}

impl Live {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                return self.write(event).await;
            }
            self.added.mark_unchanged();
            let found = match events::since(&self.context.store, &self.filter, self.after, BATCH).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(error = %ferrogate_model::fault::chain(&error), "a live stream of events ends");
                    return None;
                }
            };
            self.ready.extend(found);
            if !self.ready.is_empty() {
                continue;
            }
            tokio::select! {
                () = self.context.closing.cancelled() => return None,
                changed = self.added.changed() => changed.ok()?,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            if self.silent_since.elapsed() >= KEEP_ALIVE {
                self.silent_since = tokio::time::Instant::now();
                return Some(Bytes::from_static(b": still here\n\n"));
            }
        }
    }

    async fn write(&mut self, event: events::Event) -> Option<Bytes> {
        self.after = Some(event.id);
        self.silent_since = tokio::time::Instant::now();
        let name = self.names.of(&self.context, &event.subject).await.ok()?;
        let event = wire::event(event, name);
        let data = serde_json::to_string(&event).ok()?;
        Some(Bytes::from(format!("id: {}\nevent: event\ndata: {data}\n\n", event.id)))
    }
}

/// The names of objects, looked up once.
#[derive(Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    /// The name of an object; its id where it has none or is gone.
    pub(crate) async fn of(&mut self, context: &Context, subject: &Subject) -> Outcome<String> {
        if let Some(name) = self.0.get(&subject.id) {
            return Ok(name.clone());
        }
        let store = &context.store;
        let name = match subject.kind {
            Kind::Gateway => match subject.id.parse() {
                Ok(id) => gateways::get(store, id).await?.map(|gateway| gateway.name.to_string()),
                Err(_) => None,
            },
            Kind::Cluster => match subject.id.parse() {
                Ok(id) => clusters::get(store, id).await?.map(|cluster| cluster.name.to_string()),
                Err(_) => None,
            },
            Kind::Account => match subject.id.parse() {
                Ok(id) => accounts::get(store, id).await?.map(|account| account.name.to_string()),
                Err(_) => None,
            },
            Kind::Tenant | Kind::User | Kind::Token | Kind::PairingCode | Kind::GatewayNode | Kind::Machine => None,
        };
        let name = name.unwrap_or_else(|| subject.id.clone());
        self.0.insert(subject.id.clone(), name.clone());
        Ok(name)
    }
}
