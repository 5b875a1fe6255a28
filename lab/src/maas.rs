//! A simulated MAAS region that answers as MAAS 3.6.5 does.
//!
//! It is checked request by request against recordings of a real one (`tests/it/replay.rs`). State lives in plain structs
//! behind one mutex; every request takes effect at one instant, so calls that race here race as they do in a database.
//! What it is not: a place to commission hardware, import images or configure networks in depth.

mod address;
mod allocate;
mod answer;
mod api;
mod config;
mod constraint;
mod deploy;
mod dns;
mod dns_record;
mod domain;
mod events;
mod faults;
mod image;
mod interface;
mod ip_address;
mod ip_range;
mod lifecycle;
mod machine;
mod machine_action;
mod machine_update;
mod metadata;
mod network;
mod oauth;
mod pool;
mod power;
mod release;
mod render;
mod request;
mod serve;
mod state;
mod subnet;
mod tag;
mod user;
mod watch;
mod zone;

pub use faults::{Fault, Faults, MachineFault, Pattern, RuleId, When};
pub use watch::{Call, DnsRecord, Gate, IpSnapshot, MachineSnapshot, Verdict};

use crate::{backend::Backend, seed::Seed};
use ferrogate_model::{Clock, SystemClock, SystemId};
use ferrogate_net::Network;
use secrecy::{ExposeSecret, SecretString};
use serve::Inner;
use state::State;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::DropGuard;

/// How long MAAS's own steps take: switching power, writing the disk, booting, releasing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as tasks are scheduled.
    #[default]
    Instant,
    /// The real durations times this factor.
    Seconds(f64),
    /// As long as real servers take: several minutes for a deployment.
    Real,
}

/// What a simulated MAAS is started with.
#[derive(Debug)]
pub struct Options {
    /// Where it listens.
    pub network: Network,
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it begins with.
    pub seed: Seed,
    /// The machines; without them a deployment succeeds after the time `speed` says.
    pub backend: Option<Arc<dyn Backend>>,
    /// How long its steps take.
    pub speed: Speed,
    /// What time it is, for events and for the check of signatures.
    pub clock: Arc<dyn Clock>,
    /// How long a machine may take from the beginning of a deployment to its report before MAAS gives up; `None` is what
    /// [`Speed`] makes of MAAS's 30 minutes, and one minute where it is instant.
    pub deploy_timeout: Option<Duration>,
}

impl Options {
    /// A MAAS on a free loopback port of `network` without machines behind it, instant, on the system's clock.
    #[must_use]
    pub fn new(network: Network, seed: Seed) -> Self {
        Self {
            network,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed,
            backend: None,
            speed: Speed::Instant,
            clock: Arc::new(SystemClock),
            deploy_timeout: None,
        }
    }

    /// Listens on this address.
    #[must_use]
    pub fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// Has these machines behind it.
    #[must_use]
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Is this fast.
    #[must_use]
    pub fn speed(mut self, speed: Speed) -> Self {
        self.speed = speed;
        self
    }

    /// Gives up on a deployment after this time.
    #[must_use]
    pub fn deploy_timeout(mut self, timeout: Duration) -> Self {
        self.deploy_timeout = Some(timeout);
        self
    }

    /// Takes the time from here.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// A running simulated MAAS. Cloning gives another handle to the same one. [`Maas::shutdown`] ends it and waits; dropping
/// the last handle ends it too.
#[derive(Clone, Debug)]
pub struct Maas {
    inner: Arc<Inner>,
    _end: Arc<DropGuard>,
}

impl Maas {
    /// Starts it.
    ///
    /// # Errors
    /// The address cannot be bound.
    #[expect(clippy::unused_async, reason = "it spawns, so it must be called inside a runtime; await makes that plain")]
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let listener = options.network.listen(options.listen)?;
        let address = listener.local_addr()?;
        let state = State::load(options.seed, options.clock.now());
        let inner = Inner::new(address, state, options.clock, options.backend, options.speed, options.deploy_timeout);
        inner.listen(listener);
        let end = Arc::new(inner.cancel.clone().drop_guard());
        Ok(Self { inner, _end: end })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.address
    }

    /// The endpoint as people write it: `http://<address>:<port>/MAAS`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/MAAS", self.inner.address)
    }

    /// The first API key of a user, such as `admin`.
    #[must_use]
    pub fn api_key(&self, user: &str) -> Option<SecretString> {
        let state = self.inner.state();
        let id = state.users.iter().find(|known| known.name == user)?.id;
        let key = state.keys.iter().find(|key| key.user == id)?;
        Some(format!("{}:{}:{}", key.consumer, key.token, key.secret.expose_secret()).into())
    }

    /// Makes a new API key for a user and takes every older one away, as somebody who rotates keys does.
    pub fn rotate_api_key(&self, user: &str) -> Option<SecretString> {
        let mut state = self.inner.state();
        let id = state.users.iter().find(|known| known.name == user)?.id;
        let fresh = state::new_key();
        let text = format!("{}:{}:{}", fresh.consumer, fresh.token, fresh.secret.expose_secret());
        state.keys.retain(|key| key.user != id);
        let (consumer, token, secret) = (fresh.consumer, fresh.token, fresh.secret);
        state.keys.push(state::Key { user: id, name: "rotated".into(), consumer, token, secret });
        Some(text.into())
    }

    /// What is made to go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Puts these machines behind it, from the next power action on.
    pub fn set_backend(&self, backend: Option<Arc<dyn Backend>>) {
        self.inner.set_backend(backend);
    }

    /// Changes how long its steps take, from the next step on.
    pub fn set_speed(&self, speed: Speed) {
        self.inner.set_speed(speed);
    }

    /// Puts a gate in front of every call of the API, or takes it away.
    pub fn set_gate(&self, gate: Option<Arc<dyn Gate>>) {
        self.inner.set_gate(gate);
    }

    /// The calls of the API so far, oldest first; at most the last 20,000.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls()
    }

    /// The machines, in the order of the seed.
    #[must_use]
    pub fn machines(&self) -> Vec<MachineSnapshot> {
        let state = self.inner.state();
        state.machines.iter().map(|machine| watch::snapshot(&state, machine)).collect()
    }

    /// One machine, by host name or system id.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<MachineSnapshot> {
        self.machines().into_iter().find(|machine| machine.hostname == name || machine.system_id.0 == name)
    }

    /// Every address in use.
    #[must_use]
    pub fn ip_addresses(&self) -> Vec<IpSnapshot> {
        watch::addresses(&self.inner.state())
    }

    /// What the site's DNS answers: machines that have addresses, and DNS resources.
    #[must_use]
    pub fn dns_records(&self) -> Vec<DnsRecord> {
        self.inner.state().zone_records()
    }

    /// The addresses of a name, as the site's DNS answers: without final dot, any case. `None`: there is no such name.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<Vec<IpAddr>> {
        let records = self.dns_records();
        records.into_iter().find(|record| record.fqdn.eq_ignore_ascii_case(name)).map(|record| record.addresses)
    }

    /// Releases a machine behind its owner's back, as an administrator can. False where there is no such machine or it
    /// has nothing to release.
    pub fn release_by_admin(&self, machine: &SystemId) -> bool {
        self.inner.release_by_admin(machine)
    }

    /// Tells MAAS that a machine lost its power by itself.
    pub fn note_power(&self, machine: &SystemId, power: crate::backend::Power) {
        if let Some(machine) = self.inner.state().machine_mut(&machine.0) {
            machine.power = power;
        }
    }

    /// Switches a machine on as somebody who stands before it does: its disk stays, and nobody has to own it.
    pub async fn press_power_button(&self, machine: &SystemId) {
        self.inner.boot(machine, None, false).await;
    }

    /// Stops listening and ends every task.
    pub async fn shutdown(&self) {
        self.inner.shutdown().await;
    }

    /// Ends it without waiting for anything.
    pub(crate) fn abort(&self) {
        self.inner.cancel.cancel();
    }
}
