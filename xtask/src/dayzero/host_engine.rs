//! The container engine: one that answers is used as it is; otherwise docker is installed and started.
//!
//! Only the engine of this very machine, behind its usual socket, is ever touched. What somebody has pointed docker
//! at by a variable or a context is theirs to start.

mod runtime;
mod start;

use engine::event::Level;
use engine::failure::Failure;
use engine::step::StepId;

use super::{consent, packages};
use crate::context::Context;
use crate::world::daemon::Daemon;

/// Where the engine that this module cares for listens.
const SOCKET: &str = "/var/run/docker.sock";

/// Sees to it that the host's engine answers.
///
/// # Errors
/// When it does not, and cannot or may not be brought to.
pub async fn ensure(cx: &Context, step: &StepId) -> Result<(), Failure> {
    let host = Daemon::of_host()?;
    let Err(silent) = host.api_version().await else { return Ok(()) };
    let ours = host == Daemon::Socket(SOCKET.into()) && cfg!(target_os = "linux");
    // One that is there for others says so by the socket's mode; starting another would not help.
    if !ours || silent.to_string().contains("ermission denied") {
        return Err(silent);
    }
    let installed = packages::find("dockerd").is_some();
    if !installed && !packages::may_install()? {
        return Err(silent);
    }
    let limited = runtime::is_needed();
    let missing = wanted(installed, limited && packages::find("jq").is_none());
    consent::obtain(cx, &purpose(installed), &commands(&missing)).await?;
    if !missing.is_empty() {
        packages::install(cx, step, &missing).await?;
    }
    if limited {
        for path in runtime::install()? {
            cx.note(step, Level::Info, format!("wrote {}", path.display()));
        }
    }
    start::start(cx, step, &host).await
}

/// Whether the host's engine is silent. Asked only when something else has failed already.
pub async fn is_silent() -> bool {
    match Daemon::of_host() {
        Ok(host) => host.api_version().await.is_err(),
        Err(_) => false,
    }
}

fn purpose(installed: bool) -> String {
    let what = if installed { "start docker" } else { "install and start docker" };
    format!("{what} on this machine")
}

/// What a person would type.
fn commands(missing: &[&str]) -> Vec<String> {
    let mut commands = Vec::new();
    if !missing.is_empty() {
        commands.push(packages::command(missing));
    }
    commands.push(if start::has_systemd() {
        "sudo systemctl enable --now docker".to_owned()
    } else {
        format!("sudo setsid --fork dockerd >{} 2>&1", start::LOG)
    });
    if !rustix::process::geteuid().is_root() {
        commands.push("sudo usermod -aG docker $USER, then log in anew".to_owned());
    }
    commands
}

/// Debian's own docker, where it is not there, and what the wrapper around its runtime is written in.
fn wanted(installed: bool, jq: bool) -> Vec<&'static str> {
    let mut wanted = Vec::new();
    if !installed {
        wanted.extend(["docker.io", "iptables"]);
        if packages::client_is_apart() {
            wanted.push("docker-cli");
        }
    }
    if jq {
        wanted.push("jq");
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn without_leave_the_commands_are_told() {
        let told = commands(&["docker.io", "iptables"]);
        assert_eq!(told[0], "sudo apt-get update && sudo apt-get install --no-install-recommends docker.io iptables");
        assert!(told[1].starts_with("sudo "), "{told:?}");
        assert_eq!(commands(&[])[0], told[1]);
    }
}
