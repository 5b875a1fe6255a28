//! The power switch of real machines.

use super::{Rack, slot::Slot};
use crate::backend::{Backend, Boot, Power};
use async_trait::async_trait;
use ferrogate_model::SystemId;
use std::time::Duration;

/// The power button is pressed again after this time: a kernel that has not started systemd yet does not feel it.
const PRESS_AGAIN: Duration = Duration::from_secs(5);

impl Rack {
    /// Takes the power away.
    pub(super) async fn cut(&self, machine: &SystemId) {
        if let Some(running) = self.known(machine).and_then(|slot| slot.running) {
            running.end(machine).await;
        }
    }

    /// Has a machine switch itself off, and takes the power away where it does not in time.
    async fn press(&self, machine: &SystemId, slot: &Slot) {
        let Some(running) = slot.running.as_ref().filter(|running| running.is_on()) else { return };
        slot.screen.say("power", "the power button is pressed");
        let pressing = async {
            loop {
                if let Err(error) = self.hypervisor.press(machine).await {
                    tracing::debug!(%machine, %error, "a machine did not feel its power button");
                }
                tokio::time::sleep(PRESS_AGAIN).await;
            }
        };
        tokio::select! {
            () = running.off.cancelled() => return,
            _ = tokio::time::timeout(self.options.shutdown_limit, pressing) => {}
        }
        slot.screen.say("power", "still on: the power is cut");
        running.end(machine).await;
    }
}

#[async_trait]
impl Backend for Rack {
    async fn power_on(&self, boot: Boot) {
        let slot = self.slot_of(&boot);
        let _hand = slot.switch.lock().await;
        self.cut(&boot.system_id).await;
        if let Err(error) = self.switch_on(&boot, &slot).await {
            Self::complain(&boot.system_id, &slot, &error);
        }
    }

    async fn power_off(&self, machine: &SystemId) {
        let Some(slot) = self.known(machine) else { return };
        let _hand = slot.switch.lock().await;
        if let Some(slot) = self.known(machine) {
            self.press(machine, &slot).await;
        }
    }

    async fn power_cut(&self, machine: &SystemId) {
        let Some(slot) = self.known(machine) else { return };
        let _hand = slot.switch.lock().await;
        self.cut(machine).await;
    }

    async fn power_state(&self, machine: &SystemId) -> Power {
        if self.running(machine).is_some() { Power::On } else { Power::Off }
    }

    async fn console_log(&self, machine: &SystemId) -> String {
        self.known(machine).map(|slot| slot.screen.text()).unwrap_or_default()
    }

    async fn wipe(&self, machine: &SystemId) {
        let Some(slot) = self.known(machine) else { return };
        let _hand = slot.switch.lock().await;
        self.cut(machine).await;
        if self.remove_disk(machine) {
            slot.screen.say("power", "the disk was wiped");
        }
    }
}
