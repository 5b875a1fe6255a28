//! The scenarios: what must hold on real machines, asserted from outside. Programs are driven as people drive them, in
//! the network namespaces in which people stand; only faults and looks at machines go through the site's daemon.

mod artifacts;
mod busy;
mod cluster;
mod computer;
mod evidence;
mod failure;
mod faults;
mod give_back;
mod install;
mod kills;
mod maas;
mod machine;
mod one_node;
mod partition;
mod people;
mod plan;
mod process;
mod reach;
mod read;
mod run;
mod scene;
mod site;
mod slot;
mod split;
mod table;
mod three_nodes;

pub use busy::{Busy, vacant};
pub use plan::Scenario;
pub use run::{Options, run};
pub use table::Report;
