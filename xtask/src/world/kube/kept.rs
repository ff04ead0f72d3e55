//! Objects that stay although what they were made for goes: labelled, so that they are known again.

use std::collections::BTreeSet;

use engine::failure::Failure;
use futures_util::future::try_join_all;
use kube::Client;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::world::kube::apply::{self, Owner};
use crate::world::kube::identity::Address;
use crate::world::kube::kinds::{Kinds, Resource, known_everywhere};
use crate::world::kube::{MANAGER, PROJECT, STEP, definitions, error};

/// Labels an object, if it is there, as one that `owner` has left.
pub async fn mark(client: &Client, address: &Address, owner: &Owner<'_>) -> Result<(), Failure> {
    let labels = json!({"metadata": {"labels": {PROJECT: owner.project, STEP: owner.step}}});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match address.api(client).patch_metadata(&address.name, &params, &Patch::Merge(labels)).await {
        Err(found) if !error::is_missing(&found) => Err(error::failed(&address.doing("label"), &found)),
        _ => Ok(()),
    }
}

/// The objects that [`mark`] has labelled for `owner`, with their uids. Who may not look at the whole cluster finds
/// those in `namespace`; a kind whose objects cannot be converted, and so not be read, keeps nobody from the rest.
pub async fn marked(
    client: &Client,
    kinds: &Kinds,
    owner: &Owner<'_>,
    namespace: &str,
) -> Result<BTreeSet<(Address, String)>, Failure> {
    let params = &ListParams::default().labels(&format!("{PROJECT}={},{STEP}={}", owner.project, owner.step));
    let defined = definitions::kinds(client, kinds).await?;
    let known = known_everywhere().into_iter().map(|resource| (resource, false));
    let all = known.chain(defined.into_iter().map(|resource| (resource, true)));
    let all = all.filter(|(resource, _)| may_be_kept(resource));
    let lists = try_join_all(all.map(|(resource, is_defined)| async move {
        match apply::live(client, &resource, namespace, params).await {
            Ok(objects) => Ok(objects),
            Err(found) if apply::is_passed_over(&found, is_defined) => Ok(Vec::new()),
            Err(found) => Err(error::failed(&format!("list the {} that were kept", resource.plural), &found)),
        }
    }))
    .await?;
    Ok(lists.into_iter().flatten().collect())
}

/// Whether objects of a kind hold data, or a chart may ask that they stay.
fn may_be_kept(resource: &Resource) -> bool {
    resource.namespaced || matches!(resource.kind.as_str(), "PersistentVolume" | "Namespace")
}
