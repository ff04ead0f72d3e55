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
        let heals = making_room(evidence) || STARTING.iter().any(|taint| reasons.contains(taint));
        let patience = if heals { Patience::UntilDeadline } else { Patience::LONG };
        let diagnosis = Diagnosis::new(CLASS, &workload.identity, format!("no node has room for pod {}", name(pod)))
            .patience(patience)
            .wants(Want::Capacity);
        let lacking: Vec<&str> = reasons
            .split("Insufficient ")
            .skip(1)
            .map(|rest| rest.split([',', ' ']).next().unwrap_or(rest).trim_end_matches('.'))
            .collect();
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

/// Whether something is about to give its requests back: a pod that ends, or a Job's that will.
fn making_room(evidence: &Evidence) -> bool {
    let bound = evidence.findings.bound.iter();
    evidence.neighbours.iter().map(AsRef::as_ref).chain(bound).any(|pod| {
        let ends = pod.metadata.deletion_timestamp.is_some();
        let job = pod.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "Job");
        let running = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        ends || (job && running)
    })
}

/// "Insufficient cpu: pod asks 200m, node NAME has 2000m of which 1900m are requested".
fn shortage(resource: &str, pod: &Pod, nodes: &[Node], bound: &[Pod]) -> String {
    let asked = quantity::shown(resource, request(pod, resource));
    let mut text = format!("Insufficient {resource}: pod asks {asked}");
    for node in nodes {
        let node_name = node.metadata.name.as_deref().unwrap_or_default();
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let has = allocatable.and_then(|all| all.get(resource)).map_or(0, |amount| quantity::milli(&amount.0));
        let taken: i128 = bound
            .iter()
            .filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node_name))
            .filter(|pod| !ended(pod))
            .map(|pod| request(pod, resource))
            .sum();
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
