//! The members of a datastore: who is one, who has a vote, who is up.

use super::{Datastore, NoQuorum, State};
use crate::machine::Disk;
use sha2::{Digest as _, Sha256};
use std::{net::IpAddr, sync::Arc};

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) up: bool,
    /// A member that was only announced, or has not caught up yet, has no vote and is not counted.
    votes: bool,
    address: IpAddr,
}

/// Where a member is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) disk: &'a Disk,
    /// Where it keeps on its disk which cluster it is a member of.
    pub(crate) file: &'static str,
    pub(crate) node: &'a str,
    pub(crate) address: IpAddr,
}

/// A member as etcd lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    /// Whether it has ever started; etcd does not know the name of one that has not.
    pub(crate) started: bool,
    pub(crate) is_learner: bool,
}

/// A member that is up, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) datastore: Arc<Datastore>,
    node: String,
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(seat) = self.datastore.state().members.get_mut(&self.node) {
            seat.up = false;
        }
    }
}

impl State {
    pub(super) fn quorum(&self) -> Result<(), NoQuorum> {
        let voters = || self.members.values().filter(|seat| seat.votes);
        if voters().filter(|seat| seat.up).count() * 2 > voters().count() { Ok(()) } else { Err(NoQuorum) }
    }
}

impl Datastore {
    /// Brings a new member up that has a vote at once.
    ///
    /// # Errors
    /// Another member of that name is there, the others have no majority, or its data cannot be written.
    pub(crate) fn begin(self: &Arc<Self>, place: &Place<'_>) -> Result<Member, String> {
        let mut state = self.state();
        if state.members.contains_key(place.node) {
            let node = place.node;
            return Err(format!(
                "etcd cluster join failed: duplicate node name found, please use a unique name: {node}"
            ));
        }
        if !state.members.is_empty() && state.quorum().is_err() {
            return Err("etcd cluster join failed: etcdserver: unhealthy cluster".into());
        }
        state.members.insert(place.node.to_owned(), Seat { up: true, votes: true, address: place.address });
        drop(state);
        self.up(place)
    }

    /// Brings a member up that was announced, or was up before.
    ///
    /// # Errors
    /// It was removed, or its data cannot be written.
    pub(crate) fn resume(self: &Arc<Self>, place: &Place<'_>) -> Result<Member, String> {
        let mut state = self.state();
        let Some(seat) = state.members.get_mut(place.node) else {
            return Err("this server has been removed from the cluster, please restart with a new data-dir".into());
        };
        seat.up = true;
        drop(state);
        self.up(place)
    }

    fn up(self: &Arc<Self>, place: &Place<'_>) -> Result<Member, String> {
        let member = Member { datastore: Arc::clone(self), node: place.node.to_owned() };
        let line = format!("{} {}\n", self.id, place.node);
        // etcd syncs what it writes before it answers.
        place
            .disk
            .write_and_fsync(place.file, line.as_bytes(), 0o600)
            .map_err(|error| format!("{}: {error}", place.file))?;
        Ok(member)
    }

    /// Tells the others of a member that is to come; it has no vote until it is [promoted](Self::promote). One that is
    /// known already stays as it is.
    ///
    /// # Errors
    /// In etcd's words.
    pub(crate) fn announce(&self, node: &str, address: IpAddr) -> Result<(), String> {
        let mut state = self.state();
        state.quorum().map_err(|NoQuorum| "etcdserver: request timed out".to_owned())?;
        if state.members.contains_key(node) {
            return Ok(());
        }
        if state.members.values().any(|seat| !seat.votes) {
            return Err("etcdserver: too many learner members in cluster".into());
        }
        state.members.insert(node.to_owned(), Seat { up: false, votes: false, address });
        Ok(())
    }

    /// Gives a member that has caught up its vote.
    ///
    /// # Errors
    /// In etcd's words.
    pub(crate) fn promote(&self, node: &str) -> Result<(), String> {
        let mut state = self.state();
        state.quorum().map_err(|NoQuorum| "etcdserver: request timed out".to_owned())?;
        let seat = state.members.get_mut(node).ok_or("etcdserver: member not found")?;
        if !seat.up {
            return Err("etcdserver: can only promote a learner member which is in sync with leader".into());
        }
        seat.votes = true;
        Ok(())
    }

    /// Every member.
    pub(crate) fn list_members(&self) -> Result<Vec<Listed>, NoQuorum> {
        let state = self.state();
        state.quorum()?;
        let listed = |(name, seat): (&String, &Seat)| Listed {
            id: self.member_id(name),
            name: name.clone(),
            address: seat.address,
            started: seat.up || seat.votes,
            is_learner: !seat.votes,
        };
        Ok(state.members.iter().map(listed).collect())
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// In etcd's words; among them that too few would be left that are up.
    pub(crate) fn remove_member(&self, id: u64) -> Result<String, String> {
        let mut state = self.state();
        state.quorum().map_err(|NoQuorum| "context deadline exceeded".to_owned())?;
        let name = state.members.keys().find(|name| self.member_id(name) == id).cloned();
        let name = name.ok_or("etcdserver: member not found")?;
        let left = || state.members.iter().filter(|(other, seat)| **other != name && seat.votes);
        if state.members[&name].votes && left().filter(|(_, seat)| seat.up).count() * 2 <= left().count() {
            return Err("etcdserver: re-configuration failed due to not enough started members".into());
        }
        state.members.remove(&name);
        state.lost.remove(&name);
        Ok(name)
    }

    /// Whether a node is (still) a member.
    pub(crate) fn is_member(&self, node: &str) -> bool {
        self.state().members.contains_key(node)
    }

    /// Whether a node is a member that is up.
    pub(crate) fn is_up(&self, node: &str) -> bool {
        self.state().members.get(node).is_some_and(|seat| seat.up)
    }

    pub(super) fn is_up_at(&self, address: IpAddr) -> bool {
        self.state().members.values().any(|seat| seat.up && seat.address == address)
    }

    fn member_id(&self, name: &str) -> u64 {
        let digest = Sha256::new().chain_update(&self.id).chain_update(name).finalize();
        digest.iter().take(8).fold(0, |id, byte| (id << 8) | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Datastores;
    use super::*;

    fn place<'a>(disk: &'a Disk, node: &'a str, last: u8) -> Place<'a> {
        Place { disk, file: "/var/lib/etcd/member/id", node, address: IpAddr::from([10, 0, 0, last]) }
    }

    #[test]
    fn a_member_that_is_only_announced_takes_no_majority_away_and_gets_its_vote_once_it_is_up() {
        let (datastores, disk) = (Datastores::default(), Disk::new(None).unwrap());
        let datastore = datastores.create(Vec::new());
        let _first = datastore.begin(&place(&disk, "a", 1)).unwrap();
        datastore.announce("b", IpAddr::from([10, 0, 0, 2])).unwrap();
        assert!(datastore.list_members().is_ok() && datastore.promote("b").is_err());
        assert!(datastore.announce("c", IpAddr::from([10, 0, 0, 3])).unwrap_err().contains("too many learner"));
        let second = datastore.resume(&place(&disk, "b", 2)).unwrap();
        datastore.promote("b").unwrap();
        drop(second);
        assert_eq!(datastore.list_members(), Err(NoQuorum));
    }

    #[test]
    fn nobody_leaves_without_whom_the_majority_is_gone() {
        let (datastores, disk) = (Datastores::default(), Disk::new(None).unwrap());
        let datastore = datastores.create(Vec::new());
        let mut members: Vec<Member> =
            ["a", "b", "c"].iter().map(|node| datastore.begin(&place(&disk, node, 1)).unwrap()).collect();
        drop(members.pop());
        let id = |name: &str| datastore.member_id(name);
        assert!(datastore.remove_member(id("b")).unwrap_err().contains("not enough started members"));
        assert_eq!(datastore.remove_member(id("c")), Ok("c".to_owned()));
        assert!(datastore.resume(&place(&disk, "c", 1)).unwrap_err().contains("has been removed"));
    }
}
