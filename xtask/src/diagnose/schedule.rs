//! A pod that no node takes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{Evidence, Want, Workload, name, pod_condition};
use super::quantity;
use super::reference::between;

const CLASS: &str = "schedule";

/// Taints that a starting node bears and loses by itself.
const STARTING: [&str; 3] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/network-unavailable",
    "node.cloudprovider.kubernetes.io/uninitialized",
];

/// The condition `PodScheduled` that is false with the reason `Unschedulable`.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    workload.pods.iter().find_map(|pod| {
        let condition = pod_condition(pod, "PodScheduled")
            .filter(|condition| condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable"))?;
        let message = condition.message.as_deref().unwrap_or_default();
        if message.contains("ersistentvolumeclaim") || message.contains("ersistentVolumeClaim") {
            return None;
        }
        // "0/1 nodes are available: 1 Insufficient cpu, 1 ... . preemption: ..."
        let reasons = between(message, "nodes are available: ", ". ").unwrap_or(message);
        let lacking: Vec<&str> = reasons
            .split("Insufficient ")
            .skip(1)
            .map(|rest| rest.split([',', ' ']).next().unwrap_or(rest).trim_end_matches('.'))
            .collect();
        let starting = STARTING.iter().any(|taint| reasons.contains(taint));
        let heals = starting || (!lacking.is_empty() && room_is_coming(pod, &lacking, evidence));
        let patience = if heals { Patience::UntilDeadline } else { Patience::LONG };
        let diagnosis = Diagnosis::new(CLASS, &workload.identity, format!("no node has room for pod {}", name(pod)))
            .patience(patience)
            .wants(Want::Capacity);
        if lacking.is_empty() {
            let mut diagnosis = diagnosis.because(reasons).help(format!(
                "change the nodeSelector, affinity or tolerations of {}, or the node's labels and taints",
                workload.identity
            ));
            diagnosis.title = format!("no node takes pod {}", name(pod));
            return Some(diagnosis);
        }
        let nodes = evidence.findings.nodes.as_deref().unwrap_or_default();
        let diagnosis = lacking.iter().fold(diagnosis, |diagnosis, resource| {
            diagnosis.because(shortage(resource, pod, nodes, &evidence.findings.bound))
        });
        Some(diagnosis.help(format!(
            "lower resources.requests in {} or its replicas, stop something else, or give the cluster more",
            workload.identity
        )))
    })
}

/// Whether the pod will fit once those that are ending, and Jobs', are gone. Until the nodes have been looked at, an
/// ending neighbour is reason enough to wait.
fn room_is_coming(pod: &Pod, lacking: &[&str], evidence: &Evidence) -> bool {
    let Some(nodes) = evidence.findings.nodes.as_deref() else {
        return evidence.neighbours.iter().any(|neighbour| leaves(neighbour));
    };
    let stays = |other: &&Pod| !ended(other) && !leaves(other);
    nodes.iter().any(|node| {
        lacking.iter().all(|resource| {
            let taken: i128 = on(node, &evidence.findings.bound).filter(stays).map(|pod| request(pod, resource)).sum();
            request(pod, resource) <= allocatable(node, resource) - taken
        })
    })
}

/// Whether a pod is about to give its requests back.
fn leaves(pod: &Pod) -> bool {
    let job = pod.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "Job");
    pod.metadata.deletion_timestamp.is_some() || job
}

/// The pods that are bound to a node.
fn on<'a>(node: &'a Node, bound: &'a [Pod]) -> impl Iterator<Item = &'a Pod> {
    bound.iter().filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == node.metadata.name.as_ref())
}

/// What pods may have of a node's resource, in thousandths.
fn allocatable(node: &Node, resource: &str) -> i128 {
    let all = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    all.and_then(|all| all.get(resource)).map_or(0, |amount| quantity::milli(&amount.0))
}

/// "Insufficient cpu: pod asks 200m, node NAME has 2000m of which 1900m are requested".
fn shortage(resource: &str, pod: &Pod, nodes: &[Node], bound: &[Pod]) -> String {
    let asked = quantity::shown(resource, request(pod, resource));
    let mut text = format!("Insufficient {resource}: pod asks {asked}");
    for node in nodes {
        let node_name = node.metadata.name.as_deref().unwrap_or_default();
        let has = allocatable(node, resource);
        let taken: i128 = on(node, bound).filter(|pod| !ended(pod)).map(|pod| request(pod, resource)).sum();
        text += &format!(
            ", node {node_name} has {} of which {} are requested",
            quantity::shown(resource, has),
            quantity::shown(resource, taken)
        );
    }
    text
}

fn ended(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// What a pod requests of a resource, in thousandths, as the scheduler counts: the larger of the sum of its
/// containers and of its hungriest init container; a pod counts as one of `pods`.
fn request(pod: &Pod, resource: &str) -> i128 {
    if resource == "pods" {
        return 1000;
    }
    let Some(spec) = pod.spec.as_ref() else { return 0 };
    let of = |resources: Option<&BTreeMap<String, Quantity>>| {
        resources.and_then(|all| all.get(resource)).map_or(0, |amount| quantity::milli(&amount.0))
    };
    let requests = |container: &k8s_openapi::api::core::v1::Container| {
        of(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    };
    let sidecar =
        |container: &&k8s_openapi::api::core::v1::Container| container.restart_policy.as_deref() == Some("Always");
    let init = spec.init_containers.iter().flatten();
    let sidecars: i128 = init.clone().filter(sidecar).map(requests).sum();
    let largest = init.filter(|container| !sidecar(container)).map(requests).max().unwrap_or_default();
    let sum: i128 = spec.containers.iter().map(requests).sum();
    (sum + sidecars).max(largest + sidecars) + of(spec.overhead.as_ref())
}
