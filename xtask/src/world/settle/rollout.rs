//! When a workload's rollout is complete: the rules of `kubectl rollout status`, and those that it lacks.
//!
//! Pure functions of one object.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::diagnose::evidence::{Rollout, pod_condition};
use crate::world::kube::put_back::HELD_BACK;

const UNSEEN: &str = "its controller has not seen the change yet";

/// Every pod is of the newest template and available, and none of an older one is left. A paused Deployment has to
/// have come as far before it was paused: `diagnose` says that it goes no further.
pub fn deployment(object: &Deployment) -> Rollout {
    let desired = object.spec.replicas.unwrap_or(1);
    let status = object.status.clone().unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    let available = status.available_replicas.unwrap_or_default();
    let all = status.replicas.unwrap_or_default();
    let waiting = if status.observed_generation < object.metadata.generation {
        Some(UNSEEN.to_owned())
    } else if updated < desired {
        Some(format!("{updated} of {desired} pods updated"))
    } else if all > updated {
        Some(format!("{} old pods still there", all - updated))
    } else if available < updated {
        Some(format!("{available} of {updated} pods available"))
    } else {
        None
    };
    // While old pods serve, they are available too: only what is of the newest template counts.
    Rollout { ready: available.min(updated), desired, waiting }
}

/// Whether it is paused before its rollout is complete: it goes no further by itself. One that we hold back ourselves
/// for a moment does.
pub fn is_held(object: &Deployment) -> bool {
    if object.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(HELD_BACK)) {
        return false;
    }
    let status = object.status.clone().unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    let left = status.replicas.unwrap_or_default() > updated || updated < object.spec.replicas.unwrap_or(1);
    object.spec.paused == Some(true) && left
}

/// As for a Deployment; the pods below a partition stay old on purpose, and `OnDelete` replaces none by itself.
pub fn stateful_set(object: &StatefulSet) -> Rollout {
    let desired = object.spec.replicas.unwrap_or(1);
    let strategy = object.spec.update_strategy.as_ref();
    let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
    let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or_default();
    let status = object.status.clone().unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    let ready = status.available_replicas.or(status.ready_replicas).unwrap_or_default();
    // Once every pod is of the newest revision, the controller makes that the current one and counts no updates.
    let done = status.update_revision == status.current_revision;
    let due = (desired - partition).max(0);
    let waiting = if status.observed_generation.unwrap_or_default() < object.metadata.generation.unwrap_or_default() {
        Some(UNSEEN.to_owned())
    } else if !on_delete && !done && updated < due {
        Some(format!("{updated} of {due} pods updated"))
    } else if ready < desired {
        Some(format!("{ready} of {desired} pods available"))
    } else if status.replicas > desired {
        Some(format!("{} pods too many", status.replicas - desired))
    } else if !on_delete && partition == 0 && !done {
        Some("its controller has not finished the update yet".to_owned())
    } else {
        None
    };
    Rollout { ready, desired, waiting }
}

/// A pod of the newest template is available on every node that should have one.
pub fn daemon_set(object: &DaemonSet) -> Rollout {
    let strategy = object.spec.update_strategy.as_ref();
    let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
    let status = object.status.clone().unwrap_or_default();
    let desired = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or_default();
    let ready = status.number_available.unwrap_or_default();
    let waiting = if status.observed_generation.unwrap_or_default() < object.metadata.generation.unwrap_or_default() {
        Some(UNSEEN.to_owned())
    } else if !on_delete && updated < desired {
        Some(format!("{updated} of {desired} pods updated"))
    } else if ready < desired {
        Some(format!("{ready} of {desired} pods available"))
    } else {
        None
    };
    Rollout { ready, desired, waiting }
}

/// It has completed. A suspended one runs nothing, so there is nothing to wait for.
pub fn job(object: &Job) -> Rollout {
    let spec = object.spec.as_ref();
    let status = object.status.clone().unwrap_or_default();
    let desired = spec.and_then(|spec| spec.completions).unwrap_or(1);
    let ready = status.succeeded.unwrap_or_default();
    let holds = |kind: &str| {
        status.conditions.iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
    };
    let suspended = spec.and_then(|spec| spec.suspend) == Some(true);
    let waiting = (!holds("Complete") && !suspended).then(|| format!("{ready} of {desired} pods succeeded"));
    Rollout { ready, desired, waiting }
}

/// A pod without an owner: it has succeeded or, unless it is a hook's, is ready.
pub fn pod(object: &Pod) -> Rollout {
    let hook = object.metadata.annotations.as_ref().is_some_and(|all| all.contains_key("helm.sh/hook"));
    let phase = object.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let ready = pod_condition(object, "Ready").is_some_and(|condition| condition.status == "True");
    let complete = phase == "Succeeded" || (ready && !hook);
    Rollout { ready: i32::from(complete), desired: 1, waiting: (!complete).then(|| format!("its phase is {phase}")) }
}
