//! One request, as behaviour sees it: who calls, from where, and what the audit will say of it.

use super::Caller;
use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

/// What the guard found out about a request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Who calls.
    pub(crate) caller: Caller,
    /// From where.
    pub(crate) from: IpAddr,
    /// The request's id.
    pub(crate) request_id: Arc<str>,
    /// How often credentials had changed before it was looked at who calls.
    pub(crate) changes_seen: u64,
    /// What the request turned out to be about, for the audit; the path where nobody says.
    subject: Arc<OnceLock<String>>,
    /// Who the request turned out to be from, where its body says so (sign-in, pairing).
    actor: Arc<OnceLock<Caller>>,
}

impl Call {
    pub(crate) fn new(caller: Caller, from: IpAddr, request_id: Arc<str>, changes_seen: u64) -> Self {
        Self { caller, from, request_id, changes_seen, subject: Arc::default(), actor: Arc::default() }
    }

    /// Says what the request is about: an id that is not in its path.
    pub(crate) fn about(&self, subject: impl std::fmt::Display) {
        let _ = self.subject.set(subject.to_string());
    }

    /// Says who sent the request, where that shows only in its body.
    pub(crate) fn acted(&self, caller: Caller) {
        let _ = self.actor.set(caller);
    }

    /// What the request is about, where somebody said so.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.get().map(String::as_str)
    }

    /// Who sent the request, as far as is known.
    pub(crate) fn actor(&self) -> &Caller {
        self.actor.get().unwrap_or(&self.caller)
    }
}
