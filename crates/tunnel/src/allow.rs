//! What a gateway lets the plane reach.

use ferrogate_model::gateway_config::AllowRule;

/// A rule of the allow-list that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the allow rule for `{host}` is not usable: {problem}")]
pub struct BadAllowRule {
    /// The rule's host as written.
    pub host: String,
    /// What is wrong.
    pub problem: String,
}

/// The permissions of a site. Everything else is refused.
#[derive(Clone, Debug, Default)]
pub struct AllowList {}

impl AllowList {
    /// The list these rules make.
    ///
    /// # Errors
    /// The first rule that means nothing.
    pub fn new(_rules: &[AllowRule]) -> Result<Self, BadAllowRule> {
        Ok(Self {})
    }
}
