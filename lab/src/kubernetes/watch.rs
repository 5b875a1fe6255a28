//! Watches: a stream of events, one JSON object a line.

use super::{
    datastore::{Action, Datastore},
    kinds::Kind,
    refusal::Refusal,
    selector::Selector,
    table,
};
use bytes::Bytes;
use futures::{Stream, stream};
use serde_json::{Value, json};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a watch lasts where the client sets no limit; a real server ends them after 30 to 60 minutes.
const DEFAULT_LENGTH: Duration = Duration::from_secs(1800);
/// How often a client that wants bookmarks gets one.
const BOOKMARKS: Duration = Duration::from_secs(60);

/// What is watched and how it is told.
pub(crate) struct Watch {
    pub(crate) store: Arc<Datastore>,
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: String,
    pub(crate) selector: Selector,
    /// Changes after this revision; 0: what is there now, then changes.
    pub(crate) from: u64,
    pub(crate) as_table: bool,
    pub(crate) bookmarks: bool,
    pub(crate) length: Option<Duration>,
    pub(crate) now: ferrogate_model::Timestamp,
}

struct Running {
    watch: Watch,
    seen: u64,
    pending: VecDeque<Value>,
    end: Instant,
    columns_told: bool,
    over: bool,
    next_bookmark: Instant,
}

/// The events, until the watch's time is over or the cluster has lost its majority.
pub(crate) fn events(watch: Watch) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
    let end = Instant::now() + watch.length.unwrap_or(DEFAULT_LENGTH);
    let mut running = Running {
        seen: watch.from,
        pending: VecDeque::new(),
        end,
        columns_told: false,
        over: false,
        next_bookmark: Instant::now() + BOOKMARKS,
        watch,
    };
    running.begin();
    stream::unfold(running, |mut running| async move {
        let event = running.next().await?;
        let mut line = event.to_string();
        line.push('\n');
        Some((Ok(Bytes::from(line)), running))
    })
}

impl Running {
    fn begin(&mut self) {
        if self.watch.from != 0 {
            return;
        }
        let Ok((objects, revision)) = self.watch.store.list(&self.watch.kind.resource(), &self.watch.namespace) else {
            self.over = true;
            return;
        };
        self.seen = revision;
        for object in objects.iter().filter(|object| self.watch.selector.matches(object)) {
            self.pending.push_back(json!({"type": "ADDED", "object": object}));
        }
    }

    async fn next(&mut self) -> Option<Value> {
        let mut changes = self.watch.store.changes();
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(self.shown(event));
            }
            if self.over {
                return None;
            }
            changes.mark_unchanged();
            self.collect();
            if !self.pending.is_empty() || self.over {
                continue;
            }
            tokio::select! {
                changed = changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.end) => return None,
                () = tokio::time::sleep_until(self.next_bookmark), if self.watch.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARKS;
                    let kind = self.watch.kind;
                    return Some(json!({"type": "BOOKMARK", "object": {"apiVersion": kind.api_version(), "kind": kind.kind,
                        "metadata": {"resourceVersion": self.seen.to_string()}}}));
                }
            }
        }
    }

    fn collect(&mut self) {
        let Ok(changes) = self.watch.store.since(self.seen) else {
            self.over = true;
            self.pending.push_back(json!({"type": "ERROR", "object": Refusal::expired().status()}));
            return;
        };
        let resource = self.watch.kind.resource();
        for change in changes {
            self.seen = change.revision;
            let here = self.watch.namespace.is_empty() || change.key.namespace == self.watch.namespace;
            if change.key.resource != resource || !here {
                continue;
            }
            let selector = &self.watch.selector;
            let was = change.before.as_ref().is_some_and(|before| selector.matches(before));
            let is = change.action != Action::Deleted && selector.matches(&change.object);
            let kind = match (was, is) {
                (false, true) => "ADDED",
                (true, true) => "MODIFIED",
                (true, false) => "DELETED",
                (false, false) => continue,
            };
            self.pending.push_back(json!({"type": kind, "object": change.object}));
        }
    }

    fn shown(&mut self, mut event: Value) -> Value {
        if self.watch.as_table && event["type"] != "ERROR" {
            let object = event["object"].take();
            let items = std::slice::from_ref(&object);
            let mut table = table::table(self.watch.kind, items, self.watch.now);
            if std::mem::replace(&mut self.columns_told, true) {
                table["columnDefinitions"] = Value::Null;
            }
            event["object"] = table;
        }
        event
    }
}
