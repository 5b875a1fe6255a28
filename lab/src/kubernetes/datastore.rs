//! What stands for etcd: the objects of one cluster, shared by its servers in this process. It knows its members, wants
//! a majority of them for every read and write, and remembers recent changes for those who watch.

mod members;

pub(crate) use members::{Member, Place};

use crate::machine::Disk;
use members::Seat;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// Where a server keeps which cluster it is a member of.
const MEMBER_FILE: &str = "/var/lib/etcd/member/id";
/// Changes kept for watchers; who is further behind has to list again.
const KEPT_CHANGES: usize = 4096;

/// The key of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Group and plural, such as `/nodes` or `apps/daemonsets`.
    pub(crate) resource: String,
    /// Empty for objects of the whole cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Added,
    Modified,
    Deleted,
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) action: Action,
    pub(crate) key: Key,
    /// After the change; the last state for one that was deleted.
    pub(crate) object: Value,
    /// Before the change.
    pub(crate) before: Option<Value>,
}

/// Fewer than half of the members are up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoQuorum;

/// Why watchers cannot be told what they missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOld;

/// The objects and members of one cluster.
#[derive(Debug)]
pub(crate) struct Datastore {
    pub(crate) id: String,
    /// Who signs its members' certificates, as PEM.
    pub(crate) authority: Vec<u8>,
    state: Mutex<State>,
    revision: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    objects: BTreeMap<Key, Value>,
    changes: VecDeque<Change>,
    /// Members by node name.
    members: BTreeMap<String, Seat>,
    /// Members whose data is gone.
    lost: BTreeSet<String>,
}

impl Datastore {
    fn new(id: String, authority: Vec<u8>) -> Self {
        Self { id, authority, state: Mutex::default(), revision: watch::Sender::new(1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads something, if there is a majority.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&BTreeMap<Key, Value>, u64) -> T) -> Result<T, NoQuorum> {
        let state = self.state();
        state.quorum()?;
        Ok(work(&state.objects, state.revision))
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Value>, NoQuorum> {
        self.read(|objects, _| objects.get(key).cloned())
    }

    /// All objects of a resource, in one namespace or (where `namespace` is empty) all, and the revision they are of.
    pub(crate) fn list(&self, resource: &str, namespace: &str) -> Result<(Vec<Value>, u64), NoQuorum> {
        self.read(|objects, revision| {
            let from = Key { resource: resource.into(), namespace: namespace.into(), name: String::new() };
            let wanted = |key: &Key| key.resource == resource && (namespace.is_empty() || key.namespace == namespace);
            let items = objects.range(from..).take_while(|(key, _)| wanted(key)).map(|(_, value)| value.clone());
            (items.collect(), revision)
        })
    }

    /// Changes one object in one step. `work` gets what is there and says what shall be; its refusal changes nothing.
    pub(crate) fn change<E: From<NoQuorum>>(
        &self,
        key: &Key,
        work: impl FnOnce(Option<&Value>) -> Result<Option<Value>, E>,
    ) -> Result<Option<Value>, E> {
        let mut state = self.state();
        state.quorum()?;
        let before = state.objects.get(key).cloned();
        let mut after = work(before.as_ref())?;
        if before == after {
            return Ok(after);
        }
        let revision = state.revision.max(1) + 1;
        let action = match (&before, &after) {
            (None, Some(_)) => Action::Added,
            (Some(_), Some(_)) => Action::Modified,
            (_, None) => Action::Deleted,
        };
        let mut object = after.clone().or_else(|| before.clone()).unwrap_or_default();
        object["metadata"]["resourceVersion"] = Value::String(revision.to_string());
        if let Some(after) = &mut after {
            after.clone_from(&object);
            state.objects.insert(key.clone(), object.clone());
        } else {
            state.objects.remove(key);
        }
        state.revision = revision;
        state.changes.push_back(Change { revision, action, key: key.clone(), object, before });
        if state.changes.len() > KEPT_CHANGES {
            state.changes.pop_front();
        }
        drop(state);
        self.revision.send_replace(revision);
        Ok(after)
    }

    /// Changes after a revision.
    pub(crate) fn since(&self, revision: u64) -> Result<Vec<Change>, TooOld> {
        let state = self.state();
        let oldest = state.changes.front().map_or(state.revision, |change| change.revision - 1);
        if revision < oldest.min(state.revision) {
            return Err(TooOld);
        }
        Ok(state.changes.iter().filter(|change| change.revision > revision).cloned().collect())
    }

    /// Tells when something changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Whether this member does the rounds: the first that is up.
    pub(crate) fn is_leader(&self, node: &str) -> bool {
        let state = self.state();
        state.quorum().is_ok() && state.members.iter().find(|(_, seat)| seat.up).is_some_and(|(name, _)| name == node)
    }

    /// Members that are up.
    pub(crate) fn members_up(&self) -> Vec<String> {
        self.state().members.iter().filter(|(_, seat)| seat.up).map(|(name, _)| name.clone()).collect()
    }
}

/// The clusters of a site.
#[derive(Debug, Default)]
pub(crate) struct Datastores(Mutex<BTreeMap<String, Arc<Datastore>>>);

impl Datastores {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Datastore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new, empty cluster.
    pub(crate) fn create(&self, authority: Vec<u8>) -> Arc<Datastore> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let datastore = Arc::new(Datastore::new(id.clone(), authority));
        self.all().insert(id, Arc::clone(&datastore));
        datastore
    }

    /// A cluster by its id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Datastore>> {
        self.all().get(id).cloned()
    }

    /// The cluster and node name of which a disk holds a member's data.
    pub(crate) fn of_disk(&self, disk: &Disk) -> Option<(String, String)> {
        let text = disk.read_text(MEMBER_FILE).ok()?;
        let (cluster, node) = text.trim().split_once(' ')?;
        Some((cluster.to_owned(), node.to_owned()))
    }

    /// The cluster that has a member which is up at this address.
    pub(crate) fn at(&self, address: IpAddr) -> Option<Arc<Datastore>> {
        let all: Vec<Arc<Datastore>> = self.all().values().cloned().collect();
        all.into_iter().find(|datastore| datastore.is_up_at(address))
    }

    /// A disk is gone, and with it a member's data. A cluster without any data is gone.
    pub(crate) fn disk_is_gone(&self, disk: &Disk) {
        let Some((cluster, node)) = self.of_disk(disk) else { return };
        let Some(datastore) = self.find(&cluster) else { return };
        let mut state = datastore.state();
        state.lost.insert(node);
        let survives = state.members.keys().any(|member| !state.lost.contains(member));
        drop(state);
        if !survives {
            self.all().remove(&cluster);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key { resource: "/nodes".into(), namespace: String::new(), name: name.into() }
    }

    fn place<'a>(disk: &'a Disk, node: &'a str) -> Place<'a> {
        Place { disk, file: MEMBER_FILE, node, address: IpAddr::from([10, 0, 0, 1]) }
    }

    fn put(datastore: &Datastore, name: &str, value: Value) -> Result<Option<Value>, NoQuorum> {
        datastore.change(&key(name), |_| Ok(Some(value)))
    }

    #[test]
    fn a_minority_can_neither_read_nor_write() {
        let (datastores, disk) = (Datastores::default(), Disk::new(None).unwrap());
        let datastore = datastores.create(Vec::new());
        let first = datastore.begin(&place(&disk, "a")).unwrap();
        let second = datastore.begin(&place(&disk, "b")).unwrap();
        let third = datastore.begin(&place(&disk, "c")).unwrap();
        put(&datastore, "n", json!({"metadata": {}})).unwrap();
        drop(third);
        put(&datastore, "n", json!({"metadata": {"labels": {}}})).unwrap();
        drop(second);
        assert_eq!(put(&datastore, "n", json!({})), Err(NoQuorum));
        assert_eq!(datastore.get(&key("n")), Err(NoQuorum));
        drop(first);
    }

    #[test]
    fn watchers_get_each_change_once_and_are_told_when_they_are_too_late() {
        let (datastores, disk) = (Datastores::default(), Disk::new(None).unwrap());
        let datastore = datastores.create(Vec::new());
        let _member = datastore.begin(&place(&disk, "a")).unwrap();
        put(&datastore, "n", json!({"metadata": {}})).unwrap();
        let (_, revision) = datastore.list("/nodes", "").unwrap();
        let same = datastore.get(&key("n")).unwrap().unwrap();
        put(&datastore, "n", same).unwrap();
        assert!(datastore.since(revision).unwrap().is_empty());
        datastore.change::<NoQuorum>(&key("n"), |_| Ok(None)).unwrap();
        let changes = datastore.since(revision).unwrap();
        assert_eq!((changes.len(), changes[0].action), (1, Action::Deleted));
        for n in 0..KEPT_CHANGES {
            put(&datastore, "m", json!({"metadata": {}, "n": n})).unwrap();
        }
        assert_eq!(datastore.since(revision).err(), Some(TooOld));
    }

    #[test]
    fn a_cluster_is_gone_with_its_last_disk_and_not_before() {
        let datastores = Datastores::default();
        let (one, two) = (Disk::new(None).unwrap(), Disk::new(None).unwrap());
        let datastore = datastores.create(Vec::new());
        let members = [datastore.begin(&place(&one, "a")).unwrap(), datastore.begin(&place(&two, "b")).unwrap()];
        datastores.disk_is_gone(&one);
        assert!(datastores.find(&datastore.id).is_some());
        datastores.disk_is_gone(&two);
        assert!(datastores.find(&datastore.id).is_none());
        drop(members);
    }
}
