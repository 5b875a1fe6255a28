//! What happens after an answer: power is switched, disks are written, machines report or do not.

use super::{
    MachineFault, Speed,
    events::Level,
    serve::Inner,
    state::{Machine, State, Status},
};
use crate::{
    backend::{Boot, BootInterface, Power},
    seed::PowerType,
};
use ferrogate_model::{SystemId, Timestamp};
use std::{sync::Arc, time::Duration};

/// The recorded power controller obeys after one second.
const POWER: Duration = Duration::from_secs(1);
/// About what a server takes to boot, fetch an image, write it and boot again.
const INSTALL: Duration = Duration::from_secs(240);
/// About what quick erasing of a server's disks takes.
const ERASE: Duration = Duration::from_secs(120);
/// About what commissioning and testing take.
const SCRIPTS: Duration = Duration::from_secs(180);
/// MAAS gives up on a deployment that does not report (setting `node_timeout`, 30 minutes).
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The same where every step is instant but machines still need real time.
const INSTANT_DEPLOY_TIMEOUT: Duration = Duration::from_secs(60);

/// A step that a request sets going. `epoch` is the machine's at that time: a later action makes the step void.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Switch on, install, wait for the report.
    Deploy { machine: SystemId, epoch: u64 },
    /// Switch a deployed machine on.
    PowerOn { machine: SystemId },
    /// Switch off.
    PowerOff { machine: SystemId },
    /// Switch off, wipe where asked, then Ready.
    Release { machine: SystemId, epoch: u64, erase: bool },
    /// Take the power away although MAAS believes there is none, so that nothing of an earlier tenant runs on.
    Cut { machine: SystemId },
    /// Commissioning or testing, then this state.
    Scripts { machine: SystemId, epoch: u64, then: Status },
    /// An abort switches off and goes to this state.
    Abort { machine: SystemId, epoch: u64, then: Status },
}

impl Inner {
    /// Sets steps going.
    pub(crate) fn perform(self: &Arc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            let inner = Arc::clone(self);
            self.spawn(async move { inner.step(effect).await });
        }
    }

    async fn step(&self, effect: Effect) {
        match effect {
            Effect::Deploy { machine, epoch } => self.deploy(&machine, epoch).await,
            Effect::PowerOn { machine } => {
                self.wait(POWER).await;
                self.boot(&machine, None, false).await;
            }
            Effect::PowerOff { machine } => {
                self.wait(POWER).await;
                self.power_off(&machine).await;
            }
            Effect::Release { machine, epoch, erase } => self.release(&machine, epoch, erase).await,
            Effect::Cut { machine } => {
                let switch = self.switch(&machine);
                let _held = switch.lock().await;
                if let Some(backend) = self.backend() {
                    backend.power_cut(&machine).await;
                }
            }
            Effect::Scripts { machine, epoch, then } => {
                self.wait(POWER).await;
                self.note_power(&machine, epoch, Power::On);
                self.wait(SCRIPTS).await;
                self.note_power(&machine, epoch, Power::Off);
                self.finish(&machine, epoch, then);
            }
            Effect::Abort { machine, epoch, then } => {
                self.wait(POWER).await;
                self.power_off(&machine).await;
                self.finish(&machine, epoch, then);
            }
        }
    }

    /// Waits as long as a step takes at the present speed.
    async fn wait(&self, real: Duration) {
        match self.speed() {
            Speed::Instant => tokio::task::yield_now().await,
            Speed::Seconds(scale) => tokio::time::sleep(real.mul_f64(scale.max(0.0))).await,
            Speed::Real => tokio::time::sleep(real).await,
        }
    }

    fn deploy_timeout(&self) -> Duration {
        self.deploy_timeout.unwrap_or_else(|| match self.speed() {
            Speed::Instant => INSTANT_DEPLOY_TIMEOUT,
            Speed::Seconds(scale) => DEPLOY_TIMEOUT.mul_f64(scale.max(0.0)),
            Speed::Real => DEPLOY_TIMEOUT,
        })
    }

    async fn deploy(&self, id: &SystemId, epoch: u64) {
        self.wait(POWER).await;
        let fault = {
            let mut state = self.state();
            let Some(machine) = current(&mut state, id, epoch) else { return };
            if machine.has_power_control() {
                machine.power = Power::On;
            }
            self.faults.of_machine(&machine.hostname, &id.0)
        };
        match fault {
            Some(MachineFault::FailsToDeploy) => {
                self.wait(INSTALL).await;
                self.fail_deployment(
                    id,
                    epoch,
                    "Installation failed (refer to the installation log for more information).",
                );
                return;
            }
            Some(MachineFault::NeverReports) => {}
            None if self.backend().is_some() => self.boot(id, Some(epoch), true).await,
            None => {
                self.wait(INSTALL).await;
                self.finish_deployment(id, Some(epoch));
                return;
            }
        }
        tokio::time::sleep(self.deploy_timeout()).await;
        self.fail_deployment(id, epoch, "Node operation 'Deploying' timed out after 30 minutes.");
    }

    /// Switches a machine on. A deployment's boot is void when the deployment is.
    pub(super) async fn boot(&self, id: &SystemId, epoch: Option<u64>, install: bool) {
        let switch = self.switch(id);
        let _held = switch.lock().await;
        let boot = {
            let mut state = self.state();
            let Some(machine) = state.machine_mut(&id.0) else { return };
            if epoch.is_some_and(|epoch| epoch != machine.epoch) {
                return;
            }
            if machine.has_power_control() {
                machine.power = Power::On;
            }
            self.describe(&state, id, install)
        };
        if let (Some(boot), Some(backend)) = (boot, self.backend()) {
            backend.power_on(boot).await;
        }
    }

    async fn power_off(&self, id: &SystemId) {
        let switch = self.switch(id);
        let _held = switch.lock().await;
        if let Some(backend) = self.backend() {
            backend.power_off(id).await;
        }
        if let Some(machine) = self.state().machine_mut(&id.0)
            && machine.has_power_control()
        {
            machine.power = Power::Off;
        }
    }

    async fn release(&self, id: &SystemId, epoch: u64, erase: bool) {
        self.wait(POWER).await;
        self.power_off(id).await;
        if erase {
            self.wait(ERASE).await;
        }
        if let Some(backend) = self.backend()
            && erase
        {
            backend.wipe(id).await;
        }
        let now = self.clock.now();
        let mut state = self.state();
        if current(&mut state, id, epoch).is_some() {
            state.finish_release(id, now);
        }
    }

    fn note_power(&self, id: &SystemId, epoch: u64, power: Power) {
        let mut state = self.state();
        if let Some(machine) = current(&mut state, id, epoch)
            && machine.has_power_control()
        {
            machine.power = power;
        }
    }

    /// The end of commissioning, testing or an abort.
    fn finish(&self, id: &SystemId, epoch: u64, then: Status) {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(machine) = current(&mut state, id, epoch) else { return };
        let verdict =
            if machine.status_message.as_deref().is_some_and(|text| text.starts_with("Aborted")) { -1 } else { 2 };
        if machine.status == Status::Commissioning {
            machine.commissioning_status = verdict;
        }
        if matches!(machine.status, Status::Commissioning | Status::Testing) {
            machine.testing_status = verdict;
        }
        if matches!(then, Status::Ready | Status::New | Status::Broken) {
            machine.owner = None;
        }
        if then == Status::Ready && machine.status == Status::Commissioning {
            machine.restore_layout();
        }
        state.change_status(id, then, now, "");
    }

    /// A deployment came to its good end: the machine said so, or there is none to say anything.
    pub(crate) fn finish_deployment(&self, id: &SystemId, epoch: Option<u64>) {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(machine) = state.machine_mut(&id.0) else { return };
        if machine.status != Status::Deploying || epoch.is_some_and(|epoch| epoch != machine.epoch) {
            return;
        }
        machine.netboot = false;
        machine.epoch += 1;
        let image = format!("deployed {}/{}/{}", machine.osystem, machine.distro_series, machine.architecture);
        state.event(id, now, Level::Info, "Image Deployed", &image);
        state.change_status(id, Status::Deployed, now, "");
        state.announce(id, now, "Deployed", "");
    }

    /// A deployment failed.
    pub(crate) fn fail_deployment(&self, id: &SystemId, epoch: u64, why: &str) {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(machine) = current(&mut state, id, epoch) else { return };
        if machine.status != Status::Deploying {
            return;
        }
        machine.epoch += 1;
        machine.error_description = why.to_owned();
        state.event(id, now, Level::Error, "Marking node failed", why);
        state.change_status(id, Status::FailedDeployment, now, "");
        state.announce(id, now, "Failed deployment", "");
    }

    /// What a machine boots with.
    fn describe(&self, state: &State, id: &SystemId, install: bool) -> Option<Boot> {
        let machine = state.machine(&id.0)?;
        let interfaces: Vec<BootInterface> = machine
            .interfaces
            .iter()
            .map(|interface| BootInterface {
                name: interface.name.clone(),
                mac_address: interface.mac.clone(),
                addresses: interface
                    .links
                    .iter()
                    .filter_map(|link| Some((link.ip?, state.subnet(link.subnet)?.cidr)))
                    .collect(),
            })
            .collect();
        let subnet = machine
            .interfaces
            .iter()
            .flat_map(|interface| &interface.links)
            .find(|link| link.ip.is_some())
            .and_then(|link| state.subnet(link.subnet));
        Some(Boot {
            system_id: id.clone(),
            hostname: machine.hostname.clone(),
            fqdn: state.fqdn(machine),
            domain: state.domain_name(machine.domain).to_owned(),
            architecture: machine.architecture.clone(),
            cpu_count: machine.cpu_count,
            memory_mib: machine.memory,
            addresses: machine.addresses().collect(),
            interfaces,
            gateway: subnet.and_then(|subnet| subnet.gateway),
            dns_servers: subnet.map(|subnet| subnet.dns_servers.clone()).unwrap_or_default(),
            image: image(state, machine),
            install,
            metadata_url: format!("http://{}/MAAS/metadata/", self.address),
            consumer_key: machine.key.consumer.clone(),
            token_key: machine.key.token.clone(),
            token_secret: machine.key.secret.clone(),
        })
    }

    /// Releases a machine as the first administrator.
    pub(crate) fn release_by_admin(self: &Arc<Self>, id: &SystemId) -> bool {
        let now = self.clock.now();
        let mut effects = Vec::new();
        let released = {
            let mut state = self.state();
            let admin = state.users.iter().find(|user| user.admin).map(|user| user.id);
            let releasable = state.machine(&id.0).is_some_and(|machine| super::release::is_releasable(machine.status));
            if releasable {
                if let Some(machine) = state.machine_mut(&id.0) {
                    machine.locked = false;
                }
                super::release::begin(&mut state, id, admin, None, false, now, &mut effects);
            }
            releasable
        };
        self.perform(effects);
        released
    }
}

/// What a machine is installed with: the setting where its record has none.
fn image(state: &State, machine: &Machine) -> String {
    let setting = |name: &str| state.config.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let or = |text: &String, name: &str| if text.is_empty() { setting(name) } else { text.clone() };
    format!("{}/{}", or(&machine.osystem, "default_osystem"), or(&machine.distro_series, "default_distro_series"))
}

/// The machine, where nothing came after the step's action.
fn current<'a>(state: &'a mut State, id: &SystemId, epoch: u64) -> Option<&'a mut Machine> {
    state.machine_mut(&id.0).filter(|machine| machine.epoch == epoch)
}

impl State {
    /// Changes a machine's state and notes it, `suffix` as MAAS adds it to some changes.
    pub(crate) fn change_status(&mut self, id: &SystemId, status: Status, now: Timestamp, suffix: &str) {
        let Some(machine) = self.machine_mut(&id.0) else { return };
        let before = machine.status;
        machine.status = status;
        if before != status {
            let text = format!("From '{}' to '{}'{suffix}", before.name(), status.name());
            self.event(id, now, Level::Debug, "Node changed status", &text);
        }
    }

    /// Notes something that people see as the machine's status message.
    pub(crate) fn announce(&mut self, id: &SystemId, now: Timestamp, kind: &str, description: &str) {
        if let Some(machine) = self.machine_mut(&id.0) {
            machine.status_message = Some(kind.to_owned());
        }
        self.event(id, now, Level::Info, kind, description);
    }

    /// The end of a release: the machine is free.
    pub(crate) fn finish_release(&mut self, id: &SystemId, now: Timestamp) {
        let Some(machine) = self.machine_mut(&id.0) else { return };
        machine.free_auto_addresses();
        machine.owner = None;
        machine.owner_data.clear();
        machine.user_data = None;
        machine.key = super::state::new_key();
        if machine.power_type == PowerType::Manual {
            machine.power = Power::Unknown;
        }
        self.change_status(id, Status::Ready, now, "");
        self.announce(id, now, "Released", "");
    }
}
