//! A pod that waits for a volume: a Secret or ConfigMap that is not there, a claim that is not bound.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::diagnosis::{Diagnosis, Patience};
use super::evidence::{Evidence, Reference, Want, Workload, containers, name, pod_condition, uid, waiting};
use super::reference::{Missing, between};

const CLASS: &str = "volume";

/// `FailedMount` events of a pod whose containers are still being made, and pods that are not scheduled over a claim.
pub fn find(workload: &Workload, evidence: &Evidence) -> Option<Diagnosis> {
    workload.pods.iter().find_map(|pod| mount(workload, pod, evidence).or_else(|| claim(workload, pod, evidence)))
}

fn mount(workload: &Workload, pod: &Pod, evidence: &Evidence) -> Option<Diagnosis> {
    // The event outlives its cause by an hour; what holds now is the state.
    let making =
        containers(pod).any(|status| matches!(waiting(status), Some(("ContainerCreating" | "PodInitializing", _))));
    if !making {
        return None;
    }
    let events = evidence.events_of(uid(pod));
    let event = events.iter().find(|event| event.reason.as_deref() == Some("FailedMount"))?;
    let message = event.message.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let volume = between(message, "for volume \"", "\"").unwrap_or_default();
    let source = source(pod, volume, namespace);
    match Missing::parse(message, namespace, source.as_ref()) {
        Some(missing) => {
            missing.diagnosis(CLASS, workload, pod, &format!("its volume `{volume}` is made from it"), evidence)
        }
        None => Some(
            Diagnosis::new(CLASS, &workload.identity, format!("a volume of pod {} cannot be mounted", name(pod)))
                .because(message)
                .help(format!("kubectl --namespace {namespace} describe pod {}", name(pod)))
                .patience(Patience::UntilDeadline),
        ),
    }
}

/// What the volume is made from.
fn source(pod: &Pod, volume: &str, namespace: &str) -> Option<Reference> {
    let volumes = pod.spec.as_ref()?.volumes.as_ref()?;
    let volume = volumes.iter().find(|candidate| candidate.name == volume)?;
    let secret = volume.secret.as_ref().and_then(|secret| secret.secret_name.clone()).map(|name| ("Secret", name));
    let map = volume.config_map.as_ref().map(|map| ("ConfigMap", map.name.clone()));
    let (kind, name) = secret.or(map)?;
    Some(Reference { kind, namespace: namespace.to_owned(), name })
}

fn claim(workload: &Workload, pod: &Pod, evidence: &Evidence) -> Option<Diagnosis> {
    let condition = pod_condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
    let message = condition.message.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(claim) = between(message, "persistentvolumeclaim \"", "\" not found") {
        let key = (namespace.to_owned(), claim.to_owned());
        if matches!(evidence.findings.claims.get(&key), Some(Some(_))) {
            return None;
        }
        return Some(
            Diagnosis::new(
                CLASS,
                &workload.identity,
                format!("the PersistentVolumeClaim `{claim}` that pod {} needs does not exist", name(pod)),
            )
            .help(format!("make it in namespace {namespace}, or correct the claimName in {}", workload.identity))
            .patience(Patience::SHORT)
            .wants(Want::Claim { namespace: key.0, name: key.1 }),
        );
    }
    if !message.contains("unbound immediate PersistentVolumeClaims") {
        return None;
    }
    let claims: Vec<String> = claims(pod).collect();
    let unbound = claims.iter().filter_map(|claim| {
        let key = (namespace.to_owned(), claim.clone());
        evidence.findings.claims.get(&key)?.as_ref().filter(|claim| !bound(claim))
    });
    let mut diagnosis = Diagnosis::new(
        CLASS,
        &workload.identity,
        format!("pod {} waits for a volume: its PersistentVolumeClaim is not bound", name(pod)),
    )
    .patience(Patience::UntilDeadline);
    for claim in unbound {
        let claim_name = claim.metadata.name.as_deref().unwrap_or_default();
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let events = evidence.events_of(claim.metadata.uid.as_deref().unwrap_or_default());
        let reason = events.first().and_then(|event| event.message.clone()).unwrap_or_default();
        diagnosis = diagnosis.because(format!("claim `{claim_name}`: {reason}"));
        if reason.contains("storageclass") && reason.contains("not found") {
            diagnosis.title = format!(
                "pod {} waits for a volume of the StorageClass `{}`, which does not exist",
                name(pod),
                class.unwrap_or_default()
            );
            diagnosis = diagnosis.help("kubectl get storageclass lists what this cluster has; set one of them");
        }
    }
    // A class that does not exist is known by the claim's event alone, before the claim has been looked up.
    let no_class = evidence.events.iter().any(|event| {
        event.involved_object.kind.as_deref() == Some("PersistentVolumeClaim")
            && event.involved_object.namespace.as_deref() == Some(namespace)
            && event.involved_object.name.as_ref().is_some_and(|name| claims.contains(name))
            && event.reason.as_deref() == Some("ProvisioningFailed")
            && event.message.as_ref().is_some_and(|message| message.contains("not found"))
    });
    if no_class {
        diagnosis = diagnosis.patience(Patience::SHORT);
    }
    diagnosis.wants = claims.into_iter().map(|name| Want::Claim { namespace: namespace.to_owned(), name }).collect();
    Some(diagnosis)
}

fn claims(pod: &Pod) -> impl Iterator<Item = String> {
    let volumes = pod.spec.iter().filter_map(|spec| spec.volumes.as_ref()).flatten();
    volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone()))
}

fn bound(claim: &PersistentVolumeClaim) -> bool {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}
