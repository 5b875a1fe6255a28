//! Events and the audit.

use crate::fixture::{Fixture, at};
use ferrogate_model::{ClusterId, EventId, GatewayId, TenantId, state::Severity};
use ferrogate_store::{
    Page, StoreError, SubjectKind,
    audit::{self, ActorKind, AuditResult, Entry},
    events::{self, Event, Filter},
};

fn event(tenant: TenantId, cluster: ClusterId, message: &str, second: i64) -> Event {
    Event {
        id: EventId::new(),
        tenant,
        subject: cluster.into(),
        severity: Severity::Warning,
        reason: "DeployFailed".to_owned(),
        message: message.to_owned(),
        at: at(second),
    }
}

pub(crate) async fn events_written_by_many_are_streamed_without_a_gap(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let cluster = ClusterId::new();
    let writers = (0..8).map(|writer| async move {
        for n in 0..10 {
            let pair = [
                event(tenant, cluster, &format!("{writer}/{n}a"), n),
                event(tenant, cluster, &format!("{writer}/{n}b"), n),
            ];
            events::append(&f.store, &pair).await.unwrap();
        }
    });
    let reader = async {
        let mut seen: Vec<Event> = Vec::new();
        while seen.len() < 160 {
            let after = seen.last().map(|event| event.id);
            seen.extend(events::since(&f.store, &Filter::default(), after, 7).await.unwrap());
        }
        seen
    };
    let (_, seen) = futures::join!(futures::future::join_all(writers), reader);
    let mut messages: Vec<_> = seen.iter().map(|event| event.message.clone()).collect();
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), 160, "each was streamed once");
    assert_eq!(events::newest(&f.store).await.unwrap(), seen.last().map(|event| event.id));
    for pair in seen.chunks(2) {
        assert_eq!(
            pair[0].message.trim_end_matches('a'),
            pair[1].message.trim_end_matches('b'),
            "a transaction's stay together"
        );
    }
}

pub(crate) async fn a_stream_goes_on_after_a_forgotten_event(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let cluster = ClusterId::new();
    let all: Vec<_> = (0..4).map(|n| event(tenant, cluster, &n.to_string(), n)).collect();
    events::append(&f.store, &all).await.unwrap();
    assert_eq!(events::purge(&f.store, at(2)).await.unwrap(), 2);
    let after = |id| async move { events::since(&f.store, &Filter::default(), id, 10).await.unwrap() };
    assert_eq!(after(None).await, all[2..]);
    assert_eq!(after(Some(all[0].id)).await, all[2..]);
    assert_eq!(after(Some(all[2].id)).await, all[3..]);
    assert_eq!(after(Some(EventId::new())).await, []);
}

pub(crate) async fn events_are_listed_newest_first_by_page(f: &Fixture) {
    let (tenant, other) = (f.tenant("acme").await, f.tenant("other").await);
    let (mine, theirs) = (ClusterId::new(), ClusterId::new());
    let all: Vec<_> = (0..5).map(|n| event(tenant, mine, &n.to_string(), n)).collect();
    events::append(&f.store, &all).await.unwrap();
    events::append(&f.store, &[event(other, theirs, "x", 0)]).await.unwrap();
    events::append(&f.store, &[]).await.unwrap();

    let filter = Filter { tenant: Some(tenant), subject: Some(mine.into()), ..Filter::default() };
    let first = events::list(&f.store, &filter, &Page::first(3)).await.unwrap();
    assert_eq!(first.items, [all[4].clone(), all[3].clone(), all[2].clone()]);
    events::append(&f.store, &[event(tenant, mine, "later", 9)]).await.unwrap();
    let second = events::list(&f.store, &filter, &Page { after: first.next, limit: 3 }).await.unwrap();
    assert_eq!((second.items, second.next), (vec![all[1].clone(), all[0].clone()], None));
    let bad = events::list(&f.store, &filter, &Page { after: Some("ev_1".to_owned()), limit: 3 }).await;
    assert!(matches!(bad, Err(StoreError::BadCursor { .. })), "{bad:?}");

    let mut gateway = event(tenant, mine, "gateway", 10);
    gateway.subject = GatewayId::new().into();
    gateway.severity = Severity::Info;
    events::append(&f.store, std::slice::from_ref(&gateway)).await.unwrap();
    for (filter, found) in [
        (Filter { kind: Some(SubjectKind::Gateway), ..Filter::default() }, true),
        (Filter { severity: Some(Severity::Info), ..Filter::default() }, true),
        (Filter { kind: Some(SubjectKind::Gateway), severity: Some(Severity::Error), ..Filter::default() }, false),
    ] {
        let wanted = if found { vec![gateway.clone()] } else { vec![] };
        assert_eq!(events::list(&f.store, &filter, &Page::default()).await.unwrap().items, wanted, "{filter:?}");
        assert_eq!(events::since(&f.store, &filter, None, 10).await.unwrap(), wanted, "{filter:?}");
    }
}

pub(crate) async fn the_audit_is_filtered_and_forgotten_by_age(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let entry = |n: i64, action: &str, result| Entry {
        seq: 0,
        tenant: (n > 0).then_some(tenant),
        at: at(n),
        actor_kind: if n > 0 { ActorKind::User } else { ActorKind::Anonymous },
        actor: if n > 0 { "usr_1".to_owned() } else { String::new() },
        actor_name: "ann@example.com".to_owned(),
        from_ip: Some("192.0.2.7".to_owned()),
        action: action.to_owned(),
        subject: Some(tenant.into()),
        result,
        detail: "detail".to_owned(),
        request_id: format!("req-{n}"),
    };
    let all = [
        entry(0, "session.create", AuditResult::Refused),
        entry(1, "session.create", AuditResult::Done),
        entry(2, "cluster.create", AuditResult::Done),
        entry(3, "cluster.delete", AuditResult::Failed),
    ];
    for entry in &all {
        audit::append(&f.store, entry).await.unwrap();
    }
    let requests = |filter: audit::Filter| async move {
        let list = audit::list(&f.store, &filter, &Page::default()).await.unwrap();
        list.items.iter().map(|entry| entry.request_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(requests(audit::Filter::default()).await, ["req-3", "req-2", "req-1", "req-0"]);
    assert_eq!(requests(audit::Filter { tenant: Some(tenant), ..Default::default() }).await.len(), 3);
    assert_eq!(requests(audit::Filter { action: Some("session.create".into()), ..Default::default() }).await.len(), 2);
    assert_eq!(requests(audit::Filter { result: Some(AuditResult::Failed), ..Default::default() }).await, ["req-3"]);
    assert_eq!(
        requests(audit::Filter { actor: Some("usr_1".into()), since: Some(at(2)), ..Default::default() }).await.len(),
        2
    );

    assert_eq!(requests(audit::Filter { until: Some(at(1)), ..Default::default() }).await, ["req-0"]);
    let named = audit::Filter { actor: Some("ann@example.com".into()), ..Default::default() };
    assert_eq!(requests(named).await.len(), 4);
    assert_eq!(requests(audit::Filter { subject: Some(tenant.to_string()), ..Default::default() }).await.len(), 4);
    assert!(requests(audit::Filter { subject: Some("ten_0".into()), ..Default::default() }).await.is_empty());

    let first = audit::list(&f.store, &audit::Filter::default(), &Page::first(1)).await.unwrap();
    let newest = &first.items[0];
    assert_eq!(newest, &Entry { seq: newest.seq, ..all[3].clone() });
    assert_eq!(audit::purge(&f.store, at(2)).await.unwrap(), 2);
    assert_eq!(requests(audit::Filter::default()).await, ["req-3", "req-2"]);
}
