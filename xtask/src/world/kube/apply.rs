//! Applies objects on the server's side as the field manager `xtask`, and removes those of ours that are no longer
//! asked for, found by their labels.

use std::collections::BTreeSet;

use engine::failure::Failure;
use futures_util::future::try_join_all;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use serde_json::Value;

use crate::world::kube::definitions;
use crate::world::kube::identity::{Address, Identity};
use crate::world::kube::kinds::{Kinds, Resource, known_everywhere};
use crate::world::kube::rendered::Rendered;
use crate::world::kube::{MANAGED_BY, MANAGER, PROJECT, STEP, error};

/// Whose objects they are: what their labels say.
#[derive(Debug, Clone)]
pub struct Owner<'a> {
    /// The project.
    pub project: &'a str,
    /// The step.
    pub step: &'a str,
}

impl Owner<'_> {
    fn selector(&self) -> String {
        format!("{MANAGED_BY}={MANAGER},{PROJECT}={},{STEP}={}", self.project, self.step)
    }
}

/// Applies `objects` in order, those first that others need; returns where they are and how they are now.
pub async fn apply(
    client: &Client,
    kinds: &Kinds,
    objects: &[Rendered],
    namespace: &str,
    owner: &Owner<'_>,
) -> Result<Vec<(Address, Identity)>, Failure> {
    let mut ordered: Vec<&Rendered> = objects.iter().collect();
    ordered.sort_by_key(|object| rank(&object.kind));
    let mut applied = Vec::new();
    for object in ordered {
        let address = Address::of(client, kinds, object, namespace).await?;
        let stored = apply_one(client, &address, object, owner).await?;
        applied.push((address, Identity::of(&stored.metadata)));
    }
    Ok(applied)
}

/// Kinds that others need come first; all others keep their order.
fn rank(kind: &str) -> u8 {
    match kind {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "PriorityClass" | "StorageClass" | "ServiceAccount" | "ClusterRole" | "Role" => 2,
        "ClusterRoleBinding"
        | "RoleBinding"
        | "Secret"
        | "ConfigMap"
        | "PersistentVolume"
        | "PersistentVolumeClaim" => 3,
        _ => 4,
    }
}

async fn apply_one(
    client: &Client,
    address: &Address,
    object: &Rendered,
    owner: &Owner<'_>,
) -> Result<DynamicObject, Failure> {
    let body = labelled(&object.body, owner);
    let params = PatchParams::apply(MANAGER).force();
    let stored = address.api(client).patch(&address.name, &params, &Patch::Apply(&body)).await;
    let stored = stored.map_err(|found| error::failed(&address.doing("apply"), &found))?;
    if address.resource.kind == definitions::KIND {
        definitions::until_established(client, address).await?;
    }
    Ok(stored)
}

fn labelled(body: &Value, owner: &Owner<'_>) -> Value {
    let mut body = body.clone();
    for (name, value) in [(MANAGED_BY, MANAGER), (PROJECT, owner.project), (STEP, owner.step)] {
        body["metadata"]["labels"][name] = value.into();
    }
    body
}

/// Every object that carries `owner`'s labels, of the kinds that manifests are made of, of those that are `defined` in the
/// cluster and of those that the owner is known to `use`. Who may not look at the whole cluster finds those in
/// `namespace`, and only a kind that is used has to answer at all.
pub async fn owned(
    client: &Client,
    owner: &Owner<'_>,
    namespace: &str,
    defined: &BTreeSet<Resource>,
    used: &BTreeSet<Resource>,
) -> Result<BTreeSet<(Address, String)>, Failure> {
    let known = known_everywhere();
    let mut all: BTreeSet<&Resource> = known.iter().chain(defined).collect();
    // In one version alone: an object that is found in two is told twice.
    let others: Vec<_> = used.iter().filter(|used| !all.iter().any(|one| one.is_same_kind(used))).collect();
    all.extend(others);
    let params = &ListParams::default().labels(&owner.selector());
    let lists = try_join_all(all.into_iter().map(|resource| async move {
        let needed = used.iter().any(|used| used.is_same_kind(resource));
        match live(client, resource, namespace, params).await {
            Ok(objects) => Ok(objects),
            Err(found) if error::is_missing(&found) => Ok(Vec::new()),
            Err(found) if !needed && is_passed_over(&found, defined.contains(resource)) => Ok(Vec::new()),
            Err(found) => Err(error::failed(&format!("list {}", resource.plural), &found)),
        }
    }))
    .await?;
    Ok(lists.into_iter().flatten().collect())
}

/// Whether a kind that need not answer is taken to have nothing of ours when this is what the API server says of it;
/// `is_defined`: by a CustomResourceDefinition.
pub(super) fn is_passed_over(answer: &kube::Error, is_defined: bool) -> bool {
    // What converts somebody else's objects may be broken.
    let is_broken = is_defined && matches!(answer, kube::Error::Api(_));
    error::is_missing(answer) || error::is_forbidden(answer) || is_broken
}

/// Where the objects of a kind are that are not being removed, with their uids; where that is forbidden, of those in
/// `namespace`.
pub(super) async fn live(
    client: &Client,
    resource: &Resource,
    namespace: &str,
    params: &ListParams,
) -> kube::Result<Vec<(Address, String)>> {
    let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), &resource.api());
    let list = match everywhere.list_metadata(params).await {
        Err(found) if resource.namespaced && error::is_forbidden(&found) => {
            let there: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource.api());
            there.list_metadata(params).await
        }
        found => found,
    }?;
    let live = list.items.into_iter().filter(|object| object.metadata.deletion_timestamp.is_none());
    let found = live.filter_map(|object| {
        let metadata = object.metadata;
        let address = Address { resource: resource.clone(), namespace: metadata.namespace, name: metadata.name? };
        Some((address, metadata.uid?))
    });
    Ok(found.collect())
}

/// Removes an object, unless it is another one under the same name by now.
pub async fn remove(client: &Client, address: &Address, uid: &str) -> Result<(), Failure> {
    let params =
        DeleteParams::background().preconditions(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
    match address.api(client).delete(&address.name, &params).await {
        Err(found) if !error::is_missing(&found) && !error::is_conflict(&found) => {
            Err(error::failed(&address.doing("remove"), &found))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::is_passed_over;

    #[test]
    fn a_broken_conversion_of_somebody_elses_objects_is_in_nobodys_way() {
        let answer = |code: u16, message: &str| {
            kube::Error::Api(Box::new(Status::failure(message, "InternalError").with_code(code)))
        };
        let broken = "conversion webhook for example.org/v1, Kind=Widget failed: Post \"https://w.o.svc:443/c?timeout=30s\": \
                      service \"w\" not found";
        let silent = || kube::Error::Service("connection refused".into());
        for (answer, is_defined, expected) in [
            (answer(500, broken), true, true),
            (answer(500, "etcdserver: request timed out"), false, false),
            (answer(404, "the server could not find the requested resource"), false, true),
            (answer(403, "forbidden"), false, true),
            (silent(), true, false),
            (silent(), false, false),
        ] {
            assert_eq!(is_passed_over(&answer, is_defined), expected, "{answer}, defined: {is_defined}");
        }
    }
}
