//! Roles in the words of the API and of the store.

use ferrogate_api::Role;
use ferrogate_store::users;

/// A role in the API's words.
pub(crate) const fn role(role: users::Role) -> Role {
    match role {
        users::Role::Admin => Role::Admin,
        users::Role::Operator => Role::Operator,
        users::Role::Viewer => Role::Viewer,
    }
}

/// A role in the store's words.
pub(crate) const fn stored_role(role: Role) -> users::Role {
    match role {
        Role::Admin => users::Role::Admin,
        Role::Operator => users::Role::Operator,
        Role::Viewer => users::Role::Viewer,
    }
}

/// The word for a role.
pub(crate) const fn role_word(role: Role) -> &'static str {
    stored_role(role).as_str()
}
