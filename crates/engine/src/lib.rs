//! The engine: turns what a cluster should be into machines of MAAS that run Kubernetes, and back into free machines.
//!
//! One function, [`Engine::pass`], observes MAAS and Kubernetes, computes the difference to [`Desired`] and acts on it.
//! It takes no other input, waits for nothing and may be killed at any line: every fact it relies on stands in MAAS or in
//! Kubernetes, and [`Memory`] only holds what may be lost (cool-downs, when something was first seen). The installer calls
//! it straight against MAAS to build a gateway; the plane calls the same function through the gateway for clusters.
//!
//! What it is not: it keeps no queue, stores nothing, never signs in to a machine and never runs a shell on one. How a
//! machine becomes a node it does not know: [`ferrogate_join::NodeSetup`] makes what a machine is told.

mod act;
mod clients;
pub mod desired;
pub mod engine;
pub mod enrolment;
pub mod kube;
pub mod limits;
pub mod mark;
pub mod memory;
mod observe;
mod observed;
pub mod ownership;
pub mod pass;
mod plan;
pub mod preflight;
mod run;

pub use desired::Desired;
pub use engine::Engine;
pub use enrolment::{Enrolment, EnrolmentError, NoEnrolment};
pub use limits::Limits;
pub use memory::{Checkpoint, Memory};
pub use pass::{Event, MachineView, Outcome, Pass};
