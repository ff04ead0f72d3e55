//! A Job, or a hook's pod, that has failed for good.

use super::diagnosis::Diagnosis;
use super::evidence::{ContainerOf, Evidence, Exits, Kind, Workload};

const CLASS: &str = "job";

/// The condition `Failed` of a Job; the phase `Failed` of a bare pod.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    let failed = workload.condition("Failed")?;
    let why = match (workload.identity.kind, failed.reason.as_str()) {
        (Kind::Pod, _) => "failed".to_owned(),
        (_, "DeadlineExceeded") => "took longer than its activeDeadlineSeconds".to_owned(),
        (_, "BackoffLimitExceeded") => "failed as often as its backoffLimit allows".to_owned(),
        (_, reason) => format!("failed: {reason}"),
    };
    let diagnosis = Diagnosis::new(CLASS, &workload.identity, format!("{} {why}", workload.identity)).because(
        match failed.reason.as_str() {
            // The reason has said it already.
            "DeadlineExceeded" | "BackoffLimitExceeded" => "",
            _ => failed.message.as_str(),
        },
    );
    let last = last_exit(workload, evidence);
    Some(
        match last {
            Some((container, exits)) => {
                let code = exits.all.last().map_or(0, |exit| exit.code);
                diagnosis
                    .because(format!("{container} ended with exit code {code}"))
                    .excerpt(container.to_string(), evidence.lines(container))
            }
            None => diagnosis,
        }
        .help(format!("correct what it runs, or its limits, in the manifest of {}", workload.identity)),
    )
}

/// The container of the workload that ended last without success, be its pod gone or not.
fn last_exit<'a>(workload: &Workload, evidence: &'a Evidence) -> Option<(&'a ContainerOf, &'a Exits)> {
    let own = |container: &ContainerOf, exits: &Exits| match workload.identity.kind {
        Kind::Pod => container.pod == workload.identity.name && container.namespace == workload.identity.namespace,
        _ => workload.creators.contains(&exits.owner),
    };
    evidence
        .exits
        .iter()
        .filter(|(container, exits)| own(container, exits) && exits.all.last().is_some_and(|exit| exit.code != 0))
        .max_by_key(|(_, exits)| exits.all.last().map(|exit| exit.started))
}
