//! Who calls, and what they may: credentials, passwords, how often they may be tried, and the callers they prove.

pub(crate) mod authenticate;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod caller;
pub(crate) mod limits;
pub(crate) mod open_streams;
pub(crate) mod password;
pub(crate) mod revocation;
pub(crate) mod secret;

pub(crate) use call::Call;
pub(crate) use caller::{Caller, Installer, Principal};
