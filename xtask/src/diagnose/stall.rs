//! A rollout whose controller has given up waiting: `progressDeadlineSeconds` of a Deployment.

use super::diagnosis::Diagnosis;
use super::evidence::{ContainerOf, Evidence, Want, Workload, containers};
use super::probe;

const CLASS: &str = "stall";

/// The condition `Progressing` with the reason `ProgressDeadlineExceeded`.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    let exceeded = workload.conditions.iter().find(|condition| {
        condition.kind == "Progressing" && !condition.holds && condition.reason == "ProgressDeadlineExceeded"
    })?;
    // What keeps the pods from being ready says more than that they are not.
    if let Some(mut known) = probe::find(workload, evidence) {
        known.class = CLASS;
        known.patience = super::diagnosis::Patience::NONE;
        return Some(known.because("its progressDeadlineSeconds are over"));
    }
    let mut diagnosis = Diagnosis::new(
        CLASS,
        &workload.identity,
        format!("{} made no progress within its progressDeadlineSeconds", workload.identity),
    )
    .because(exceeded.message.clone())
    .because(workload.rollout.waiting.clone().unwrap_or_default())
    .help(format!("kubectl --namespace {} describe pods", workload.identity.namespace));
    if let Some((pod, status)) = workload.pods.iter().find_map(|pod| containers(pod).next().map(|status| (pod, status)))
    {
        let container = ContainerOf::new(pod, &status.name);
        diagnosis = diagnosis.excerpt(container.to_string(), evidence.lines(&container)).wants(Want::Log(container));
    }
    Some(diagnosis)
}
