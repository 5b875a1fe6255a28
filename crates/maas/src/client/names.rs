//! DNS names.

use super::{Call, Client};
use crate::{
    error::MaasError,
    request::{CreateDnsResource, DnsResourceFilter, UpdateDnsResource},
    types::DnsResource,
};

fn path(id: i64) -> String {
    format!("dnsresources/{id}/")
}

impl Client {
    /// The DNS names made by users; those of machines are not among them.
    ///
    /// # Errors
    /// [`crate::MaasFailure::NotFound`] for a domain MAAS does not know.
    pub async fn dns_resources(&self, filter: &DnsResourceFilter) -> Result<Vec<DnsResource>, MaasError> {
        self.json(Call::get("list the DNS names", "dnsresources/").query(filter.fields())).await
    }

    /// Makes a DNS name. Needs the rights of an administrator in MAAS.
    ///
    /// # Errors
    /// [`crate::MaasFailure::Invalid`] where the name exists or is none.
    pub async fn create_dns_resource(&self, wanted: &CreateDnsResource) -> Result<DnsResource, MaasError> {
        self.json(Call::post(format!("make the DNS name {}", wanted.fqdn), "dnsresources/", wanted.fields())).await
    }

    /// Changes a DNS name.
    ///
    /// # Errors
    /// [`crate::MaasFailure::NotFound`] where there is none.
    pub async fn update_dns_resource(&self, id: i64, change: &UpdateDnsResource) -> Result<DnsResource, MaasError> {
        self.json(Call::put(format!("change DNS name {id}"), path(id), change.fields())).await
    }

    /// Removes a DNS name.
    ///
    /// # Errors
    /// [`crate::MaasFailure::NotFound`] where it is gone already.
    pub async fn delete_dns_resource(&self, id: i64) -> Result<(), MaasError> {
        self.done(Call::delete(format!("remove DNS name {id}"), path(id))).await
    }
}
