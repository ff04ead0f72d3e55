//! What the watches have shown so far: one shelf of objects per kind.
//!
//! Plain data. Rules about it live in `rollout` and `diagnose`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;

use crate::diagnose::evidence::{ContainerOf, Exit, Exits, Identity, Kind, containers, waiting};

/// Objects of one kind by namespace and name.
pub type Shelf<K> = BTreeMap<(String, String), Arc<K>>;

/// Everything that was seen, as of now.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Deployments.
    pub deployments: Shelf<Deployment>,
    /// ReplicaSets: only who owns them and which revision they are matters.
    pub replica_sets: Shelf<PartialObjectMeta<ReplicaSet>>,
    /// StatefulSets.
    pub stateful_sets: Shelf<StatefulSet>,
    /// DaemonSets.
    pub daemon_sets: Shelf<DaemonSet>,
    /// Jobs.
    pub jobs: Shelf<Job>,
    /// Pods.
    pub pods: Shelf<Pod>,
    /// Events.
    pub events: Shelf<Event>,
    /// The ends of containers. They outlive their pods: a Job's are removed when it has failed.
    pub exits: BTreeMap<ContainerOf, Exits>,
    /// Workloads that were seen to be deleted, and have not come back.
    pub deleted: BTreeSet<Identity>,
    /// What a kind's watch last failed with; gone once it works again.
    pub troubles: BTreeMap<&'static str, String>,
}

/// A kind that is kept on a shelf.
pub trait Kept: Sized {
    /// The kind, as error texts name it.
    const KIND: &'static str;
    /// What it is as a workload, if it is one.
    const WORKLOAD: Option<Kind>;
    /// The shelf.
    fn shelf(snapshot: &mut Snapshot) -> &mut Shelf<Self>;
    /// The object's metadata.
    fn meta_mut(&mut self) -> &mut ObjectMeta;
}

macro_rules! kept {
    ($type:ty, $kind:literal, $field:ident, $workload:expr) => {
        impl Kept for $type {
            const KIND: &'static str = $kind;
            const WORKLOAD: Option<Kind> = $workload;
            fn shelf(snapshot: &mut Snapshot) -> &mut Shelf<Self> {
                &mut snapshot.$field
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

kept!(Deployment, "deployments", deployments, Some(Kind::Deployment));
kept!(PartialObjectMeta<ReplicaSet>, "replicasets", replica_sets, None);
kept!(StatefulSet, "statefulsets", stateful_sets, Some(Kind::StatefulSet));
kept!(DaemonSet, "daemonsets", daemon_sets, Some(Kind::DaemonSet));
kept!(Job, "jobs", jobs, Some(Kind::Job));
kept!(Pod, "pods", pods, Some(Kind::Pod));
kept!(Event, "events", events, None);

/// A container that has ended and whose log has not been fetched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whose end.
    pub container: ContainerOf,
    /// Which end.
    pub container_id: String,
    /// Whether the kubelet keeps its log as the previous container's.
    pub previous: bool,
}

/// How many ends that happened before the watch began count: they are known by their number alone, and one more
/// like them has to be seen.
const UNSEEN: u32 = 2;

/// Whether the kubelet holds the container back because it keeps ending. A restart long ago is no part of that.
fn crashing(status: &ContainerStatus) -> bool {
    waiting(status).is_some_and(|(reason, _)| reason == "CrashLoopBackOff")
}

impl Snapshot {
    /// Puts an object on its shelf.
    pub fn put<K: Kept>(&mut self, key: (String, String), object: Arc<K>) {
        if let Some(kind) = K::WORKLOAD {
            self.deleted.remove(&Identity::new(kind, &key.0, &key.1));
        }
        K::shelf(self).insert(key, object);
    }

    /// Takes a deleted object off its shelf.
    pub fn delete<K: Kept>(&mut self, key: &(String, String)) {
        if let Some(kind) = K::WORKLOAD {
            self.deleted.insert(Identity::new(kind, &key.0, &key.1));
        }
        K::shelf(self).remove(key);
    }

    /// Notes the ends of containers that `pod` shows for the first time.
    pub fn note_exits(&mut self, pod: &Pod) -> Vec<Ended> {
        let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        // What another pod by this name did says nothing of this one, which may not have any container yet.
        let (namespace, name) = (pod.metadata.namespace.as_deref(), pod.metadata.name.as_deref());
        let same_name = |of: &ContainerOf| (Some(&*of.namespace), Some(&*of.pod)) == (namespace, name);
        self.exits.retain(|of, exits| exits.pod == uid || !same_name(of));
        let mut fresh = Vec::new();
        for status in containers(pod) {
            let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
            let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            // The count is of restarts: what does not run now after it ran has ended once more than it was restarted.
            let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
            let ended = now.is_some() || (!running && last.is_some());
            let seen = u32::try_from(status.restart_count).unwrap_or_default() + u32::from(ended);
            for (end, previous) in [(last, true), (now, false)] {
                let Some(end) = end else { continue };
                let Some(id) = end.container_id.clone().filter(|id| !id.is_empty()) else { continue };
                let container = ContainerOf::new(pod, &status.name);
                let exits = self.exits.entry(container.clone()).or_insert_with(|| Exits {
                    pod: uid.to_owned(),
                    owner: owner.map(|owner| owner.uid.clone()).unwrap_or_default(),
                    ends: 0,
                    all: Vec::new(),
                });
                exits.ends = exits.ends.max(seen);
                if exits.all.iter().any(|exit| exit.container_id == id) {
                    continue;
                }
                let known: u32 = exits.all.iter().map(|exit| exit.times).sum();
                // The last but one is counted by `seen` too when both states show an end.
                let here = seen.saturating_sub(u32::from(previous && now.is_some()));
                let missed = if crashing(status) { here.saturating_sub(known) } else { 1 };
                exits.all.push(Exit {
                    container_id: id.clone(),
                    times: missed.clamp(1, UNSEEN),
                    started: end.started_at.as_ref().map_or(jiff::Timestamp::UNIX_EPOCH, |time| time.0),
                    code: end.exit_code,
                    reason: end.reason.clone().unwrap_or_default(),
                    message: end.message.clone().unwrap_or_default(),
                    lines: None,
                });
                fresh.push(Ended { container, container_id: id, previous });
            }
        }
        fresh
    }

    /// Keeps the last lines of a container that ended.
    pub fn keep_lines(&mut self, ended: &Ended, lines: Vec<String>) {
        let exits = self.exits.get_mut(&ended.container).map(|exits| &mut exits.all);
        if let Some(exit) = exits.into_iter().flatten().find(|exit| exit.container_id == ended.container_id) {
            exit.lines = Some(lines);
        }
    }
}
