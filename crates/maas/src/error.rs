//! What MAAS refuses, and what stands between us and it.

mod classify;
mod words;

pub(crate) use classify::{Answer, classify};

use ferrogate_model::{Explain, Fault, Retry, SystemId};
use ferrogate_net::{HttpError, TrustError};
use http::StatusCode;
use std::{collections::BTreeMap, net::IpAddr};

/// A call to MAAS that did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("could not {call}: {failure}{}", words::said(.failure, .words.as_deref()))]
pub struct MaasError {
    /// What was asked, such as `allocate a machine`.
    pub call: String,
    /// Why it failed.
    #[source]
    pub failure: Box<MaasFailure>,
    /// The status of the answer, if there was one.
    pub status: Option<StatusCode>,
    /// MAAS's own words, if it had any; secrets taken out.
    pub words: Option<String>,
}

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MaasFailure {
    /// No complete answer.
    #[error(transparent)]
    Http(HttpError),
    /// A trust setting cannot be used.
    #[error(transparent)]
    Trust(TrustError),
    /// The deadline passed while waiting for other calls to end.
    #[error("too many calls are running already")]
    Busy,
    /// Something answers at the address that is not MAAS.
    #[error("what answers at {place} is not MAAS: {seen}")]
    NotMaas {
        /// The endpoint.
        place: String,
        /// What it answered, in words.
        seen: String,
    },
    /// MAAS answers, but not under this path.
    #[error("MAAS knows no API under {place}")]
    WrongPath {
        /// The endpoint.
        place: String,
    },
    /// Something between us and MAAS answered in its place, or changed the request.
    #[error("something between here and MAAS interferes ({status}: {seen})")]
    Intercepted {
        /// The status.
        status: u16,
        /// What it did, in words.
        seen: String,
    },
    /// The API key is not known, or not valid any more.
    #[error("MAAS refuses the API key")]
    KeyRefused,
    /// The clocks are too far apart for signed requests; MAAS allows 300 s.
    #[error("this host's clock is {} s {} MAAS's", .seconds.unsigned_abs(), if *.seconds < 0 { "behind" } else { "ahead of" })]
    ClockSkew {
        /// Ours minus theirs.
        seconds: i64,
    },
    /// The key's user may not do this.
    #[error("the API key's user may not do this")]
    NotAllowed,
    /// What the call is about does not exist.
    #[error("it does not exist")]
    NotFound,
    /// Values MAAS does not accept, by field; a message about no field in particular has an empty name.
    #[error("MAAS does not accept {}", words::fields(.0))]
    Invalid(BTreeMap<String, Vec<String>>),
    /// No machine at all is free.
    #[error("no machine is free")]
    NoneFree,
    /// The machine that was asked for is not free.
    #[error("machine {0} is not free")]
    MachineNotFree(SystemId),
    /// No free machine fits.
    #[error("no free machine fits: {constraints}")]
    NoneFits {
        /// The constraints as MAAS understood them.
        constraints: String,
    },
    /// The machine's state does not permit this now.
    #[error("its state does not permit it: {0}")]
    WrongState(String),
    /// The address is in use, or in a range kept for something else.
    #[error("the address is not free: {0}")]
    AddressTaken(String),
    /// The address must not be reserved although MAAS would do it.
    #[error("{ip} must not be reserved: {reason}")]
    AddressUnfit {
        /// The address.
        ip: IpAddr,
        /// Why.
        reason: String,
    },
    /// No address is left.
    #[error("no address is left: {0}")]
    Exhausted(String),
    /// MAAS is there but cannot serve now.
    #[error("MAAS cannot serve requests now ({0})")]
    Unavailable(u16),
    /// MAAS's database had too many writers at once and MAAS gave this request up; nothing of it was done.
    #[error("MAAS gave up because other requests wanted to change the same things")]
    Collided,
    /// MAAS failed inside.
    #[error("MAAS failed with an internal error")]
    Internal,
    /// The request would have done more than was meant.
    #[error("{0}")]
    Unsafe(&'static str),
    /// A list that was asked for by a mark shows what does not bear it, or what nobody can tell: it is not acted on.
    #[error("the answer shows what was not asked for: {seen}")]
    NotAsked {
        /// What it shows, in words.
        seen: String,
    },
    /// What is known to be there is missing in a list: the user of the key may not see it.
    #[error("the answer lacks what is there: {hidden}")]
    Hidden {
        /// What is missing, in words.
        hidden: String,
    },
    /// The answer is not what MAAS answers to this call.
    #[error("MAAS's answer cannot be understood: {0}")]
    Undecodable(String),
}

impl MaasError {
    pub(crate) fn new(call: &str, failure: MaasFailure) -> Self {
        Self { call: call.to_owned(), failure: Box::new(failure), status: None, words: None }
    }

    /// Whether the thing does not exist (any more).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(*self.failure, MaasFailure::NotFound)
    }

    /// Whether no machine could be had: none free, none that fits, or the one asked for is taken.
    #[must_use]
    pub fn is_no_machine(&self) -> bool {
        matches!(*self.failure, MaasFailure::NoneFree | MaasFailure::NoneFits { .. } | MaasFailure::MachineNotFree(_))
    }

    /// Whether MAAS may have done what was asked although no proper answer came.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match &*self.failure {
            MaasFailure::Http(error) => error.may_have_been_sent(),
            MaasFailure::Internal
            | MaasFailure::Unavailable(_)
            | MaasFailure::Intercepted { .. }
            | MaasFailure::Undecodable(_) => true,
            MaasFailure::Trust(_)
            | MaasFailure::Busy
            | MaasFailure::NotMaas { .. }
            | MaasFailure::WrongPath { .. }
            | MaasFailure::KeyRefused
            | MaasFailure::ClockSkew { .. }
            | MaasFailure::NotAllowed
            | MaasFailure::NotFound
            | MaasFailure::Invalid(_)
            | MaasFailure::NoneFree
            | MaasFailure::MachineNotFree(_)
            | MaasFailure::NoneFits { .. }
            | MaasFailure::WrongState(_)
            | MaasFailure::AddressTaken(_)
            | MaasFailure::AddressUnfit { .. }
            | MaasFailure::Exhausted(_)
            | MaasFailure::Collided
            | MaasFailure::NotAsked { .. }
            | MaasFailure::Hidden { .. }
            | MaasFailure::Unsafe(_) => false,
        }
    }
}

impl Explain for MaasError {
    fn code(&self) -> &'static str {
        match &*self.failure {
            MaasFailure::Http(error) => error.code(),
            MaasFailure::Trust(error) => error.code(),
            MaasFailure::Busy => "maas_calls_busy",
            MaasFailure::NotMaas { .. } => "not_maas",
            MaasFailure::WrongPath { .. } => "maas_wrong_path",
            MaasFailure::Intercepted { .. } => "maas_intercepted",
            MaasFailure::KeyRefused => "maas_key_refused",
            MaasFailure::ClockSkew { .. } => "maas_clock_skew",
            MaasFailure::NotAllowed => "maas_not_allowed",
            MaasFailure::NotFound => "maas_not_found",
            MaasFailure::Invalid(_) => "maas_value_refused",
            MaasFailure::NoneFree => "maas_no_machine_free",
            MaasFailure::MachineNotFree(_) => "maas_machine_not_free",
            MaasFailure::NoneFits { .. } => "maas_no_machine_fits",
            MaasFailure::WrongState(_) => "maas_wrong_state",
            MaasFailure::AddressTaken(_) => "maas_address_taken",
            MaasFailure::AddressUnfit { .. } => "maas_address_unfit",
            MaasFailure::Exhausted(_) => "maas_addresses_exhausted",
            MaasFailure::Unavailable(_) => "maas_unavailable",
            MaasFailure::Collided => "maas_collision",
            MaasFailure::Internal => "maas_internal_error",
            MaasFailure::Unsafe(_) => "maas_call_unsafe",
            MaasFailure::NotAsked { .. } => "maas_list_not_believed",
            MaasFailure::Hidden { .. } => "maas_machines_hidden",
            MaasFailure::Undecodable(_) => "maas_answer_not_understood",
        }
    }

    fn fault(&self) -> Fault {
        match &*self.failure {
            MaasFailure::Http(error) => error.fault(),
            MaasFailure::Trust(error) => error.fault(),
            MaasFailure::Busy | MaasFailure::Unsafe(_) => Fault::Ferrogate,
            MaasFailure::Intercepted { .. } | MaasFailure::NotAsked { .. } => Fault::Network,
            MaasFailure::NotMaas { .. }
            | MaasFailure::WrongPath { .. }
            | MaasFailure::KeyRefused
            | MaasFailure::ClockSkew { .. }
            | MaasFailure::NotAllowed
            | MaasFailure::NotFound
            | MaasFailure::Invalid(_)
            | MaasFailure::Hidden { .. }
            | MaasFailure::AddressTaken(_)
            | MaasFailure::AddressUnfit { .. } => Fault::Caller,
            MaasFailure::NoneFree
            | MaasFailure::MachineNotFree(_)
            | MaasFailure::NoneFits { .. }
            | MaasFailure::WrongState(_)
            | MaasFailure::Exhausted(_)
            | MaasFailure::Unavailable(_)
            | MaasFailure::Collided
            | MaasFailure::Internal
            | MaasFailure::Undecodable(_) => Fault::Maas,
        }
    }

    fn retry(&self) -> Retry {
        match &*self.failure {
            MaasFailure::Http(error) => error.retry(),
            MaasFailure::Trust(error) => error.retry(),
            MaasFailure::NotMaas { .. }
            | MaasFailure::WrongPath { .. }
            | MaasFailure::KeyRefused
            | MaasFailure::ClockSkew { .. }
            | MaasFailure::NotAllowed
            | MaasFailure::NotFound
            | MaasFailure::Invalid(_)
            | MaasFailure::AddressUnfit { .. }
            | MaasFailure::NotAsked { .. }
            | MaasFailure::Hidden { .. }
            | MaasFailure::Unsafe(_) => Retry::No,
            MaasFailure::Busy
            | MaasFailure::NoneFree
            | MaasFailure::MachineNotFree(_)
            | MaasFailure::NoneFits { .. }
            | MaasFailure::WrongState(_)
            | MaasFailure::AddressTaken(_)
            | MaasFailure::Collided
            | MaasFailure::Exhausted(_) => Retry::Later,
            MaasFailure::Unavailable(_)
            | MaasFailure::Intercepted { .. }
            | MaasFailure::Internal
            | MaasFailure::Undecodable(_) => Retry::AfterLooking,
        }
    }

    fn hint(&self) -> Option<String> {
        words::hint(self)
    }
}
