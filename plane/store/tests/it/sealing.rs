//! Secrets at rest.

use crate::fixture::{Fixture, secret};
use ferrogate_model::{Explain, GatewayId};
use ferrogate_store::{MasterKey, Store, StoreError, accounts, clusters, gateways, settings};
use secrecy::ExposeSecret;

async fn something_of_everything(f: &Fixture) -> GatewayId {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    f.account(tenant, gateway, "site").await;
    f.cluster(tenant, gateway, "c1").await;
    settings::set(&f.store, "setup-token", &secret("setup-secret")).await.unwrap();
    gateway
}

const SEALED: [&str; 5] = [
    "SELECT proxy FROM gateways",
    "SELECT api_key FROM accounts",
    "SELECT materials FROM clusters",
    "SELECT settings FROM clusters",
    "SELECT value FROM settings",
];

pub(crate) async fn no_secret_is_in_the_database_in_the_clear(f: &Fixture) {
    something_of_everything(f).await;
    for sql in SEALED {
        let values = f.raw_bytes(sql).await;
        assert!(!values.is_empty(), "{sql}");
        for value in values {
            assert!(!value.windows(6).any(|window| window == b"secret"), "{sql}");
        }
    }
    // Everything else in the file, freed pages and the log included, where the file can be read.
    let location = f.location.expose_secret();
    if !location.starts_with("postgres") {
        for path in [location.to_owned(), format!("{location}-wal")] {
            let bytes = std::fs::read(&path).unwrap();
            for word in ["proxy-secret", "account-secret", "materials-secret", "settings-secret", "setup-secret"] {
                assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word} in {path}");
            }
        }
    }
}

pub(crate) async fn a_changed_secret_is_named_by_table_column_and_row(f: &Fixture) {
    let gateway = something_of_everything(f).await;
    // The key's id is kept, and everything after the nonce replaced.
    f.raw("UPDATE accounts SET api_key = (SELECT proxy FROM gateways)").await;
    let account = accounts::list(
        &f.store,
        gateways::get(&f.store, gateway).await.unwrap().unwrap().tenant,
        None,
        &Default::default(),
    )
    .await
    .unwrap_err();
    let text = account.to_string();
    assert!(text.contains("accounts.api_key of row `acct_"), "{text}");
    assert_eq!(account.code(), "sealed_value_tampered");
}

pub(crate) async fn a_secret_moved_to_another_row_is_noticed(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let (c1, c2) = (f.cluster(tenant, gateway, "c1").await, f.cluster(tenant, gateway, "c2").await);
    f.raw("UPDATE clusters SET materials = (SELECT materials FROM clusters c WHERE c.name = 'c1') WHERE name = 'c2'")
        .await;
    assert!(clusters::get(&f.store, c1).await.is_ok());
    let error = clusters::get(&f.store, c2).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Tampered { table: "clusters", column: "materials", row } if *row == c2.to_string()),
        "{error:?}"
    );
}

pub(crate) async fn the_key_of_another_plane_is_refused_at_once(f: &Fixture) {
    let other = MasterKey::generate();
    let error = Store::open(&f.location, other.clone()).await.unwrap_err();
    assert_eq!(error.code(), "master_key_wrong");
    let text = error.to_string();
    assert!(text.contains(&f.key.ids()[0]) && text.contains(&other.ids()[0]), "{text}");
    let again = Store::open(&f.location, f.key.clone()).await.unwrap();
    again.ping().await.unwrap();
    again.close().await;
}

pub(crate) async fn a_setting_is_set_once_by_one_of_many(f: &Fixture) {
    let values: Vec<_> = (0..6).map(|n| secret(&format!("v{n}"))).collect();
    let tries = values.iter().map(|value| settings::set_if_absent(&f.store, "once", value));
    let won: Vec<bool> = futures::future::join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    let winner = won.iter().position(|won| *won).unwrap();
    assert_eq!(settings::get(&f.store, "once").await.unwrap().unwrap().expose_secret(), format!("v{winner}"));
    let removals = (0..4).map(|_| settings::remove(&f.store, "once"));
    let removed: Vec<bool> = futures::future::join_all(removals).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(removed.iter().filter(|removed| **removed).count(), 1);
    assert!(settings::get(&f.store, "once").await.unwrap().is_none());
}
