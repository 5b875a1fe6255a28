//! Leases.

use crate::fixture::{Fixture, at, start};
use ferrogate_store::leases;

pub(crate) async fn a_lease_is_held_by_exactly_one_of_many(f: &Fixture) {
    for round in 0..5 {
        let now = at(round * 100);
        let holders: Vec<_> = (0..8).map(|n| format!("plane-{n}")).collect();
        let claims =
            holders.iter().map(|holder| leases::claim(&f.store, "cluster/1", holder, now, at(round * 100 + 100)));
        let won: Vec<bool> = futures::future::join_all(claims).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> =
            holders.iter().zip(&won).filter(|(_, won)| **won).map(|(holder, _)| holder.clone()).collect();
        // In later rounds the lease has just expired, and again only one gets it.
        assert_eq!(winners.len(), 1, "round {round}");
        let (holder, expires) = leases::holder(&f.store, "cluster/1").await.unwrap().unwrap();
        assert_eq!((&holder, expires), (&winners[0], at(round * 100 + 100)));
    }
    assert!(leases::claim(&f.store, "cluster/2", "plane-9", start(), at(10)).await.unwrap(), "another thing is free");
}

pub(crate) async fn a_lease_ends_by_itself_and_is_not_renewed_afterwards(f: &Fixture) {
    assert!(leases::claim(&f.store, "x", "a", start(), at(10)).await.unwrap());
    assert!(leases::claim(&f.store, "x", "a", at(1), at(11)).await.unwrap(), "its holder may claim again");
    assert!(!leases::claim(&f.store, "x", "b", at(10), at(20)).await.unwrap());
    assert!(leases::renew(&f.store, "x", "a", at(10), at(20)).await.unwrap());
    assert!(!leases::renew(&f.store, "x", "b", at(10), at(30)).await.unwrap());
    assert!(!leases::renew(&f.store, "x", "a", at(20), at(30)).await.unwrap(), "too late");
    assert!(leases::claim(&f.store, "x", "b", at(20), at(30)).await.unwrap());
    leases::release(&f.store, "x", "a").await.unwrap();
    assert!(!leases::claim(&f.store, "x", "a", at(21), at(31)).await.unwrap(), "a gave back what was not its own");
    leases::release(&f.store, "x", "b").await.unwrap();
    assert!(leases::claim(&f.store, "x", "a", at(21), at(31)).await.unwrap());
    assert_eq!(leases::purge(&f.store, at(31)).await.unwrap(), 0);
    assert_eq!(leases::purge(&f.store, at(32)).await.unwrap(), 1);
}
