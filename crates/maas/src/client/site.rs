//! The site as a whole: version, rights, placement, images, settings, events.

use super::{Call, Client};
use crate::{
    error::MaasError,
    request::EventFilter,
    types::{BootResource, Domain, EventPage, ResourcePool, Tag, User, Version, Zone},
};

impl Client {
    /// Which MAAS answers. MAAS tells everybody: a success proves nothing about the key.
    ///
    /// # Errors
    /// [`crate::MaasFailure::NotMaas`] or [`crate::MaasFailure::WrongPath`] for a wrong address.
    pub async fn version(&self) -> Result<Version, MaasError> {
        self.json(Call::get("read MAAS's version", "version/")).await
    }

    /// Whose key it is.
    ///
    /// # Errors
    /// [`crate::MaasFailure::KeyRefused`] or [`crate::MaasFailure::ClockSkew`].
    pub async fn whoami(&self) -> Result<User, MaasError> {
        self.json(Call::get("sign in to MAAS", "users/").op("whoami")).await
    }

    /// The availability zones.
    ///
    /// # Errors
    /// See [`MaasError`].
    pub async fn zones(&self) -> Result<Vec<Zone>, MaasError> {
        self.json(Call::get("list the zones", "zones/")).await
    }

    /// The resource pools.
    ///
    /// # Errors
    /// See [`MaasError`].
    pub async fn pools(&self) -> Result<Vec<ResourcePool>, MaasError> {
        self.json(Call::get("list the resource pools", "resourcepools/")).await
    }

    /// The DNS domains.
    ///
    /// # Errors
    /// See [`MaasError`].
    pub async fn domains(&self) -> Result<Vec<Domain>, MaasError> {
        self.json(Call::get("list the domains", "domains/")).await
    }

    /// The tags.
    ///
    /// # Errors
    /// See [`MaasError`].
    pub async fn tags(&self) -> Result<Vec<Tag>, MaasError> {
        self.json(Call::get("list the tags", "tags/")).await
    }

    /// The operating system images.
    ///
    /// # Errors
    /// See [`MaasError`].
    pub async fn boot_resources(&self) -> Result<Vec<BootResource>, MaasError> {
        self.json(Call::get("list the images", "boot-resources/")).await
    }

    /// A setting of MAAS, such as `default_distro_series`; null where it is not set.
    ///
    /// # Errors
    /// [`crate::MaasFailure::Invalid`] for a name MAAS does not know.
    pub async fn config(&self, name: &str) -> Result<serde_json::Value, MaasError> {
        let call = Call::get(format!("read the setting `{name}`"), "maas/").op("get_config");
        self.json(call.query(vec![("name".into(), name.into())])).await
    }

    /// Events, newest first.
    ///
    /// # Errors
    /// See [`MaasError`].
    pub async fn events(&self, filter: &EventFilter) -> Result<EventPage, MaasError> {
        self.json(Call::get("read the events", "events/").op("query").query(filter.fields())).await
    }
}
