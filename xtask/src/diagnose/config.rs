//! A container that cannot be made because its configuration lacks something: a Secret, a ConfigMap, a key in one.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{ContainerOf, Evidence, Workload, containers, waiting};
use super::reference::Missing;

const CLASS: &str = "config";

/// `CreateContainerConfigError`.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    workload.pods.iter().find_map(|pod| {
        containers(pod).find_map(|status| {
            let (reason, message) = waiting(status)?;
            if reason != "CreateContainerConfigError" {
                return None;
            }
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            match Missing::parse(message, namespace, None) {
                Some(missing) => {
                    let reader = reader(pod, &status.name, &missing);
                    missing.diagnosis(CLASS, workload, pod, &reader, evidence)
                }
                None => Some(
                    Diagnosis::new(
                        CLASS,
                        &workload.identity,
                        format!("{} cannot be made", ContainerOf::new(pod, &status.name)),
                    )
                    .because(message)
                    .help(format!("correct the container's settings in the manifest of {}", workload.identity))
                    .patience(Patience::SHORT),
                ),
            }
        })
    })
}

/// Says where the container refers to what is missing: the only part of the sentence that people can look for.
fn reader(pod: &Pod, container: &str, missing: &Missing) -> String {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_ref());
    let main = spec.map(|spec| &spec.containers);
    let found = init.into_iter().chain(main).flatten().find(|candidate| candidate.name == container);
    match found.and_then(|found| variable(found, missing)) {
        Some(variable) => format!("container {container} reads it into the variable {variable}"),
        None => format!("container {container} takes variables from it"),
    }
}

fn variable<'a>(container: &'a Container, missing: &Missing) -> Option<&'a str> {
    let variables = container.env.as_ref()?.iter();
    let refers = variables.filter_map(|variable| {
        let source = variable.value_from.as_ref()?;
        let secret = source.secret_key_ref.as_ref().map(|at| ("Secret", &at.name, &at.key));
        let map = source.config_map_key_ref.as_ref().map(|at| ("ConfigMap", &at.name, &at.key));
        let (kind, name, key) = secret.or(map)?;
        let same = kind == missing.object.kind
            && *name == missing.object.name
            && missing.key.as_ref().is_none_or(|missing| missing == key);
        same.then_some(variable.name.as_str())
    });
    refers.into_iter().next()
}
