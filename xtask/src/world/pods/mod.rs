//! Pods as people call them: by the workload that they belong to; and their logs.
//!
//! It reads pods and their logs and changes nothing.

pub mod follow;
pub mod log;
pub mod read;
pub mod record;

mod cursor;

use std::collections::BTreeSet;

use engine::failure::Failure;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::kube::error;
use super::settle::scope::INSTANCE;

/// Whose pods.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The namespaces to look in.
    pub namespaces: BTreeSet<String>,
    /// The releases; a pod that is marked as another's is left out.
    pub releases: BTreeSet<String>,
    /// Names of workloads, with or without their release's name in front, or of pods; empty for all.
    pub workloads: BTreeSet<String>,
}

impl Selection {
    /// Whether `pod` is meant.
    pub fn has(&self, pod: &Pod) -> bool {
        let labels = pod.metadata.labels.as_ref();
        let instance = labels.and_then(|labels| labels.get(INSTANCE));
        let ours = self.releases.is_empty() || instance.is_none_or(|instance| self.releases.contains(instance));
        ours && (self.workloads.is_empty() || self.names(pod).iter().any(|name| self.workloads.contains(*name)))
    }

    /// The names by which a pod can be called.
    fn names<'a>(&self, pod: &'a Pod) -> Vec<&'a str> {
        let workload = workload(pod);
        let mut names = vec![workload, pod.metadata.name.as_deref().unwrap_or_default()];
        let short =
            self.releases.iter().filter_map(|release| workload.strip_prefix(release.as_str())?.strip_prefix('-'));
        names.extend(short);
        names
    }

    /// The name that stands in front of the pod's lines: its workload's, less the release's.
    pub fn label<'a>(&self, pod: &'a Pod) -> &'a str {
        let workload = workload(pod);
        let short = self.releases.iter().find_map(|release| workload.strip_prefix(release.as_str())?.strip_prefix('-'));
        short.unwrap_or(workload)
    }
}

/// The selected pods, by namespace, workload and name.
///
/// # Errors
/// When the cluster does not answer, or none is there.
pub async fn list(client: &Client, selection: &Selection) -> Result<Vec<Pod>, Failure> {
    let mut all = Vec::new();
    for namespace in &selection.namespaces {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let listed = pods.list(&ListParams::default()).await;
        let listed =
            listed.map_err(|found| error::failed(&format!("list the pods of namespace {namespace}"), &found))?;
        all.extend(listed.items);
    }
    let known: BTreeSet<String> = {
        let everything = Selection { workloads: BTreeSet::new(), ..selection.clone() };
        all.iter().filter(|pod| everything.has(pod)).map(|pod| everything.label(pod).to_owned()).collect()
    };
    for name in &selection.workloads {
        let one = Selection { workloads: BTreeSet::from([name.clone()]), ..selection.clone() };
        if !all.iter().any(|pod| one.has(pod)) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("no pod belongs to `{name}`")).help(if known.is_empty() {
                "nothing is deployed: cargo xtask deploy".to_owned()
            } else {
                format!("there are: {known}")
            }));
        }
    }
    all.retain(|pod| selection.has(pod));
    all.sort_by(|a, b| {
        let key = |pod: &Pod| (pod.metadata.namespace.clone(), workload(pod).to_owned(), pod.metadata.name.clone());
        key(a).cmp(&key(b))
    });
    Ok(all)
}

/// The name of the workload that a pod belongs to: its controller's, a ReplicaSet's less the hash that its Deployment
/// gave it; a bare pod's own.
pub fn workload(pod: &Pod) -> &str {
    let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let Some(owner) = owner else { return pod.metadata.name.as_deref().unwrap_or_default() };
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    match (owner.kind.as_str(), hash) {
        ("ReplicaSet", Some(hash)) => {
            owner.name.strip_suffix(hash.as_str()).and_then(|name| name.strip_suffix('-')).unwrap_or(&owner.name)
        }
        _ => &owner.name,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::{Selection, workload};

    fn pod(name: &str, owner: Option<(&str, &str)>, labels: serde_json::Value) -> Pod {
        let owners = owner.map(
            |(kind, name)| json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true}]),
        );
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels, "ownerReferences": owners}}))
            .unwrap()
    }

    #[test]
    fn a_pod_is_called_by_its_workload() {
        let hash = json!({"pod-template-hash": "7c9"});
        for (owner, labels, expected) in [
            (Some(("ReplicaSet", "todo-backend-7c9")), hash.clone(), "todo-backend"),
            (Some(("ReplicaSet", "by-hand")), json!({}), "by-hand"),
            (Some(("StatefulSet", "todo-postgres")), json!({}), "todo-postgres"),
            (Some(("Job", "migrate")), json!({}), "migrate"),
            (None, json!({}), "pod-1"),
        ] {
            assert_eq!(workload(&pod("pod-1", owner, labels)), expected);
        }
    }

    #[test]
    fn pods_are_selected_by_short_name_by_name_and_by_pod_and_never_anothers() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let check = |workloads: &[&str], labels: serde_json::Value, expected: bool| {
            let selection = Selection { releases: set(&["todo"]), workloads: set(workloads), namespaces: set(&["n"]) };
            let pod = pod("todo-backend-0", Some(("StatefulSet", "todo-backend")), labels);
            assert_eq!(selection.has(&pod), expected, "{workloads:?}");
            assert_eq!(selection.label(&pod), "backend");
        };
        let ours = || json!({"app.kubernetes.io/instance": "todo"});
        check(&[], ours(), true);
        check(&[], json!({}), true);
        check(&[], json!({"app.kubernetes.io/instance": "other"}), false);
        check(&["backend"], ours(), true);
        check(&["todo-backend"], ours(), true);
        check(&["todo-backend-0"], ours(), true);
        check(&["frontend"], ours(), false);
    }
}
