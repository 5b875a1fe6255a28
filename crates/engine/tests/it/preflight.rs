//! Each check of the specification's section 2: what it sees, and what it says to do.

use crate::world::{World, overlapping, spec};
use async_trait::async_trait;
use ferrogate_engine::preflight::{
    self, Check, Gateway, Placement, PlaneProbe, PlaneSeen, PlaneUnreachable, Resolver, Status,
};
use ferrogate_lab::maas::{Fault, Pattern, When};
use ferrogate_maas::{Allocate, Deploy};
use ferrogate_model::{Clock as _, SystemId, Timestamp, cluster::ClusterSpec, release::Release};
use serde_json::json;
use std::{collections::BTreeMap, net::IpAddr};

/// Answers every name with the same addresses.
struct Answers(Vec<IpAddr>);

#[async_trait]
impl Resolver for Answers {
    async fn lookup(&self, _name: &str) -> Result<Vec<IpAddr>, String> {
        Ok(self.0.clone())
    }
}

struct Plane(Result<Timestamp, PlaneUnreachable>);

#[async_trait]
impl PlaneProbe for Plane {
    async fn reach(&self) -> Result<PlaneSeen, PlaneUnreachable> {
        self.0.clone().map(|time| PlaneSeen { description: "version 0.1.0".into(), time: Some(time) })
    }
}

fn gateway_spec(count: u32) -> ClusterSpec {
    serde_json::from_value(json!({"control_plane": {"count": count, "resource_pool": "default"}})).unwrap()
}

async fn check(world: &World, spec: &ClusterSpec, resolver: Option<&dyn Resolver>, plane: &Plane) -> Vec<Check> {
    preflight::gateway(Gateway {
        maas: &world.client,
        spec,
        release: &Release::example(),
        cluster: None,
        resolver,
        plane: Some(plane),
        now: world.clock.now(),
    })
    .await
}

fn find<'a>(checks: &'a [Check], id: &str) -> &'a Check {
    checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no `{id}` in {checks:#?}"))
}

/// A machine of somebody else's that MAAS has deployed.
async fn deployed(world: &World) -> (SystemId, Vec<IpAddr>) {
    let machine = world.operator.allocate(&Allocate::default()).await.unwrap();
    world.operator.deploy(&machine.system_id, &Deploy::default()).await.unwrap();
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let now = world.maas.machine(&machine.hostname).unwrap();
        if now.status == "Deployed" {
            return (now.system_id, now.addresses);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_site_passes_names_the_machine_and_is_left_as_it_was() {
    let world = World::new(spec(1)).await;
    let (_, addresses) = deployed(&world).await;
    let before = world.maas.machines();
    let checks = check(&world, &gateway_spec(1), Some(&Answers(addresses)), &Plane(Ok(world.clock.now()))).await;
    assert!(preflight::all_hold(&checks), "{checks:#?}");
    let ids: Vec<&str> = checks.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(ids, ["api_key", "machines", "addresses", "cidrs", "dns", "image", "clock", "plane"]);
    let machines = find(&checks, "machines");
    assert_eq!(machines.status, Status::Warn);
    assert!(machines.seen.contains("CPU") && machines.seen.contains("would take 1 of"), "{machines:?}");
    assert!(machines.fix.as_deref().unwrap().contains("3 nodes in production"), "{machines:?}");
    assert!(find(&checks, "addresses").seen.contains("1 needed"));
    assert_eq!(world.maas.machines(), before);
}

#[tokio::test(start_paused = true)]
async fn too_few_machines_are_refused_with_what_does_not_fit() {
    let world = World::new(spec(1)).await;
    let mut spec = gateway_spec(3);
    spec.control_plane.min_cpu = Some(64);
    let checks = check(&world, &spec, None, &Plane(Ok(world.clock.now()))).await;
    let machines = find(&checks, "machines");
    assert_eq!(machines.status, Status::Fail);
    assert!(machines.seen.contains("needs 3") && machines.seen.contains("4 CPU"), "{machines:?}");
    assert!(machines.seen.contains("resource pool workers"), "{machines:?}");
    let three = check(&world, &gateway_spec(3), None, &Plane(Ok(world.clock.now()))).await;
    assert_eq!(find(&three, "machines").status, Status::Pass, "{three:#?}");
    assert!(find(&three, "addresses").seen.contains("4 needed"), "one more for the API");
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_disk_is_too_small_is_named_with_what_it_has_and_what_it_needs() {
    let world = World::new(spec(1)).await;
    let mut spec = gateway_spec(1);
    spec.control_plane.min_disk_gib = Some(100_000);
    let machines = check(&world, &spec, None, &Plane(Ok(world.clock.now()))).await;
    let machines = find(&machines, "machines");
    assert_eq!(machines.status, Status::Fail);
    // Those of the right pool first, although others are smaller.
    let first = machines.seen.split("; ").last().unwrap();
    let name = first.split(' ').next().unwrap();
    assert_eq!(world.maas.machine(name).unwrap().pool, "default", "{machines:?}");
    assert!(first.contains(" does not fit: ") && first.contains(" GiB of disk, 100000 are needed"), "{machines:?}");
}

#[tokio::test(start_paused = true)]
async fn ranges_that_overlap_and_images_that_are_missing_are_named() {
    let world = World::new(spec(1)).await;
    let mut spec = gateway_spec(1);
    spec.pod_cidr = "10.20.0.0/16".parse().unwrap();
    spec.image = Some("ubuntu/focal".into());
    let checks = check(&world, &spec, None, &Plane(Ok(world.clock.now()))).await;
    let ranges = find(&checks, "cidrs");
    assert_eq!(ranges.seen, "pod CIDR 10.20.0.0/16 overlaps MAAS subnet `site` 10.20.0.0/24");
    let image = find(&checks, "image");
    assert_eq!(image.status, Status::Fail);
    assert!(image.seen.contains("no `ubuntu/focal` for amd64") && image.seen.contains("ubuntu/noble"), "{image:?}");
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_does_not_know_maas_is_told_of_the_delegation() {
    let world = World::new(spec(1)).await;
    let plane = Plane(Ok(world.clock.now()));
    let nothing = Answers(Vec::new());
    let before = check(&world, &gateway_spec(1), Some(&nothing), &plane).await;
    assert_eq!(find(&before, "dns").status, Status::Skip, "there is no name to try yet");
    deployed(&world).await;
    for resolver in [nothing, Answers(vec!["192.0.2.1".parse().unwrap()])] {
        let checks = check(&world, &gateway_spec(1), Some(&resolver), &plane).await;
        let dns = find(&checks, "dns");
        assert_eq!(dns.status, Status::Fail, "{dns:?}");
        assert!(dns.fix.as_deref().unwrap().contains("delegate the domain `maas`"), "{dns:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_stops_everything_that_needs_maas() {
    let world = World::new(spec(1)).await;
    world.maas.faults().add(Pattern::op("whoami"), When::Always, Fault::Status(401, "Forbidden".into()));
    let checks = check(&world, &gateway_spec(1), None, &Plane(Ok(world.clock.now()))).await;
    assert_eq!(find(&checks, "api_key").status, Status::Fail);
    for id in ["machines", "addresses", "cidrs", "dns", "image"] {
        assert_eq!(find(&checks, id).status, Status::Skip);
    }
    assert_eq!(find(&checks, "plane").status, Status::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_and_an_unreachable_plane_are_told_apart() {
    let world = World::new(spec(1)).await;
    for (skew, status) in [(0, Status::Pass), (60, Status::Warn), (-60, Status::Warn), (600, Status::Fail)] {
        let time = world.clock.now() - jiff::SignedDuration::from_secs(skew);
        let checks = check(&world, &gateway_spec(1), None, &Plane(Ok(time))).await;
        let clock = find(&checks, "clock");
        assert_eq!(clock.status, status, "{clock:?}");
        assert!(clock.seen.contains(if skew < 0 { "behind" } else { "ahead of" }), "{clock:?}");
    }
    let cause = PlaneUnreachable { cause: "the proxy answered 403".into(), hint: Some("allow it".into()) };
    let checks = check(&world, &gateway_spec(1), None, &Plane(Err(cause))).await;
    assert_eq!((find(&checks, "clock").status, find(&checks, "plane").status), (Status::Skip, Status::Fail));
    assert_eq!(find(&checks, "plane").fix.as_deref(), Some("allow it"));
}

#[tokio::test(start_paused = true)]
async fn a_clusters_plan_is_checked_against_what_maas_has() {
    let world = World::new(spec(1)).await;
    let place =
        |spec| Placement { maas: &world.client, spec, release: Box::leak(Box::new(Release::example())), cluster: None };
    let good: ClusterSpec = serde_json::from_value(spec(2)).unwrap();
    let checks = preflight::cluster(place(&good)).await.checks;
    assert!(preflight::all_hold(&checks), "{checks:#?}");
    assert!(find(&checks, "machines").seen.contains("would take 3 of 6 free"), "{checks:#?}");
    let mut bad = spec(2);
    bad["domain"] = json!("nowhere");
    bad["kubernetes_version"] = json!("v1.20.0");
    bad["workers"][0]["zones"] = json!(["zone-z"]);
    let bad: ClusterSpec = serde_json::from_value(bad).unwrap();
    let checks = preflight::cluster(place(&bad)).await.checks;
    assert!(find(&checks, "specification").seen.contains("`v1.20.0` is not offered"), "{checks:#?}");
    let placement = find(&checks, "placement");
    assert!(placement.seen.contains("no domain `nowhere`") && placement.seen.contains("no zone `zone-z`"));
    let many: ClusterSpec = serde_json::from_value(spec(9)).unwrap();
    let checks = preflight::cluster(place(&many)).await.checks;
    assert!(find(&checks, "machines").seen.contains("pool `work` needs 9"), "{checks:#?}");
}

#[tokio::test(start_paused = true)]
async fn machines_that_are_held_already_are_not_asked_for_again() {
    let world = World::new(spec(2)).await;
    let engine = world.engine();
    world.converge(&engine, &mut ferrogate_engine::Memory::default()).await;
    let release = Release::example();
    let place = Placement {
        maas: &world.client,
        spec: &world.desired.configuration.spec,
        release: &release,
        cluster: Some(world.desired.configuration.cluster),
    };
    let checks = preflight::cluster(place).await.checks;
    assert!(preflight::all_hold(&checks), "{checks:#?}");
    let machines = find(&checks, "machines");
    assert!(machines.seen.starts_with("already taken: ") && !machines.seen.contains("would take"), "{machines:?}");
}

#[tokio::test(start_paused = true)]
async fn the_machines_of_a_plan_are_those_the_check_chose_also_where_pools_overlap() {
    let world = World::new(spec(1)).await;
    // The smallest machine of the pool is the only one that the second pool may have, and the first would like it best.
    let mut free: Vec<_> = world.client.machines(&Default::default()).await.unwrap();
    free.retain(|machine| machine.status_name == "Ready" && machine.pool.as_ref().unwrap().name == "workers");
    free.sort_by_key(|machine| (machine.cpu_count, machine.memory, machine.hostname.clone()));
    assert!(free.len() > 1);
    let smallest = free[0].zone.name.clone();
    let mut wanted = spec(1);
    wanted["workers"] = json!([
        {"name": "any", "count": free.iter().filter(|m| m.zone.name != smallest).count(), "resource_pool": "workers"},
        {"name": "here", "count": free.iter().filter(|m| m.zone.name == smallest).count(), "resource_pool": "workers",
         "zones": [smallest]},
    ]);
    let wanted: ClusterSpec = serde_json::from_value(wanted).unwrap();
    let release = Release::example();
    let found =
        preflight::cluster(Placement { maas: &world.client, spec: &wanted, release: &release, cluster: None }).await;
    assert!(preflight::all_hold(&found.checks), "{:#?}", found.checks);
    let machines = find(&found.checks, "machines");
    for pool in wanted.pools() {
        let of_pool: Vec<_> = found.machines.iter().filter(|one| one.pool.as_ref() == Some(&pool.name)).collect();
        assert_eq!(of_pool.len(), pool.count as usize, "{:?}", pool.name);
        for one in of_pool {
            assert!(machines.seen.contains(&one.record.hostname), "{machines:?}");
            assert!(pool.zones.is_empty() || pool.zones.contains(&one.record.zone.name));
        }
    }
}

/// Leaves exactly as many machines free as a spec needs, of each resource pool.
async fn only_free(world: &World, spec: &ClusterSpec) {
    world.maas.set_gate(None);
    let mut needed: BTreeMap<&str, usize> = BTreeMap::new();
    for pool in spec.pools() {
        *needed.entry(&pool.resource_pool).or_default() += pool.count as usize;
    }
    for (pool, count) in needed {
        let filter = ferrogate_maas::MachineFilter {
            pools: vec![pool.to_owned()],
            status: Some("ready".into()),
            ..Default::default()
        };
        let mut free = world.operator.machines(&filter).await.unwrap();
        // What only some pools may have comes first.
        free.sort_by_key(|machine| machine.zone.name != "zone-b");
        for machine in free.iter().skip(count) {
            let name = Some(machine.hostname.clone());
            let theirs = Allocate { name, agent_name: Some("juju-7".into()), ..Allocate::default() };
            world.operator.allocate(&theirs).await.unwrap();
        }
    }
    world.watcher.forgive();
    world.maas.set_gate(Some(world.watcher.clone()));
}

#[tokio::test(start_paused = true)]
async fn on_a_tight_site_whoever_was_killed_in_any_allocate_call_goes_on_with_the_machines_it_has() {
    // Two and three allocations; counted are the calls that change something: allocate and note, in some order.
    for (wanted, calls) in [(spec(1), 4), (overlapping(), 6)] {
        for (at, after) in (1..=calls).flat_map(|at| [(at, false), (at, true)]) {
            let world = World::new(wanted.clone()).await;
            only_free(&world, &world.desired.configuration.spec).await;
            world.watcher.arm(Some(crate::world::Kill { at, after, changes_only: true }));
            let mut memory = ferrogate_engine::Memory::default();
            let engine = world.engine();
            tokio::select! {
                biased;
                () = world.watcher.killed.notified() => {}
                _ = world.converge(&engine, &mut memory) => panic!("{at} {after}: it was not killed"),
            }
            world.watcher.arm(None);
            let taken: Vec<_> = world.ours().into_iter().map(|machine| machine.hostname).collect();
            let release = Release::example();
            let place = Placement {
                maas: &world.client,
                spec: &world.desired.configuration.spec,
                release: &release,
                cluster: Some(world.desired.configuration.cluster),
            };
            let found = preflight::cluster(place).await;
            assert!(preflight::all_hold(&found.checks), "{at} {after}: {taken:?} {:#?}", found.checks);
            let machines = find(&found.checks, "machines");
            assert!(taken.iter().all(|name| machines.seen.contains(name)), "{taken:?}: {machines:?}");
            assert_eq!(machines.seen.contains("already taken"), !taken.is_empty(), "{machines:?}");
            world.converge(&world.engine(), &mut ferrogate_engine::Memory::default()).await;
            world.assert_complete();
            assert!(world.ours().iter().all(|machine| machine.allocations == 1 && machine.releases == 0));
            world.maas.shutdown().await;
        }
    }
}
