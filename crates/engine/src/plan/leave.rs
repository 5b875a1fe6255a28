//! Which machines leave, and when: nothing is taken apart before what takes its place stands.
//!
//! A worker whose pool is not named any more, or whose pool is to be smaller, goes only while as many workers as are wanted
//! stay ready without it. Where the site has no free machine for the new pool, and the freed one fits it, they change one at
//! a time: the next one goes when the last one is ready in its new place.

use super::{
    builder::PlanBuilder,
    fit,
    members::{Context, Member, Stage},
    repair, words,
};
use crate::{mark, observed::Api};
use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

/// How long MAAS must have had no machine for a pool before one of another pool goes first. Somebody else's allocation at
/// the same moment is not a site without machines.
pub(crate) const NONE_FREE_FOR: Duration = Duration::from_secs(120);

/// The machines that leave now, by number.
pub(super) fn victims(builder: &mut PlanBuilder, context: &Context<'_>, members: &[Member<'_>]) -> Vec<usize> {
    let mut victims = servers(context, members);
    victims.extend(workers(builder, context, members));
    victims
}

/// Servers leave one at a time, and only while the others have the majority in etcd.
fn servers(context: &Context<'_>, members: &[Member<'_>]) -> Vec<usize> {
    let answers = matches!(context.observed.api, Api::Answers(_));
    let may_leave = |&i: &usize| !answers || !members[i].has_joined() || repair::may_leave(members, i).is_ok();
    surplus(context, members, 0).into_iter().take(1).filter(may_leave).collect()
}

/// The machines of a pool that are too many, those whose loss costs least first.
fn surplus(context: &Context<'_>, members: &[Member<'_>], pool: usize) -> Vec<usize> {
    let mut counting: Vec<usize> =
        (0..members.len()).filter(|&i| members[i].pool == Some(pool) && members[i].counts()).collect();
    let surplus = counting.len().saturating_sub(context.pools[pool].count as usize);
    let crowd = |zone: &str| counting.iter().filter(|&&i| members[i].machine.zone == zone).count();
    let crowds: BTreeMap<String, usize> =
        counting.iter().map(|&i| (members[i].machine.zone.clone(), crowd(&members[i].machine.zone))).collect();
    counting.sort_by_key(|&i| {
        let machine = members[i].machine;
        (cost_of_losing(&members[i]), Reverse(crowds[&machine.zone]), Reverse(machine.hostname.clone()))
    });
    counting.truncate(surplus);
    counting
}

/// The workers that leave now: of those that are too many, as many as can be done without.
fn workers(builder: &mut PlanBuilder, context: &Context<'_>, members: &[Member<'_>]) -> Vec<usize> {
    // Its pool is gone from the specification.
    let is_of_no_pool = |member: &Member<'_>| {
        member.pool.is_none() && member.stage().is_some() && member.machine.note(mark::POOL).is_some()
    };
    let mut goers: Vec<usize> = (0..members.len()).filter(|&i| is_of_no_pool(&members[i])).collect();
    for pool in 1..context.pools.len() {
        goers.extend(surplus(context, members, pool));
    }
    // What goes from a pool that stays is missed by nobody. The machines of a pool that goes altogether are what their
    // successors are waited for with: they go last.
    let of_a_pool_that_goes =
        |member: &Member<'_>| member.pool.is_none_or(|pool| context.pools.get(pool).is_none_or(|pool| pool.count == 0));
    goers.sort_by_key(|&i| (of_a_pool_that_goes(&members[i]), cost_of_losing(&members[i]), i));
    let stayers = || (0..members.len()).filter(|i| members[*i].pool > Some(0) && !goers.contains(i));
    let wanted: usize = context.pools.iter().skip(1).map(|pool| pool.count as usize).sum();
    let ready =
        stayers().filter(|&i| serves(&members[i])).count() + goers.iter().filter(|&&i| serves(&members[i])).count();
    let mut spare = ready.saturating_sub(wanted);
    let under_way = stayers().any(|i| {
        matches!(
            members[i].stage(),
            Some(Stage::Allocated | Stage::Deploying { .. } | Stage::Joining { .. } | Stage::Unwell { .. })
        )
    });
    let change_places = ready == wanted && !under_way;
    let mut leaving = Vec::new();
    let mut staying = 0;
    let mut one_went = false;
    for &index in &goers {
        let member = &members[index];
        let goes = if serves(member) {
            if spare > 0 {
                spare -= 1;
                true
            } else {
                let goes = change_places && !one_went && fits_where_none_is_free(builder, context, member);
                one_went |= goes;
                goes
            }
        } else {
            // What never was a member is no loss; what was may recover while it is needed.
            !member.has_joined() || ready >= wanted
        };
        if goes {
            leaving.push(index);
        } else {
            staying += 1;
        }
    }
    if staying > 0 {
        let what = if staying == 1 { "1 machine that is".to_owned() } else { format!("{staying} machines that are") };
        builder.wait_for_others(
            format!("{what} too many stay until {wanted} workers are ready without them ({ready} are, with them)"),
            context.now,
        );
    }
    leaving
}

/// Whether it works, as far as is known.
fn serves(member: &Member<'_>) -> bool {
    matches!(member.stage(), Some(Stage::Ready | Stage::Unknown))
}

/// Whether a pool misses machines, MAAS has had none for it for a while, and this one would do.
fn fits_where_none_is_free(builder: &PlanBuilder, context: &Context<'_>, member: &Member<'_>) -> bool {
    context.pools.iter().skip(1).any(|pool| {
        let since = builder.plan.memory.none_free.get(&pool.name);
        since.is_some_and(|since| words::elapsed(*since, context.now) >= NONE_FREE_FOR)
            && fit::fits(pool, member.machine, &context.desired.configuration.release)
    })
}

fn cost_of_losing(member: &Member<'_>) -> u8 {
    match member.stage() {
        Some(Stage::Allocated) => 0,
        Some(Stage::Deploying { .. }) => 1,
        _ if member.seen.is_some_and(|node| node.draining_since.is_some()) => 2,
        Some(Stage::Joining { .. }) if !member.has_joined() => 3,
        Some(Stage::Joining { .. } | Stage::Unwell { .. }) | None => 4,
        Some(Stage::Ready | Stage::Unknown) => 5,
    }
}
