//! Subnets and addresses.

use super::{Call, Client};
use crate::{
    error::{MaasError, MaasFailure},
    request::ReserveIp,
    types::{AddressUse, IpAddress, IpRange, Subnet, SubnetStatistics},
};
use ipnet::IpNet;
use std::net::IpAddr;

fn path(id: u64) -> String {
    format!("subnets/{id}/")
}

impl Client {
    /// The subnets.
    ///
    /// # Errors
    /// See [`MaasError`].
    pub async fn subnets(&self) -> Result<Vec<Subnet>, MaasError> {
        self.json(Call::get("list the subnets", "subnets/")).await
    }

    /// How full a subnet is.
    ///
    /// # Errors
    /// [`MaasFailure::NotFound`].
    pub async fn subnet_statistics(&self, id: u64) -> Result<SubnetStatistics, MaasError> {
        self.json(Call::get(format!("read the statistics of subnet {id}"), path(id)).op("statistics")).await
    }

    /// The runs of addresses in a subnet that nothing uses or reserves.
    ///
    /// # Errors
    /// [`MaasFailure::NotFound`].
    pub async fn subnet_unreserved(&self, id: u64) -> Result<Vec<IpRange>, MaasError> {
        let about = format!("list the unreserved addresses of subnet {id}");
        self.json(Call::get(about, path(id)).op("unreserved_ip_ranges")).await
    }

    /// The runs of addresses in a subnet that are in use or reserved, with the purpose.
    ///
    /// # Errors
    /// [`MaasFailure::NotFound`].
    pub async fn subnet_reserved(&self, id: u64) -> Result<Vec<IpRange>, MaasError> {
        let about = format!("list the reserved addresses of subnet {id}");
        self.json(Call::get(about, path(id)).op("reserved_ip_ranges")).await
    }

    /// The addresses in use in a subnet, and who has them.
    ///
    /// # Errors
    /// [`MaasFailure::NotFound`].
    pub async fn subnet_addresses(&self, id: u64) -> Result<Vec<AddressUse>, MaasError> {
        self.json(Call::get(format!("list the addresses of subnet {id}"), path(id)).op("ip_addresses")).await
    }

    /// The addresses this user has reserved.
    ///
    /// # Errors
    /// See [`MaasError`].
    pub async fn ip_addresses(&self) -> Result<Vec<IpAddress>, MaasError> {
        self.json(Call::get("list the reserved addresses", "ipaddresses/")).await
    }

    /// Reserves an address. MAAS itself would also hand out a subnet's network, broadcast and router address, and takes an
    /// address outside the subnet that was named: all of these are refused here.
    ///
    /// # Errors
    /// [`MaasFailure::AddressUnfit`], [`MaasFailure::AddressTaken`], [`MaasFailure::Exhausted`].
    pub async fn reserve_ip(&self, wanted: &ReserveIp) -> Result<IpAddress, MaasError> {
        let subnets = self.subnets().await?;
        let about = match (wanted.ip, wanted.subnet) {
            (Some(ip), _) => format!("reserve the address {ip}"),
            (None, Some(subnet)) => format!("reserve an address in {subnet}"),
            (None, None) => "reserve an address".into(),
        };
        let mut fields: Vec<(String, String)> = Vec::new();
        if let Some(ip) = wanted.ip {
            check(ip, wanted.subnet, &subnets).map_err(|failure| MaasError::new(&about, failure))?;
            fields.push(("ip".into(), ip.to_string()));
        } else if let Some(subnet) = wanted.subnet {
            fields.push(("subnet".into(), subnet.to_string()));
        }
        fields.extend(wanted.hostname.iter().map(|name| ("hostname".to_owned(), name.clone())));
        let call = Call::post(&about, "ipaddresses/", fields).op("reserve").about_address();
        let reserved: IpAddress = self.json(call).await?;
        if let Err(failure) = check(reserved.ip, wanted.subnet, &subnets) {
            self.release_ip(reserved.ip).await?;
            return Err(MaasError::new(&about, failure));
        }
        Ok(reserved)
    }

    /// Gives a reserved address back.
    ///
    /// # Errors
    /// [`MaasFailure::NotFound`] where it is not reserved, or not by this user: MAAS does not say which.
    pub async fn release_ip(&self, ip: IpAddr) -> Result<(), MaasError> {
        let fields = vec![("ip".to_owned(), ip.to_string())];
        let call = Call::post(format!("release the address {ip}"), "ipaddresses/", fields).op("release");
        self.done(call.about_address()).await
    }
}

/// Whether a machine or a virtual address may have `ip`.
fn check(ip: IpAddr, wanted: Option<IpNet>, subnets: &[Subnet]) -> Result<(), MaasFailure> {
    let unfit = |reason: String| Err(MaasFailure::AddressUnfit { ip, reason });
    if let Some(wanted) = wanted.filter(|wanted| !wanted.contains(&ip)) {
        return unfit(format!("it is not in {wanted}"));
    }
    // The narrowest one, should ranges be nested.
    let Some(subnet) =
        subnets.iter().filter(|subnet| subnet.cidr.contains(&ip)).max_by_key(|subnet| subnet.cidr.prefix_len())
    else {
        return unfit("MAAS has no subnet with it".into());
    };
    let name = &subnet.name;
    if subnet.gateway_ip == Some(ip) {
        return unfit(format!("it is the router of subnet `{name}`"));
    }
    // Point-to-point and single-address ranges have neither (RFC 3021, RFC 6164).
    let has_ends = subnet.cidr.prefix_len() + 1 < subnet.cidr.max_prefix_len();
    if has_ends && ip == subnet.cidr.network() {
        return unfit(format!("it is the network address of subnet `{name}`"));
    }
    if has_ends && ip.is_ipv4() && ip == subnet.cidr.broadcast() {
        return unfit(format!("it is the broadcast address of subnet `{name}`"));
    }
    Ok(())
}
