//! A StatefulSet whose pod of an older template is broken: its controller waits for that pod before it replaces any, so
//! a template that would mend it is never tried.

use k8s_openapi::api::core::v1::Pod;

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{ContainerOf, Evidence, Kind, Want, Workload, containers, name, pod_condition, uid, waiting};

const CLASS: &str = "stuck";

/// Why containers wait that do not come up by themselves.
const BROKEN: [&str; 9] = [
    "CrashLoopBackOff",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
];

/// A pod of an older template with a container that does not come up, while all of the newest template are ready.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    let identity = &workload.identity;
    if identity.kind != Kind::StatefulSet || !workload.pods.iter().all(|pod| is_ready(pod)) {
        return None;
    }
    let newest = |pod: &Pod| workload.pods.iter().any(|known| uid(known) == uid(pod));
    let owned = |pod: &Pod| pod.metadata.owner_references.iter().flatten().any(|owner| owner.uid == workload.uid);
    let old = evidence.neighbours.iter();
    let mut old = old.filter(|pod| pod.metadata.deletion_timestamp.is_none() && owned(pod) && !newest(pod));
    let (pod, container, reason, message) = old.find_map(|pod| {
        let broken = containers(pod).find(|status| waiting(status).is_some_and(|(why, _)| BROKEN.contains(&why)))?;
        let (reason, message) = waiting(broken)?;
        Some((pod, ContainerOf::new(pod, &broken.name), reason, message))
    })?;
    let others_wait =
        evidence.workloads.iter().any(|other| other.identity != *identity && !other.rollout.is_complete());
    let patience = if others_wait { Patience::UntilDeadline } else { Patience::LONG };
    let name = name(pod);
    Some(
        Diagnosis::new(CLASS, identity, format!("{identity} waits for its old pod {name}, which is broken"))
            .because(format!("container {} of it: {reason}", container.container))
            .because(message)
            .because("a StatefulSet replaces no pod before the others are ready, also where the new template mends it")
            .excerpt(container.to_string(), evidence.lines(&container))
            .help(format!(
                "kubectl --namespace {} delete pod {name}: it is made anew from the new template, and its volumes stay",
                identity.namespace
            ))
            .help("then deploy again")
            .patience(patience)
            .wants(Want::Log(container)),
    )
}

fn is_ready(pod: &Pod) -> bool {
    pod_condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}
