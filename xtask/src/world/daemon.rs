//! Where a docker daemon listens, and a client for it.
//!
//! Two daemons matter: the host's, in which minikube's node is a container, and the node's own, which the pods'
//! images come from. This module knows neither minikube nor images; it finds the host's as the docker client does.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use buildkit::Endpoint;
use engine::digest::Digest;
use engine::failure::Failure;
use serde::Deserialize;

use crate::world::process::Command;
use crate::world::tls;

/// What [`Daemon::variables`] sets, all or none: a child that sees only some of them talks to another daemon.
pub const VARIABLES: [&str; 4] = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "MINIKUBE_ACTIVE_DOCKERD"];

/// Where the daemon of a Linux host listens unless somebody says otherwise.
const SOCKET: &str = "/var/run/docker.sock";

/// How long a request may take, in seconds. Builds and pulls stream, and each part of the stream counts anew.
const TIMEOUT: u64 = 120;

/// How long a daemon may take to say that it is there.
const HELLO: Duration = Duration::from_secs(5);

/// A docker daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Daemon {
    /// Behind a socket of this machine.
    Socket(PathBuf),
    /// Behind TLS: `address` is `HOST:PORT`, the folder holds `ca.pem`, `cert.pem` and `key.pem`.
    Tls {
        /// `127.0.0.1:32771`.
        address: String,
        /// `~/.minikube/certs`.
        certificates: PathBuf,
    },
    /// Behind plain TCP, as somebody has set it up: `HOST:PORT`.
    Plain(String),
}

impl Daemon {
    /// The host's daemon, as the docker client finds it: `DOCKER_HOST`, then the docker context in use, then the
    /// socket. In a shell after `eval "$(minikube docker-env)"` these name the node's daemon; the host's is then
    /// what they named before.
    ///
    /// # Errors
    /// When they name a daemon in a way that is not understood here.
    pub fn of_host() -> Result<Self, Failure> {
        Self::from_settings(&|name| env::var(name).ok().filter(|value| !value.is_empty()), &docker_folder())
    }

    fn from_settings(variable: &dyn Fn(&str) -> Option<String>, folder: &Path) -> Result<Self, Failure> {
        let in_docker_env = variable("MINIKUBE_ACTIVE_DOCKERD").is_some();
        let plain = variable;
        let variable = |name: &str| {
            if in_docker_env { plain(&format!("MINIKUBE_EXISTING_{name}")) } else { plain(name) }
        };
        if let Some(host) = variable("DOCKER_HOST") {
            let verify = variable("DOCKER_TLS_VERIFY").is_some();
            let certificates = variable("DOCKER_CERT_PATH").map_or_else(|| folder.to_owned(), PathBuf::from);
            return Self::parse(&host, verify.then_some(certificates), "DOCKER_HOST");
        }
        match variable("DOCKER_CONTEXT").or_else(|| current_context(folder)) {
            Some(name) if name != "default" => Self::of_context(&name, folder),
            _ => Ok(Self::Socket(default_socket(plain))),
        }
    }

    fn of_context(name: &str, folder: &Path) -> Result<Self, Failure> {
        let hash = Digest::of_bytes(name.as_bytes()).to_string();
        let path = folder.join("contexts/meta").join(&hash).join("meta.json");
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::io("read the docker context", &path, &error)
                .help(format!("docker's context `{name}` is in use; `docker context ls` lists those that there are"))
        })?;
        let meta: ContextMeta = serde_json::from_str(&text).map_err(|error| {
            Failure::environment(format!("could not read the docker context `{name}` in {}", path.display()))
                .because(error)
        })?;
        let certificates = folder.join("contexts/tls").join(hash).join("docker");
        Self::parse(
            &meta.endpoints.docker.host,
            certificates.is_dir().then_some(certificates),
            &format!("docker's context `{name}`"),
        )
    }

    fn parse(host: &str, certificates: Option<PathBuf>, origin: &str) -> Result<Self, Failure> {
        match host.split_once("://") {
            Some(("unix", path)) => Ok(Self::Socket(path.into())),
            Some(("tcp" | "http" | "https", address)) => {
                let address = address.trim_end_matches('/').to_owned();
                Ok(match certificates {
                    Some(certificates) => Self::Tls { address, certificates },
                    None => Self::Plain(address),
                })
            }
            _ => Err(Failure::environment(format!(
                "{origin} names the docker daemon `{host}`, which is not reached from here"
            ))
            .help("use one behind unix:// or tcp://; a remote one can be brought near with `ssh -L`")),
        }
    }

    /// A client that speaks the newest API version which both sides know.
    ///
    /// # Errors
    /// When certificates cannot be read, or nobody answers in time.
    pub async fn connect(&self) -> Result<Docker, Failure> {
        let known = |text: &str| {
            let (major, minor) = text.split_once('.')?;
            Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
        };
        // A daemon that does not say is asked for the newest, and says what it minds.
        let offered = known(&self.api_version().await?).unwrap_or(*API_DEFAULT_VERSION);
        let version = if offered < *API_DEFAULT_VERSION { offered } else { *API_DEFAULT_VERSION };
        tls::install_provider();
        let docker = match self {
            Self::Socket(path) => Docker::connect_with_unix(&path.to_string_lossy(), TIMEOUT, &version),
            // Not `connect_with_host`, which speaks plain text to tcp:// whatever the certificates.
            Self::Tls { address, certificates } => {
                let file = |name: &str| certificates.join(name);
                let (key, cert, ca) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
                Docker::connect_with_ssl(&format!("tcp://{address}"), &key, &cert, &ca, TIMEOUT, &version)
            }
            Self::Plain(address) => Docker::connect_with_http(&format!("tcp://{address}"), TIMEOUT, &version),
        };
        docker.map_err(|error| self.unreachable(&error))
    }

    /// The newest API version that it speaks: `1.41`. Shows that it is there by the cheapest request there is: the
    /// one for its version makes it run three other programs.
    ///
    /// # Errors
    /// When nobody answers in time, or the certificates do not fit.
    pub async fn api_version(&self) -> Result<String, Failure> {
        let endpoint = self.endpoint()?;
        let answer = tokio::time::timeout(HELLO, endpoint.get("/_ping")).await.map_err(|_| {
            Failure::environment(format!("the docker daemon at {self} does not answer"))
                .because(format!("no reply within {HELLO:?}"))
        })?;
        let answer = answer.map_err(|error| self.failure("say that it is there", error))?;
        let version = answer.headers().get("api-version").and_then(|value| value.to_str().ok());
        Ok(version.unwrap_or_default().to_owned())
    }

    /// The address in the form that builds and single requests take.
    ///
    /// # Errors
    /// When the address is not `HOST:PORT`.
    pub fn endpoint(&self) -> Result<Endpoint, Failure> {
        let host_and_port = |address: &str| {
            let (host, port) = address.rsplit_once(':')?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some((host.to_owned(), port.parse().ok()?))
        };
        let unclear = || {
            Failure::environment(format!("the docker daemon's address `{self}` is not HOST:PORT"))
                .help("write the port, too: 2376 by custom with TLS, 2375 without")
        };
        match self {
            Self::Socket(path) => Ok(Endpoint::Unix(path.clone())),
            Self::Plain(address) => {
                let (host, port) = host_and_port(address).ok_or_else(unclear)?;
                Ok(Endpoint::Tcp { host, port })
            }
            Self::Tls { address, certificates } => {
                let (host, port) = host_and_port(address).ok_or_else(unclear)?;
                let file = |name: &str| certificates.join(name);
                Ok(Endpoint::Tls { host, port, ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") })
            }
        }
    }

    /// The error for a request that asked it to `doing`.
    pub fn failure(&self, doing: &str, error: buildkit::Error) -> Failure {
        match error {
            buildkit::Error::Connect { source, .. } => self.unreachable(&source),
            buildkit::Error::Tls { subject, message } => Failure::environment(format!(
                "the docker daemon at {self} and this machine do not trust each other"
            ))
            .because(format!("{subject}: {message}"))
            .help("if it is minikube's, its certificates may have been renewed: `minikube start` brings them here"),
            buildkit::Error::Broken { message, .. } => {
                Failure::environment(format!("the docker daemon at {self} went away"))
                    .because(message)
                    .help("see whether it still runs: `sudo systemctl status docker`, `minikube status`")
            }
            buildkit::Error::NoBuildKit { message } => {
                Failure::environment(format!("the docker daemon at {self} has no BuildKit"))
                    .because(message)
                    .help("use docker 20.10 or newer, on Linux containers; podman's docker socket does not offer it")
            }
            other => Failure::environment(format!("the docker daemon at {self} would not {doing}")).because(other),
        }
    }

    /// The error for a request that did not get through, with what usually helps.
    pub fn unreachable(&self, error: &(dyn Error + 'static)) -> Failure {
        let failure = Failure::environment(format!("no docker daemon answers at {self}")).because_of(error);
        let Self::Socket(path) = self else { return failure };
        let text = failure.to_string();
        if text.contains("ermission denied") {
            let group = group_of(path).unwrap_or_else(|| "docker".to_owned());
            failure.help(format!(
                "add yourself to the group that may use it: `sudo usermod -aG {group} $USER`, then log in anew"
            ))
        } else if path.exists() {
            failure.help("start it: `sudo systemctl start docker`, or open Docker Desktop")
        } else {
            failure.help(
                "install docker (https://docs.docker.com/engine/install/) or start it: `sudo systemctl start docker`",
            )
        }
    }

    /// Whether docker's clients would not come to it by themselves: it was found where they do not look.
    pub fn has_to_be_named(&self) -> bool {
        matches!(self, Self::Socket(path) if path != Path::new(SOCKET))
    }

    /// `command`, which is or runs a docker client, with this daemon for its own; `profile` as in [`Self::variables`].
    pub fn points(&self, command: Command, profile: Option<&str>) -> Command {
        let variables = self.variables(profile);
        VARIABLES.into_iter().fold(command, |command, name| match variables.get(name) {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        })
    }

    /// The variables that make docker clients use this daemon; `profile` is the minikube profile whose node it belongs
    /// to. Those of [`VARIABLES`] that are not among them have to be absent.
    pub fn variables(&self, profile: Option<&str>) -> BTreeMap<&'static str, String> {
        let [host, verify, certificates, active] = VARIABLES;
        let mut variables = BTreeMap::new();
        match self {
            Self::Socket(path) => {
                variables.insert(host, format!("unix://{}", path.display()));
            }
            Self::Tls { address, certificates: folder } => {
                variables.insert(host, format!("tcp://{address}"));
                variables.insert(verify, "1".to_owned());
                variables.insert(certificates, folder.display().to_string());
            }
            Self::Plain(address) => {
                variables.insert(host, format!("tcp://{address}"));
            }
        }
        if let Some(profile) = profile {
            variables.insert(active, profile.to_owned());
        }
        variables
    }
}

impl std::fmt::Display for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tls { address, .. } | Self::Plain(address) => f.write_str(address),
        }
    }
}

/// The name of the group that a file belongs to.
fn group_of(path: &Path) -> Option<String> {
    let gid = fs::metadata(path).ok()?.gid().to_string();
    let groups = fs::read_to_string("/etc/group").ok()?;
    let mut groups = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    groups.find(|fields| fields.get(2) == Some(&gid.as_str())).map(|fields| fields[0].to_owned())
}

/// Where the daemon listens if nothing says so: the first socket that is there of a system-wide daemon, a rootless
/// one, Docker Desktop and Colima; the first of them all if none is.
fn default_socket(variable: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let rootless = variable("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("docker.sock"));
    let at_home = |path: &str| variable("HOME").map(|home| PathBuf::from(home).join(path));
    let others = [rootless, at_home(".docker/run/docker.sock"), at_home(".colima/default/docker.sock")];
    let mut candidates = [Some(PathBuf::from(SOCKET))].into_iter().chain(others).flatten();
    candidates.find(|path| path.exists()).unwrap_or_else(|| SOCKET.into())
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: ContextEndpoint,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host")]
    host: String,
}

#[derive(Deserialize)]
struct ClientConfig {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

/// The docker client's folder of settings.
fn docker_folder() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".docker");
    env::var_os("DOCKER_CONFIG").map_or_else(home, PathBuf::from)
}

fn current_context(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("config.json")).ok()?;
    // A file that the docker client could not read either names no context.
    serde_json::from_str::<ClientConfig>(&text).ok()?.current_context
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Daemon, Digest};

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext": "desktop"}"#).unwrap();
        let hash = Digest::of_bytes(b"desktop").to_string();
        let meta = folder.path().join("contexts/meta").join(&hash);
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"desktop","Endpoints":{"docker":{"Host":"unix:///home/me/.docker/run/docker.sock"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        folder
    }

    fn found(variables: &[(&str, &str)], folder: &Path) -> Result<Daemon, String> {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Daemon::from_settings(&variable, folder).map_err(|failure| failure.message)
    }

    #[test]
    fn the_hosts_daemon_is_found_as_the_docker_client_finds_it() {
        let with_context = folder();
        let nothing = tempfile::tempdir().unwrap();
        let socket = |path: &str| Ok(Daemon::Socket(path.into()));
        let tls = |address: &str, certificates: PathBuf| Ok(Daemon::Tls { address: address.into(), certificates });
        let (with_context, nothing) = (with_context.path(), nothing.path());
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a Path, Result<Daemon, String>);
        let rows: Vec<Row<'_>> = vec![
            (&[], nothing, socket("/var/run/docker.sock")),
            (&[], with_context, socket("/home/me/.docker/run/docker.sock")),
            (&[("DOCKER_CONTEXT", "default")], with_context, socket("/var/run/docker.sock")),
            (&[("DOCKER_HOST", "unix:///tmp/d.sock"), ("DOCKER_CONTEXT", "x")], with_context, socket("/tmp/d.sock")),
            (&[("DOCKER_HOST", "tcp://10.0.0.1:2375")], nothing, Ok(Daemon::Plain("10.0.0.1:2375".into()))),
            (
                &[("DOCKER_HOST", "tcp://10.0.0.1:2376/"), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")],
                nothing,
                tls("10.0.0.1:2376", "/c".into()),
            ),
            (&[("DOCKER_HOST", "tcp://h:2376"), ("DOCKER_TLS_VERIFY", "1")], nothing, tls("h:2376", nothing.into())),
            // The shell is inside a docker-env: the variables name the node's daemon, not the host's.
            (
                &[("DOCKER_HOST", "tcp://127.0.0.1:32771"), ("MINIKUBE_ACTIVE_DOCKERD", "p")],
                nothing,
                socket("/var/run/docker.sock"),
            ),
            (
                &[
                    ("DOCKER_HOST", "tcp://127.0.0.1:32771"),
                    ("MINIKUBE_ACTIVE_DOCKERD", "p"),
                    ("MINIKUBE_EXISTING_DOCKER_HOST", "unix:///tmp/d.sock"),
                ],
                nothing,
                socket("/tmp/d.sock"),
            ),
            (
                &[("DOCKER_HOST", "ssh://me@far")],
                nothing,
                Err("DOCKER_HOST names the docker daemon `ssh://me@far`, which is not reached from here".into()),
            ),
        ];
        for (variables, folder, expected) in rows {
            assert_eq!(found(variables, folder), expected, "{variables:?}");
        }
    }

    #[test]
    fn only_a_socket_that_clients_do_not_look_at_has_to_be_named() {
        for (daemon, expected) in [
            (Daemon::Socket("/var/run/docker.sock".into()), false),
            (Daemon::Socket("/home/me/.colima/default/docker.sock".into()), true),
            (Daemon::Plain("h:2375".into()), false),
        ] {
            assert_eq!(daemon.has_to_be_named(), expected, "{daemon}");
        }
    }

    #[test]
    fn endpoints_are_host_and_port() {
        let endpoint = |daemon: Daemon| daemon.endpoint().map(|e| e.to_string()).map_err(|failure| failure.message);
        assert_eq!(endpoint(Daemon::Socket("/d.sock".into())), Ok("unix:///d.sock".into()));
        assert_eq!(endpoint(Daemon::Plain("h:2375".into())), Ok("tcp://h:2375".into()));
        assert_eq!(endpoint(Daemon::Plain("[::1]:2375".into())), Ok("tcp://[::1]:2375".into()));
        let tls = Daemon::Tls { address: "far".into(), certificates: "/c".into() };
        assert_eq!(endpoint(tls), Err("the docker daemon's address `far` is not HOST:PORT".into()));
    }

    #[tokio::test]
    async fn nobody_listening_says_what_to_start() {
        let failure = Daemon::Socket("/no/such.sock".into()).connect().await.map(|_| ()).unwrap_err();
        assert_eq!(failure.message, "no docker daemon answers at /no/such.sock");
        assert!(failure.help[0].contains("sudo systemctl start docker"), "{failure:?}");
    }
}
