//! Listening sockets that a program leaves to the one that its process becomes: nobody finds a port closed in between,
//! and what connects meanwhile waits in the kernel's queue. What the sockets are for is known to those who name them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::process::Command;

use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

/// The variable with the sockets' names, in their order.
const NAMES: &str = "XTASK_LISTEN_NAMES";

/// The first of the descriptors that are left: they follow one another, so none may be in use for anything else.
const FIRST: RawFd = 200;

/// Sockets by their names.
pub type Sockets = BTreeMap<String, TcpListener>;

/// What this process has from the program that it was before. Empty the second time.
pub fn take() -> Sockets {
    let names: Vec<String> =
        std::env::var(NAMES).ok().and_then(|names| serde_json::from_str(&names).ok()).unwrap_or_default();
    let mut left = ListenFd::from_env();
    let sockets = names.into_iter().enumerate();
    sockets.filter_map(|(at, name)| Some((name, left.take_tcp_listener(at).ok()??))).collect()
}

/// Has the program that `command` starts in this process find `sockets`. What is returned has to be kept until then.
/// A socket that cannot be left is closed then, as any other.
pub fn leave(command: &mut Command, sockets: &Sockets) -> Vec<OwnedFd> {
    let mut left = Vec::new();
    let mut names = Vec::new();
    for (name, socket) in sockets {
        let wanted = FIRST + RawFd::try_from(left.len()).unwrap_or_default();
        let Ok(copy) = fcntl_dupfd_cloexec(socket, wanted) else { break };
        if copy.as_raw_fd() != wanted || fcntl_setfd(&copy, FdFlags::empty()).is_err() {
            break;
        }
        left.push(copy);
        names.push(name);
    }
    command
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDS", left.len().to_string())
        .env("LISTEN_FDS_FIRST_FD", FIRST.to_string())
        .env(NAMES, serde_json::json!(names).to_string());
    left
}
