//! A site without hardware: a simulated MAAS that speaks the wire format of a real one, machines that obey the
//! cloud-config they are given and nothing else, a DNS zone and a forward proxy.
//!
//! The simulated MAAS ([`maas`]) is checked request by request against recordings of a MAAS 3.6 region. Everything runs
//! over a [`ferrogate_net::Network`], so the same site lives on loopback sockets for the demo and in memory, on a paused
//! clock, for tests.

mod archive;
pub mod artifacts;
pub mod backend;
pub mod command;
pub mod control;
pub mod daemon;
pub mod dns;
pub mod folder;
pub mod hardware;
pub mod host;
pub mod kubeadm;
pub mod kubernetes;
pub mod maas;
pub mod machine;
pub mod netns;
pub mod programs;
pub mod proxy;
pub mod qemu;
pub mod release;
pub mod seed;
pub mod site;
pub mod uml;

pub use backend::{Backend, Boot, Power};
pub use hardware::{HardwareError, Rack, RackOptions};
pub use maas::{Maas, Speed};
pub use machine::{SimulatedMachines, SimulatedOptions};
pub use programs::{Container, NoPrograms, Programs};
pub use proxy::{Proxy, ProxyFault, ProxyOptions};
pub use qemu::{Processor, QemuOptions};
pub use seed::Seed;
pub use site::{Lab, LabError, LabOptions};
pub use uml::UmlOptions;
