//! The cluster that everything runs on: made and repaired (minikube), or recognised (a context that is there).
//!
//! Its output is the cluster's identity, which no other cluster has whatever its name. Where it answers may change
//! from run to run; later steps ask the world for that and see none of it here.

mod context;
mod minikube;
mod news;

use async_trait::async_trait;
use engine::config::{ByteSize, Cluster, Driver};
use engine::failure::Failure;
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::StepId;
use engine::verdict::{Difference, Observation};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::steps::{Belonging, Made, Scope, Step};
use crate::world::daemon::Daemon;
use crate::world::kube_client::{Identity, Target};
use crate::world::minikube::start::Wanted;

/// Which cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// A minikube profile of our own.
    Minikube {
        /// Its name, which is also its kubeconfig context's.
        profile: String,
        /// What its node is to be like.
        wanted: Wanted,
    },
    /// A cluster that is there already.
    Context {
        /// The kubeconfig context.
        context: String,
        /// The uid of its namespace `kube-system`, where the graph file vouches for it.
        identity: Option<String>,
    },
}

impl From<&Cluster> for Definition {
    fn from(cluster: &Cluster) -> Self {
        match cluster.driver {
            Driver::Minikube => Self::Minikube {
                profile: cluster.profile.clone(),
                wanted: Wanted {
                    kubernetes: cluster.kubernetes.as_ref().map(ToString::to_string),
                    cpus: cluster.cpus,
                    memory: cluster.memory.map(ByteSize::mebibytes),
                    ports: cluster.ports.iter().map(ToString::to_string).collect(),
                    start_args: cluster.start_args.clone(),
                },
            },
            Driver::Context => {
                Self::Context { context: cluster.kube_context().to_owned(), identity: cluster.identity.clone() }
            }
        }
    }
}

/// What later steps see of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The kubeconfig context that every call names.
    pub context: String,
    /// The minikube profile; `None` for a cluster that was there already.
    pub profile: Option<String>,
    /// The uid of the namespace `kube-system`.
    pub uid: String,
    /// Kubernetes' version where minikube has installed it: `v1.34.4`.
    pub kubernetes: Option<String>,
    /// The API version of the daemon inside the node, of a minikube cluster: `1.41`.
    pub daemon_api: Option<String>,
    /// What of it came from no registry: `its node assembled from Debian packages`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assembled: Vec<String>,
    /// The declared ports of this machine that lead into the node. A node keeps those that it was made with.
    #[serde(default)]
    pub ports: Vec<u16>,
}

/// What has to stay as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Observed {
    context: String,
    identity: Identity,
    /// Kubernetes' version, as in [`Facts`].
    kubernetes: Option<String>,
}

/// What was found, by whichever driver.
struct Found {
    facts: Facts,
    observed: Observed,
    summary: String,
    /// The daemon that the steps behind this one can go on with.
    node: Option<Daemon>,
}

/// Whether what is in a cluster can be looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    /// It answers, or tells whoever asks why not.
    Answers,
    /// There is no such cluster, so there is nothing in it.
    Absent,
    /// It is there, and nobody in it answers; the failure says why, and what helps.
    Silent(Failure),
}

/// The step `cluster`.
#[derive(Debug, Clone)]
pub struct ClusterStep {
    id: StepId,
    definition: Definition,
    accepted: Option<String>,
}

impl ClusterStep {
    /// The step for the cluster that the graph file declares.
    pub fn new(definition: Definition) -> Self {
        Self { id: StepId::cluster(), definition, accepted: None }
    }

    /// A person has said yes to the cluster with this uid; see [`Self::question`].
    pub fn accept(&mut self, uid: impl Into<String>) {
        self.accepted = Some(uid.into());
    }

    /// The cluster that a person has to say yes to before the first deploy to it: one that was there already, that
    /// the graph file does not vouch for and that no earlier deploy went to. `None` when there is nothing to ask.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn question(&self, previous: Option<&Receipt>) -> Result<Option<Identity>, Failure> {
        match &self.definition {
            Definition::Context { context, identity: None } if self.previous(previous).is_none() => {
                Ok(Some(context::identity(Target::of(context).await?).await?))
            }
            _ => Ok(None),
        }
    }

    /// Makes sure that the cluster which answers is the one that the graph file declares or that earlier deploys went
    /// to, for commands that deploy nothing; other steps then know of it what they would after this one has run.
    /// `false` when neither says anything about it. A minikube profile is known by its name, and need not run.
    ///
    /// # Errors
    /// `Class::Cluster` for another cluster; or it does not answer.
    pub async fn expect(&self, cx: &Context, previous: Option<&Receipt>) -> Result<bool, Failure> {
        let previous = self.previous(previous);
        let found = match &self.definition {
            // One that could not be deployed to, as its Kubernetes is newer than declared, can still be cleared.
            Definition::Minikube { profile, wanted } => {
                minikube::look(cx, profile, wanted).await.ok().and_then(Result::ok)
            }
            Definition::Context { identity: None, .. } if previous.is_none() => return Ok(false),
            Definition::Context { context, identity } => {
                Some(self.recognise(cx, context, identity.as_deref(), previous.as_ref()).await?)
            }
        };
        if let Some(found) = found {
            cx.world.found_node(found.node.clone()).await;
            cx.set_output(&self.id, found.made()?.output);
        }
        Ok(true)
    }

    /// Whether what is in the cluster can be looked at, for commands that start none.
    ///
    /// # Errors
    /// When the address of this machine's docker is not understood.
    pub async fn presence(&self, cx: &Context) -> Result<Presence, Failure> {
        match &self.definition {
            Definition::Minikube { profile, .. } => minikube::presence(cx, profile).await,
            Definition::Context { .. } => Ok(Presence::Answers),
        }
    }

    /// What an earlier deploy to the same context has seen.
    fn previous(&self, receipt: Option<&Receipt>) -> Option<Observed> {
        let observed: Observed = serde_json::from_value(receipt?.observed.clone()).ok()?;
        (observed.context == self.context()).then_some(observed)
    }

    async fn recognise(
        &self,
        cx: &Context,
        context: &str,
        declared: Option<&str>,
        previous: Option<&Observed>,
    ) -> Result<Found, Failure> {
        context::recognise(cx.world.target().await?, context, declared, self.accepted.as_deref(), previous).await
    }

    fn context(&self) -> &str {
        match &self.definition {
            Definition::Minikube { profile, .. } => profile,
            Definition::Context { context, .. } => context,
        }
    }
}

#[async_trait]
impl Step for ClusterStep {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn pool(&self) -> Pool {
        Pool::Cluster
    }

    fn lock_name(&self, cx: &Context) -> Result<String, Failure> {
        Ok(match &self.definition {
            Definition::Minikube { profile, .. } => minikube::lock_name(profile),
            // Nothing is changed there. And what another checkout was allowed is no leave for this one.
            Definition::Context { context, .. } => format!("context {context} in {}", cx.workspace.root().display()),
        })
    }

    fn is_done_in_checkout(&self) -> bool {
        matches!(self.definition, Definition::Context { .. })
    }

    async fn gather(&self, cx: &Context) -> Result<Manifest, Failure> {
        let mut manifest = Manifest::new(self.id.clone());
        match &self.definition {
            Definition::Minikube { profile, wanted } => {
                manifest.value(Source::Definition, "driver", "minikube");
                manifest.value(Source::Definition, "profile", profile);
                minikube::gather(cx, wanted, &mut manifest).await?;
            }
            Definition::Context { context, identity } => {
                manifest.value(Source::Definition, "driver", "context");
                manifest.value(Source::Definition, "context", context);
                manifest.value(Source::Definition, "identity", identity.as_deref().unwrap_or_default());
            }
        }
        Ok(manifest)
    }

    fn understands(&self, receipt: &Receipt) -> bool {
        super::has_shapes::<Facts, Observed>(receipt)
    }

    async fn observe(&self, cx: &Context, receipt: &Receipt) -> Result<Observation, Failure> {
        let previous = self.previous(Some(receipt));
        let found = match &self.definition {
            Definition::Minikube { profile, wanted } => match minikube::look(cx, profile, wanted).await? {
                Ok(found) => found,
                Err(trouble) => return Ok(Observation::differs(trouble)),
            },
            Definition::Context { context, identity } => {
                self.recognise(cx, context, identity.as_deref(), previous.as_ref()).await?
            }
        };
        cx.world.found_node(found.node).await;
        let Some(previous) = previous else { return Ok(Observation::differs(Difference::Missing(other_context()))) };
        Ok(match difference(&previous, &found.observed) {
            Some(difference) => Observation::differs(difference),
            None => Observation::as_recorded(),
        })
    }

    async fn perform(&self, cx: &Context, job: &Job) -> Result<Made, Failure> {
        // Whatever was connected before may lead elsewhere when this is done.
        cx.world.forget_connections().await;
        let found = match &self.definition {
            Definition::Minikube { profile, wanted } => minikube::perform(cx, &self.id, profile, wanted).await?,
            Definition::Context { context, identity } => {
                let previous = self.previous(job.previous.as_ref());
                self.recognise(cx, context, identity.as_deref(), previous.as_ref()).await?
            }
        };
        cx.world.forget_connections().await;
        cx.world.found_node(found.node.clone()).await;
        found.made()
    }

    async fn belongings(&self, cx: &Context, scope: Scope) -> Result<Vec<Belonging>, Failure> {
        match &self.definition {
            Definition::Minikube { profile, .. } => minikube::belongings(&cx.cluster_project, profile, scope).await,
            Definition::Context { .. } => Ok(Vec::new()),
        }
    }

    async fn remove(&self, cx: &Context, scope: Scope) -> Result<(), Failure> {
        match &self.definition {
            Definition::Minikube { profile, .. } => {
                minikube::remove(cx, &self.id, profile, scope).await?;
                cx.world.forget_connections().await;
                Ok(())
            }
            Definition::Context { .. } => Ok(()),
        }
    }
}

impl Found {
    fn made(self) -> Result<Made, Failure> {
        let json = |error| Failure::step("could not write down which cluster this is").because(error);
        Ok(Made {
            output: Output {
                facts: serde_json::to_value(&self.facts).map_err(json)?,
                digest: self.observed.identity.digest(),
            },
            observed: serde_json::to_value(&self.observed).map_err(json)?,
            summary: self.summary,
        })
    }
}

fn other_context() -> String {
    "the receipt is about another context".to_owned()
}

/// How the cluster that answers differs from the one that answered before.
fn difference(before: &Observed, now: &Observed) -> Option<Difference> {
    let context = &now.context;
    if !before.identity.is_same_cluster(&now.identity) {
        let (old, new) = (short(&before.identity.uid), short(&now.identity.uid));
        let what =
            if old == new { "has another CA".to_owned() } else { format!("was made anew: uid {old}… → {new}…") };
        return Some(Difference::Missing(format!("the cluster {context} {what}")));
    }
    if before.identity.server != now.identity.server {
        let (old, new) = (&before.identity.server, &now.identity.server);
        return Some(Difference::Altered(format!("{context} answers elsewhere: {old} → {new}")));
    }
    if before.kubernetes != now.kubernetes {
        let (old, new) = (text(before.kubernetes.as_deref()), text(now.kubernetes.as_deref()));
        return Some(Difference::Altered(format!("{context} runs another Kubernetes: {old} → {new}")));
    }
    None
}

fn short(uid: &str) -> &str {
    uid.get(..8).unwrap_or(uid)
}

fn text(version: Option<&str>) -> &str {
    version.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use engine::digest::Digest;

    use super::{Difference, Identity, Observed, difference};

    fn observed(uid: &str, ca: &str, server: &str, kubernetes: &str) -> Observed {
        let ca = Some(Digest::of_bytes(ca.as_bytes()));
        let identity = Identity { uid: uid.into(), ca, server: server.into() };
        Observed { context: "todo".into(), identity, kubernetes: Some(kubernetes.into()) }
    }

    #[test]
    fn a_cluster_is_known_by_uid_and_ca_and_not_by_its_name() {
        let before = observed("3f0e4c1a-5b7d", "ca", "https://a:8443", "v1.34.4");
        let missing = |text: &str| Some(Difference::Missing(text.into()));
        let altered = |text: &str| Some(Difference::Altered(text.into()));
        let rows = [
            (before.clone(), None),
            (
                observed("90aa4c1a-5b7d", "ca", "https://a:8443", "v1.34.4"),
                missing("the cluster todo was made anew: uid 3f0e4c1a… → 90aa4c1a…"),
            ),
            (observed("3f0e4c1a-5b7d", "cb", "https://a:8443", "v1.34.4"), missing("the cluster todo has another CA")),
            (
                observed("3f0e4c1a-5b7d", "ca", "https://b:8443", "v1.34.4"),
                altered("todo answers elsewhere: https://a:8443 → https://b:8443"),
            ),
            (
                observed("3f0e4c1a-5b7d", "ca", "https://a:8443", "v1.35.0"),
                altered("todo runs another Kubernetes: v1.34.4 → v1.35.0"),
            ),
        ];
        for (now, expected) in rows {
            assert_eq!(difference(&before, &now), expected);
        }
    }

    #[test]
    fn where_a_cluster_answers_is_no_part_of_its_output() {
        let here = observed("3f0e4c1a-5b7d", "ca", "https://a:8443", "v1.34.4");
        let there = observed("3f0e4c1a-5b7d", "ca", "https://b:8443", "v1.34.4");
        let other = observed("3f0e4c1b-5b7d", "ca", "https://a:8443", "v1.34.4");
        assert_eq!(here.identity.digest(), there.identity.digest());
        assert_ne!(here.identity.digest(), other.identity.digest());
    }
}
