//! A container whose command cannot be started.

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{ContainerOf, Evidence, Workload, containers, waiting};
use super::reference::between;

const CLASS: &str = "command";

/// What runtimes say of a command that will not start the next time either.
const DEFINITIVE: [&str; 4] =
    ["executable file not found", "no such file or directory", "permission denied", "exec format error"];

/// `RunContainerError`, and the ends with which docker (`ContainerCannotRun`) and containerd (`StartError`) record it.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    workload.pods.iter().find_map(|pod| {
        containers(pod).find_map(|status| {
            let container = ContainerOf::new(pod, &status.name);
            let said = match waiting(status) {
                Some(("RunContainerError", message)) => message,
                // While the kubelet backs off, only the last end says what happened.
                Some(("CrashLoopBackOff", _)) => {
                    let exit = evidence.exits.get(&container)?.all.last()?;
                    matches!(exit.reason.as_str(), "ContainerCannotRun" | "StartError").then_some(exit.message.as_str())?
                }
                _ => return None,
            };
            let definitive = DEFINITIVE.iter().any(|words| said.contains(words));
            let diagnosis = match between(said, "exec: \"", "\"") {
                Some(command) => Diagnosis::new(CLASS, &workload.identity, format!("{container} cannot start `{command}`")),
                None => Diagnosis::new(CLASS, &workload.identity, format!("{container} cannot be started")),
            };
            Some(
                diagnosis
                    // The runtime wraps the reason into six sentences of its own; the last says it.
                    .because(said.rsplit_once("starting container process caused: ").map_or_else(
                        || between(said, "container process: ", ": unknown").unwrap_or(said),
                        |(_, reason)| reason,
                    ))
                    .help(format!(
                        "correct the command in {}, or the image {}: it has to contain it, executable and for this machine",
                        workload.identity, status.image
                    ))
                    .patience(if definitive { Patience::NONE } else { Patience::UntilDeadline }),
            )
        })
    })
}
