//! What can be used once.

use crate::fixture::{Fixture, at, secret, start};
use ferrogate_model::{EnrolmentId, GatewayId, PairingCodeId, SessionId, TenantId, UserId};
use ferrogate_store::{
    Maker, Page, SecretHash,
    enrolment::{self, Enrolled, EnrolmentToken},
    pairing_codes::{self, Consumed, PairingCode},
};

pub(crate) fn code(tenant: TenantId, text: &str) -> PairingCode {
    PairingCode {
        id: PairingCodeId::new(),
        tenant,
        created_by: UserId::new(),
        made_by: Maker::Session(SessionId::new()),
        name_hint: Some("maas-pcg-1".to_owned()),
        code_hash: SecretHash::of(&secret(text)),
        created: start(),
        expires: at(24 * 3600),
        used: None,
        used_by_gateway: None,
        revoked: None,
    }
}

pub(crate) async fn a_pairing_code_is_used_by_exactly_one_of_many(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let code = code(tenant, "code");
    pairing_codes::insert(&f.store, &code).await.unwrap();
    let tries = (0..12).map(|_| async {
        let gateway = GatewayId::new();
        (gateway, pairing_codes::consume(&f.store, &code.code_hash, gateway, at(1)).await.unwrap())
    });
    let results = futures::future::join_all(tries).await;
    let winners: Vec<_> = results.iter().filter(|(_, consumed)| matches!(consumed, Consumed::Yes(_))).collect();
    assert_eq!(winners.len(), 1);
    let stored = pairing_codes::find(&f.store, tenant, code.id).await.unwrap().unwrap();
    assert_eq!((stored.used, stored.used_by_gateway), (Some(at(1)), Some(winners[0].0)));
    let losers = results.iter().filter(|(_, consumed)| matches!(consumed, Consumed::Used(by) if *by == stored));
    assert_eq!(losers.count(), 11);
}

pub(crate) async fn a_pairing_code_says_why_it_is_refused(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = GatewayId::new();
    let (expired, revoked) = (code(tenant, "expired"), code(tenant, "revoked"));
    for code in [&expired, &revoked] {
        pairing_codes::insert(&f.store, code).await.unwrap();
    }
    let late = pairing_codes::consume(&f.store, &expired.code_hash, gateway, expired.expires).await.unwrap();
    assert_eq!(late, Consumed::Expired(expired.clone()));

    assert!(pairing_codes::revoke(&f.store, tenant, revoked.id, at(1)).await.unwrap());
    assert!(!pairing_codes::revoke(&f.store, tenant, revoked.id, at(2)).await.unwrap());
    let refused = pairing_codes::consume(&f.store, &revoked.code_hash, gateway, at(3)).await.unwrap();
    assert!(matches!(refused, Consumed::Revoked(code) if code.revoked == Some(at(1)) && code.used.is_none()));

    let wrong = SecretHash::of(&secret("wrong"));
    assert_eq!(pairing_codes::consume(&f.store, &wrong, gateway, at(3)).await.unwrap(), Consumed::Unknown);

    let listed = pairing_codes::list(&f.store, tenant, &Page::default()).await.unwrap().items;
    assert_eq!(listed.iter().map(|code| code.id).collect::<Vec<_>>(), [revoked.id, expired.id], "newest first");
    assert_eq!(pairing_codes::purge(&f.store, at(2)).await.unwrap(), 1);
}

pub(crate) async fn a_used_code_is_forgotten_with_its_gateway_and_not_before(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let there = f.gateway(tenant, "gw").await;
    for (text, gateway) in [("kept", there), ("forgotten", GatewayId::new())] {
        let code = code(tenant, text);
        pairing_codes::insert(&f.store, &code).await.unwrap();
        pairing_codes::consume(&f.store, &code.code_hash, gateway, at(1)).await.unwrap();
    }
    assert_eq!(pairing_codes::purge(&f.store, at(48 * 3600)).await.unwrap(), 1);
    let left = pairing_codes::list(&f.store, tenant, &Page::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|code| code.used_by_gateway).collect::<Vec<_>>(), [Some(there)]);
}

pub(crate) async fn a_code_given_back_by_a_rollback_is_good_again(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let code = code(tenant, "code");
    pairing_codes::insert(&f.store, &code).await.unwrap();
    let mut tx = f.store.begin().await.unwrap();
    let first = pairing_codes::consume(&mut tx, &code.code_hash, GatewayId::new(), at(1)).await.unwrap();
    assert!(matches!(first, Consumed::Yes(_)));
    tx.rollback().await.unwrap();
    let second = pairing_codes::consume(&f.store, &code.code_hash, GatewayId::new(), at(2)).await.unwrap();
    assert!(matches!(second, Consumed::Yes(_)));
}

fn token(gateway: GatewayId, node: &str, text: &str) -> EnrolmentToken {
    EnrolmentToken {
        id: EnrolmentId::new(),
        gateway,
        node_name: node.to_owned(),
        token_hash: SecretHash::of(&secret(text)),
        created: start(),
        expires: at(3600),
        used: None,
    }
}

pub(crate) async fn an_enrolment_token_is_used_by_exactly_one_of_many(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "gw").await;
    let token = token(gateway, "gw-1", "token");
    enrolment::insert(&f.store, &token).await.unwrap();
    let tries = (0..12).map(|_| async { enrolment::consume(&f.store, &token.token_hash, at(1)).await.unwrap() });
    let results = futures::future::join_all(tries).await;
    assert_eq!(results.iter().filter(|enrolled| matches!(enrolled, Enrolled::Yes(_))).count(), 1);
    assert_eq!(results.iter().filter(|enrolled| matches!(enrolled, Enrolled::Used(_))).count(), 11);
    let unknown = enrolment::consume(&f.store, &SecretHash::of(&secret("?")), at(1)).await.unwrap();
    assert_eq!(unknown, Enrolled::Unknown);
    assert_eq!(enrolment::purge(&f.store, at(1)).await.unwrap(), 0);
    assert_eq!(enrolment::purge(&f.store, at(2)).await.unwrap(), 1);
}

pub(crate) async fn a_newer_enrolment_token_ends_the_older_of_its_node(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "gw").await;
    let (old, new, other) =
        (token(gateway, "gw-1", "old"), token(gateway, "gw-1", "new"), token(gateway, "gw-2", "other"));
    for token in [&old, &other, &new] {
        enrolment::insert(&f.store, token).await.unwrap();
    }
    assert_eq!(enrolment::consume(&f.store, &old.token_hash, at(1)).await.unwrap(), Enrolled::Unknown);
    assert!(matches!(enrolment::consume(&f.store, &other.token_hash, at(1)).await.unwrap(), Enrolled::Yes(_)));
    assert!(matches!(enrolment::consume(&f.store, &new.token_hash, new.expires).await.unwrap(), Enrolled::Expired(_)));
}
