//! User Mode Linux's management console: commands over a datagram socket that each kernel opens in its folder.

use std::{io, path::Path, time::Duration};
use tokio::net::UnixDatagram;

const MAGIC: u32 = 0xcafe_babe;
const VERSION: u32 = 2;
/// Bytes of a command or of one part of an answer.
const ROOM: usize = 512;
/// Error, whether more follows, length; then the text.
const ANSWER_HEADER: usize = 12;
/// How long the kernel may take to answer: it does so in an interrupt.
const DEADLINE: Duration = Duration::from_secs(5);

/// Has a kernel do `command` and gives its answer.
///
/// # Errors
/// Nobody listens at `socket` (the kernel is still starting, or gone), no answer came in five seconds, or the kernel
/// refused.
pub(crate) async fn ask(socket: &Path, command: &str) -> io::Result<String> {
    // The kernel answers to the address that asked, so there has to be one.
    let folder = tempfile::tempdir()?;
    let ours = UnixDatagram::bind(folder.path().join("answer"))?;
    ours.connect(socket)?;
    ours.send(&request(command)?).await?;
    let answer = async {
        let mut text = Vec::new();
        loop {
            let mut part = [0; ANSWER_HEADER + ROOM];
            let length = ours.recv(&mut part).await?;
            let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|n| part[at + n]));
            let end = (ANSWER_HEADER + word(8) as usize).min(length).max(ANSWER_HEADER);
            text.extend_from_slice(&part[ANSWER_HEADER..end]);
            if word(4) == 0 {
                let text = String::from_utf8_lossy(&text).trim_end_matches('\0').trim().to_owned();
                return if word(0) == 0 { Ok(text) } else { Err(io::Error::other(text)) };
            }
        }
    };
    tokio::time::timeout(DEADLINE, answer).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Host byte order: both ends are on this computer.
fn request(command: &str) -> io::Result<Vec<u8>> {
    if command.len() >= ROOM {
        return Err(io::Error::other("the command is too long"));
    }
    let length = u32::try_from(command.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(ANSWER_HEADER + ROOM);
    for word in [MAGIC, VERSION, length] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(command.as_bytes());
    bytes.resize(ANSWER_HEADER + ROOM, 0);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(error: u32, more: u32, text: &str) -> Vec<u8> {
        let words = [error, more, u32::try_from(text.len()).unwrap()];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(text.as_bytes());
        bytes.resize(ANSWER_HEADER + ROOM, 0);
        bytes
    }

    /// A kernel that answers one command with these parts.
    async fn asked(parts: Vec<Vec<u8>>) -> io::Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("mconsole");
        let kernel = UnixDatagram::bind(&socket).unwrap();
        let answer = async {
            let mut bytes = [0; 1024];
            let (length, from) = kernel.recv_from(&mut bytes).await.unwrap();
            assert_eq!((length, &bytes[ANSWER_HEADER..ANSWER_HEADER + 3]), (524, b"cad".as_slice()));
            for part in parts {
                kernel.send_to(&part, from.as_pathname().unwrap()).await.unwrap();
            }
        };
        tokio::join!(ask(&socket, "cad"), answer).0
    }

    #[tokio::test]
    async fn an_answer_may_come_in_parts_and_may_be_a_refusal() {
        assert_eq!(asked(vec![part(0, 1, "one "), part(0, 0, "two")]).await.unwrap(), "one two");
        assert_eq!(asked(vec![part(22, 0, "Unknown command")]).await.unwrap_err().to_string(), "Unknown command");
        assert!(ask(Path::new("/nowhere/mconsole"), "cad").await.is_err());
        assert!(request(&"x".repeat(512)).is_err());
    }
}
