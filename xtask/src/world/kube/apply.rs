//! Applies objects on the server's side as the field manager `xtask`, and removes those of ours that are no longer
//! asked for, found by their labels.

use std::collections::BTreeSet;

use engine::failure::Failure;
use futures_util::future::try_join_all;
use kube::Client;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::runtime::wait;
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
        let is_established = definitions::is_established;
        let established = wait::await_condition(address.api(client), &address.name, is_established).await;
        established
            .map_err(|found| Failure::step(format!("could not wait for {}", address.title())).because_of(&found))?;
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

/// Every object that carries `owner`'s labels, of the kinds that manifests are made of and of `more`.
pub async fn owned(
    client: &Client,
    owner: &Owner<'_>,
    more: &BTreeSet<Resource>,
) -> Result<BTreeSet<(Address, String)>, Failure> {
    let mut resources: BTreeSet<Resource> = known_everywhere();
    resources.extend(more.iter().cloned());
    let params = ListParams::default().labels(&owner.selector());
    let lists = try_join_all(resources.into_iter().map(|resource| {
        let params = params.clone();
        async move {
            let everywhere = Address { resource, namespace: None, name: String::new() };
            let objects = match everywhere.api(client).list_metadata(&params).await {
                Ok(list) => list.items,
                Err(found) if error::is_missing(&found) => Vec::new(),
                Err(found) => return Err(error::failed(&format!("list {}", everywhere.resource.plural), &found)),
            };
            let ours = objects.into_iter().filter(|object| object.metadata.deletion_timestamp.is_none()).filter_map(
                |object| {
                    let address = Address {
                        resource: everywhere.resource.clone(),
                        namespace: object.metadata.namespace,
                        name: object.metadata.name?,
                    };
                    Some((address, object.metadata.uid?))
                },
            );
            Ok(ours.collect::<Vec<_>>())
        }
    }))
    .await?;
    Ok(lists.into_iter().flatten().collect())
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
