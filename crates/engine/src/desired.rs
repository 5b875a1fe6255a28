//! What a cluster should be: the engine's only input beside what it observes.

use ferrogate_join::NodeConfiguration;

/// One cluster as it should be.
#[derive(Clone, Debug)]
pub struct Desired {
    /// What it is made of, as its nodes are told.
    pub configuration: NodeConfiguration,
    /// Whether it should be gone: everything that bears its mark is given back.
    pub absent: bool,
}
