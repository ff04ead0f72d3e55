//! Pods that the API server does not let be made: quotas, policies, webhooks, service accounts.

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{Evidence, Workload, when};
use super::reference::between;

const CLASS: &str = "admission";

/// `FailedCreate` events of what creates the workload's pods, while pods are missing.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    let desired = usize::try_from(workload.rollout.desired).unwrap_or_default();
    if workload.pods.len() >= desired {
        return None;
    }
    let refused = workload
        .creators
        .iter()
        .flat_map(|creator| evidence.events_of(creator))
        .filter(|event| event.reason.as_deref() == Some("FailedCreate"))
        .max_by_key(|event| when(event))?;
    let message = refused.message.as_deref().unwrap_or_default();
    let message = message.rsplit_once("is forbidden: ").map_or(message, |(_, reason)| reason);
    let refused = |title: String| Diagnosis::new(CLASS, &workload.identity, title).because(message);
    // What ends gives its share of a quota back.
    let ending = evidence.neighbours.iter().any(|pod| pod.metadata.deletion_timestamp.is_some());
    Some(if let Some(quota) = between(message, "exceeded quota: ", ",") {
        refused(format!("the ResourceQuota `{quota}` leaves no room for the pods of {}", workload.identity))
            .help("lower what the pods request, or raise the quota")
            .patience(if ending { Patience::UntilDeadline } else { Patience::SHORT })
    } else if let Some(account) = between(message, "serviceaccount \"", "\" not found") {
        refused(format!("the ServiceAccount `{account}` that the pods of {} run as does not exist", workload.identity))
            .help(format!("make it in namespace {}, or correct serviceAccountName", workload.identity.namespace))
            .patience(Patience::SHORT)
    } else if let Some(level) = between(message, "violates PodSecurity \"", "\"") {
        refused(format!("the policy `{level}` of namespace {} forbids the pods of {}", workload.identity.namespace, workload.identity))
            .help("drop from the pod's manifest what the policy names, or change the namespace's label pod-security.kubernetes.io/enforce")
            .patience(Patience::SHORT)
    } else {
        // A webhook whose own pods are starting refuses everything for a while.
        let heals = message.contains("failed calling webhook");
        refused(format!("the API server refuses the pods of {}", workload.identity))
            .help(format!("kubectl --namespace {} get events", workload.identity.namespace))
            .patience(if heals { Patience::UntilDeadline } else { Patience::LONG })
    })
}
