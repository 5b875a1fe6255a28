//! What MAAS answers. Only fields Ferrogate reads are named; everything MAAS adds is passed over, so that a newer MAAS
//! does not break us.

mod address;
mod lenient;
mod machine;
mod site;

pub use address::{
    AddressUse, DnsRecord, DnsResource, IpAddress, IpRange, NodeSummary, Subnet, SubnetStatistics, Vlan,
};
pub use machine::{BlockDevice, Interface, Link, Machine, MachineStatus, Power, PowerState};
pub use site::{BootResource, Domain, Event, EventPage, ResourcePool, Tag, User, Version, Zone};
