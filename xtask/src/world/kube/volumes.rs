//! Whether there is data in a namespace.

use engine::failure::Failure;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::world::kube::apply::Owner;
use crate::world::kube::{MANAGER, PROJECT, STEP, error};

/// Whether any volume is claimed in `namespace`, those left out that are being removed.
pub async fn any(client: &Client, namespace: &str) -> Result<bool, Failure> {
    Ok(!claims(client, namespace, "").await?.is_empty())
}

/// The names of the volume claims in `namespace` that carry the labels of `selector` (all, if it is empty).
pub async fn claims(client: &Client, namespace: &str, selector: &str) -> Result<Vec<String>, Failure> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let list = claims.list_metadata(&ListParams::default().labels(selector)).await;
    let list =
        list.map_err(|found| error::failed(&format!("list the volume claims in namespace {namespace}"), &found))?;
    let live = list.items.into_iter().filter(|claim| claim.metadata.deletion_timestamp.is_none());
    Ok(live.filter_map(|claim| claim.metadata.name).collect())
}

/// Removes a volume claim, and with it the data.
pub async fn remove(client: &Client, namespace: &str, name: &str) -> Result<(), Failure> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    match claims.delete(name, &DeleteParams::default()).await {
        Err(found) if !error::is_missing(&found) => {
            Err(error::failed(&format!("remove the volume claim {name} in namespace {namespace}"), &found))
        }
        _ => Ok(()),
    }
}

/// Labels a volume claim that stays although what it was made for goes, so that it is known again.
pub async fn mark(client: &Client, namespace: &str, name: &str, owner: &Owner<'_>) -> Result<(), Failure> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let labels = json!({"metadata": {"labels": {PROJECT: owner.project, STEP: owner.step}}});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match claims.patch(name, &params, &Patch::Merge(labels)).await {
        Err(found) if !error::is_missing(&found) => {
            Err(error::failed(&format!("label the volume claim {name} in namespace {namespace}"), &found))
        }
        _ => Ok(()),
    }
}

/// The volume claims, with their namespaces, that [`mark`] has labelled for `owner`.
pub async fn marked(client: &Client, owner: &Owner<'_>) -> Result<Vec<(String, String)>, Failure> {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let selector = format!("{PROJECT}={},{STEP}={}", owner.project, owner.step);
    let list = claims.list_metadata(&ListParams::default().labels(&selector)).await;
    let list = list.map_err(|found| error::failed("list the volume claims that were kept", &found))?;
    let live = list.items.into_iter().filter(|claim| claim.metadata.deletion_timestamp.is_none());
    Ok(live.filter_map(|claim| Some((claim.metadata.namespace?, claim.metadata.name?))).collect())
}
