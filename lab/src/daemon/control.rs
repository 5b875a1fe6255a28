//! The socket: one request a connection.

use super::Site;
use crate::{
    control::{MAX_LINE, Refusal, Refused, Request},
    host::HostError,
};
use ferrogate_model::Fault;
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// No request is longer, in bytes.
const MAX_REQUEST: u64 = 64 * 1024;
/// How long somebody may take to say what they want, or to take the answer.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(30);
/// How long requests that run at the end may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);
/// How many are served at a time; more wait in the kernel's queue.
const AT_ONCE: usize = 32;

/// The listening socket.
#[derive(Debug)]
pub(super) struct Server {
    end: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    pub(super) fn start(site: Arc<Site>) -> Result<Self, HostError> {
        let path = site.folder.socket();
        let listener = UnixListener::bind(&path).map_err(HostError::file("listen at", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(HostError::file("close", &path))?;
        let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (over, served) = (end.clone(), tasks.clone());
        tasks.spawn(async move {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = over.cancelled() => return,
                };
                match accepted {
                    Ok((stream, _)) => {
                        let (site, over) = (Arc::clone(&site), over.clone());
                        served.spawn(async move {
                            serve(&site, stream, &over).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a request could not be taken");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(Self { end, tasks })
    }

    /// Until somebody asks for the end.
    pub(super) async fn asked_to_end(&self) {
        self.end.cancelled().await;
    }

    /// Takes no more requests and lets the running ones end.
    pub(super) async fn close(self) {
        self.end.cancel();
        self.tasks.close();
        if tokio::time::timeout(CLOSE_DEADLINE, self.tasks.wait()).await.is_err() {
            tracing::warn!("a request did not end in time");
        }
    }
}

async fn serve(site: &Site, stream: UnixStream, end: &CancellationToken) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut limited = BufReader::new(read.take(MAX_REQUEST));
    match tokio::time::timeout(EXCHANGE_DEADLINE, limited.read_line(&mut line)).await {
        Ok(Ok(1..)) => {}
        _ => return,
    }
    let request = serde_json::from_str::<Request>(&line);
    let is_end = matches!(request, Ok(Request::Shutdown));
    let answer = match request {
        Ok(request) => Box::pin(site.answer(request)).await,
        Err(error) => Err(Refusal {
            what: format!("the request is not understood: {error}"),
            fault: Fault::Caller,
            next: "use a program of the same build as the daemon".into(),
        }),
    };
    let mut text = match answer {
        Ok(value) => value.to_string(),
        Err(error) => serde_json::to_value(Refused { error }).unwrap_or(Value::Null).to_string(),
    };
    debug_assert!(text.len() < MAX_LINE, "consoles are cut");
    text.push('\n');
    let sent = async {
        write.write_all(text.as_bytes()).await?;
        write.shutdown().await
    };
    if !matches!(tokio::time::timeout(EXCHANGE_DEADLINE, sent).await, Ok(Ok(()))) {
        tracing::debug!("somebody did not wait for the answer");
    }
    if is_end {
        end.cancel();
    }
}
