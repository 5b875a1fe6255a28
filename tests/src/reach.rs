//! Whether an address is reached from inside a site: what a partition is proven by, in both directions of the proof.

use super::failure::Failure;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    path::Path,
    time::Duration,
};

/// Where the namespaces are that have a name.
const NAMESPACES: &str = "/run/netns";

/// What came of an attempt to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Connected.
    Open,
    /// No answer within the time: what a firewall that drops looks like.
    Silence,
    /// An answer that is no: somebody was reached, or the computer itself has no way.
    Refused(String),
}

impl Reach {
    fn of<T>(attempt: io::Result<T>) -> Self {
        match attempt {
            Ok(_) => Self::Open,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Self::Silence,
            Err(error) => Self::Refused(error.to_string()),
        }
    }

    /// For people.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Open => "connected".into(),
            Self::Silence => "no answer".into(),
            Self::Refused(why) => why.clone(),
        }
    }
}

/// Tries to connect from inside a network namespace.
///
/// # Errors
/// When the namespace cannot be entered: then nothing is known.
pub(crate) async fn from(namespace: &str, to: SocketAddr, within: Duration) -> Result<Reach, Failure> {
    let failed = |why: String| Failure::new(format!("a look at {to} from inside {namespace}"), why);
    let namespace_file =
        File::open(Path::new(NAMESPACES).join(namespace)).map_err(|error| failed(error.to_string()))?;
    let (sender, answer) = tokio::sync::oneshot::channel();
    // A thread of its own: one that was moved into a namespace is of no use to others.
    std::thread::spawn(move || {
        let moved = move_into_link_name_space(namespace_file.as_fd(), Some(LinkNameSpaceType::Network));
        let reach = moved.map(|()| Reach::of(TcpStream::connect_timeout(&to, within)));
        // Whoever asked may have given up.
        let _ = sender.send(reach);
    });
    match answer.await {
        Ok(Ok(reach)) => Ok(reach),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("the thread ended without an answer".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_open_port_a_closed_one_and_silence_are_told_apart() {
        let within = Duration::from_secs(10);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let attempt = |address: &SocketAddr| Reach::of(TcpStream::connect_timeout(address, within));
        assert_eq!(attempt(&address), Reach::Open);
        drop(listener);
        assert!(matches!(attempt(&address), Reach::Refused(_)), "a refusal is no partition");
        assert_eq!(Reach::of::<()>(Err(io::ErrorKind::TimedOut.into())), Reach::Silence);
    }

    #[tokio::test]
    async fn a_namespace_that_is_not_there_is_no_proof_of_silence() {
        let address = "127.0.0.1:1".parse().unwrap();
        let failure = from("no-such-namespace", address, Duration::from_secs(1)).await.unwrap_err();
        assert!(failure.expected.contains("no-such-namespace"), "{failure}");
    }
}
