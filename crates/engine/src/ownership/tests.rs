//! The rule over everything that MAAS can show.

use super::*;

/// Every status that MAAS has, by its number, and one it does not.
fn statuses() -> impl Iterator<Item = MachineStatus> {
    (0..=23).map(MachineStatus::from_number)
}

/// Every combination of what is seen, for a cluster.
fn worlds<'a>(ours: &'a str, our_mark: &'a str) -> Vec<(Seen<'a>, Option<Asked<'a>>)> {
    let mut all = Vec::new();
    for status in statuses() {
        for agent_name in [None, Some(""), Some(our_mark), Some("juju-7"), Some("ferrogate/other")] {
            for noted in [None, Some(ours), Some("cls_other"), Some("text of a person")] {
                for owner in [None, Some("us"), Some("them")] {
                    let seen = Seen { agent_name, noted, status, owner };
                    for asked in [
                        None,
                        Some(Asked { user: "us", filter_works: false }),
                        Some(Asked { user: "us", filter_works: true }),
                    ] {
                        all.push((seen, asked));
                    }
                }
            }
        }
    }
    all
}

#[test]
fn over_all_combinations_nothing_is_ours_without_a_positive_mark() {
    let cluster = ClusterId::new();
    let (ours, mark) = (cluster.to_string(), mark::agent_name(&cluster));
    let worlds = worlds(&ours, &mark);
    assert_eq!(worlds.len(), 24 * 5 * 4 * 3 * 3);
    for (seen, asked) in worlds {
        let decided = decide(&cluster, seen, asked);
        let contradicts = seen.noted.is_some_and(|noted| noted != ours)
            || seen.agent_name.is_some_and(|name| !name.is_empty() && name != mark);
        if contradicts {
            assert!(matches!(decided, Ownership::Foreign(_)), "{seen:?} {asked:?}: {decided:?}");
        }
        if decided == Ownership::Ours {
            let written = seen.noted == Some(ours.as_str());
            let shown = seen.agent_name == Some(mark.as_str());
            let filtered = asked.is_some_and(|asked| asked.filter_works && seen.owner == Some(asked.user));
            assert!(written || shown || filtered, "{seen:?} {asked:?}");
            // From the deploy call on nothing but the written mark counts.
            let early = [MachineStatus::Allocated, MachineStatus::Releasing, MachineStatus::DiskErasing];
            assert!(written || early.contains(&seen.status), "{seen:?} {asked:?}");
            assert!(!matches!(seen.status, MachineStatus::Ready | MachineStatus::New), "{seen:?}");
        }
        // Who holds it is never overlooked where nothing is written.
        if seen.noted.is_none() && seen.agent_name.is_none() && seen.owner != Some("us") {
            assert_ne!(decided, Ownership::Ours, "{seen:?} {asked:?}");
        }
    }
}

#[test]
fn the_written_mark_makes_a_machine_ours_in_every_state_it_is_held_in() {
    let cluster = ClusterId::new();
    let ours = cluster.to_string();
    for status in statuses() {
        // A key that became another user's changes the owner of what is taken from now on.
        for owner in [Some("us"), Some("them"), None] {
            let seen = Seen { agent_name: None, noted: Some(&ours), status, owner };
            let expected = if is_free(status) { Ownership::Free } else { Ownership::Ours };
            assert_eq!(decide(&cluster, seen, None), expected, "{seen:?}");
        }
    }
}

#[test]
fn what_bears_nothing_that_can_be_read_is_a_table() {
    use MachineStatus::{
        Allocated, Broken, Commissioning, Deployed, Deploying, DiskErasing, FailedCommissioning, FailedDeployment,
        FailedDiskErasing, FailedReleasing, FailedTesting, Missing, New, Other, Ready, Releasing, RescueMode, Reserved,
        Retired, Testing,
    };
    let cluster = ClusterId::new();
    let works = Some(Asked { user: "us", filter_works: true });
    let dropped = Some(Asked { user: "us", filter_works: false });
    // Status; ours where the filter works; ours where it does not: Ours, Unclear, Foreign.
    for (status, with, without) in [
        (Allocated, 'O', 'U'),
        (Releasing, 'O', 'U'),
        (DiskErasing, 'O', 'U'),
        (Deploying, 'U', 'U'),
        (Deployed, 'U', 'U'),
        (FailedDeployment, 'U', 'U'),
        (FailedReleasing, 'U', 'U'),
        (FailedDiskErasing, 'U', 'U'),
        (Broken, 'U', 'U'),
        (RescueMode, 'U', 'U'),
        (Testing, 'U', 'U'),
        (FailedTesting, 'U', 'U'),
        (Reserved, 'U', 'U'),
        (Retired, 'U', 'U'),
        (Missing, 'U', 'U'),
        (Other(23), 'U', 'U'),
        (Ready, 'F', 'F'),
        (New, 'F', 'F'),
        (Commissioning, 'F', 'F'),
        (FailedCommissioning, 'F', 'F'),
    ] {
        for (asked, expected) in [(works, with), (dropped, without)] {
            let seen = Seen { agent_name: None, noted: None, status, owner: Some("us") };
            let decided = match decide(&cluster, seen, asked) {
                Ownership::Ours => 'O',
                Ownership::Free => '-',
                Ownership::Unclear(_) => 'U',
                Ownership::Foreign(_) => 'F',
            };
            assert_eq!(decided, expected, "{seen:?} {asked:?}");
        }
    }
}

/// What the list lacks is only gone where MAAS says so of the machine itself.
#[test]
fn what_is_missing_is_gone_unless_it_may_still_be_the_clusters() {
    let cluster = ClusterId::new();
    let (ours, mark) = (cluster.to_string(), mark::agent_name(&cluster));
    assert_eq!(missing(&cluster, None), Missing::Gone);
    for (seen, _) in worlds(&ours, &mark) {
        let is_noted = seen.noted == Some(ours.as_str());
        let hidden = matches!(missing(&cluster, Some(seen)), Missing::Hidden(_));
        assert_eq!(hidden, is_noted && !is_free(seen.status) && !is_given_back(seen.status), "{seen:?}");
    }
}
