//! What is said on a carrier's control channel, and when a carrier has to end.

use crate::{
    carrier::mux::End,
    wire::control::{Control, GoAway, Stats},
};
use std::time::{Duration, Instant};

/// How often each side sends a ping: well under the 60 s after which common load balancers cut a quiet connection.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(10);
/// A carrier on which nothing came for this long is dead: two pings and their answers were missed.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(25);
/// How long streams may live on on a carrier that was replaced.
const DRAIN_LONGEST: Duration = Duration::from_secs(600);
/// How often a draining carrier looks whether its last stream has ended.
const DRAIN_LOOK: Duration = Duration::from_millis(200);

/// Why a carrier has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// Nothing came for too long.
    Silent,
    /// It was replaced (or this side leaves) and its last stream has ended, or took too long.
    Drained,
    /// The other side said so.
    Told(GoAway),
    /// This side said so.
    Said(GoAway),
}

/// What the owner of a carrier has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send this.
    Send(Control),
    /// Gateway: make another carrier within this time, then call [`Conversation::replaced`].
    Replace(Duration),
    /// Plane: open no more streams here.
    Avoid,
    /// Plane: the gateway's figures.
    Figures(Stats),
    /// End the carrier.
    End(SessionEnd),
}

#[derive(Clone, Copy, Debug)]
struct Draining {
    until: Instant,
    /// Whether it may end with its last stream: not before another carrier is there.
    when_idle: bool,
}

/// One end of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    end: End,
    ping_every: Duration,
    dead_after: Duration,
    next_ping: Instant,
    pings: u64,
    last_received: Instant,
    draining: Option<Draining>,
    look: Instant,
    ended: bool,
}

impl Conversation {
    /// A conversation that begins now.
    pub(crate) fn new(end: End, ping_every: Duration, dead_after: Duration, now: Instant) -> Self {
        Self {
            end,
            ping_every,
            dead_after,
            // The gateway's first message is what makes the control channel exist at the plane.
            next_ping: if end == End::Gateway { now } else { now + ping_every },
            pings: 0,
            last_received: now,
            draining: None,
            look: now,
            ended: false,
        }
    }

    /// When [`Self::tick`] must be called next at the latest.
    pub(crate) fn next_wake(&self) -> Instant {
        let mut wake = self.next_ping.min(self.last_received + self.dead_after);
        if let Some(draining) = &self.draining {
            wake = wake.min(draining.until);
            if draining.when_idle {
                wake = wake.min(self.look);
            }
        }
        wake
    }

    /// Time has passed. `last_received` is when a byte of any kind last came; `streams` how many are open.
    pub(crate) fn tick(&mut self, now: Instant, last_received: Instant, streams: usize) -> Vec<Action> {
        self.last_received = self.last_received.max(last_received);
        if now >= self.last_received + self.dead_after {
            return self.end(SessionEnd::Silent);
        }
        if let Some(draining) = self.draining {
            self.look = now + DRAIN_LOOK;
            if now >= draining.until || (draining.when_idle && streams == 0) {
                return self.end(SessionEnd::Drained);
            }
        }
        if now < self.next_ping || self.ended {
            return Vec::new();
        }
        self.next_ping = now + self.ping_every;
        self.pings += 1;
        vec![Action::Send(Control::Ping { number: self.pings })]
    }

    /// A message came.
    pub(crate) fn on_control(&mut self, now: Instant, message: Control) -> Vec<Action> {
        match (message, self.end) {
            (Control::Ping { number }, _) => vec![Action::Send(Control::Pong { number })],
            (Control::Stats(stats), End::Plane) => vec![Action::Figures(stats)],
            (Control::GoAway(GoAway::Drain { spread_ms }), End::Gateway) => {
                if self.draining.is_some() {
                    return Vec::new();
                }
                self.draining = Some(Draining { until: now + DRAIN_LONGEST, when_idle: false });
                vec![Action::Replace(Duration::from_millis(spread_ms))]
            }
            (Control::GoAway(GoAway::Leaving), End::Plane) => vec![Action::Avoid],
            (Control::GoAway(reason), End::Gateway) => self.end(SessionEnd::Told(reason)),
            (Control::GoAway(_), End::Plane)
            | (Control::Stats(_), End::Gateway)
            | (Control::Pong { .. } | Control::Other, _) => Vec::new(),
        }
    }

    /// This side wants the carrier to go.
    pub(crate) fn go_away(&mut self, now: Instant, reason: GoAway, longest: Option<Duration>) -> Vec<Action> {
        let send = Action::Send(Control::GoAway(reason));
        match reason {
            GoAway::Drain { .. } => {
                // The gateway ends it; this is for a gateway that never does.
                let until = now + longest.unwrap_or(DRAIN_LONGEST) + DEAD_AFTER;
                self.draining.get_or_insert(Draining { until, when_idle: false });
                vec![send]
            }
            GoAway::Leaving => {
                let until = now + longest.unwrap_or(DRAIN_LONGEST);
                self.draining = Some(Draining { until, when_idle: true });
                self.look = now;
                vec![send]
            }
            GoAway::Shutdown | GoAway::Superseded | GoAway::Revoked | GoAway::Disconnected | GoAway::Other => {
                let mut actions = vec![send];
                actions.extend(self.end(SessionEnd::Said(reason)));
                actions
            }
        }
    }

    /// Gateway: the carrier that replaces this draining one is up.
    pub(crate) const fn replaced(&mut self, now: Instant) {
        if let Some(draining) = &mut self.draining {
            draining.when_idle = true;
            self.look = now;
        }
    }

    fn end(&mut self, end: SessionEnd) -> Vec<Action> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        vec![Action::End(end)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start(end: End) -> (Conversation, Instant) {
        let now = Instant::now();
        (Conversation::new(end, PING_EVERY, DEAD_AFTER, now), now)
    }

    fn pings(actions: &[Action]) -> usize {
        actions.iter().filter(|action| matches!(action, Action::Send(Control::Ping { .. }))).count()
    }

    #[test]
    fn any_byte_counts_as_life_and_silence_does_not() {
        let (mut plane, now) = start(End::Plane);
        let mut received = now;
        for second in 1..=120 {
            let at = now + SECOND * second;
            if second < 90 {
                received = at;
            }
            let ended = plane.tick(at, received, 0).contains(&Action::End(SessionEnd::Silent));
            assert_eq!(ended, second == 89 + 25, "second {second}");
        }
    }

    #[test]
    fn a_drained_carrier_stays_until_it_is_replaced_and_idle() {
        let (mut gateway, now) = start(End::Gateway);
        let drain = Control::GoAway(GoAway::Drain { spread_ms: 500 });
        assert_eq!(gateway.on_control(now, drain.clone()), [Action::Replace(Duration::from_millis(500))]);
        assert_eq!(gateway.on_control(now, drain), [], "asked twice, done once");
        assert!(!gateway.tick(now, now, 0).contains(&Action::End(SessionEnd::Drained)), "not replaced yet");
        gateway.replaced(now);
        assert!(!gateway.tick(now, now, 1).contains(&Action::End(SessionEnd::Drained)), "a stream is open");
        assert!(gateway.next_wake() <= now + DRAIN_LOOK);
        assert!(gateway.tick(now + SECOND, now, 0).contains(&Action::End(SessionEnd::Drained)));
    }

    #[test]
    fn a_draining_carrier_ends_after_ten_minutes_whatever_is_open() {
        let (mut gateway, now) = start(End::Gateway);
        gateway.on_control(now, Control::GoAway(GoAway::Drain { spread_ms: 0 }));
        gateway.replaced(now);
        let late = now + DRAIN_LONGEST;
        assert!(!gateway.tick(late - SECOND, late - SECOND, 3).contains(&Action::End(SessionEnd::Drained)));
        assert_eq!(gateway.tick(late, late, 3), [Action::End(SessionEnd::Drained)]);
    }

    #[test]
    fn each_side_obeys_only_what_the_other_may_say() {
        let (mut plane, now) = start(End::Plane);
        assert_eq!(plane.on_control(now, Control::GoAway(GoAway::Revoked)), []);
        assert_eq!(plane.on_control(now, Control::GoAway(GoAway::Leaving)), [Action::Avoid]);
        let (mut gateway, now) = start(End::Gateway);
        assert_eq!(gateway.on_control(now, Control::Stats(Stats { refusals: 1 })), []);
        let told = gateway.on_control(now, Control::GoAway(GoAway::Revoked));
        assert_eq!(told, [Action::End(SessionEnd::Told(GoAway::Revoked))]);
    }

    proptest! {
        /// Two ends on a perfect link, woken when they ask for it, never take each other for dead, and a ping goes
        /// out at least every ten seconds; once the link is silent, both end within the limit.
        #[test]
        fn a_live_link_stays_and_a_silent_one_ends(minutes in 1_u32..30, late_ms in 0_u64..3000) {
            let now = Instant::now();
            let mut ends = [End::Gateway, End::Plane].map(|end| Conversation::new(end, PING_EVERY, DEAD_AFTER, now));
            let mut received = [now, now];
            let stop = now + SECOND * 60 * minutes;
            let mut at = now;
            let mut sent = 0;
            while at < stop {
                at = at.max(ends[0].next_wake().min(ends[1].next_wake())) + Duration::from_millis(late_ms);
                for side in 0..2 {
                    let actions = ends[side].tick(at, received[side], 0);
                    prop_assert!(!actions.contains(&Action::End(SessionEnd::Silent)));
                    sent += pings(&actions);
                    if pings(&actions) > 0 {
                        received[1 - side] = at;
                    }
                }
            }
            let least = (stop - now).as_millis() / (PING_EVERY.as_millis() + u128::from(late_ms) * 2);
            prop_assert!(sent as u128 >= least, "{sent} pings, expected {least}");
            for side in 0..2 {
                let dead = received[side] + DEAD_AFTER;
                let before = ends[side].tick(dead - Duration::from_millis(1), received[side], 0);
                prop_assert!(!before.contains(&Action::End(SessionEnd::Silent)));
                prop_assert_eq!(ends[side].tick(dead, received[side], 0), [Action::End(SessionEnd::Silent)]);
            }
        }
    }
}
