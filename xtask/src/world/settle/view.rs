//! Turns a [`Snapshot`] into the workloads of a scope, each with the pods of its newest template.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::rollout;
use super::scope::Scope;
use super::snapshot::Snapshot;
use crate::diagnose::evidence::{Condition, Evidence, Findings, HELD, Identity, Kind, Rollout, Workload};

const REVISION: &str = "deployment.kubernetes.io/revision";
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// What a diagnosis starts from: the workloads of the scope and all that was seen around them.
pub fn evidence(snapshot: &Snapshot, scope: &Scope, findings: Findings) -> Evidence {
    Evidence {
        workloads: workloads(snapshot, scope),
        neighbours: snapshot.pods.values().cloned().collect(),
        events: snapshot.events.values().cloned().collect(),
        exits: snapshot.exits.clone(),
        findings,
    }
}

/// The workloads of the scope, by kind and name.
pub fn workloads(snapshot: &Snapshot, scope: &Scope) -> Vec<Workload> {
    let mut found = Vec::new();
    for object in snapshot.deployments.values() {
        let Some(identity) = scope.identity(Kind::Deployment, &object.metadata) else { continue };
        let creators = newest_replica_set(snapshot, &object.metadata);
        let pods = owned(snapshot, &creators, |_| true);
        let status = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let held = rollout::is_held(object).then(|| condition(Some(HELD), Some("True"), None, None));
        let conditions = status
            .map(|c| condition(c.type_.as_deref(), c.status.as_deref(), c.reason.as_deref(), c.message.as_deref()))
            .chain(held)
            .collect();
        found.push(workload(identity, &object.metadata, rollout::deployment(object), conditions, creators, pods));
    }
    for object in snapshot.stateful_sets.values() {
        let Some(identity) = scope.identity(Kind::StatefulSet, &object.metadata) else { continue };
        let newest = object.status.as_ref().and_then(|status| status.update_revision.clone());
        let creators = itself(&object.metadata);
        let pods = owned(snapshot, &creators, |pod| label(pod, "controller-revision-hash") == newest.as_deref());
        found.push(workload(identity, &object.metadata, rollout::stateful_set(object), Vec::new(), creators, pods));
    }
    for object in snapshot.daemon_sets.values() {
        let Some(identity) = scope.identity(Kind::DaemonSet, &object.metadata) else { continue };
        let newest = object.metadata.annotations.as_ref().and_then(|all| all.get(TEMPLATE_GENERATION));
        let creators = itself(&object.metadata);
        let pods = owned(snapshot, &creators, |pod| {
            newest.is_none_or(|newest| label(pod, "pod-template-generation") == Some(newest))
        });
        found.push(workload(identity, &object.metadata, rollout::daemon_set(object), Vec::new(), creators, pods));
    }
    for object in snapshot.jobs.values() {
        let Some(identity) = scope.identity(Kind::Job, &object.metadata) else { continue };
        let creators = itself(&object.metadata);
        let pods = owned(snapshot, &creators, |_| true);
        let status = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let conditions = status
            .map(|c| condition(Some(&c.type_), Some(&c.status), c.reason.as_deref(), c.message.as_deref()))
            .collect();
        found.push(workload(identity, &object.metadata, rollout::job(object), conditions, creators, pods));
    }
    for object in snapshot.pods.values().filter(|pod| pod.metadata.owner_references.is_none()) {
        let Some(identity) = scope.identity(Kind::Pod, &object.metadata) else { continue };
        let status = object.status.as_ref();
        let failed = status.and_then(|status| status.phase.as_deref()) == Some("Failed");
        let said = |text: Option<&String>| text.cloned().unwrap_or_default();
        let conditions = vec![Condition {
            kind: "Failed".to_owned(),
            holds: failed,
            reason: said(status.and_then(|status| status.reason.as_ref())),
            message: said(status.and_then(|status| status.message.as_ref())),
        }];
        let pods = vec![Arc::clone(object)];
        let creators = itself(&object.metadata);
        found.push(workload(identity, &object.metadata, rollout::pod(object), conditions, creators, pods));
    }
    found
}

/// The generation of each workload by uid: what has another one later was changed meanwhile.
pub fn generations(workloads: &[Workload], snapshot: &Snapshot) -> BTreeMap<String, i64> {
    workloads.iter().map(|workload| (workload.uid.clone(), generation(&workload.identity, snapshot))).collect()
}

/// The generation of a workload; 0 when it is not there.
pub fn generation(identity: &Identity, snapshot: &Snapshot) -> i64 {
    let key = (identity.namespace.clone(), identity.name.clone());
    let generation = match identity.kind {
        Kind::Deployment => snapshot.deployments.get(&key).and_then(|object| object.metadata.generation),
        Kind::StatefulSet => snapshot.stateful_sets.get(&key).and_then(|object| object.metadata.generation),
        Kind::DaemonSet => snapshot.daemon_sets.get(&key).and_then(|object| object.metadata.generation),
        Kind::Job => snapshot.jobs.get(&key).and_then(|object| object.metadata.generation),
        Kind::Pod => snapshot.pods.get(&key).and_then(|object| object.metadata.generation),
    };
    generation.unwrap_or_default()
}

fn workload(
    identity: Identity,
    meta: &ObjectMeta,
    rollout: Rollout,
    conditions: Vec<Condition>,
    creators: BTreeSet<String>,
    pods: Vec<Arc<Pod>>,
) -> Workload {
    Workload { identity, uid: meta.uid.clone().unwrap_or_default(), rollout, conditions, creators, pods }
}

fn condition(kind: Option<&str>, status: Option<&str>, reason: Option<&str>, message: Option<&str>) -> Condition {
    Condition {
        kind: kind.unwrap_or_default().to_owned(),
        holds: status == Some("True"),
        reason: reason.unwrap_or_default().to_owned(),
        message: message.unwrap_or_default().to_owned(),
    }
}

fn itself(meta: &ObjectMeta) -> BTreeSet<String> {
    meta.uid.iter().cloned().collect()
}

/// The uid of the Deployment's ReplicaSet of its newest revision.
fn newest_replica_set(snapshot: &Snapshot, deployment: &ObjectMeta) -> BTreeSet<String> {
    let revision = |meta: &ObjectMeta| meta.annotations.as_ref().and_then(|all| all.get(REVISION).cloned());
    let newest = revision(deployment);
    let owned = |meta: &ObjectMeta| {
        meta.owner_references.iter().flatten().any(|owner| Some(&owner.uid) == deployment.uid.as_ref())
    };
    let sets = snapshot.replica_sets.values().map(|set| &set.metadata);
    sets.filter(|meta| owned(meta) && newest.is_some() && revision(meta) == newest)
        .filter_map(|meta| meta.uid.clone())
        .collect()
}

fn owned(snapshot: &Snapshot, owners: &BTreeSet<String>, newest: impl Fn(&Pod) -> bool) -> Vec<Arc<Pod>> {
    let owned = |pod: &Pod| pod.metadata.owner_references.iter().flatten().any(|owner| owners.contains(&owner.uid));
    let pods = snapshot.pods.values();
    pods.filter(|pod| pod.metadata.deletion_timestamp.is_none() && owned(pod) && newest(pod)).cloned().collect()
}

fn label<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(name).map(String::as_str)
}
