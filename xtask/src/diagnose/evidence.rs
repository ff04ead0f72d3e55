//! What a diagnosis is made from: objects as the cluster showed them, and what was looked up because of them.
//!
//! Plain data. It never asks the cluster for anything, and holds no time but the cluster's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Node, PersistentVolumeClaim, Pod};
use serde::{Deserialize, Serialize};

/// The kinds of object that run pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// batch/v1 Job.
    Job,
    /// A Pod without an owner, as hooks and tests of charts have them.
    Pod,
}

impl Kind {
    /// The kind as manifests write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::Pod => "Pod",
        }
    }

    /// The kind that manifests write as `word`; `None` for a kind that runs no pods by itself.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::Job, Self::Pod]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// Which workload: its kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Identity {
    /// The workload `name` of `kind` in `namespace`.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)
    }
}

/// How far a workload's rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Pods of the newest template that are available.
    pub ready: i32,
    /// Pods that there should be.
    pub desired: i32,
    /// What it still waits for; `None` when the rollout is complete.
    pub waiting: Option<String>,
}

impl Rollout {
    /// Whether nothing is left to wait for.
    pub const fn is_complete(&self) -> bool {
        self.waiting.is_none()
    }
}

/// The condition of a Deployment that is paused before its rollout is complete. Its controller reports one of its own
/// only where there is a progressDeadlineSeconds.
pub const HELD: &str = "Held";

/// A condition of a workload (`Failed`, `ReplicaFailure`, `Progressing`), of whatever kind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: String,
    /// Whether its status is `True`.
    pub holds: bool,
    /// Its reason; empty when there is none.
    pub reason: String,
    /// Its message; empty when there is none.
    pub message: String,
}

/// A workload with the pods of its newest template.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Which one.
    pub identity: Identity,
    /// Its uid.
    pub uid: String,
    /// How far it is.
    pub rollout: Rollout,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// Uids of the objects that create its pods: its newest ReplicaSet, or itself.
    pub creators: BTreeSet<String>,
    /// Its pods of the newest template, those that are ending left out.
    pub pods: Vec<Arc<Pod>>,
}

impl Workload {
    /// The condition of type `kind`, when it holds.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind && condition.holds)
    }

    /// Since when all its pods have been ready, by the kubelet's clock; `None` while it is not complete.
    pub fn ready_since(&self) -> Option<Timestamp> {
        self.rollout.is_complete().then(|| {
            self.pods
                .iter()
                .filter_map(|pod| pod_condition(pod, "Ready")?.last_transition_time.as_ref())
                .map(|time| time.0)
                .max()
                .unwrap_or(Timestamp::UNIX_EPOCH)
        })
    }
}

/// One container that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The runtime's ID of the container, so that each end is counted once.
    pub container_id: String,
    /// How many ends this one stands for: more than one when restarts were not seen one by one.
    pub times: u32,
    /// When it was started, by the kubelet's clock.
    pub started: Timestamp,
    /// Its exit code.
    pub code: i32,
    /// The runtime's reason: `Error`, `OOMKilled`, `Completed`, `ContainerCannotRun`; empty when there is none.
    pub reason: String,
    /// The runtime's message; empty when there is none.
    pub message: String,
    /// The last lines of its log; `None` until they have been fetched.
    pub lines: Option<Vec<String>>,
}

/// Whose exits: a container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerOf {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
}

impl ContainerOf {
    /// The container `name` of `pod`.
    pub fn new(pod: &Pod, name: &str) -> Self {
        Self {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            pod: pod.metadata.name.clone().unwrap_or_default(),
            container: name.to_owned(),
        }
    }
}

impl fmt::Display for ContainerOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {} container {}", self.pod, self.container)
    }
}

/// The ends of one container of one pod, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exits {
    /// The uid of the pod, for a StatefulSet's next one has the same name; empty where the ends of several are taken together.
    pub pod: String,
    /// The uid of the pod's controller; empty for a bare pod.
    pub owner: String,
    /// How often the container has ended in its pod's life, seen or not.
    pub ends: u32,
    /// The ends that were seen, oldest first.
    pub all: Vec<Exit>,
}

/// A Secret or a ConfigMap that a pod needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `Secret` or `ConfigMap`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} `{}`", self.kind, self.name)
    }
}

/// Something that would complete a diagnosis, and is only looked up when one needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// The last lines of a running container.
    Log(ContainerOf),
    /// The names of an object's keys.
    Keys(Reference),
    /// All nodes, and all pods that are bound to one.
    Capacity,
    /// A PersistentVolumeClaim.
    Claim {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What was looked up.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// The last lines of containers.
    pub logs: BTreeMap<ContainerOf, Vec<String>>,
    /// The keys of objects; `None` for an object that does not exist. Never a value.
    pub keys: BTreeMap<Reference, Option<BTreeSet<String>>>,
    /// All nodes.
    pub nodes: Option<Vec<Node>>,
    /// All pods of the cluster that are bound to a node.
    pub bound: Vec<Pod>,
    /// Claims by namespace and name; `None` for one that does not exist.
    pub claims: BTreeMap<(String, String), Option<PersistentVolumeClaim>>,
}

/// All that is known when a diagnosis is asked for.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The workloads that belong together (a release).
    pub workloads: Vec<Workload>,
    /// Every pod of their namespaces, others' and ending ones too: what ends makes room.
    pub neighbours: Vec<Arc<Pod>>,
    /// The events of their namespaces.
    pub events: Vec<Arc<Event>>,
    /// The ends of containers that were seen.
    pub exits: BTreeMap<ContainerOf, Exits>,
    /// What was looked up so far.
    pub findings: Findings,
}

impl Evidence {
    /// The events about the object `uid`, latest first.
    pub fn events_of<'a>(&'a self, uid: &'a str) -> Vec<&'a Event> {
        let mut events: Vec<&Event> = self
            .events
            .iter()
            .filter(|event| event.involved_object.uid.as_deref() == Some(uid))
            .map(AsRef::as_ref)
            .collect();
        events.sort_by_key(|event| std::cmp::Reverse(when(event)));
        events
    }

    /// The last lines of a container: of its last end where it ended, else of what runs.
    pub fn lines(&self, container: &ContainerOf) -> Vec<String> {
        let ended =
            self.exits.get(container).and_then(|exits| exits.all.iter().rev().find_map(|exit| exit.lines.clone()));
        ended.or_else(|| self.findings.logs.get(container).cloned()).unwrap_or_default()
    }
}

/// When an event last happened.
pub fn when(event: &Event) -> Timestamp {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    series.or(last).or(first).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The condition `kind` of a pod.
pub fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// The statuses of a pod's containers, init containers first.
pub fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().chain(main).flatten()
}

/// Why a container waits: reason and message.
pub fn waiting(status: &ContainerStatus) -> Option<(&str, &str)> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    Some((waiting.reason.as_deref().unwrap_or_default(), waiting.message.as_deref().unwrap_or_default()))
}

/// The name of a pod; empty for one without.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// The uid of a pod; empty for one without.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}
