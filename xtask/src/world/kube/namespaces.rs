//! Namespaces: made when they are missing, labelled as ours, and removed only when they are ours and nobody else has
//! anything in them.

use engine::failure::Failure;
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams, Preconditions};
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::wait;

use crate::world::kube::{MANAGED_BY, MANAGER, PROJECT, error};

/// Makes `namespace` when it is missing; waits for one that is being removed to be gone.
pub async fn ensure(client: &Client, namespace: &str, project: &str) -> Result<(), Failure> {
    let api: Api<Namespace> = Api::all(client.clone());
    let doing = format!("make the namespace {namespace}");
    let failed = |found: kube::Error| error::failed(&doing, &found);
    match api.get_metadata_opt(namespace).await.map_err(failed)? {
        Some(found) if found.metadata.deletion_timestamp.is_none() => return Ok(()),
        Some(found) => {
            let uid = found.metadata.uid.unwrap_or_default();
            let gone = wait::await_condition(api.clone(), namespace, wait::conditions::is_deleted(&uid)).await;
            gone.map_err(|found| Failure::step(format!("could not {doing}")).because_of(&found))?;
        }
        None => {}
    }
    let labels = [(MANAGED_BY, MANAGER), (PROJECT, project)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let metadata =
        ObjectMeta { name: Some(namespace.to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() };
    let params = PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) };
    match api.create(&params, &Namespace { metadata, ..Namespace::default() }).await {
        // Another run was faster.
        Err(found) if !error::is_conflict(&found) => Err(failed(found)),
        _ => Ok(()),
    }
}

/// Whether `namespace` is there and was made by us for `project`.
pub async fn is_ours(client: &Client, namespace: &str, project: &str) -> Result<bool, Failure> {
    Ok(metadata(client, namespace).await?.is_some_and(|found| made_for(&found, project)))
}

async fn metadata(client: &Client, namespace: &str) -> Result<Option<ObjectMeta>, Failure> {
    let found = Api::<Namespace>::all(client.clone()).get_metadata_opt(namespace).await;
    let found = found.map_err(|found| error::failed(&format!("look at the namespace {namespace}"), &found))?;
    Ok(found.map(|found| found.metadata))
}

fn made_for(namespace: &ObjectMeta, project: &str) -> bool {
    let label = |name: &str| namespace.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    label(MANAGED_BY) == Some(MANAGER) && label(PROJECT) == Some(project)
}

/// Everything in `namespace` that Kubernetes has not put there itself: `ConfigMap notes`, in order.
///
/// What another object owns goes with it and does not count; neither does what is being removed.
pub async fn contents(client: &Client, namespace: &str) -> Result<Vec<String>, Failure> {
    let doing = format!("look at what is in the namespace {namespace}");
    let discovery = Discovery::new(client.clone()).run().await.map_err(|found| error::failed(&doing, &found))?;
    let mut kinds = Vec::new();
    for (resource, capabilities) in discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources) {
        if capabilities.scope == Scope::Namespaced
            && capabilities.supports_operation(verbs::LIST)
            && capabilities.supports_operation(verbs::DELETE)
        {
            kinds.push(resource);
        }
    }
    let lists = join_all(kinds.iter().map(|resource| async move {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
        (resource, api.list_metadata(&ListParams::default()).await)
    }))
    .await;
    let mut found = Vec::new();
    for (resource, list) in lists {
        for object in list.map_err(|found| error::failed(&doing, &found))?.items {
            let name = object.metadata.name.clone().unwrap_or_default();
            if counts(&resource.kind, &name, &object.metadata) {
                found.push(format!("{} {name}", resource.kind));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn counts(kind: &str, name: &str, metadata: &ObjectMeta) -> bool {
    let automatic = match kind {
        "Event" | "PodMetrics" | "EndpointSlice" | "Endpoints" => true,
        "ConfigMap" => name == "kube-root-ca.crt",
        "ServiceAccount" => name == "default",
        "Lease" => name == MANAGER,
        _ => false,
    };
    let owned = metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    !automatic && !owned && metadata.deletion_timestamp.is_none()
}

/// Removes `namespace` if we made it for `project` and nothing is left in it; says whether it goes.
pub async fn remove_if_empty(client: &Client, namespace: &str, project: &str) -> Result<bool, Failure> {
    let Some(found) = metadata(client, namespace).await?.filter(|found| made_for(found, project)) else {
        return Ok(false);
    };
    if !contents(client, namespace).await?.is_empty() {
        return Ok(false);
    }
    let this = Preconditions { uid: found.uid, resource_version: None };
    let deleted =
        Api::<Namespace>::all(client.clone()).delete(namespace, &DeleteParams::default().preconditions(this)).await;
    match deleted {
        Err(found) if !error::is_missing(&found) => {
            Err(error::failed(&format!("remove the namespace {namespace}"), &found))
        }
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use kube::api::ObjectMeta;

    use super::counts;

    #[test]
    fn only_what_somebody_has_made_keeps_a_namespace() {
        let plain = ObjectMeta::default();
        let owned = ObjectMeta { owner_references: Some(vec![OwnerReference::default()]), ..ObjectMeta::default() };
        let check = |kind: &str, name: &str, metadata: &ObjectMeta, expected: bool| {
            assert_eq!(counts(kind, name, metadata), expected, "{kind} {name}");
        };
        check("ConfigMap", "kube-root-ca.crt", &plain, false);
        check("ConfigMap", "notes", &plain, true);
        check("ServiceAccount", "default", &plain, false);
        check("PersistentVolumeClaim", "data", &plain, true);
        check("Pod", "backend-1", &owned, false);
        check("Pod", "by-hand", &plain, true);
        check("Lease", "xtask", &plain, false);
    }
}
