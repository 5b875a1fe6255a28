//! Tenants, users, sessions and tokens.

use crate::fixture::{Fixture, at, secret, start, user};
use ferrogate_model::{ClusterId, SessionId, TenantId, TokenId};
use ferrogate_store::{
    Maker, Page, SecretHash, StoreError, pairing_codes,
    sessions::{self, Session, SessionKind},
    tenants, tokens,
    tokens::Token,
    users::{self, Role},
};
use secrecy::ExposeSecret;

pub(crate) async fn a_tenant_and_its_users_are_read_back(f: &Fixture) {
    assert_eq!(users::count(&f.store).await.unwrap(), 0);
    let tenant = f.tenant("acme").await;
    let wanted = user(tenant, "ann@example.com");
    users::insert(&f.store, &wanted).await.unwrap();

    assert_eq!(tenants::get(&f.store, tenant).await.unwrap().unwrap().name, "acme");
    let found = users::find(&f.store, tenant, wanted.id).await.unwrap().unwrap();
    assert_eq!(
        (found.id, found.tenant, found.email.as_str(), found.role, found.platform_admin, found.disabled, found.created),
        (wanted.id, tenant, "ann@example.com", Role::Operator, true, false, start())
    );
    assert_eq!(found.password_hash.unwrap().expose_secret(), wanted.password_hash.unwrap().expose_secret());
    assert_eq!(users::count(&f.store).await.unwrap(), 1);

    let other = f.tenant("other").await;
    assert!(users::find(&f.store, other, wanted.id).await.unwrap().is_none(), "of another tenant");
    let error =
        tenants::insert(&f.store, &tenants::Tenant { id: TenantId::new(), name: "acme".into(), created: start() })
            .await
            .unwrap_err();
    assert!(matches!(error, StoreError::Conflict { what: "tenant", ref name } if name == "acme"), "{error:?}");
}

pub(crate) async fn an_email_address_is_taken_once_in_any_case(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let first = f.user(tenant, "Ann@Example.com").await;
    let error = users::insert(&f.store, &user(tenant, "ANN@example.COM")).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { what: "user", .. }), "{error:?}");
    assert_eq!(users::by_email(&f.store, "ann@EXAMPLE.com").await.unwrap().unwrap().id, first);
    assert!(users::by_email(&f.store, "bob@example.com").await.unwrap().is_none());
}

pub(crate) async fn a_user_is_changed_in_part(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let id = f.user(tenant, "ann@example.com").await;
    let now = || async { users::get(&f.store, id).await.unwrap().unwrap() };

    users::change(&f.store, id, None, Some(true)).await.unwrap();
    assert_eq!((now().await.role, now().await.disabled), (Role::Operator, true));
    users::change(&f.store, id, Some(Role::Viewer), None).await.unwrap();
    assert_eq!((now().await.role, now().await.disabled), (Role::Viewer, true));
    users::change(&f.store, id, None, Some(false)).await.unwrap();
    assert!(!now().await.disabled);
    users::set_password(&f.store, id, &secret("new")).await.unwrap();
    assert_eq!(now().await.password_hash.unwrap().expose_secret(), "new");

    let gone = ferrogate_model::UserId::new();
    assert!(matches!(users::change(&f.store, gone, None, None).await, Err(StoreError::NotFound { what: "user", .. })));
}

pub(crate) async fn a_session_is_found_by_its_token_until_it_ends(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    let token = SecretHash::of(&secret("session-token"));
    let session = Session {
        id: SessionId::new(),
        user,
        token_hash: token.clone(),
        kind: SessionKind::Cli,
        created: start(),
        expires: at(60),
        last_used: start(),
        from_ip: Some("192.0.2.7".to_owned()),
    };
    sessions::insert(&f.store, &session).await.unwrap();
    assert_eq!(sessions::by_token(&f.store, &token, at(59)).await.unwrap(), Some(session.clone()));
    assert_eq!(sessions::by_token(&f.store, &token, at(60)).await.unwrap(), None);

    sessions::touch(&f.store, session.id, at(30), at(90)).await.unwrap();
    let touched = sessions::by_token(&f.store, &token, at(60)).await.unwrap().unwrap();
    assert_eq!((touched.last_used, touched.expires), (at(30), at(90)));

    assert_eq!(sessions::purge(&f.store, at(90)).await.unwrap(), 0);
    assert_eq!(sessions::list(&f.store, user, &Page::default()).await.unwrap().items.len(), 1);
    let stranger = f.user(tenant, "bob@example.com").await;
    assert_eq!(sessions::find(&f.store, stranger, session.id).await.unwrap(), None, "not his");
    assert_eq!(sessions::find(&f.store, user, session.id).await.unwrap(), Some(touched));
    assert!(!sessions::remove(&f.store, stranger, session.id).await.unwrap(), "not his");
    assert!(sessions::remove(&f.store, user, session.id).await.unwrap());
    assert_eq!(sessions::find(&f.store, user, session.id).await.unwrap(), None);
    assert_eq!(sessions::by_token(&f.store, &token, at(31)).await.unwrap(), None);
    assert_eq!(sessions::remove_all(&f.store, user, None).await.unwrap(), 0);
}

pub(crate) async fn a_token_is_good_until_it_expires_or_is_revoked(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    let cluster = ClusterId::new();
    let make = |name: &str, expires| Token {
        id: TokenId::new(),
        tenant,
        user,
        name: name.to_owned(),
        role: Role::Viewer,
        token_hash: SecretHash::of(&secret(name)),
        scope_cluster: Some(cluster),
        made_by: Maker::Session(SessionId::new()),
        created: start(),
        expires,
        last_used: None,
        revoked: None,
    };
    let (short, long) = (make("short", Some(at(60))), make("long", None));
    tokens::insert(&f.store, &short).await.unwrap();
    tokens::insert(&f.store, &long).await.unwrap();
    assert_eq!(tokens::by_token(&f.store, &short.token_hash, at(59)).await.unwrap(), Some(short.clone()));
    assert_eq!(tokens::by_token(&f.store, &short.token_hash, at(60)).await.unwrap(), None);

    let mut twin = make("twin", None);
    twin.name = "long".to_owned();
    assert!(matches!(tokens::insert(&f.store, &twin).await, Err(StoreError::Conflict { what: "token", .. })));
    let other = f.tenant("other").await;
    assert!(!tokens::revoke(&f.store, other, long.id, at(1)).await.unwrap(), "of another tenant");
    assert!(tokens::revoke(&f.store, tenant, long.id, at(1)).await.unwrap());
    assert!(!tokens::revoke(&f.store, tenant, long.id, at(2)).await.unwrap(), "once is enough");
    assert_eq!(tokens::by_token(&f.store, &long.token_hash, at(3)).await.unwrap(), None);
    tokens::insert(&f.store, &twin).await.expect("the name is free again");

    tokens::touch(&f.store, twin.id, at(5)).await.unwrap();
    assert_eq!(tokens::find(&f.store, tenant, twin.id).await.unwrap().unwrap().last_used, Some(at(5)));
    assert_eq!(tokens::revoke_for_cluster(&f.store, cluster, at(6)).await.unwrap(), 2);
    assert_eq!(tokens::list(&f.store, tenant, Some(user), &Page::default()).await.unwrap().items.len(), 3);
    assert_eq!(tokens::purge(&f.store, at(6)).await.unwrap(), 1, "only the one that ended before");
}

pub(crate) async fn what_a_credential_made_is_revoked_with_it(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    let make = async |name: &str, made_by| {
        let token = Token {
            id: TokenId::new(),
            tenant,
            user,
            name: name.to_owned(),
            role: Role::Viewer,
            token_hash: SecretHash::of(&secret(name)),
            scope_cluster: None,
            made_by,
            created: start(),
            expires: Some(at(60)),
            last_used: None,
            revoked: None,
        };
        tokens::insert(&f.store, &token).await.unwrap();
        let code = crate::pairing::code(tenant, name);
        pairing_codes::insert(&f.store, &pairing_codes::PairingCode { created_by: user, made_by, ..code })
            .await
            .unwrap();
        token.id
    };
    let session = Maker::Session(SessionId::new());
    let token = make("token", session).await;
    let kubeconfig = make("kubeconfig", Maker::Token(token)).await;
    let other = make("other", Maker::Session(SessionId::new())).await;
    let of_other = make("of-other", Maker::Token(other)).await;

    assert!(tokens::revoke_made_by(&f.store, session, at(60)).await.unwrap().is_empty(), "they have expired");
    let revoked = tokens::revoke_made_by(&f.store, session, at(1)).await.unwrap();
    let mut ids: Vec<_> = revoked.iter().map(|token| token.id).collect();
    ids.sort();
    assert_eq!(ids, [token, kubeconfig]);
    assert!(revoked.iter().all(|token| token.revoked == Some(at(1))));
    assert_eq!(pairing_codes::revoke_made_by(&f.store, session, at(1)).await.unwrap(), 2);
    assert_eq!(tokens::find(&f.store, tenant, of_other).await.unwrap().unwrap().made_by, Maker::Token(other));

    assert_eq!(tokens::revoke_of_user(&f.store, user, at(2)).await.unwrap().len(), 2, "the rest");
    assert_eq!(pairing_codes::revoke_of_user(&f.store, user, at(2)).await.unwrap(), 2);
    let stranger = f.user(tenant, "bob@example.com").await;
    assert!(tokens::revoke_of_user(&f.store, stranger, at(3)).await.unwrap().is_empty());
}

pub(crate) async fn who_locks_a_user_waits_for_who_did_before(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let user = f.user(tenant, "ann@example.com").await;
    let mut first = f.store.begin().await.unwrap();
    users::lock(&mut first, user).await.unwrap().unwrap();
    let second = async {
        let mut tx = f.store.begin().await.unwrap();
        let seen = users::lock(&mut tx, user).await.unwrap().unwrap();
        tx.rollback().await.unwrap();
        seen
    };
    let change = async {
        users::change(&mut first, user, Some(Role::Viewer), None).await.unwrap();
        first.commit().await.unwrap();
    };
    let (seen, ()) = futures::join!(second, change);
    assert_eq!(seen.role, Role::Viewer, "what was committed meanwhile is seen");
    let mut tx = f.store.begin().await.unwrap();
    assert!(users::lock(&mut tx, ferrogate_model::UserId::new()).await.unwrap().is_none());
}

pub(crate) async fn every_page_of_a_list_is_given_once(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let stranger = f.tenant("other").await;
    let mut wanted = Vec::new();
    for n in 0..7 {
        wanted.push(f.user(tenant, &format!("u{n}@example.com")).await);
        f.user(stranger, &format!("s{n}@example.com")).await;
    }
    for limit in [1, 2, 3, 6, 7, 8] {
        let mut page = Page::first(limit);
        let mut seen = Vec::new();
        loop {
            let list = users::list(&f.store, tenant, &page).await.unwrap();
            assert!(list.items.len() <= limit as usize);
            seen.extend(list.items.iter().map(|user| user.id));
            match list.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, wanted, "pages of {limit}");
    }
}
