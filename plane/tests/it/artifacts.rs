//! What machines download.

use crate::{
    fixture::{BUNDLE, GATEWAY_IMAGE, release, sha256},
    plane::TestPlane,
};
use ferrogate_model::release::Release;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A publisher that answers every request with the same bytes, or sends on from `/moved`.
async fn publisher(content: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                if head.starts_with(b"GET /moved") {
                    let answer = "HTTP/1.1 302 Found\r\nlocation: /here\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.write_all(answer.as_bytes()).await;
                    return;
                }
                counter.fetch_add(1, Ordering::SeqCst);
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.write_all(content).await;
            });
        }
    });
    (address, asked)
}

fn from(address: SocketAddr, path: &str, content: &[u8]) -> Release {
    let mut release = release();
    let bundle = &mut release.architectures[0].kubeadm;
    bundle.path = "fetched/amd64.tar.zst".into();
    bundle.upstream = Some(format!("http://{address}{path}").parse().unwrap());
    bundle.sha256 = sha256(content);
    release
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirrored_file_is_served_to_everybody_and_no_other_is() {
    let mirror = tempfile::tempdir().unwrap();
    let bundle = mirror.path().join(BUNDLE);
    std::fs::create_dir_all(bundle.parent().unwrap()).unwrap();
    std::fs::write(&bundle, b"the bundle").unwrap();
    std::fs::write(mirror.path().join("private"), b"not named by a release").unwrap();
    let plane = TestPlane::start_with(|options| options.mirror_dir = Some(mirror.path().to_owned())).await;
    let answer = plane.get(&format!("//artifacts/{BUNDLE}")).await;
    assert_eq!(answer.status(200).text(), "the bundle");
    assert_eq!(answer.header("content-length"), Some("10"));
    for path in ["//artifacts/private", "//artifacts/../plane.db", "//artifacts/kubeadm/amd64/../../private"] {
        assert_eq!(plane.get(path).await.response.status(), 404, "{path}");
    }
    // The gateway's image has no publisher; where it is not in the mirror it comes from the plane's own folder.
    let gateway_image = format!("//artifacts/{GATEWAY_IMAGE}");
    assert_eq!(plane.get(&gateway_image).await.status(200).text(), "the gateway image");
    std::fs::remove_file(plane.data_dir().join("images").join(GATEWAY_IMAGE)).unwrap();
    plane.get(&gateway_image).await.problem(404, "artifact_missing");
    // A replaced file is noticed.
    std::fs::write(&bundle, b"another bundle!").unwrap();
    plane.get(&format!("//artifacts/{BUNDLE}")).await.problem(502, "artifact_damaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_fetched_once_for_all_who_ask() {
    let (address, asked) = publisher(b"from the publisher").await;
    let plane = TestPlane::start_with(|options| options.release = from(address, "/moved", b"from the publisher")).await;
    let answers =
        futures::future::join_all((0..8).map(|_| plane.get("//artifacts/fetched/amd64.tar.zst").into_future())).await;
    for answer in answers {
        assert_eq!(answer.status(200).text(), "from the publisher");
    }
    plane.get("//artifacts/fetched/amd64.tar.zst").await.status(200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_another_checksum_reaches_nobody() {
    let (address, _) = publisher(b"something else").await;
    let plane = TestPlane::start_with(|options| options.release = from(address, "/", b"from the publisher")).await;
    let answer = plane.get("//artifacts/fetched/amd64.tar.zst").await;
    answer.problem(502, "artifact_not_fetched");
    assert!(answer.header("retry-after").is_some());
    let left = std::fs::read_dir(plane.data_dir().join("cache")).unwrap().count();
    assert_eq!(left, 0, "nothing unchecked stays");
}
