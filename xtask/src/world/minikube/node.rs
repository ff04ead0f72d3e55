//! The container that is minikube's node, as the host's daemon sees it, and the daemon inside.
//!
//! Asked anew in every run: address and published ports change whenever the node starts.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, PortBinding};
use buildkit::Error;
use engine::failure::Failure;

use super::home::Home;
use super::profile::Profile;
use crate::world::daemon::Daemon;

/// Where the daemon inside the node listens, behind TLS.
const DAEMON_PORT: u16 = 2376;

/// How the container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The host's daemon knows no such container.
    Missing,
    /// It is there but does not run.
    Stopped,
    /// Its processes are frozen.
    Paused,
    /// It runs.
    Running,
}

/// The node's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// How it is.
    pub state: State,
    /// Where each of its TCP ports answers on this machine. Of a node that does not run: where it will.
    pub published: BTreeMap<u16, Vec<String>>,
}

impl Node {
    /// Looks at the node of `profile` in the host's daemon.
    ///
    /// # Errors
    /// When that daemon does not answer.
    pub async fn look(host: &Daemon, profile: &str) -> Result<Self, Failure> {
        const DOING: &str = "look at minikube's node";
        match host.endpoint()?.get(&format!("/containers/{profile}/json")).await {
            Ok(answer) => serde_json::from_slice(answer.body()).map(Self::from_container).map_err(|error| {
                Failure::environment(format!("could not understand what {host} says of {profile}")).because(error)
            }),
            Err(Error::Refused { status: 404, .. }) => Ok(Self { state: State::Missing, published: BTreeMap::new() }),
            Err(error) => Err(host.failure(DOING, error)),
        }
    }

    fn from_container(container: ContainerInspectResponse) -> Self {
        let status = container.state.and_then(|state| state.status);
        let state = match status {
            Some(ContainerStateStatusEnum::RUNNING) => State::Running,
            Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
            _ => State::Stopped,
        };
        let asked = container.host_config.and_then(|config| config.port_bindings);
        let actual = container.network_settings.and_then(|settings| settings.ports);
        let ports = if state == State::Stopped { asked } else { actual };
        let published = ports.unwrap_or_default().into_iter().filter_map(|(port, bindings)| {
            let port = port.strip_suffix("/tcp")?.parse().ok()?;
            Some((port, bindings.unwrap_or_default().iter().filter_map(address).collect()))
        });
        Self { state, published: published.collect() }
    }

    /// Where the daemon inside answers: at the port that the host's daemon publishes for it, or where there is none at
    /// the node's own address, which Linux hosts reach. `None` where there is neither.
    pub fn daemon_address(&self, profile: &Profile) -> Option<String> {
        let published = self.published.get(&DAEMON_PORT).and_then(|addresses| addresses.first().cloned());
        let own = || profile.nodes.first().filter(|node| !node.ip.is_empty());
        published.or_else(|| own().map(|node| format!("{}:{DAEMON_PORT}", node.ip)))
    }

    /// Whether `server`, an address in a kubeconfig, leads to this node's API server.
    pub fn is_served_at(&self, profile: &Profile, server: &str) -> bool {
        let Some(node) = profile.nodes.first() else { return false };
        let at = server.trim_start_matches("https://").trim_end_matches('/');
        let Some((host, port)) = at.rsplit_once(':') else { return false };
        let same_port = |address: &String| address.rsplit_once(':').is_some_and(|(_, published)| published == port);
        // A published port may be written with any of this machine's names.
        (host == node.ip && port == node.port.to_string())
            || self.published.get(&node.port).is_some_and(|addresses| addresses.iter().any(same_port))
    }
}

/// `127.0.0.1:32771`: where a client on this machine gets through to a binding.
fn address(binding: &PortBinding) -> Option<String> {
    // Port 0, or none, means "any": it is not known before the container runs.
    let port = binding.host_port.as_deref().filter(|port| !port.is_empty() && *port != "0")?;
    Some(match binding.host_ip.as_deref() {
        None | Some("" | "0.0.0.0") => format!("127.0.0.1:{port}"),
        Some("::") => format!("[::1]:{port}"),
        Some(ip) if ip.contains(':') => format!("[{ip}]:{port}"),
        Some(ip) => format!("{ip}:{port}"),
    })
}

/// The daemon inside the node of the profile `name`, confirmed by nobody yet.
///
/// # Errors
/// When there is no such profile, it is of a kind that is not handled, or its node does not run.
pub async fn daemon(name: &str) -> Result<Daemon, Failure> {
    let home = Home::find();
    let Some(profile) = Profile::read(&home, name)? else {
        return Err(Failure::environment(format!("there is no minikube profile `{name}`"))
            .because("images for pods are built in the docker daemon of minikube's node")
            .help("`cargo xtask deploy cluster` makes it, where the graph file says driver = \"minikube\"")
            .help("for a cluster of another kind, say daemon = \"host\" and push the images"));
    };
    profile.require_usable()?;
    let node = Node::look(&Daemon::of_host()?, name).await?;
    let address = node.daemon_address(&profile).filter(|_| node.state == State::Running);
    match address {
        Some(address) => Ok(Daemon::Tls { address, certificates: home.certificates() }),
        None => Err(Failure::environment(format!("the node of the minikube profile `{name}` does not run"))
            .help("start it: `cargo xtask deploy cluster`")),
    }
}

/// Lets a node go on whose processes were frozen with `docker pause`.
///
/// # Errors
/// When the host's daemon does not do it.
pub async fn unpause(host: &Daemon, profile: &str) -> Result<(), Failure> {
    let docker: Docker = host.connect().await?;
    docker.unpause_container(profile).await.map_err(|error| {
        Failure::environment(format!("could not let the paused container {profile} go on")).because_of(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::{ContainerInspectResponse, Node, State};
    use crate::world::minikube::Profile;

    fn node(status: &str, ports: &str) -> Node {
        let json = format!(
            r#"{{"State": {{"Status": "{status}"}}, "NetworkSettings": {{"Ports": {ports}}},
                 "HostConfig": {{"PortBindings": {{"2376/tcp": [{{"HostIp": "127.0.0.1", "HostPort": "0"}}],
                                                  "30080/tcp": [{{"HostIp": "127.0.0.1", "HostPort": "30080"}}]}}}}}}"#
        );
        Node::from_container(serde_json::from_str::<ContainerInspectResponse>(&json).unwrap())
    }

    fn profile() -> Profile {
        let text = r#"{"Driver": "docker", "Nodes": [{"IP": "192.168.49.2", "Port": 8443}],
            "KubernetesConfig": {"KubernetesVersion": "v1.34.4", "ContainerRuntime": "docker"}}"#;
        Profile::parse(text, "p", "/h/config.json".into()).unwrap()
    }

    #[test]
    fn a_context_that_leads_elsewhere_is_not_taken_for_this_node() {
        let node = node("running", r#"{"8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32769"}]}"#);
        let rows = [
            ("https://192.168.49.2:8443", true),
            ("https://127.0.0.1:32769/", true),
            ("https://localhost:32769", true),
            ("https://192.168.49.3:8443", false),
            ("https://127.0.0.1:8443", false),
            ("https://prod.example", false),
        ];
        for (server, expected) in rows {
            assert_eq!(node.is_served_at(&profile(), server), expected, "{server}");
        }
    }

    #[test]
    fn the_inner_daemon_is_reached_through_its_published_port_or_the_nodes_address() {
        let profile = profile();
        let rows = [
            (r#"{"2376/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32771"}]}"#, "127.0.0.1:32771"),
            (r#"{"2376/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32771"}]}"#, "127.0.0.1:32771"),
            (r#"{"2376/tcp": [{"HostIp": "::", "HostPort": "32771"}]}"#, "[::1]:32771"),
            (r#"{"2376/tcp": null, "8443/tcp": [{"HostIp": "127.0.0.1", "HostPort": "1"}]}"#, "192.168.49.2:2376"),
            ("{}", "192.168.49.2:2376"),
            ("null", "192.168.49.2:2376"),
        ];
        for (ports, expected) in rows {
            let address = node("running", ports).daemon_address(&profile);
            assert_eq!(address.as_deref(), Some(expected), "{ports}");
        }
    }

    #[test]
    fn a_stopped_node_tells_which_ports_it_will_want() {
        let rows = [("exited", State::Stopped), ("created", State::Stopped), ("dead", State::Stopped)];
        for (status, state) in rows {
            let node = node(status, "{}");
            assert_eq!((node.state, &node.published[&30080]), (state, &vec!["127.0.0.1:30080".to_owned()]));
            assert!(node.published[&2376].is_empty());
        }
        assert_eq!(node("paused", "{}").state, State::Paused);
    }
}
