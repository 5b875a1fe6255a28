//! What is being answered: every body and session that goes on after its request was let in, by what opened it, so that it
//! can be ended when that ends.

use super::{Principal, caller::Credentials};
use ferrogate_api::Role;
use ferrogate_model::{ClusterId, GatewayId, TenantId, UserId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, Weak},
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What opened a stream, and where it leads. Streams that are alike in this are looked after as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Opener {
    /// The user.
    pub(crate) user: UserId,
    /// The user's tenant.
    pub(crate) tenant: TenantId,
    /// What the credentials permitted.
    pub(crate) role: Role,
    /// The credentials.
    pub(crate) credentials: Credentials,
    /// The cluster it leads to, and the gateway it goes through.
    pub(crate) cluster: Option<(ClusterId, GatewayId)>,
}

impl Opener {
    /// These credentials, on the way to this cluster.
    pub(crate) const fn new(who: &Principal, cluster: Option<(ClusterId, GatewayId)>) -> Self {
        Self { user: who.user, tenant: who.tenant, role: who.role, credentials: who.credentials, cluster }
    }
}

/// Every open stream of this replica. There are never more than open connections.
#[derive(Clone, Debug)]
pub(crate) struct OpenStreams(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    open: Mutex<HashMap<Opener, Weak<OpenStream>>>,
    /// Counts the changes of credentials.
    changes: watch::Sender<u64>,
}

/// The streams of one opener. They are forgotten when the last of them has let go of this.
#[derive(Debug)]
pub(crate) struct OpenStream {
    opener: Opener,
    ended: CancellationToken,
    /// When the opener was last known to be good.
    known_good: Mutex<Instant>,
    registry: Arc<Registry>,
}

impl Default for OpenStreams {
    fn default() -> Self {
        Self(Arc::new(Registry { open: Mutex::default(), changes: watch::Sender::new(0) }))
    }
}

impl OpenStreams {
    /// Adds a stream. Whoever was let in before the last change of credentials must be looked at once more.
    pub(crate) fn open(&self, opener: Opener) -> Arc<OpenStream> {
        let mut open = self.0.open();
        if let Some(stream) = open.get(&opener).and_then(Weak::upgrade)
            && !stream.ended.is_cancelled()
        {
            return stream;
        }
        let stream = Arc::new(OpenStream {
            opener: opener.clone(),
            ended: CancellationToken::new(),
            known_good: Mutex::new(Instant::now()),
            registry: Arc::clone(&self.0),
        });
        open.insert(opener, Arc::downgrade(&stream));
        stream
    }

    /// The open streams of a user, or all.
    pub(crate) fn list(&self, user: Option<UserId>) -> Vec<Arc<OpenStream>> {
        let open = self.0.open();
        open.iter()
            .filter(|(opener, _)| user.is_none_or(|user| opener.user == user))
            .filter_map(|(_, stream)| stream.upgrade())
            .collect()
    }

    /// Says that credentials have changed; what was found out about any before may be wrong.
    pub(crate) fn credentials_changed(&self) {
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    /// How often credentials have changed.
    pub(crate) fn changes(&self) -> u64 {
        *self.0.changes.borrow()
    }

    /// Tells of every change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}

impl Registry {
    fn open(&self) -> MutexGuard<'_, HashMap<Opener, Weak<OpenStream>>> {
        self.open.lock().expect("nothing panics while it holds this lock")
    }
}

impl OpenStream {
    /// What opened it.
    pub(crate) const fn opener(&self) -> &Opener {
        &self.opener
    }

    /// Comes back when the stream must end.
    pub(crate) fn ended(&self) -> WaitForCancellationFutureOwned {
        self.ended.clone().cancelled_owned()
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// Notes that its opener is good, or tells since when nobody knew.
    pub(crate) fn known_good(&self) -> MutexGuard<'_, Instant> {
        self.known_good.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.registry.open();
        // It may have been replaced meanwhile.
        if open.get(&self.opener).is_some_and(|stream| stream.strong_count() == 0) {
            open.remove(&self.opener);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrogate_model::SessionId;

    fn opener() -> Opener {
        Opener {
            user: UserId::new(),
            tenant: TenantId::new(),
            role: Role::Viewer,
            credentials: Credentials::Session(SessionId::new()),
            cluster: None,
        }
    }

    #[tokio::test]
    async fn streams_of_one_opener_are_one_and_are_forgotten_with_the_last() {
        let streams = OpenStreams::default();
        let (ours, theirs) = (opener(), opener());
        let first = streams.open(ours.clone());
        let (second, other) = (streams.open(ours.clone()), streams.open(theirs));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((streams.list(None).len(), streams.list(Some(ours.user)).len()), (2, 1));
        drop(first);
        assert_eq!(streams.list(Some(ours.user)).len(), 1);
        drop((second, other));
        assert!(streams.0.open().is_empty(), "nobody is remembered");
    }

    #[tokio::test]
    async fn who_comes_after_the_end_does_not_join_what_has_ended() {
        let streams = OpenStreams::default();
        let opener = opener();
        let ended = streams.open(opener.clone());
        ended.end();
        ended.ended().await;
        let next = streams.open(opener.clone());
        assert!(!Arc::ptr_eq(&ended, &next));
        drop(ended);
        assert_eq!(streams.list(None).len(), 1, "the one that goes on is not forgotten with the other");
    }
}
