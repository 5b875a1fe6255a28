//! The HTTP proxy with a password that is the only way out in the `proxy` variant.

use super::{EDGE, PROXY_PORT};
use crate::{
    folder::Folder,
    host::{Child, HostError, Run, Tool},
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::TcpStream;

/// It starts a helper for passwords and makes its caches first.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Between two tries to connect.
const LOOK: Duration = Duration::from_millis(100);
/// Debian's user for it.
const USER: &str = "proxy";
/// Where Debian puts the helper that checks passwords.
const HELPER: &str = "/usr/lib/squid/basic_ncsa_auth";

/// The running proxy.
#[derive(Debug)]
pub struct Squid {
    child: Child,
}

/// Its settings. The password is not in them, only the name of the file with its hash.
fn settings(work: &Path, passwords: &Path, hosts: &Path) -> String {
    let work = work.display();
    format!(
        "http_port {EDGE}:{PROXY_PORT}
visible_hostname proxy
cache_effective_user {USER}
cache_effective_group {USER}
pid_filename none
coredump_dir {work}
cache_log {work}/cache.log
access_log stdio:{work}/access.log
cache deny all
cache_mem 8 MB
# The system's limit may be a million, and it makes room for every one.
max_filedescriptors 4096
pinger_enable off
shutdown_lifetime 1 seconds
hosts_file {hosts}
dns_nameservers 127.0.0.1
auth_param basic program {HELPER} {passwords}
auth_param basic children 2 startup=1 idle=1
auth_param basic realm lab
acl signed_in proxy_auth REQUIRED
acl tls port 443
acl CONNECT method CONNECT
http_access deny CONNECT !tls
http_access allow signed_in
http_access deny all
",
        hosts = hosts.display(),
        passwords = passwords.display(),
    )
}

/// User and group id of a user, from a text in the form of `/etc/passwd`.
fn ids(passwd: &str, user: &str) -> Option<(u32, u32)> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = fields.into_iter().find(|fields| fields.first() == Some(&user))?;
    Some((line.get(2)?.parse().ok()?, line.get(3)?.parse().ok()?))
}

impl Squid {
    /// Starts it with one user and waits until it listens. Must be called in the site's namespace.
    ///
    /// # Errors
    /// A program is missing, or it did not get ready.
    pub async fn start(edge: &str, folder: &Folder, user: &str, password: &SecretString) -> Result<Self, HostError> {
        let program = Tool::Squid.find()?;
        if !Path::new(HELPER).exists() {
            return Err(HostError::Part {
                part: "proxy",
                why: format!("{HELPER} is missing; reinstall squid-openssl"),
            });
        }
        let (uid, gid) = read_ids()?;
        let work = folder.edge().join("squid");
        fs::create_dir_all(&work).map_err(HostError::file("make", &work))?;
        own(&work, 0o700, Some(uid), gid)?;
        // It is not root: let its group, and nobody else, pass through the folders above, without seeing what is in them.
        for above in [folder.root().to_owned(), folder.edge()] {
            own(&above, 0o710, None, gid)?;
        }
        let hash = Run::new(Tool::Openssl, ["passwd", "-6", "-stdin"])
            .stdin(format!("{}\n", password.expose_secret()))
            .output()
            .await?;
        let passwords = write(&work, "passwords", &format!("{user}:{}\n", hash.trim()), uid, gid)?;
        // What programs in the edge's namespace see as /etc/hosts: it knows the plane.
        let text = settings(&work, &passwords, Path::new("/etc/hosts"));
        let file = write(&work, "squid.conf", &text, uid, gid)?;
        // Becoming another user ends the tie to our life, so that it is tied again as that user.
        let args = ["--reuid", USER, "--regid", USER, "--init-groups", "--pdeathsig", "KILL"].map(str::to_owned);
        let squid = [program.display().to_string(), "-N".into(), "-f".into(), file.display().to_string()];
        let args: Vec<String> = args.into_iter().chain(squid).collect();
        let mut child = Child::spawn("squid", edge, &Tool::Setpriv.find()?, &args, &folder.edge().join("squid.log"))?;
        let deadline = tokio::time::Instant::now() + READY_DEADLINE;
        let address = SocketAddr::from((EDGE, PROXY_PORT));
        while !matches!(tokio::time::timeout(LOOK, TcpStream::connect(address)).await, Ok(Ok(_))) {
            if !child.is_running() || tokio::time::Instant::now() > deadline {
                return Err(child.not_ready());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Self { child })
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.is_running()
    }

    /// Ends it.
    pub async fn end(self) {
        self.child.end().await;
    }
}

fn read_ids() -> Result<(u32, u32), HostError> {
    let path = "/etc/passwd";
    let text = fs::read_to_string(path).map_err(HostError::file("read", path))?;
    ids(&text, USER).ok_or_else(|| HostError::Part { part: "proxy", why: format!("there is no user `{USER}`") })
}

fn own(path: &Path, mode: u32, uid: Option<u32>, gid: u32) -> Result<(), HostError> {
    chown(path, uid, Some(gid)).map_err(HostError::file("give away", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(HostError::file("close", path))
}

fn write(work: &Path, name: &str, text: &str, uid: u32, gid: u32) -> Result<PathBuf, HostError> {
    let path = work.join(name);
    let open = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(HostError::file("write", &path))?;
    own(&path, 0o600, Some(uid), gid)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_asks_everybody_for_a_password() {
        let text = settings(Path::new("/w"), Path::new("/w/p"), Path::new("/etc/hosts"));
        let allowed: Vec<_> = text.lines().filter(|line| line.starts_with("http_access allow")).collect();
        assert_eq!(allowed, ["http_access allow signed_in"]);
    }

    #[test]
    fn a_users_ids_are_read() {
        let text = "root:x:0:0:root:/root:/bin/bash\nproxy:x:13:14:proxy:/bin:/usr/sbin/nologin\n";
        assert_eq!(ids(text, "proxy"), Some((13, 14)));
        assert_eq!(ids(text, "prox"), None);
    }
}
