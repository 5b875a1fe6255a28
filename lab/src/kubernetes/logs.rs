//! What containers wrote that ran to their end. A real API server asks the node's kubelet for it; here the machines of a
//! site share it, for as long as the pod is there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Texts by the pod's uid; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs(Arc<Mutex<BTreeMap<String, String>>>);

impl Logs {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, uid: &str, text: String) {
        self.all().insert(uid.to_owned(), text);
    }

    pub(crate) fn get(&self, uid: &str) -> String {
        self.all().get(uid).cloned().unwrap_or_default()
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.all().remove(uid);
    }
}
