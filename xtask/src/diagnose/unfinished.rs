//! A Job, or a hook's pod, that still runs when the time for it is over.

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{ContainerOf, Evidence, Kind, Want, Workload, containers};

const CLASS: &str = "unfinished";

/// A container that runs. Work that takes long looks the same as work that hangs, so only the deadline decides.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    if !matches!(workload.identity.kind, Kind::Job | Kind::Pod) {
        return None;
    }
    let running = workload.pods.iter().find_map(|pod| {
        let status =
            containers(pod).find(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))?;
        Some(ContainerOf::new(pod, &status.name))
    })?;
    Some(
        Diagnosis::new(CLASS, &workload.identity, format!("{} does not come to its end", workload.identity))
            .because(format!("{running} still runs"))
            .excerpt(running.to_string(), evidence.lines(&running))
            .help("find out what it waits for, or give it more time: a longer `timeout` of the release in xtask.toml")
            .patience(Patience::UntilDeadline)
            .wants(Want::Log(running)),
    )
}
