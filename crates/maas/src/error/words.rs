//! Sentences about failures.

use super::{MaasError, MaasFailure};
use ferrogate_model::Explain;
use std::collections::BTreeMap;

/// ``the value of `zone` (No such zone(s): x.)``
pub(super) fn fields(all: &BTreeMap<String, Vec<String>>) -> String {
    let parts: Vec<String> = all
        .iter()
        .map(|(name, messages)| {
            let messages = messages.join(" ");
            if name.is_empty() { format!("the request ({messages})") } else { format!("`{name}` ({messages})") }
        })
        .collect();
    if parts.is_empty() { "the request".into() } else { parts.join(", ") }
}

/// MAAS's own words, where they say more than the failure's message.
pub(super) fn said(failure: &MaasFailure, words: Option<&str>) -> String {
    let tells_more = match failure {
        MaasFailure::KeyRefused
        | MaasFailure::NotAllowed
        | MaasFailure::WrongPath { .. }
        | MaasFailure::Unavailable(_)
        | MaasFailure::Internal => true,
        MaasFailure::NotFound => words.is_some_and(|words| !words.contains("matches the given query")),
        _ => false,
    };
    words.filter(|_| tells_more).map(|words| format!(" (MAAS says: {words})")).unwrap_or_default()
}

pub(super) fn hint(error: &MaasError) -> Option<String> {
    Some(match &*error.failure {
        MaasFailure::Http(error) => return error.hint(),
        MaasFailure::Trust(error) => return error.hint(),
        MaasFailure::NotMaas { .. } => {
            "check host and port; the address of a MAAS looks like http://10.11.12.13:5240/MAAS".into()
        }
        MaasFailure::WrongPath { .. } => {
            "the address must end in /MAAS, as in http://10.11.12.13:5240/MAAS, unless a proxy in front of MAAS adds it"
                .into()
        }
        MaasFailure::Intercepted { .. } => {
            "add MAAS's host to no-proxy, or have the proxy or load balancer in front of MAAS checked".into()
        }
        // MAAS's answer to a request without any signature.
        MaasFailure::KeyRefused if error.words.as_deref() == Some("Forbidden") => {
            "MAAS saw no signature at all: check that no proxy on the way removes the Authorization header".into()
        }
        MaasFailure::KeyRefused => {
            "make a new API key in MAAS under your name, API keys, and copy all three parts of it".into()
        }
        MaasFailure::ClockSkew { .. } => "synchronise both clocks (timedatectl set-ntp true)".into(),
        MaasFailure::NotAllowed => "use the API key of a MAAS user who may do this, or of an administrator".into(),
        MaasFailure::NoneFree => "release or add machines in MAAS".into(),
        MaasFailure::NoneFits { .. } => {
            "release or add machines in MAAS, or ask for less: another zone, another pool, smaller machines".into()
        }
        MaasFailure::MachineNotFree(_) => "choose another machine".into(),
        MaasFailure::AddressTaken(_) | MaasFailure::AddressUnfit { .. } => "choose another address".into(),
        MaasFailure::Exhausted(_) => {
            "release addresses in MAAS, shrink its reserved ranges, or use another subnet".into()
        }
        MaasFailure::NotAsked { .. } => {
            "nothing was done. Where the machines are somebody else's: have the proxy or load balancer in front of MAAS, and \
             MAAS's version, checked, because the filter `agent_name` of the list of machines is dropped. Where they are this \
             cluster's and somebody removed their owner data: write `ferrogate-cluster` back, or release them in MAAS"
                .into()
        }
        MaasFailure::Hidden { .. } => {
            "nothing was done. Give the cloud account the key of a MAAS administrator, or of the user who has the machines. Where \
             somebody gave them to another user on purpose, an administrator's key shows that too"
                .into()
        }
        MaasFailure::Unavailable(_) => "check that MAAS's region service runs".into(),
        MaasFailure::Internal => "look into the log of MAAS's region service".into(),
        MaasFailure::Busy
        | MaasFailure::Collided
        | MaasFailure::NotFound
        | MaasFailure::Invalid(_)
        | MaasFailure::WrongState(_)
        | MaasFailure::Unsafe(_)
        | MaasFailure::Undecodable(_) => return None,
    })
}
