//! Whether there is data in a namespace.

use engine::failure::Failure;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams};

use crate::world::kube::error;

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
