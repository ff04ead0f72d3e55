//! How a minikube cluster is: from its profile's file, the host's daemon, the daemon inside the node and the API
//! server. Nothing is changed and nothing is spawned.

use engine::failure::Failure;

use super::home::Home;
use super::node::{Node, State};
use super::profile::Profile;
use crate::world::daemon::Daemon;
use crate::world::kube_client::{Identity, Target, Unknown};

/// A cluster that answers.
#[derive(Clone)]
pub struct Ready {
    /// Which cluster it is.
    pub identity: Identity,
    /// The daemon inside the node.
    pub daemon: Daemon,
    /// The newest API version that this daemon speaks: `1.41`.
    pub api: String,
    /// What its node was made like.
    pub profile: Profile,
    /// The node's container.
    pub node: Node,
}

/// How a cluster is.
#[derive(Clone)]
pub enum Look {
    /// minikube knows no such profile.
    NoProfile,
    /// There is a profile, but its node's container is gone.
    NodeMissing(Profile),
    /// The container is there but does not run.
    NodeStopped(Node),
    /// Its processes are frozen.
    NodePaused,
    /// Whoever made it was ended before the node got an address: nothing has ever run in it.
    Unfinished(Profile),
    /// The container runs, but the daemon inside does not answer.
    DaemonSilent(Failure),
    /// The node is well, but the kubeconfig does not lead there.
    ContextMissing(Failure),
    /// The daemon answers, the API server does not.
    ApiSilent(Failure),
    /// All is well.
    Ready(Box<Ready>),
}

impl Look {
    /// Looks at the cluster of the profile `name`. `host` is the daemon of this machine.
    ///
    /// # Errors
    /// When the host's daemon does not answer, or the profile is of a kind that is not handled
    /// (see [`Profile::require_usable`]), or the API server refuses this user.
    pub async fn at(host: &Daemon, home: &Home, name: &str) -> Result<Self, Failure> {
        Self::through(Target::of(name), host, home, name).await
    }

    /// Looks at it through the connection of `target`, which has to lead where the context by the profile's name does.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub async fn through(
        target: impl Future<Output = Result<Target, Failure>>,
        host: &Daemon,
        home: &Home,
        name: &str,
    ) -> Result<Self, Failure> {
        let Some(profile) = Profile::read(home, name)? else { return Ok(Self::NoProfile) };
        profile.require_usable()?;
        if profile.nodes.first().is_none_or(|node| node.ip.is_empty()) {
            return Ok(Self::Unfinished(profile));
        }
        let node = Node::look(host, name).await?;
        match node.state {
            State::Missing => return Ok(Self::NodeMissing(profile)),
            State::Stopped => return Ok(Self::NodeStopped(node)),
            State::Paused => return Ok(Self::NodePaused),
            State::Running => {}
        }
        let Some(address) = node.daemon_address(&profile) else {
            let failure = Failure::environment(format!("the node of the minikube profile `{name}` has no address"));
            return Ok(Self::DaemonSilent(failure));
        };
        let daemon = Daemon::Tls { address, certificates: home.certificates() };
        let target = match target.await {
            Ok(target) if node.is_served_at(&profile, &target.server) => Ok(target),
            Ok(target) => Err(Failure::environment(format!(
                "the kubeconfig context `{name}` leads to {}, not to minikube's node",
                target.server
            ))),
            Err(failure) => Err(failure),
        };
        let identity = async {
            match target {
                Ok(target) => Ok(target.identity().await),
                Err(failure) => Err(failure),
            }
        };
        let (api, identity) = tokio::join!(daemon.api_version(), identity);
        let api = match api {
            Ok(api) => api,
            Err(failure) => return Ok(Self::DaemonSilent(failure)),
        };
        match identity {
            Err(failure) => Ok(Self::ContextMissing(failure)),
            Ok(Err(Unknown::Silent(failure))) => Ok(Self::ApiSilent(failure)),
            Ok(Err(Unknown::Refused(failure))) => Err(failure),
            Ok(Ok(identity)) => Ok(Self::Ready(Box::new(Ready { identity, daemon, api, profile, node }))),
        }
    }

    /// What is wrong, in a few words; `None` when all is well.
    pub fn trouble(&self) -> Option<&'static str> {
        match self {
            Self::NoProfile => Some("is not there"),
            Self::NodeMissing(_) => Some("has lost its node"),
            Self::NodeStopped(_) => Some("is stopped"),
            Self::NodePaused => Some("is paused"),
            Self::Unfinished(_) => Some("was not made to its end"),
            Self::DaemonSilent(_) => Some("runs, but its docker daemon does not answer"),
            Self::ContextMissing(_) => Some("has no usable kubeconfig context"),
            Self::ApiSilent(_) => Some("runs, but its API server does not answer"),
            Self::Ready(_) => None,
        }
    }

    /// Why, where somebody has said so.
    pub fn cause(self) -> Option<Failure> {
        match self {
            Self::DaemonSilent(failure) | Self::ContextMissing(failure) | Self::ApiSilent(failure) => Some(failure),
            Self::NoProfile
            | Self::NodeMissing(_)
            | Self::NodeStopped(_)
            | Self::NodePaused
            | Self::Unfinished(_)
            | Self::Ready(_) => None,
        }
    }
}
