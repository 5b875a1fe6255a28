//! Pairing codes: made for people, listed, revoked.

use crate::{
    app::{credentials, wire},
    auth::{Principal, secret},
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Page, PageQuery, PairingCode, PairingCodeCreate, PairingCodeCreated, PairingCodeState};
use ferrogate_model::{PairingCodeId, Timestamp};
use ferrogate_store::{SecretHash, pairing_codes};
use std::time::Duration;

/// How long a code is good (specification 4.2).
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A page of the tenant's codes, the newest first.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<PairingCode>> {
    let now = context.now();
    let list = pairing_codes::list(&context.store, who.tenant, &wire::page(query)?).await?;
    Ok(wire::listed(list, |code| shown(code, now)))
}

/// Makes a code.
pub(crate) async fn create(
    context: &Context,
    who: &Principal,
    request: PairingCodeCreate,
) -> Outcome<PairingCodeCreated> {
    let note = request.note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
    if note.as_ref().is_some_and(|note| note.chars().count() > 200 || note.contains(char::is_control)) {
        return Err(Failure::invalid("bad_note", "the note is longer than 200 characters or has control characters"));
    }
    let now = context.now();
    let code = secret::pairing_code();
    let mut record = pairing_codes::PairingCode {
        id: PairingCodeId::new(),
        tenant: who.tenant,
        created_by: who.user,
        made_by: who.maker(),
        name_hint: note,
        code_hash: SecretHash::of(&code),
        created: now,
        expires: now + LIFETIME,
        used: None,
        used_by_gateway: None,
        revoked: None,
    };
    let (mut tx, maker_expires) = credentials::making(context, who).await?;
    record.expires = maker_expires.map_or(record.expires, |end| end.min(record.expires));
    pairing_codes::insert(&mut tx, &record).await?;
    tx.commit().await?;
    let fingerprint = (!context.fingerprint.is_empty()).then(|| context.fingerprint.clone());
    let trust = fingerprint.as_ref().map(|text| format!(" --fingerprint {text}")).unwrap_or_default();
    let url = context.public_url.as_str().trim_end_matches('/');
    Ok(PairingCodeCreated {
        pairing_code: shown(record, now),
        code: code.into(),
        // The code itself is asked for: an argument would show in the process list and the shell's history.
        command: format!("ferrogate install --endpoint {url}{trust}"),
        fingerprint,
    })
}

/// Revokes a code that was not used.
pub(crate) async fn revoke(context: &Context, who: &Principal, code: &str) -> Outcome<()> {
    let unknown = || Failure::not_found("pairing_code", code);
    let id: PairingCodeId = code.parse().map_err(|_| unknown())?;
    let record = pairing_codes::find(&context.store, who.tenant, id).await?.ok_or_else(unknown)?;
    if record.used.is_some() {
        return Err(Failure::conflict("pairing_code_used", "the pairing code was used already")
            .hint("delete the gateway it made if it is not wanted"));
    }
    pairing_codes::revoke(&context.store, who.tenant, id, context.now()).await?;
    Ok(())
}

fn shown(code: pairing_codes::PairingCode, now: Timestamp) -> PairingCode {
    let state = if code.used.is_some() {
        PairingCodeState::Used
    } else if code.revoked.is_some() {
        PairingCodeState::Revoked
    } else if code.expires <= now {
        PairingCodeState::Expired
    } else {
        PairingCodeState::Active
    };
    PairingCode {
        id: code.id,
        state,
        note: code.name_hint,
        created_by: code.created_by,
        created_at: code.created,
        expires_at: code.expires,
        used_at: code.used,
        gateway_id: code.used_by_gateway,
    }
}
