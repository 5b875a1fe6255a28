//! The visitors.

use crate::target::{self, ANSWER, REQUEST, SEND, SEND_COUNTED, SERVE, SMALL_BUFFER, SWALLOW};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// How small requests fared.
pub(crate) struct Small {
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

async fn visit(address: SocketAddr, command: u8) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    socket.write_u8(command).await?;
    Ok(socket)
}

/// Moves bytes for a while; Gbit/s at the visitors.
pub(crate) async fn bulk(address: SocketAddr, direction: Direction, streams: usize, slice: Duration) -> f64 {
    let moved = Arc::new(AtomicU64::new(0));
    let mut visitors = start_bulk(address, direction, streams, &moved);
    // The first moments belong to connecting and to windows that grow.
    tokio::time::sleep(slice / 4).await;
    let (before, began) = (moved.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(slice).await;
    let bytes = moved.load(Ordering::Relaxed) - before;
    let rate = bytes as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e9;
    visitors.shutdown().await;
    rate
}

fn start_bulk(address: SocketAddr, direction: Direction, streams: usize, moved: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut visitors = JoinSet::new();
    for _ in 0..streams {
        let moved = moved.clone();
        visitors.spawn(async move {
            let mut buffer = vec![7; 64 * 1024];
            let command = if matches!(direction, Direction::Down) { SEND } else { SWALLOW };
            let Ok(mut socket) = visit(address, command).await else { return };
            loop {
                let count = match direction {
                    Direction::Down => socket.read(&mut buffer).await,
                    Direction::Up => socket.write(&buffer).await,
                };
                match count {
                    Ok(count) if count > 0 => moved.fetch_add(count as u64, Ordering::Relaxed),
                    _ => return,
                };
            }
        });
    }
    visitors
}

async fn exchange(socket: &mut TcpStream, buffer: &mut [u8; ANSWER]) -> std::io::Result<()> {
    socket.write_all(&buffer[..REQUEST]).await?;
    socket.read_exact(buffer).await.map(drop)
}

/// Small requests on connections that stay open.
pub(crate) async fn small(address: SocketAddr, connections: usize, slice: Duration) -> Small {
    let mut visitors = JoinSet::new();
    for _ in 0..connections {
        visitors.spawn(async move {
            let (mut buffer, mut times) = ([0; ANSWER], Vec::new());
            let mut socket = visit(address, SERVE).await.unwrap();
            exchange(&mut socket, &mut buffer).await.unwrap();
            let until = Instant::now() + slice;
            while Instant::now() < until {
                let began = Instant::now();
                exchange(&mut socket, &mut buffer).await.unwrap();
                times.push(began.elapsed());
            }
            times
        });
    }
    summary(visitors, slice).await
}

/// Small requests, each on a connection of its own.
pub(crate) async fn new_connections(address: SocketAddr, workers: usize, slice: Duration) -> Small {
    let mut visitors = JoinSet::new();
    for _ in 0..workers {
        visitors.spawn(async move {
            let (mut buffer, mut times) = ([0; ANSWER], Vec::new());
            let until = Instant::now() + slice;
            while Instant::now() < until {
                let began = Instant::now();
                let mut socket = visit(address, SERVE).await.unwrap();
                exchange(&mut socket, &mut buffer).await.unwrap();
                times.push(began.elapsed());
            }
            times
        });
    }
    summary(visitors, slice).await
}

/// Small requests while one download takes all it can get.
pub(crate) async fn during_bulk(small_way: SocketAddr, bulk_way: SocketAddr, slice: Duration) -> Small {
    let mut visitors = start_bulk(bulk_way, Direction::Down, 1, &Arc::default());
    tokio::time::sleep(slice / 4).await;
    let figures = small(small_way, 4, slice).await;
    visitors.shutdown().await;
    figures
}

/// One request after the other, each on a connection of its own, while others do not read what they asked for.
pub(crate) async fn beside_stalled(address: SocketAddr, stalled: usize, slice: Duration) -> Small {
    let mut idle = Vec::new();
    for _ in 0..stalled {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(SMALL_BUFFER as u32).unwrap();
        let mut socket = socket.connect(address).await.unwrap();
        socket.write_u8(SEND_COUNTED).await.unwrap();
        idle.push(socket);
    }
    // All of them are served, and then stop reading.
    for socket in &mut idle {
        socket.read_u8().await.unwrap();
    }
    target::quiet().await;
    let figures = new_connections(address, 1, slice).await;
    drop(idle);
    figures
}

/// Asks until an answer comes; seconds.
pub(crate) async fn until_answered(address: SocketAddr) -> f64 {
    let began = Instant::now();
    loop {
        let ask = async {
            let mut socket = visit(address, SERVE).await?;
            exchange(&mut socket, &mut [0; ANSWER]).await
        };
        if matches!(tokio::time::timeout(Duration::from_secs(6), ask).await, Ok(Ok(()))) {
            return began.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn summary(mut visitors: JoinSet<Vec<Duration>>, slice: Duration) -> Small {
    let mut times = Vec::new();
    while let Some(ended) = visitors.join_next().await {
        times.extend(ended.unwrap());
    }
    times.sort_unstable();
    let at =
        |part: f64| times.get((times.len() as f64 * part) as usize).or(times.last()).map_or(f64::NAN, milliseconds);
    Small { per_second: times.len() as f64 / slice.as_secs_f64(), p50: at(0.5), p99: at(0.99) }
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
