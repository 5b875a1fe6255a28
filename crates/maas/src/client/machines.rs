//! Machines.

use super::{Call, Client};
use crate::{
    error::{MaasError, MaasFailure},
    form::{Fields, segment},
    request::{Allocate, Deploy, MachineFilter, Release, UpdateMachine},
    types::{Machine, PowerState},
};
use ferrogate_model::SystemId;

fn path(id: &SystemId) -> String {
    format!("machines/{}/", segment(&id.0))
}

fn comment(text: Option<&str>) -> Fields {
    text.map(|text| ("comment".to_owned(), text.to_owned())).into_iter().collect()
}

impl Client {
    /// The machines this user may see that pass the filter. MAAS lists them whole and has no pages.
    ///
    /// # Errors
    /// An unknown zone or pool is [`MaasFailure::Invalid`]; an empty mark is [`MaasFailure::Unsafe`], because MAAS would
    /// answer it with every machine there is.
    pub async fn machines(&self, filter: &MachineFilter) -> Result<Vec<Machine>, MaasError> {
        let call = Call::get("list the machines", "machines/").query(filter.fields());
        if filter.agent_name.as_deref().is_some_and(|mark| mark.trim().is_empty()) {
            return Err(call.fail(MaasFailure::Unsafe("an empty mark would select every machine")));
        }
        self.json(call).await
    }

    /// One machine.
    ///
    /// # Errors
    /// [`MaasFailure::NotFound`] where there is none; [`MaasFailure::NotAllowed`] where it belongs to somebody else.
    pub async fn machine(&self, id: &SystemId) -> Result<Machine, MaasError> {
        self.json(Call::get(format!("read machine {id}"), path(id))).await
    }

    /// Takes a machine, or with `dry_run` says which one it would be. Never repeated by itself: an answer that got lost may
    /// have taken one, and the mark tells.
    ///
    /// # Errors
    /// [`MaasError::is_no_machine`] where none could be had.
    pub async fn allocate(&self, wanted: &Allocate) -> Result<Machine, MaasError> {
        // MAAS passes over constraints in the query without a word and would hand out any machine: body only.
        self.json(Call::post("allocate a machine", "machines/", wanted.fields()).op("allocate")).await
    }

    /// Begins to install a machine.
    ///
    /// # Errors
    /// [`MaasFailure::WrongState`] for a machine that is deploying or deployed already, [`MaasFailure::Exhausted`] where
    /// its subnet has no address left: it is then allocated again.
    pub async fn deploy(&self, id: &SystemId, what: &Deploy) -> Result<Machine, MaasError> {
        let call = Call::post(format!("deploy machine {id}"), path(id), what.fields()).op("deploy");
        self.json(if what.user_data.is_some() { call.multipart() } else { call }).await
    }

    /// Gives a machine back. One that is ready or being released already is a success.
    ///
    /// # Errors
    /// [`MaasFailure::NotAllowed`] for somebody else's or a locked machine.
    pub async fn release(&self, id: &SystemId, how: &Release) -> Result<Machine, MaasError> {
        self.json(Call::post(format!("release machine {id}"), path(id), how.fields()).op("release")).await
    }

    /// Gives several machines back at once and answers which were not free already. All or none: one in a wrong state
    /// refuses the whole call.
    ///
    /// # Errors
    /// [`MaasFailure::WrongState`], or [`MaasFailure::Invalid`] for an id MAAS does not know.
    pub async fn release_many(&self, ids: &[SystemId], comment_text: Option<&str>) -> Result<Vec<SystemId>, MaasError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut fields: Fields = ids.iter().map(|id| ("machines".to_owned(), id.0.clone())).collect();
        fields.extend(comment(comment_text));
        self.json(Call::post(format!("release {} machines", ids.len()), "machines/", fields).op("release")).await
    }

    /// Marks a machine we hold as broken, which also gives it up.
    ///
    /// # Errors
    /// [`MaasFailure::NotAllowed`] for one we do not hold, even for an administrator.
    pub async fn mark_broken(&self, id: &SystemId, why: &str) -> Result<Machine, MaasError> {
        self.json(Call::post(format!("mark machine {id} as broken"), path(id), comment(Some(why))).op("mark_broken"))
            .await
    }

    /// Switches a machine on.
    ///
    /// # Errors
    /// [`MaasFailure::WrongState`] for one that is not allocated.
    pub async fn power_on(&self, id: &SystemId, why: Option<&str>) -> Result<Machine, MaasError> {
        self.json(Call::post(format!("switch machine {id} on"), path(id), comment(why)).op("power_on")).await
    }

    /// Switches a machine off, softly where `soft`: its system may then end its work first.
    ///
    /// # Errors
    /// [`MaasFailure::NotAllowed`] for somebody else's machine.
    pub async fn power_off(&self, id: &SystemId, soft: bool, why: Option<&str>) -> Result<Machine, MaasError> {
        let mut fields = comment(why);
        fields.push(("stop_mode".into(), if soft { "soft" } else { "hard" }.into()));
        self.json(Call::post(format!("switch machine {id} off"), path(id), fields).op("power_off")).await
    }

    /// Asks the machine's power control now; [`Machine::power_state`] is what MAAS knew last.
    ///
    /// # Errors
    /// MAAS cannot reach the power control.
    pub async fn power_state(&self, id: &SystemId) -> Result<PowerState, MaasError> {
        self.json(Call::get(format!("ask for the power of machine {id}"), path(id)).op("query_power_state")).await
    }

    /// Sets marks that people can read; an empty value removes one, the others stay.
    ///
    /// # Errors
    /// [`MaasFailure::WrongState`] for a machine that is not allocated.
    pub async fn set_owner_data<'a>(
        &self,
        id: &SystemId,
        data: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Machine, MaasError> {
        self.json(Call::post(format!("mark machine {id}"), path(id), pairs(data)).op("set_owner_data")).await
    }

    /// The same under its newer name, which MAAS 3.3 and later prefer.
    ///
    /// # Errors
    /// As [`Client::set_owner_data`].
    pub async fn set_workload_annotations<'a>(
        &self,
        id: &SystemId,
        data: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Machine, MaasError> {
        self.json(Call::post(format!("mark machine {id}"), path(id), pairs(data)).op("set_workload_annotations")).await
    }

    /// Changes a machine's record. Needs the rights of an administrator in MAAS.
    ///
    /// # Errors
    /// [`MaasFailure::Invalid`] names the field.
    pub async fn update_machine(&self, id: &SystemId, change: &UpdateMachine) -> Result<Machine, MaasError> {
        self.json(Call::put(format!("change machine {id}"), path(id), change.fields())).await
    }
}

fn pairs<'a>(data: impl IntoIterator<Item = (&'a str, &'a str)>) -> Fields {
    data.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
