//! The container engine: one that answers is used as it is; otherwise docker is installed and started.
//!
//! Only the engine of this very machine, behind its usual socket, is ever touched. What somebody has pointed docker
//! at by a variable or a context is theirs to start.

mod runtime;
mod start;

use bollard::models::SystemVersion;
use engine::event::Level;
use engine::failure::Failure;
use engine::lock::{Held, Locks};
use engine::step::StepId;

use super::consent::{self, By};
use super::packages;
use crate::context::Context;
use crate::run;
use crate::world::daemon::Daemon;
use crate::world::machine::Machine;

/// Where the engine that this module cares for listens.
const SOCKET: &str = "/var/run/docker.sock";

/// The lock of whoever brings it up, whatever for and from whichever checkout.
const LOCK: &str = "docker of this machine";

/// Sees to it that the host's engine answers.
///
/// # Errors
/// When it does not, and cannot or may not be brought to.
pub async fn ensure(cx: &Context, step: &StepId) -> Result<(), Failure> {
    let host = Daemon::of_host()?;
    let Err(silent) = host.api_version().await else { return client(cx, step).await };
    // One that is there for others says so by the socket's mode; starting another would not help.
    if !is_ours(&host) || is_for_others(&silent) {
        return Err(silent);
    }
    let Some(_turn) = turn(cx, step, &Locks::of_this_user()?, &host).await? else { return client(cx, step).await };
    let Lack { installed, change, missing } = &Lack::of_here()?;
    if let Some(hindrance) = hindrance(Machine::read()?.tools.install, packages::is_debian_here(), missing) {
        return Err(silent.because(hindrance));
    }
    let commands = commands(missing, change).into_iter();
    let told: Vec<String> = commands.chain(to_use_it().map(|command| format!("{command}, then log in anew"))).collect();
    let leave = consent::obtain(cx, &purpose(*installed), &told, By::Root).await?;
    // Before the packages: where they start docker by themselves, it starts with these settings.
    for path in change.make()? {
        cx.note(step, Level::Info, format!("wrote {}", path.display()));
    }
    if !missing.is_empty() {
        packages::install(cx, step, missing, leave).await?;
    }
    start::start(cx, step, &host, &start::Place::here()).await
}

/// What this machine lacks for an engine that answers.
struct Lack {
    /// Whether docker is there, and only has to be started.
    installed: bool,
    change: runtime::Change,
    /// Packages.
    missing: Vec<&'static str>,
}

impl Lack {
    fn of_here() -> Result<Self, Failure> {
        let installed = packages::find("dockerd").is_some();
        let change = runtime::Change::plan()?;
        let missing = wanted(installed, change.in_use && packages::find("jq").is_none());
        Ok(Self { installed, change, missing })
    }
}

/// What a person types to have an engine that answers and to use it; nothing where that is not known of this system.
pub fn by_hand() -> Vec<String> {
    match Lack::of_here() {
        Ok(lack) if lack.missing.is_empty() || packages::is_debian_here() => {
            commands(&lack.missing, &lack.change).into_iter().chain(to_use_it().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether what it said when it was asked means that it answers, and not to this user.
pub fn is_for_others(silent: &Failure) -> bool {
    silent.to_string().contains("ermission denied")
}

/// The turn to bring docker up: one run at a time asks, installs and starts. `None` where docker answers by now, as
/// whoever had the turn before has brought it up.
async fn turn(cx: &Context, step: &StepId, locks: &Locks, host: &Daemon) -> Result<Option<Held>, Failure> {
    let holder = format!("a start of docker, process {}", std::process::id());
    let held = run::turn(cx, step, locks.named(LOCK), holder).await?;
    Ok(host.api_version().await.is_err().then_some(held))
}

/// Why nothing is done about a silent engine on a machine whose owner lets tools be got (`install`) or does not, which
/// has Debian's packages or has not, and lacks those that are `missing`.
fn hindrance(install: bool, debian: bool, missing: &[&str]) -> Option<String> {
    if !install {
        Some("this machine's settings say `install = false`: docker is neither installed nor started from here".into())
    } else if !debian && !missing.is_empty() {
        let missing = missing.join(", ");
        Some(format!("{missing} would have to be installed, which is done from here on Debian and Ubuntu only"))
    } else {
        None
    }
}

/// Sees to it that an engine that answers, wherever it is, has a client here: minikube makes its node by that. Where it
/// is no package of its own, an engine would come with it; then whoever runs minikube says what is missing.
async fn client(cx: &Context, step: &StepId) -> Result<(), Failure> {
    if packages::find("docker").is_none() && packages::client_is_apart() && packages::may_install()? {
        packages::ensure(cx, step, &[packages::DOCKER_CLIENT]).await?;
    }
    Ok(())
}

/// Whether `host` is the engine that is installed and started here when it does not answer.
fn is_ours(host: &Daemon) -> bool {
    *host == Daemon::Socket(SOCKET.into()) && cfg!(target_os = "linux")
}

/// Whether root gets an engine by a deploy where `host` does not answer.
pub fn can_be_got(host: &Daemon) -> bool {
    is_ours(host) && (packages::is_debian_here() || packages::find("dockerd").is_some())
}

/// Whether a deploy gets docker's client where an engine answers.
pub fn client_can_be_got() -> bool {
    cfg!(target_os = "linux") && packages::client_is_apart()
}

/// What a person would type to have docker's client.
pub fn client_command() -> String {
    let package = if packages::client_is_apart() { packages::DOCKER_CLIENT.1 } else { "docker.io" };
    packages::command(&[package])
}

/// Sees to it that the host's engine can build what is to be assembled, before anything is compiled for it.
///
/// # Errors
/// When it is Podman, which answers as docker does and has no BuildKit.
pub(super) async fn require_builds(host: &Daemon) -> Result<(), Failure> {
    let version = host.connect().await?.version().await.map_err(|error| host.unreachable(&error))?;
    if !is_podman(&version) {
        return Ok(());
    }
    Err(Failure::environment(format!("the engine at {host} is Podman, which has no BuildKit"))
        .because("container registries are not reached, so a node's images would have to be built by it")
        .help("use docker 20.10 or later: stop Podman's socket, or have DOCKER_HOST name docker's")
        .help("or give minikube a node image to pull, by `start-args` in this machine's settings"))
}

fn is_podman(version: &SystemVersion) -> bool {
    version.components.iter().flatten().any(|component| component.name.contains("Podman"))
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

/// What a person would type, in the order in which it is done here.
fn commands(missing: &[&str], change: &runtime::Change) -> Vec<String> {
    let mut commands = change.commands(&runtime::source());
    if !missing.is_empty() {
        commands.push(packages::command(missing));
    }
    commands.push(if start::has_systemd() {
        "sudo systemctl enable --now docker".to_owned()
    } else {
        // The log is opened by root's shell: nobody else may write there.
        format!("sudo sh -c 'setsid --fork dockerd >{} 2>&1'", start::LOG)
    });
    commands
}

/// What a user who is not root needs to use docker afterwards.
fn to_use_it() -> Option<&'static str> {
    let root = rustix::process::geteuid().is_root();
    (!root).then_some("sudo usermod -aG docker $USER")
}

/// Debian's own docker, where it is not there, and what the wrapper around its runtime is written in.
fn wanted(installed: bool, jq: bool) -> Vec<&'static str> {
    let mut wanted = Vec::new();
    if !installed {
        wanted.extend(["docker.io", "iptables"]);
        if packages::client_is_apart() {
            wanted.push(packages::DOCKER_CLIENT.1);
        }
    }
    if jq {
        wanted.push("jq");
    }
    wanted
}

#[cfg(test)]
mod stand_in_tests;

#[cfg(test)]
mod tests {
    use super::runtime::Change;
    use super::{commands, hindrance, is_ours, is_podman};
    use crate::world::daemon::Daemon;

    #[test]
    fn podman_says_who_it_is() {
        let rows = [
            (r#"{"Version": "5.4.0", "Components": [{"Name": "Podman Engine", "Version": "5.4.0"}]}"#, true),
            (r#"{"Version": "20.10.24", "Components": [{"Name": "Engine", "Version": "20.10.24"}]}"#, false),
            (r#"{"Version": "20.10.24"}"#, false),
        ];
        for (text, expected) in rows {
            assert_eq!(is_podman(&serde_json::from_str(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn only_the_engine_of_this_machine_is_got() {
        let rows = [
            (Daemon::Socket("/var/run/docker.sock".into()), cfg!(target_os = "linux")),
            (Daemon::Socket("/home/me/.colima/default/docker.sock".into()), false),
        ];
        for (host, expected) in rows {
            assert_eq!(is_ours(&host), expected, "{host}");
        }
    }

    #[test]
    fn what_its_owner_keeps_to_himself_is_neither_installed_nor_started() {
        let rows: [(bool, bool, &[&str], Option<&str>); 6] = [
            (true, true, &["docker.io"], None),
            (true, true, &[], None),
            // It is stopped, and all that it needs is there.
            (true, false, &[], None),
            (true, false, &["jq"], Some("jq would have to be installed")),
            (false, true, &["docker.io"], Some("`install = false`")),
            (false, true, &[], Some("`install = false`")),
        ];
        for (install, debian, missing, expected) in rows {
            let told = hindrance(install, debian, missing);
            let fits = match (&told, expected) {
                (Some(told), Some(expected)) => told.contains(expected),
                (told, expected) => told.is_none() && expected.is_none(),
            };
            assert!(fits, "{install} {debian} {missing:?}: {told:?}");
        }
    }

    #[test]
    fn without_leave_the_commands_are_told() {
        let told = commands(&["docker.io", "iptables"], &Change::default());
        assert_eq!(told[0], "sudo apt-get update && sudo apt-get install --no-install-recommends docker.io iptables");
        assert!(told[1].starts_with("sudo "), "{told:?}");
        assert_eq!(commands(&[], &Change::default())[0], told[1]);
    }

    #[test]
    fn no_command_that_is_told_has_the_users_own_shell_open_roots_files() {
        for command in commands(&["docker.io"], &Change::default()) {
            let outside: String = command.split('\'').step_by(2).collect();
            assert!(!outside.contains('>'), "{command}");
        }
    }
}
