//! Options of the sockets that carriers run on, for whoever accepts them.

use std::{io, os::fd::AsFd, time::Duration};

/// How long data may stay unacknowledged before the kernel gives a connection up.
pub const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// What may lie unsent in the kernel: more only makes small requests wait behind bulk.
pub const UNSENT_BYTES: u32 = 128 * 1024;

/// Prepares an accepted TCP socket for a carrier: no Nagle delay (`TCP_NODELAY`), a bound on silence
/// (`TCP_USER_TIMEOUT`) and on what lies unsent (`TCP_NOTSENT_LOWAT`).
///
/// # Errors
/// What the operating system says.
pub fn tune(socket: &impl AsFd) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_really_set() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        tune(&stream).unwrap();
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES);
    }
}
