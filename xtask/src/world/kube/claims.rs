//! Volume claims, and what is written on each of whose data it is. Knows nothing of what becomes of them.

use std::collections::BTreeMap;

use engine::failure::Failure;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Client;
use kube::api::{Api, ListParams, ObjectMeta};

use crate::world::kube::{PROJECT, STEP, error};

/// The label that most charts give to what belongs to a release, and sets to the claims that they have made.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// The annotations that helm gives to what is in a release's manifest.
const RELEASE: [&str; 2] = ["meta.helm.sh/release-namespace", "meta.helm.sh/release-name"];

/// A claim that is there.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// Its name.
    pub name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// Whose data may be in a claim: a release, by all that names it.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The project that it is of.
    pub project: &'a str,
    /// The step that deploys it, as labels name it.
    pub step: &'a str,
    /// Where it is.
    pub namespace: &'a str,
    /// Its name in helm.
    pub release: &'a str,
}

impl Claim {
    /// The claim with this metadata; `None` where that has no name.
    pub fn of(metadata: ObjectMeta) -> Option<Self> {
        let (labels, annotations) = (metadata.labels.unwrap_or_default(), metadata.annotations.unwrap_or_default());
        Some(Self { name: metadata.name?, labels, annotations })
    }

    /// Whether what is written on the claim says that it is data of `whose`; `None` where that says nothing. A removal of
    /// ours has written on it, or helm, or whoever wrote the chart.
    pub fn is_of(&self, whose: &Whose<'_>) -> Option<bool> {
        let is = |map: &BTreeMap<String, String>, names: [&str; 2], wanted: [&str; 2]| {
            let found = names.map(|name| map.get(name).map(String::as_str));
            found[1].map(|_| found == wanted.map(Some))
        };
        let signs = [
            is(&self.labels, [PROJECT, STEP], [whose.project, whose.step]),
            is(&self.annotations, RELEASE, [whose.namespace, whose.release]),
            is(&self.labels, [INSTANCE; 2], [whose.release; 2]),
        ];
        signs.into_iter().flatten().reduce(|one, other| one || other)
    }
}

/// The volume claims in `namespace`, those left out that are being removed.
///
/// # Errors
/// When the cluster does not answer.
pub async fn all(client: &Client, namespace: &str) -> Result<Vec<Claim>, Failure> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let list = claims.list_metadata(&ListParams::default()).await;
    let list =
        list.map_err(|found| error::failed(&format!("list the volume claims in namespace {namespace}"), &found))?;
    let live = list.items.into_iter().filter(|claim| claim.metadata.deletion_timestamp.is_none());
    Ok(live.filter_map(|claim| Claim::of(claim.metadata)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Claim, Whose};

    #[test]
    fn whose_data_it_is_says_what_is_written_on_it() {
        let check = |labels: Value, annotations: Value, expected: Option<bool>| {
            let metadata = json!({"name": "data", "labels": labels, "annotations": annotations});
            let claim = Claim::of(serde_json::from_value(metadata).unwrap()).unwrap();
            let todo = Whose { project: "shop", step: "release-todo", namespace: "front", release: "todo" };
            assert_eq!(claim.is_of(&todo), expected, "{labels} {annotations}");
        };
        let left = |project: &str, step: &str| json!({"xtask/project": project, "xtask/step": step});
        let of_helm = |namespace: &str, release: &str| json!({"meta.helm.sh/release-namespace": namespace, "meta.helm.sh/release-name": release});
        check(json!({"app": "postgres"}), json!({}), None);
        check(left("shop", "release-todo"), json!({}), Some(true));
        check(left("shop", "release-other"), json!({}), Some(false));
        check(left("shop", "manifests-todo"), json!({}), Some(false));
        check(left("other", "release-todo"), json!({}), Some(false));
        check(json!({}), of_helm("front", "todo"), Some(true));
        check(json!({}), of_helm("front", "other"), Some(false));
        check(json!({}), of_helm("back", "todo"), Some(false));
        check(json!({"app.kubernetes.io/instance": "todo"}), json!({}), Some(true));
        check(json!({"app.kubernetes.io/instance": "other"}), json!({}), Some(false));
        // A chart that calls itself something else there.
        check(json!({"app.kubernetes.io/instance": "other"}), of_helm("front", "todo"), Some(true));
    }
}
