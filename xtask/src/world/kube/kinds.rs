//! Which resource of the API a kind is: `Deployment` of `apps/v1` is `deployments`, and lives in namespaces.
//!
//! The kinds that charts are made of are known beforehand; others are asked of the API server, once each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use engine::failure::Failure;
use kube::Client;
use kube::api::TypeMeta;
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Scope, oneshot};
use serde::{Deserialize, Serialize};

use crate::world::kube::error;

/// A kind of object, with what a request for one needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resource {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// The form that the client wants.
    pub fn api(&self) -> ApiResource {
        let (group, version) = split(&self.api_version);
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }

    /// Whether this is the kind of `other`, be it in another version.
    pub fn is_same_kind(&self, other: &Self) -> bool {
        (split(&self.api_version).0, &self.kind) == (split(&other.api_version).0, &other.kind)
    }

    /// What an object of this kind says that it is.
    pub fn types(&self) -> TypeMeta {
        TypeMeta { api_version: self.api_version.clone(), kind: self.kind.clone() }
    }
}

/// `(group, kind, plural, namespaced)`: kinds whose resource has been the same in every version of their group.
const KNOWN: [(&str, &str, &str, bool); 38] = [
    ("", "ConfigMap", "configmaps", true),
    ("", "Endpoints", "endpoints", true),
    ("", "LimitRange", "limitranges", true),
    ("", "Namespace", "namespaces", false),
    ("", "PersistentVolume", "persistentvolumes", false),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("", "Pod", "pods", true),
    ("", "PodTemplate", "podtemplates", true),
    ("", "ReplicationController", "replicationcontrollers", true),
    ("", "ResourceQuota", "resourcequotas", true),
    ("", "Secret", "secrets", true),
    ("", "Service", "services", true),
    ("", "ServiceAccount", "serviceaccounts", true),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
    ("apiregistration.k8s.io", "APIService", "apiservices", false),
    ("apps", "DaemonSet", "daemonsets", true),
    ("apps", "Deployment", "deployments", true),
    ("apps", "ReplicaSet", "replicasets", true),
    ("apps", "StatefulSet", "statefulsets", true),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("batch", "CronJob", "cronjobs", true),
    ("batch", "Job", "jobs", true),
    ("coordination.k8s.io", "Lease", "leases", true),
    ("networking.k8s.io", "Ingress", "ingresses", true),
    ("networking.k8s.io", "IngressClass", "ingressclasses", false),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies", true),
    ("node.k8s.io", "RuntimeClass", "runtimeclasses", false),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", true),
    ("scheduling.k8s.io", "PriorityClass", "priorityclasses", false),
    ("storage.k8s.io", "CSIDriver", "csidrivers", false),
    ("storage.k8s.io", "StorageClass", "storageclasses", false),
];

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The resources that manifests are mostly made of, in the versions that every cluster of today serves.
pub fn known_everywhere() -> BTreeSet<Resource> {
    let version = |group: &str| match group {
        "" => "v1".to_owned(),
        "autoscaling" => "autoscaling/v2".to_owned(),
        group => format!("{group}/v1"),
    };
    // What is made by controllers for others' sake carries the others' labels now and then, and goes with them.
    let made_by_controllers = |kind: &str| matches!(kind, "Endpoints" | "Lease");
    let known = KNOWN.iter().filter(|(_, kind, _, _)| !made_by_controllers(kind));
    known.filter_map(|(group, kind, _, _)| self::known(&version(group), kind)).collect()
}

/// The resource of a kind that charts are made of; `None` when only the API server knows.
pub fn known(api_version: &str, kind: &str) -> Option<Resource> {
    let (group, _) = split(api_version);
    let (_, _, plural, namespaced) = KNOWN.iter().find(|known| (known.0, known.1) == (group, kind))?;
    Some(Resource {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: (*plural).to_owned(),
        namespaced: *namespaced,
    })
}

/// Finds resources, and asks the API server about each unknown kind once.
#[derive(Default)]
pub struct Kinds(Mutex<BTreeMap<(String, String), Resource>>);

impl Kinds {
    /// The resource of `kind`; a kind that the cluster does not have is an error that says so.
    pub async fn find(&self, client: &Client, api_version: &str, kind: &str) -> Result<Resource, Failure> {
        self.look_up(client, api_version, kind).await?.ok_or_else(|| {
            Failure::step(format!("the cluster has no kind {kind} in {api_version}"))
                .help("install what brings this kind (its CustomResourceDefinition), or correct the apiVersion")
        })
    }

    /// The resource of `kind`; `None` for a kind that the cluster does not have, or has no more.
    pub async fn look_up(&self, client: &Client, api_version: &str, kind: &str) -> Result<Option<Resource>, Failure> {
        if let Some(resource) = known(api_version, kind) {
            return Ok(Some(resource));
        }
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(resource) = self.found().get(&key) {
            return Ok(Some(resource.clone()));
        }
        let (group, version) = split(api_version);
        let asked = GroupVersionKind::gvk(group, version, kind);
        let (api, capabilities) = match oneshot::pinned_kind(client, &asked).await {
            Ok(found) => found,
            Err(kube::Error::Discovery(_)) => return Ok(None),
            Err(found) if error::is_missing(&found) => return Ok(None),
            Err(found) => {
                return Err(error::failed(&format!("ask which resource {kind} of {api_version} is"), &found));
            }
        };
        let resource = Resource {
            api_version: api.api_version,
            kind: api.kind,
            plural: api.plural,
            namespaced: capabilities.scope == Scope::Namespaced,
        };
        self.found().insert(key, resource.clone());
        Ok(Some(resource))
    }

    fn found(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Resource>> {
        // Whoever panicked while holding it left a map of complete entries.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{known, known_everywhere};

    #[test]
    fn a_kind_is_the_same_in_every_version_of_its_group() {
        let is_same = |one: (&str, &str), other: (&str, &str)| {
            known(one.0, one.1).unwrap().is_same_kind(&known(other.0, other.1).unwrap())
        };
        let scaler = "HorizontalPodAutoscaler";
        assert!(is_same(("autoscaling/v1", scaler), ("autoscaling/v2", scaler)));
        assert!(!is_same(("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet")));
        let everywhere = known_everywhere();
        let twins = |one: &&super::Resource| everywhere.iter().filter(|other| one.is_same_kind(other)).count() > 1;
        assert_eq!(everywhere.iter().find(twins), None);
        // What manifests have now and then, and what nothing else would find once its file cannot be read.
        for kind in ["ValidatingWebhookConfiguration", "APIService", "RuntimeClass", "CSIDriver", "PodTemplate"] {
            assert!(everywhere.iter().any(|one| one.kind == kind && one.api_version.ends_with("v1")), "{kind}");
        }
    }

    #[test]
    fn known_kinds_keep_the_version_that_the_manifest_names() {
        let check = |api_version: &str, kind: &str, expected: Option<(&str, bool)>| {
            let found = known(api_version, kind);
            assert_eq!(found.as_ref().map(|found| (found.plural.as_str(), found.namespaced)), expected);
            assert!(found.is_none_or(|found| found.api_version == api_version));
        };
        check("apps/v1", "Deployment", Some(("deployments", true)));
        check("autoscaling/v2", "HorizontalPodAutoscaler", Some(("horizontalpodautoscalers", true)));
        check("v1", "Namespace", Some(("namespaces", false)));
        check("example.org/v1", "Deployment", None);
    }
}
