//! A container that was killed because it used more memory than its limit.

use super::crash;
use super::diagnosis::Diagnosis;
use super::evidence::{ContainerOf, Evidence, Workload, containers};

const CLASS: &str = "memory";

/// Ends with the reason `OOMKilled`.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    workload.pods.iter().find_map(|pod| {
        containers(pod).find_map(|status| {
            let container = ContainerOf::new(pod, &status.name);
            let exits = evidence.exits.get(&container)?;
            let last = exits.all.last().filter(|exit| exit.reason == "OOMKilled")?;
            let spec = pod.spec.as_ref()?;
            let all = spec.init_containers.iter().flatten().chain(&spec.containers);
            let resources = all.into_iter().find(|candidate| candidate.name == status.name)?.resources.as_ref();
            let limit = resources.and_then(|resources| resources.limits.as_ref()?.get("memory"));
            let (title, help) = match limit {
                Some(limit) => (
                    format!("{container} was killed for using more memory than its limit of {}", limit.0),
                    format!("raise resources.limits.memory of container {} in {}", status.name, workload.identity),
                ),
                None => (
                    format!("{container} was killed because the node ran out of memory"),
                    "give the node more memory, or the container less work".to_owned(),
                ),
            };
            Some(
                Diagnosis::new(CLASS, &workload.identity, title)
                    .because(format!("exit code {}, {}", last.code, crash::so_often(exits.ends)))
                    .excerpt(container.to_string(), evidence.lines(&container))
                    .help(help)
                    .patience(crash::patience(workload, &exits.all, evidence)),
            )
        })
    })
}
