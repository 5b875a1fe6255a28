//! API tokens.

use crate::{
    app::{credentials, wire},
    auth::{
        Principal, revocation,
        secret::{self, CredentialKind},
    },
    context::Context,
    failure::{Failure, Outcome},
    roles,
};
use ferrogate_api::{Page, PageQuery, Role, Token, TokenCreate, TokenCreated};
use ferrogate_model::TokenId;
use ferrogate_store::{Maker, SecretHash, tokens, users};
use std::time::Duration;

/// Lifetime where none is asked for, in hours: 30 days.
const DEFAULT_HOURS: u32 = 720;
/// Longest lifetime, in hours: a year.
const MAX_HOURS: u32 = 8_760;

/// A page of one's own tokens; an admin sees the tenant's.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<Token>> {
    let whose = (who.role < Role::Admin).then_some(who.user);
    Ok(wire::listed(tokens::list(&context.store, who.tenant, whose, &wire::page(query)?).await?, shown))
}

/// Makes a token that acts for its maker.
pub(crate) async fn create(context: &Context, who: &Principal, request: TokenCreate) -> Outcome<TokenCreated> {
    let name = request.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 100 || name.contains(char::is_control) {
        return Err(
            Failure::invalid("bad_token_name", "the token's name is empty or too long").hint("use 1 to 100 characters")
        );
    }
    if request.role > who.role {
        return Err(Failure::forbidden(format!(
            "a token cannot have the role {} when its maker has {}",
            roles::role_word(request.role),
            roles::role_word(who.role)
        )));
    }
    let hours = request.expires_in_hours.unwrap_or(DEFAULT_HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Failure::invalid("bad_lifetime", format!("{hours} hours is not between 1 and {MAX_HOURS}")));
    }
    let now = context.now();
    let secret = secret::generate(CredentialKind::Api);
    let token = tokens::Token {
        id: TokenId::new(),
        tenant: who.tenant,
        user: who.user,
        name,
        role: roles::stored_role(request.role),
        token_hash: SecretHash::of(&secret),
        scope_cluster: None,
        made_by: who.maker(),
        created: now,
        expires: Some(now + Duration::from_secs(u64::from(hours) * 3600)),
        last_used: None,
        revoked: None,
    };
    let (mut tx, _) = credentials::making(context, who).await?;
    tokens::insert(&mut tx, &token).await?;
    tx.commit().await?;
    Ok(TokenCreated { token: shown(token), secret: secret.into() })
}

/// Revokes a token with what it made: one's own, or as an admin any of the tenant.
pub(crate) async fn revoke(context: &Context, who: &Principal, token: &str) -> Outcome<()> {
    let unknown = || Failure::not_found("token", token);
    let id: TokenId = token.parse().map_err(|_| unknown())?;
    let record = tokens::find(&context.store, who.tenant, id).await?.ok_or_else(unknown)?;
    if record.user != who.user && who.role < Role::Admin {
        return Err(unknown());
    }
    let now = context.now();
    let mut tx = context.store.begin().await?;
    users::lock(&mut tx, record.user).await?;
    tokens::revoke(&mut tx, who.tenant, id, now).await?;
    credentials::end_made_by(&mut tx, Maker::Token(id), now).await?;
    tx.commit().await?;
    revocation::end_streams(context, record.user).await;
    Ok(())
}

fn shown(token: tokens::Token) -> Token {
    Token {
        id: token.id,
        name: token.name,
        role: roles::role(token.role),
        cluster_id: token.scope_cluster,
        made_by_token_id: match token.made_by {
            Maker::Token(id) => Some(id),
            Maker::Session(_) => None,
        },
        created_at: token.created,
        expires_at: token.expires,
        last_used_at: token.last_used,
        revoked_at: token.revoked,
    }
}
