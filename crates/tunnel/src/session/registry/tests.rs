use super::*;
use proptest::prelude::*;

fn arrival(gateway: GatewayId, node: NodeId, epoch: u64, kind: CarrierKind) -> Arrival {
    Arrival { gateway, node, name: "n-1".parse().unwrap(), version: "0.1.0".into(), epoch, kind }
}

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

#[test]
fn a_newer_process_ends_the_older_ones_carriers_and_the_older_is_refused() {
    let (gateway, node) = (GatewayId::new(), NodeId::new());
    let mut registry = Registry::default();
    for (number, kind) in CarrierKind::ALL.into_iter().enumerate() {
        assert!(registry.admit(arrival(gateway, node, 5, kind), number, at()).unwrap().ended.is_empty());
    }
    let admitted = registry.admit(arrival(gateway, node, 6, CarrierKind::Control), 2, at()).unwrap();
    assert_eq!(admitted.ended, [0, 1]);
    assert!(!admitted.first, "the node was never away");
    assert_eq!(registry.admit(arrival(gateway, node, 5, CarrierKind::Bulk), 3, at()).unwrap_err(), Stale);
}

#[test]
fn the_same_process_replaces_what_it_gave_up_and_keeps_what_drains() {
    let (gateway, node) = (GatewayId::new(), NodeId::new());
    let mut registry = Registry::default();
    let first = registry.admit(arrival(gateway, node, 1, CarrierKind::Control), 0, at()).unwrap();
    assert_eq!(registry.admit(arrival(gateway, node, 1, CarrierKind::Control), 1, at()).unwrap().ended, [0]);
    assert_eq!(registry.remove(node, first.id), None, "it is gone already, and the node stays");
    let second = registry.pick(gateway, CarrierKind::Control, None, |_| 0).unwrap().1;
    registry.set_use(node, second, Use::LastResort);
    assert!(registry.admit(arrival(gateway, node, 1, CarrierKind::Control), 2, at()).unwrap().ended.is_empty());
    assert_eq!(registry.pick(gateway, CarrierKind::Control, None, |_| 0).unwrap().2, 2);
}

#[test]
fn a_stream_takes_the_wanted_kind_then_any_and_never_a_leaving_gateway() {
    let (gateway, node) = (GatewayId::new(), NodeId::new());
    let mut registry = Registry::default();
    let control = registry.admit(arrival(gateway, node, 1, CarrierKind::Control), 10, at()).unwrap().id;
    let bulk = registry.admit(arrival(gateway, node, 1, CarrierKind::Bulk), 0, at()).unwrap().id;
    let picked = |registry: &Registry<usize>, kind, not| registry.pick(gateway, kind, not, |load| *load).map(|p| p.1);
    assert_eq!(picked(&registry, CarrierKind::Control, None), Some(control), "the kind counts more than the load");
    assert_eq!(
        picked(&registry, CarrierKind::Bulk, Some((node, bulk))),
        Some(control),
        "the other one, when one was tried"
    );
    registry.set_use(node, control, Use::LastResort);
    assert_eq!(picked(&registry, CarrierKind::Control, None), Some(bulk));
    registry.set_use(node, bulk, Use::Closed);
    assert_eq!(picked(&registry, CarrierKind::Bulk, None), Some(control), "a last resort is better than none");
    registry.set_use(node, control, Use::Closed);
    assert_eq!(picked(&registry, CarrierKind::Bulk, None), None);
    assert_eq!(registry.pick(GatewayId::new(), CarrierKind::Bulk, None, |load| *load), None, "another gateway's never");
}

#[test]
fn a_second_try_goes_to_another_node_before_another_carrier_of_the_same() {
    let (gateway, first, second) = (GatewayId::new(), NodeId::new(), NodeId::new());
    let mut registry = Registry::default();
    let tried = registry.admit(arrival(gateway, first, 1, CarrierKind::Bulk), 0, at()).unwrap().id;
    registry.admit(arrival(gateway, first, 1, CarrierKind::Control), 0, at()).unwrap();
    assert!(!registry.has_another(gateway, first));
    assert_eq!(registry.pick(gateway, CarrierKind::Bulk, Some((first, tried)), |load| *load).unwrap().0, first);
    registry.admit(arrival(gateway, second, 1, CarrierKind::Control), 90, at()).unwrap();
    assert!(registry.has_another(gateway, first));
    assert_eq!(registry.pick(gateway, CarrierKind::Bulk, Some((first, tried)), |load| *load).unwrap().0, second);
}

proptest! {
    /// Whatever arrives and leaves: a node's carriers are all of its newest process, at most one of each kind is open,
    /// every carrier ends exactly once, and an empty node is no node.
    #[test]
    fn the_roster_keeps_its_promises(steps in proptest::collection::vec((0_u8..5, 0_usize..3, 0_u64..4, any::<bool>()), 1..80)) {
        let gateway = GatewayId::new();
        let nodes = [NodeId::new(), NodeId::new(), NodeId::new()];
        let mut registry = Registry::<usize>::default();
        let mut alive: HashMap<usize, (NodeId, CarrierId)> = HashMap::new();
        for (number, (step, node, epoch, bulk)) in steps.into_iter().enumerate() {
            let kind = if bulk { CarrierKind::Bulk } else { CarrierKind::Control };
            let newest = registry.nodes().find(|(id, _)| *id == nodes[node]).map(|(_, node)| node.epoch);
            match step {
                0..3 => match registry.admit(arrival(gateway, nodes[node], epoch, kind), number, at()) {
                    Ok(admitted) => {
                        prop_assert_eq!(admitted.first, newest.is_none());
                        for ended in admitted.ended {
                            prop_assert!(alive.remove(&ended).is_some(), "ended twice");
                        }
                        alive.insert(number, (nodes[node], admitted.id));
                    }
                    Err(Stale) => prop_assert!(newest.is_some_and(|newest| newest > epoch)),
                },
                3 => if let Some((number, (node, id))) = alive.iter().next().map(|(n, v)| (*n, *v)) {
                    let last = alive.values().filter(|(other, _)| *other == node).count() == 1;
                    prop_assert_eq!(registry.remove(node, id).is_some(), last);
                    alive.remove(&number);
                },
                _ => if let Some((node, id)) = alive.values().next() {
                    registry.set_use(*node, *id, Use::LastResort);
                },
            }
            let mut listed = 0;
            for (_, node) in registry.nodes() {
                prop_assert!(!node.carriers.is_empty());
                listed += node.carriers.len();
                for kind in CarrierKind::ALL {
                    let open = node.carriers.iter().filter(|c| c.kind == kind && c.usage == Use::Open).count();
                    prop_assert!(open <= 1);
                }
            }
            prop_assert_eq!(listed, alive.len());
            prop_assert_eq!(registry.pick(gateway, kind, None, |_| 0).is_some(), !alive.is_empty());
        }
    }
}
