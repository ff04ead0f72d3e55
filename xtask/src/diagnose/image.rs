//! A container whose image is not to be had.

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{Evidence, Workload, containers, name, uid, waiting};

const CLASS: &str = "image";

/// What registries say when an image will not be there the next time either.
const DEFINITIVE: [&str; 7] = [
    "not found",
    "manifest unknown",
    "repository does not exist",
    "pull access denied",
    "unauthorized",
    "denied:",
    "invalid reference format",
];

/// `ErrImageNeverPull`, `InvalidImageName`, and pulls whose answer will stay the same.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    workload.pods.iter().find_map(|pod| {
        containers(pod).find_map(|status| {
            let (reason, message) = waiting(status)?;
            let image = &status.image;
            // The status is empty until a container was made.
            let image = if image.is_empty() { spec_image(pod, &status.name)? } else { image.as_str() };
            // "Back-off pulling image "X": ErrImagePull: Error response from daemon: " says nothing that is not said.
            let said = message.rsplit_once("ErrImagePull: ").map_or(message, |(_, said)| said);
            let said = said.trim_start_matches("Error response from daemon: ");
            let diagnosis = |title: String| Diagnosis::new(CLASS, &workload.identity, title).because(said);
            match reason {
                "ErrImageNeverPull" => Some(
                    diagnosis(format!("the image {image} of pod {} is not in the cluster", name(pod)))
                        .help("its pull policy is Never: build it into the cluster's own daemon (`cargo xtask deploy` does for images of the graph file), or set imagePullPolicy to IfNotPresent if a registry has it"),
                ),
                "InvalidImageName" => Some(
                    diagnosis(format!("`{image}`, the image of pod {}, is no valid image name", name(pod)))
                        .help(format!("correct the image in {}; names are lower case: registry/name:tag", workload.identity)),
                ),
                "ErrImagePull" | "ImagePullBackOff" => {
                    let attempts = attempts(evidence, uid(pod), &status.name);
                    let definitive = DEFINITIVE.iter().any(|word| message.contains(word));
                    let (help, patience) = if definitive {
                        let again = attempts >= 2;
                        (
                            format!("correct the image's name or tag in {}, or give the cluster the right to pull it (imagePullSecrets)", workload.identity),
                            if again { Patience::NONE } else { Patience::UntilDeadline },
                        )
                    } else {
                        (
                            "the cluster's node has to reach the registry: check its name, the network and the proxy".to_owned(),
                            if attempts >= 3 { Patience::NONE } else { Patience::UntilDeadline },
                        )
                    };
                    Some(
                        diagnosis(format!("the image {image} of pod {} cannot be pulled", name(pod)))
                            .help(help)
                            .patience(patience),
                    )
                }
                _ => None,
            }
        })
    })
}

fn spec_image<'a>(pod: &'a k8s_openapi::api::core::v1::Pod, container: &str) -> Option<&'a str> {
    let spec = pod.spec.as_ref()?;
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.into_iter().find(|candidate| candidate.name == container)?.image.as_deref()
}

/// How often the kubelet has failed to pull the image of a container.
fn attempts(evidence: &Evidence, pod: &str, container: &str) -> i32 {
    let field = format!("{{{container}}}");
    evidence
        .events_of(pod)
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some("Failed"))
        .filter(|event| event.involved_object.field_path.as_ref().is_some_and(|path| path.ends_with(&field)))
        .filter(|event| event.message.as_ref().is_some_and(|message| message.starts_with("Failed to pull image")))
        .map(|event| event.count.unwrap_or(1))
        .sum()
}
