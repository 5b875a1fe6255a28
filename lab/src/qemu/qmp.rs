//! QEMU's machine protocol: one JSON object a line, over a socket of each machine.

use serde_json::{Value, json};
use std::{io, path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

/// How long QEMU may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// The most that is read of what QEMU says, in bytes: it may tell of events, too.
const LIMIT: u64 = 256 * 1024;

/// Has QEMU do `command`, which takes no arguments.
///
/// # Errors
/// Nobody listens at `socket`, no answer came in five seconds, or QEMU refused.
pub(crate) async fn tell(socket: &Path, command: &str) -> io::Result<()> {
    let talk = async {
        let (reading, mut writing) = UnixStream::connect(socket).await?.into_split();
        let mut reading = BufReader::new(reading.take(LIMIT));
        for command in ["qmp_capabilities", command] {
            writing.write_all(format!("{}\n", json!({ "execute": command })).as_bytes()).await?;
            let mut line = String::new();
            loop {
                line.clear();
                if reading.read_line(&mut line).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let said: Value = serde_json::from_str(&line)?;
                if let Some(error) = said.get("error") {
                    return Err(io::Error::other(error["desc"].as_str().unwrap_or("refused").to_owned()));
                }
                // Everything else is the greeting or an event.
                if said.get("return").is_some() {
                    break;
                }
            }
        }
        Ok(())
    };
    tokio::time::timeout(DEADLINE, talk).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    async fn told(answer: &'static str) -> io::Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        let qemu = async {
            let (stream, _) = listener.accept().await.unwrap();
            let (reading, mut writing) = stream.into_split();
            let mut lines = BufReader::new(reading).lines();
            writing.write_all(b"{\"QMP\": {\"version\": {}}}\n").await.unwrap();
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "{\"execute\":\"qmp_capabilities\"}");
            writing.write_all(b"{\"return\": {}}\n{\"event\": \"RESUME\"}\n").await.unwrap();
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "{\"execute\":\"system_powerdown\"}");
            writing.write_all(answer.as_bytes()).await.unwrap();
        };
        tokio::join!(tell(&socket, "system_powerdown"), qemu).0
    }

    #[tokio::test]
    async fn greeting_and_events_are_passed_over_and_a_refusal_is_told() {
        told("{\"event\": \"POWERDOWN\"}\n{\"return\": {}}\n").await.unwrap();
        let error = told("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such\"}}\n").await.unwrap_err();
        assert_eq!(error.to_string(), "no such");
        assert!(tell(Path::new("/nowhere/qmp"), "system_powerdown").await.is_err());
    }
}
