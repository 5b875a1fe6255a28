//! What a deletion may conclude about the one call that gives the machines back. Pure rules, because the tunnel to MAAS runs
//! on the very machines: the last answer may never come, and "no answer" must be taken neither for done nor for not done.

use ferrogate_maas::MaasError;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a gateway whose machines may have been given back may stay away before a person must look.
pub(super) const UNANSWERED_FOR: Duration = Duration::from_secs(60);
/// How long a deletion may be hindered, by a gateway that is away or by what MAAS says, before a person must look.
pub(super) const HINDERED_FOR: Duration = Duration::from_secs(15 * 60);

/// How long a forced deletion tries on while the gateway is connected and something is in the way.
pub(super) const FORCED_AFTER: Duration = Duration::from_secs(60);

/// What is known of the call that gives the machines back, once it was decided to make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::tasks::gateways) enum Call {
    /// It was written down, right before the call. Nothing more is known: the plane was ended there, or could not write.
    Noted,
    /// It was sent, or may have been, and MAAS's own answer did not come.
    Unanswered,
    /// MAAS answered that it takes the machines back.
    Answered,
}

impl Call {
    /// What a call that failed leaves behind; `None` where MAAS certainly did nothing, so that it was never asked.
    pub(super) fn after(error: &MaasError) -> Option<Self> {
        error.may_have_happened().then_some(Self::Unanswered)
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look what is held, and ask MAAS to take it back.
    Ask,
    /// Look at MAAS whether it did what it was, or may have been, asked for; and ask again where it did not.
    Look,
    /// MAAS said that it takes them back, and the tunnel ended with them.
    Done,
    /// The gateway may come back.
    Wait,
    /// A person must look.
    Stuck,
    /// A person has looked, and ends it whatever is left behind.
    Abandon,
}

/// The next step of a deletion. `call` is what is known of the release, `away` for how long no node has been connected
/// (`None` while one is).
pub(super) fn next(call: Option<Call>, away: Option<Duration>, is_forced: bool) -> Next {
    let Some(away) = away else {
        // While MAAS can be asked nothing is believed, and nothing is forced.
        return if call.is_none() { Next::Ask } else { Next::Look };
    };
    match call {
        Some(Call::Answered) => Next::Done,
        _ if is_forced => Next::Abandon,
        Some(Call::Noted | Call::Unanswered) if away < UNANSWERED_FOR => Next::Wait,
        None if away < HINDERED_FOR => Next::Wait,
        Some(Call::Noted | Call::Unanswered) | None => Next::Stuck,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrogate_maas::MaasFailure;
    use ferrogate_net::{ConnectFailure, Target};

    fn failed(failure: MaasFailure) -> MaasError {
        MaasError { call: "release 3 machines".into(), failure: Box::new(failure), status: None, words: None }
    }

    #[test]
    fn only_what_may_have_reached_maas_is_unanswered() {
        let unanswered = [
            MaasFailure::Intercepted { status: 502, seen: "a page".into() },
            MaasFailure::Intercepted { status: 504, seen: "a page".into() },
            MaasFailure::Unavailable(503),
            MaasFailure::Internal,
            MaasFailure::Undecodable("half an answer".into()),
        ];
        for failure in unanswered {
            assert_eq!(Call::after(&failed(failure.clone())), Some(Call::Unanswered), "{failure:?}");
        }
        let never_asked = [
            MaasFailure::WrongState("a machine is locked".into()),
            MaasFailure::KeyRefused,
            MaasFailure::NotAllowed,
            MaasFailure::NotFound,
            MaasFailure::Collided,
            MaasFailure::Busy,
        ];
        for failure in never_asked {
            assert_eq!(Call::after(&failed(failure.clone())), None, "{failure:?}");
        }
    }

    #[tokio::test]
    async fn a_dial_that_failed_asked_for_nothing() {
        let error = ferrogate_net::ConnectError {
            failure: ConnectFailure::NoCarrier,
            target: Target::new("10.20.0.2", 5240),
            via: None,
            detail: "no node is connected".into(),
        };
        #[derive(Debug)]
        struct Closed(ferrogate_net::ConnectError);
        #[async_trait::async_trait]
        impl ferrogate_net::Connector for Closed {
            async fn connect(
                &self,
                _target: &Target,
                _deadline: Duration,
            ) -> Result<ferrogate_net::BoxIo, ferrogate_net::ConnectError> {
                Err(self.0.clone())
            }
        }
        let (endpoint, _) = ferrogate_maas::Endpoint::parse("http://10.20.0.2:5240/MAAS").unwrap();
        let options = ferrogate_maas::ClientOptions::new(
            endpoint,
            "a:b:c".parse().unwrap(),
            std::sync::Arc::new(Closed(error)),
            std::sync::Arc::new(ferrogate_model::SystemClock),
        );
        let maas = ferrogate_maas::Client::new(options).unwrap();
        let failed = maas.release_many(&[ferrogate_model::SystemId("4y3hb3".into())], None).await.unwrap_err();
        assert_eq!(Call::after(&failed), None, "{failed}");
    }

    #[test]
    fn every_case_has_its_next_step() {
        let (noted, unanswered, answered) = (Some(Call::Noted), Some(Call::Unanswered), Some(Call::Answered));
        let at = |seconds| Some(Duration::from_secs(seconds));
        let table = [
            // Connected: nothing is believed but what MAAS shows, forced or not.
            (None, None, false, Next::Ask),
            (None, None, true, Next::Ask),
            (noted, None, false, Next::Look),
            (unanswered, None, false, Next::Look),
            (answered, None, false, Next::Look),
            (unanswered, None, true, Next::Look),
            // Away: only an answer is done.
            (answered, at(0), false, Next::Done),
            (answered, at(0), true, Next::Done),
            (unanswered, at(59), false, Next::Wait),
            (unanswered, at(60), false, Next::Stuck),
            (noted, at(59), false, Next::Wait),
            (noted, at(60), false, Next::Stuck),
            (noted, at(100_000), false, Next::Stuck),
            // Away, and never asked: it has longer to come back, because nothing can have been lost yet.
            (None, at(60), false, Next::Wait),
            (None, at(899), false, Next::Wait),
            (None, at(900), false, Next::Stuck),
            // A person decided.
            (None, at(0), true, Next::Abandon),
            (noted, at(0), true, Next::Abandon),
            (unanswered, at(0), true, Next::Abandon),
        ];
        for (call, away, is_forced, wanted) in table {
            assert_eq!(next(call, away, is_forced), wanted, "{call:?}, away {away:?}, forced {is_forced}");
        }
    }
}
