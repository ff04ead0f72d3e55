//! A container that runs but is not ready: its probe, and the probe's last answer.

use k8s_openapi::api::core::v1::{Container, Pod, Probe};

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{ContainerOf, Evidence, Want, Workload, containers, name, uid};

const CLASS: &str = "probe";

/// `Unhealthy` events of pods that run and are not ready. Slow starts look the same, so only the deadline decides.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    workload.pods.iter().find_map(|pod| {
        let spec = pod.spec.as_ref()?;
        containers(pod).find_map(|status| {
            let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
            if !running || status.ready {
                return None;
            }
            let container = spec.containers.iter().find(|candidate| candidate.name == status.name)?;
            let started = status.started.unwrap_or(true);
            let (word, probe) = match (&container.startup_probe, &container.readiness_probe) {
                (Some(probe), _) if !started => ("startup", probe),
                (_, Some(probe)) => ("readiness", probe),
                _ => return None,
            };
            let answer = answer(evidence, uid(pod), container, word);
            let of = ContainerOf::new(pod, &container.name);
            Some(
                Diagnosis::new(
                    CLASS,
                    &workload.identity,
                    format!("pod {} runs but does not become ready: its {word} probe fails", name(pod)),
                )
                .because(format!(
                    "{}: {}",
                    describe(probe, pod),
                    answer.as_deref().unwrap_or("no answer was recorded yet")
                ))
                .excerpt(of.to_string(), evidence.lines(&of))
                .help(format!("cargo xtask logs {} shows what it does meanwhile", workload.identity.name))
                .patience(Patience::UntilDeadline)
                .wants(Want::Log(of)),
            )
        })
    })
}

/// The last answer of the liveness or startup probe that got a container killed.
pub fn killed(pod: &str, container: &str, evidence: &Evidence) -> Option<String> {
    let field = format!("{{{container}}}");
    let of = |event: &&k8s_openapi::api::core::v1::Event| {
        event.involved_object.field_path.as_ref().is_some_and(|path| path.ends_with(&field))
    };
    let events = evidence.events_of(pod);
    events.iter().copied().filter(of).find(|event| {
        event.reason.as_deref() == Some("Killing")
            && event.message.as_ref().is_some_and(|message| message.contains("probe, will be restarted"))
    })?;
    let last = events.iter().copied().filter(of).find(|event| {
        event.reason.as_deref() == Some("Unhealthy")
            && event.message.as_ref().is_some_and(|message| !message.starts_with("Readiness"))
    })?;
    last.message.clone()
}

fn answer(evidence: &Evidence, pod: &str, container: &Container, word: &str) -> Option<String> {
    let field = format!("{{{}}}", container.name);
    let events = evidence.events_of(pod);
    let event = events.into_iter().find(|event| {
        event.reason.as_deref() == Some("Unhealthy")
            && event.involved_object.field_path.as_ref().is_some_and(|path| path.ends_with(&field))
            && event.message.as_ref().is_some_and(|message| message.to_lowercase().starts_with(word))
    })?;
    let message = event.message.as_ref()?;
    Some(message.split_once("probe failed: ").map_or(message.as_str(), |(_, answer)| answer).trim().to_owned())
}

/// The probe in the words of its manifest.
fn describe(probe: &Probe, pod: &Pod) -> String {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let port = |port: &IntOrString| match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    if let Some(get) = &probe.http_get {
        format!("GET {} on port {}", get.path.as_deref().unwrap_or("/"), port(&get.port))
    } else if let Some(socket) = &probe.tcp_socket {
        format!("a connection to port {}", port(&socket.port))
    } else if let Some(exec) = &probe.exec {
        format!("`{}`", exec.command.clone().unwrap_or_default().join(" "))
    } else if let Some(grpc) = &probe.grpc {
        format!("a gRPC health check on port {}", grpc.port)
    } else {
        format!("the probe of pod {}", name(pod))
    }
}
