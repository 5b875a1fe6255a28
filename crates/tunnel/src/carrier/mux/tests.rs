use super::*;
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

fn pair() -> (Mux, Mux) {
    let (plane, gateway) = tokio::io::duplex(64 * 1024);
    (Mux::start(Box::new(plane), End::Plane, 8), Mux::start(Box::new(gateway), End::Gateway, 8))
}

/// A connection in which a defect can be set off.
struct Mine {
    io: DuplexStream,
    armed: Arc<AtomicBool>,
}

impl AsyncRead for Mine {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        assert!(!self.armed.load(Ordering::Relaxed), "the defect was set off");
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Mine {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[test]
fn the_configuration_keeps_yamux_s_own_rules() {
    // Its setters panic where they are called in the wrong order, and only in the connection's task.
    let _ = configuration();
}

#[tokio::test]
async fn a_stream_arrives_before_its_opener_has_written_anything_else() {
    let (plane, mut gateway) = pair();
    let mut near = plane.opener.open(b"first".to_vec()).await.unwrap();
    let mut far = gateway.inbound.recv().await.unwrap();
    let mut first = [0; 5];
    far.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first");
    // The other side may speak first.
    far.write_all(b"hello").await.unwrap();
    near.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"hello");
    assert_eq!(plane.opener.activity().streams(), 1);
    drop(near);
    assert_eq!(plane.opener.activity().streams(), 0);
}

#[tokio::test]
async fn an_end_is_an_end_and_a_reset_is_an_error() {
    let (plane, mut gateway) = pair();
    let mut near = plane.opener.open(vec![1]).await.unwrap();
    let mut far = gateway.inbound.recv().await.unwrap();
    far.read_u8().await.unwrap();
    far.write_all(b"all of it").await.unwrap();
    far.shutdown().await.unwrap();
    let mut text = String::new();
    near.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "all of it");

    let mut near = plane.opener.open(vec![1]).await.unwrap();
    let mut far = gateway.inbound.recv().await.unwrap();
    far.read_u8().await.unwrap();
    far.write_all(b"half").await.unwrap();
    drop(far);
    let error = near.read_to_string(&mut text).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "a cut answer must not look like a whole one");
}

#[tokio::test]
async fn a_panic_in_the_driver_is_a_disconnect_and_nothing_more() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let armed = Arc::new(AtomicBool::new(false));
    let mut plane = Mux::start(Box::new(Mine { io: near, armed: armed.clone() }), End::Plane, 8);
    let gateway = Mux::start(Box::new(far), End::Gateway, 8);
    let mut stream = plane.opener.open(vec![1]).await.unwrap();
    armed.store(true, Ordering::Relaxed);
    // Whatever moves on the carrier next runs into it.
    let _other = gateway.opener.open(vec![2]).await;
    assert!(Mux::wait(&mut plane.driver).await.contains("panicked"));
    assert!(stream.read_u8().await.is_err());
    assert!(matches!(plane.opener.open(vec![3]).await, Err(OpenError::Closed)));
}

#[tokio::test]
async fn streams_nobody_takes_are_reset_and_the_carrier_goes_on() {
    let (plane, mut gateway) = pair();
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(plane.opener.open(vec![1]).await.unwrap());
    }
    let mut reset = 0;
    for stream in &mut streams {
        let read = tokio::time::timeout(std::time::Duration::from_millis(50), stream.read_u8()).await;
        reset += usize::from(matches!(read, Ok(Err(_))));
    }
    assert_eq!(reset, 12, "eight wait in the queue");
    let mut taken = gateway.inbound.recv().await.unwrap();
    taken.write_u8(9).await.unwrap();
    assert_eq!(streams[0].read_u8().await.unwrap(), 9);
}
