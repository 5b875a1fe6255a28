//! The asking side.

use super::{Console, Done, Leftovers, MAX_LINE, MachineFault, Refusal, Refused, Request, Status};
use ferrogate_model::{Explain, Fault, Retry};
use serde::de::DeserializeOwned;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

/// Nothing the daemon does takes longer: it throws switches, it does not wait for machines.
const DEADLINE: Duration = Duration::from_secs(60);

/// Why the daemon gave no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no daemon.
    #[error("the site `{site}` is not up: nothing answers at {}", socket.display())]
    NotUp {
        /// The site.
        site: String,
        /// Its socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon hung up or sent rubbish.
    #[error("the daemon of the site `{site}` did not answer: {why}")]
    Broken {
        /// The site.
        site: String,
        /// Why.
        why: String,
    },
    /// The daemon took too long.
    #[error("the daemon of the site `{site}` did not answer within {} s", DEADLINE.as_secs())]
    Silent {
        /// The site.
        site: String,
    },
    /// The daemon said no.
    #[error(transparent)]
    Refused(Refusal),
}

impl Explain for ControlError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotUp { .. } => "lab_not_up",
            Self::Broken { .. } => "lab_broken",
            Self::Silent { .. } => "lab_silent",
            Self::Refused(_) => "lab_refused",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NotUp { .. } => Fault::Caller,
            Self::Broken { .. } | Self::Silent { .. } => Fault::Ferrogate,
            Self::Refused(refusal) => refusal.fault,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Broken { .. } | Self::Silent { .. } => Retry::AfterLooking,
            Self::NotUp { .. } | Self::Refused(_) => Retry::No,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotUp { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run it as root: the site's socket is root's".into()
            }
            Self::NotUp { .. } => "start it with `cargo xtask lab up`".into(),
            Self::Broken { site, .. } | Self::Silent { site } => {
                format!("look into {}", crate::folder::Folder::new(site).daemon_log().display())
            }
            Self::Refused(refusal) => refusal.next.clone(),
        })
    }
}

/// Asks the daemon of one site. Each request is a connection of its own, so clients may be shared and cloned.
#[derive(Clone, Debug)]
pub struct Client {
    site: String,
    socket: PathBuf,
}

impl Client {
    /// For the site of this name.
    #[must_use]
    pub fn new(site: &str) -> Self {
        Self::at(site, &crate::folder::Folder::new(site).socket())
    }

    /// For the site of this name at another socket.
    #[must_use]
    pub fn at(site: &str, socket: &Path) -> Self {
        Self { site: site.to_owned(), socket: socket.to_owned() }
    }

    /// Sends a request and reads the answer as `T`.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ControlError> {
        match tokio::time::timeout(DEADLINE, self.exchange(request)).await {
            Ok(answer) => self.read(&answer?),
            Err(_) => Err(ControlError::Silent { site: self.site.clone() }),
        }
    }

    async fn exchange(&self, request: &Request) -> Result<String, ControlError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| ControlError::NotUp {
            site: self.site.clone(),
            socket: self.socket.clone(),
            source,
        })?;
        let broken = |why: String| ControlError::Broken { site: self.site.clone(), why };
        let mut line = serde_json::to_string(request).map_err(|error| broken(error.to_string()))?;
        line.push('\n');
        let (read, mut write) = stream.into_split();
        write.write_all(line.as_bytes()).await.map_err(|error| broken(error.to_string()))?;
        let mut answer = String::new();
        let mut limited = BufReader::new(read.take(MAX_LINE as u64));
        limited.read_line(&mut answer).await.map_err(|error| broken(error.to_string()))?;
        if answer.ends_with('\n') { Ok(answer) } else { Err(broken("it hung up".into())) }
    }

    fn read<T: DeserializeOwned>(&self, answer: &str) -> Result<T, ControlError> {
        if let Ok(refused) = serde_json::from_str::<Refused>(answer) {
            return Err(ControlError::Refused(refused.error));
        }
        serde_json::from_str(answer).map_err(|error| ControlError::Broken {
            site: self.site.clone(),
            why: format!("its answer is not understood ({error}); are both programs of one build?"),
        })
    }

    async fn do_it(&self, request: Request) -> Result<(), ControlError> {
        self.ask::<Done>(&request).await.map(drop)
    }

    /// What the site is like.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.ask(&Request::Status).await
    }

    /// Takes a machine's power away at once.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn cut(&self, machine: &str) -> Result<(), ControlError> {
        self.do_it(Request::Cut { machine: machine.into() }).await
    }

    /// Switches a machine on as it is.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn power_on(&self, machine: &str) -> Result<(), ControlError> {
        self.do_it(Request::PowerOn { machine: machine.into() }).await
    }

    /// Switches a machine off the orderly way.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn power_off(&self, machine: &str) -> Result<(), ControlError> {
        self.do_it(Request::PowerOff { machine: machine.into() }).await
    }

    /// What a machine wrote to its console since it was last installed.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn console(&self, machine: &str) -> Result<String, ControlError> {
        self.ask::<Console>(&Request::Console { machine: machine.into() }).await.map(|console| console.text)
    }

    /// Cuts site and plane off from each other, for some seconds or until [`Client::heal`].
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn partition(&self, seconds: Option<u64>) -> Result<(), ControlError> {
        self.do_it(Request::Partition { seconds }).await
    }

    /// Ends a partition.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn heal(&self) -> Result<(), ControlError> {
        self.do_it(Request::Heal).await
    }

    /// Makes a machine go wrong, or right again.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn fault(&self, machine: &str, fault: Option<MachineFault>) -> Result<(), ControlError> {
        self.do_it(Request::Fault { machine: machine.into(), fault }).await
    }

    /// What was not given back.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn leftovers(&self) -> Result<Leftovers, ControlError> {
        self.ask(&Request::Leftovers).await
    }

    /// Starts the plane again.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn plane_start(&self) -> Result<(), ControlError> {
        self.do_it(Request::PlaneStart).await
    }

    /// Kills the plane's process.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn plane_kill(&self) -> Result<(), ControlError> {
        self.do_it(Request::PlaneKill).await
    }

    /// Makes the site's DNS delegate MAAS's domain so.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn delegate(&self, delegation: super::Delegation) -> Result<(), ControlError> {
        self.do_it(Request::Delegate { delegation }).await
    }

    /// Ends the site.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn shutdown(&self) -> Result<(), ControlError> {
        self.do_it(Request::Shutdown).await
    }
}
