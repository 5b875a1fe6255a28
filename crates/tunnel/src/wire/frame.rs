//! Frames: a 16-bit big-endian length and that many bytes of JSON.

use serde::{Serialize, de::DeserializeOwned};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The largest frame either end accepts. A hello with the longest names and token is under 1 KiB.
pub(crate) const MAX_FRAME: usize = 8 * 1024;

/// A message that could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The connection ended or broke.
    #[error("the connection ended")]
    Io(#[from] io::Error),
    /// The other side announced more than [`MAX_FRAME`]: it does not speak this protocol.
    #[error("a message of {0} bytes was announced, more than {MAX_FRAME}")]
    TooLong(usize),
    /// Not the JSON that was expected.
    #[error("a message was not understood")]
    Malformed(#[from] serde_json::Error),
    /// A challenge or a welcome that was not due.
    #[error("a message of the handshake came out of turn")]
    OutOfTurn,
    /// A byte that no message begins with.
    #[error("a message began with the byte {0}")]
    Unexpected(u8),
}

/// The frame of a message.
pub(crate) fn encode<M: Serialize>(message: &M) -> Vec<u8> {
    let mut frame = vec![0, 0];
    serde_json::to_writer(&mut frame, message).expect("messages are plain structs, which serialise");
    let length = u16::try_from(frame.len() - 2).expect("messages are made from bounded parts");
    frame[..2].copy_from_slice(&length.to_be_bytes());
    frame
}

/// The message of a frame's content (without the length).
pub(crate) fn decode<M: DeserializeOwned>(content: &[u8]) -> Result<M, FrameError> {
    Ok(serde_json::from_slice(content)?)
}

/// Reads one frame's content.
pub(crate) async fn read<R: AsyncRead + Unpin>(from: &mut R) -> Result<Vec<u8>, FrameError> {
    let length = usize::from(from.read_u16().await?);
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    let mut content = vec![0; length];
    from.read_exact(&mut content).await?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_frame_survives_the_wire_in_any_pieces() {
        let frame = encode(&"text");
        let (first, second) = frame.split_at(3);
        let mut reader = tokio_test_reader(first, second);
        assert_eq!(decode::<String>(&read(&mut reader).await.unwrap()).unwrap(), "text");
    }

    #[tokio::test]
    async fn an_announced_length_beyond_the_limit_is_refused_before_it_is_allocated() {
        let mut bytes: &[u8] = b"GET / HTTP/1.1\r\n";
        assert!(matches!(read(&mut bytes).await, Err(FrameError::TooLong(0x4745))));
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_that_says_what_is_wrong_with_it(
            length in prop_oneof![0..64_u16, any::<u16>()],
            rest in proptest::collection::vec(any::<u8>(), 0..64),
            cut in 0..66_usize,
        ) {
            let mut bytes = [&length.to_be_bytes(), rest.as_slice()].concat();
            bytes.truncate(cut);
            let (length, rest) = (usize::from(length), bytes.get(2..));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            match (runtime.block_on(read(&mut bytes.as_slice())), rest) {
                (Err(FrameError::TooLong(said)), Some(_)) => prop_assert!(said == length && length > MAX_FRAME),
                (Err(FrameError::Io(error)), rest) => {
                    prop_assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                    prop_assert!(rest.is_none_or(|rest| length <= MAX_FRAME && rest.len() < length));
                }
                (Ok(content), Some(rest)) => {
                    prop_assert_eq!(&content, &rest[..length]);
                    let hello = decode::<crate::wire::hello::Hello>(&content);
                    prop_assert!(matches!(hello, Err(FrameError::Malformed(_))), "{hello:?}");
                }
                (other, rest) => prop_assert!(false, "{other:?} of {rest:?}"),
            }
        }
    }

    fn tokio_test_reader<'a>(first: &'a [u8], second: &'a [u8]) -> impl AsyncRead + Unpin + 'a {
        first.chain(second)
    }
}
