//! Who holds a TCP port of this machine, for the message about a port that is in use.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};

use bollard::query_parameters::ListContainersOptions;
use engine::failure::Failure;

use crate::world::daemon::Daemon;

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A container that publishes it.
    Container(String),
    /// A process.
    Process {
        /// Its number.
        pid: u32,
        /// What it runs.
        name: String,
    },
    /// Somebody whom this user may not see.
    Unknown,
}

/// Whether nobody listens on `port` of `ip`, so that somebody may.
pub fn is_free(ip: IpAddr, port: u16) -> bool {
    match TcpListener::bind(SocketAddr::new(ip, port)) {
        Ok(_) => true,
        // Only this says that it is taken; a low port that is not allowed, say, may well be free.
        Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
    }
}

/// The error for a port that is in use, naming who has it. `host` is the daemon of this machine.
pub async fn in_use(host: &Daemon, ip: IpAddr, port: u16) -> Failure {
    let at = SocketAddr::new(ip, port);
    let failure = |who: String| Failure::environment(format!("port {at} is in use{who}"));
    match holder(host, port).await {
        Holder::Container(name) => {
            failure(format!(" by the container `{name}`")).help(format!("stop it: `docker stop {name}`"))
        }
        Holder::Process { pid, name } => {
            failure(format!(" by `{name}`, process {pid}")).help(format!("end it: `kill {pid}`"))
        }
        Holder::Unknown => {
            failure(String::new()).help(format!("see who has it: `sudo lsof -nP -iTCP:{port} -sTCP:LISTEN`"))
        }
    }
}

/// Who listens on `port`.
pub async fn holder(host: &Daemon, port: u16) -> Holder {
    // The container first: the process would be docker's proxy, whose end would help nobody.
    match container(host, port).await {
        Some(name) => Holder::Container(name),
        None => process(port).unwrap_or(Holder::Unknown),
    }
}

async fn container(host: &Daemon, port: u16) -> Option<String> {
    // Without a daemon there are no containers to hold anything.
    let docker = host.connect().await.ok()?;
    let containers = docker.list_containers(None::<ListContainersOptions>).await.ok()?;
    let holder = containers
        .into_iter()
        .find(|container| container.ports.iter().flatten().any(|published| published.public_port == Some(port)))?;
    let name = holder.names?.into_iter().next()?;
    Some(name.trim_start_matches('/').to_owned())
}

/// Linux tells by `/proc`; elsewhere the message says how to find out.
fn process(port: u16) -> Option<Holder> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().find_map(|line| listener(line, port))
    })?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = numbers.find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target.as_os_str() == wanted.as_str())
    })?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(Holder::Process { pid, name: name.trim_end().to_owned() })
}

/// The socket's inode, if this line of `/proc/net/tcp` is about somebody listening on `port`.
fn listener(line: &str, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    let mut fields = line.split_whitespace();
    let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let listens = state == LISTENING && u16::from_str_radix(local_port, 16).ok()? == port;
    listens.then(|| inode.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

    use super::{Daemon, Holder, holder, in_use, is_free, listener};

    #[test]
    fn only_listeners_count() {
        let line = |port: &str, state: &str| {
            format!(
                "   1: 0100007F:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0"
            )
        };
        for (port, state, expected) in [("7580", "0A", Some(4711)), ("7580", "01", None), ("7581", "0A", None)] {
            assert_eq!(listener(&line(port, state), 30080), expected, "{port} {state}");
        }
        assert_eq!(
            listener("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid", 30080),
            None
        );
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_process_that_listens_is_named() {
        let nobody = Daemon::Socket("/no/such.sock".into());
        for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            // Below the ports that the kernel hands out by itself: nobody gets it in the moment after it is let go.
            // A machine may have no IPv6.
            let socket = (20_000..30_000).find_map(|port| TcpListener::bind((ip, port)).ok());
            let Some(socket) = socket else { continue };
            let port = socket.local_addr().unwrap().port();
            assert!(!is_free(ip, port));
            assert!(matches!(holder(&nobody, port).await, Holder::Process { pid, .. } if pid == std::process::id()));
            let failure = in_use(&nobody, ip, port).await;
            assert_eq!(failure.help, [format!("end it: `kill {}`", std::process::id())]);
            drop(socket);
            assert!(is_free(ip, port));
        }
    }
}
