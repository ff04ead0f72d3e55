//! Namespaces: made when they are missing, labelled as ours, and removed only when they are ours and nobody else has
//! anything in them.

use std::time::Duration;

use engine::failure::Failure;
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams, Preconditions};
use kube::core::ApiResource;
use kube::discovery::{self, Scope, verbs};
use kube::runtime::wait;

use crate::world::kube::{MANAGED_BY, MANAGER, PROJECT, error, lease};

/// How long a namespace that is being removed may take to be gone before nobody waits for it any more: longer than a
/// database in it may take to stop.
const PATIENCE: Duration = Duration::from_secs(90);

/// Makes `namespace` when it is missing. [`until_free`] is for one that is being removed.
///
/// # Errors
/// When the API server refuses it.
pub async fn ensure(client: &Client, namespace: &str, project: &str) -> Result<(), Failure> {
    if is_there(client, namespace).await? {
        return Ok(());
    }
    let labels = [(MANAGED_BY, MANAGER), (PROJECT, project)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let metadata =
        ObjectMeta { name: Some(namespace.to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() };
    let params = PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) };
    match Api::<Namespace>::all(client.clone()).create(&params, &Namespace { metadata, ..Namespace::default() }).await {
        // Another run was faster.
        Err(found) if !error::is_conflict(&found) => {
            Err(error::failed(&format!("make the namespace {namespace}"), &found))
        }
        _ => Ok(()),
    }
}

/// Waits while `namespace` is being removed; `waiting` is told what for, if there is anything to wait for.
///
/// # Errors
/// When it is still there after a minute and a half, with what it says of what is left in it; or the cluster does not answer.
pub async fn until_free(client: &Client, namespace: &str, waiting: impl FnOnce(&str)) -> Result<(), Failure> {
    let found = metadata(client, namespace).await?.filter(|found| found.deletion_timestamp.is_some());
    let Some(uid) = found.and_then(|found| found.uid) else { return Ok(()) };
    waiting(&format!("namespace {namespace}, which is being removed"));
    let api: Api<Namespace> = Api::all(client.clone());
    let gone = wait::await_condition(api.clone(), namespace, wait::conditions::is_deleted(&uid));
    match tokio::time::timeout(PATIENCE, gone).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(found)) => Err(Failure::step(format!("could not wait for namespace {namespace} to be gone"))
            .because_of(&found)
            .help("run the same command again")),
        Err(_) => {
            let live = api.get_opt(namespace).await;
            let live = live.map_err(|found| error::failed(&format!("look at the namespace {namespace}"), &found))?;
            Err(stuck(namespace, live.as_ref()))
        }
    }
}

/// The error for a namespace that does not go; it says itself what is left in it and who has yet to let go of that.
fn stuck(namespace: &str, live: Option<&Namespace>) -> Failure {
    let failure = Failure::step(format!("the namespace {namespace} is being removed and does not go"))
        .because(format!("it is still there after {} s", PATIENCE.as_secs()));
    let conditions = live.and_then(|live| live.status.as_ref()?.conditions.as_ref()).into_iter().flatten();
    let troubles = conditions.filter(|condition| condition.status == "True");
    troubles
        .filter_map(|condition| condition.message.as_ref())
        .fold(failure, Failure::because)
        .help(format!("see what holds it: kubectl get namespace {namespace} --output yaml"))
        .help("have the controller of what is left finish, or remove its finalizers; then run the same command again")
}

/// Whether `namespace` is there and was made by us for `project`.
pub async fn is_ours(client: &Client, namespace: &str, project: &str) -> Result<bool, Failure> {
    Ok(metadata(client, namespace).await?.is_some_and(|found| made_for(&found, project)))
}

/// Whether there is such a namespace.
///
/// # Errors
/// When the cluster does not answer.
pub async fn is_there(client: &Client, namespace: &str) -> Result<bool, Failure> {
    Ok(metadata(client, namespace).await?.is_some())
}

/// Whether there is such a namespace, and it is not being removed.
///
/// # Errors
/// When the cluster does not answer.
pub async fn stays(client: &Client, namespace: &str) -> Result<bool, Failure> {
    Ok(metadata(client, namespace).await?.is_some_and(|found| found.deletion_timestamp.is_none()))
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
    let kinds = kinds(client).await.map_err(|found| error::failed(&doing, &found))?;
    let lists = join_all(kinds.iter().map(|resource| async move {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
        (resource, api.list_metadata(&ListParams::default()).await)
    }))
    .await;
    let mut found = Vec::new();
    for (resource, list) in lists {
        let objects = match list {
            Ok(list) => list.items,
            // The kind was removed since it was asked for.
            Err(found) if error::is_missing(&found) => continue,
            Err(found) => return Err(error::failed(&doing, &found)),
        };
        for object in objects {
            let name = object.metadata.name.clone().unwrap_or_default();
            if counts(&resource.kind, &name, &object.metadata) {
                found.push(format!("{} {name}", resource.kind));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The kinds whose objects live in namespaces and can be listed and removed.
async fn kinds(client: &Client) -> Result<Vec<ApiResource>, kube::Error> {
    let groups = client.list_api_groups().await?.groups;
    let names = std::iter::once(String::new()).chain(groups.into_iter().map(|group| group.name));
    let found = join_all(names.map(|name| async move { discovery::group(client, &name).await })).await;
    let mut kinds = Vec::new();
    for group in found {
        // A group that is listed and not there any more, or whose own server does not answer, has nothing to remove.
        let Ok(group) = group else { continue };
        kinds.extend(group.recommended_resources().into_iter().filter_map(|(resource, capabilities)| {
            let can = |verb| capabilities.supports_operation(verb);
            let fits = capabilities.scope == Scope::Namespaced && can(verbs::LIST) && can(verbs::DELETE);
            fits.then_some(resource)
        }));
    }
    Ok(kinds)
}

fn counts(kind: &str, name: &str, metadata: &ObjectMeta) -> bool {
    let automatic = match kind {
        "Event" | "PodMetrics" | "EndpointSlice" | "Endpoints" => true,
        "ConfigMap" => name == "kube-root-ca.crt",
        "ServiceAccount" => name == "default",
        "Lease" => lease::is_ours(name),
        _ => false,
    };
    let owned = metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    !automatic && !owned && metadata.deletion_timestamp.is_none()
}

/// Begins to remove `namespace` if we made it for `project` and nothing is left in it; says whether it goes.
/// [`until_free`] waits for that.
pub async fn remove_if_empty(client: &Client, namespace: &str, project: &str) -> Result<bool, Failure> {
    let Some(found) = metadata(client, namespace).await?.filter(|found| made_for(found, project)) else {
        return Ok(false);
    };
    match found.deletion_timestamp {
        Some(_) => Ok(true),
        None => remove_one_if_empty(client, namespace, &found.uid.unwrap_or_default()).await,
    }
}

/// Begins to remove the namespace with this uid, whoever made it, if nothing is left in it; says whether it goes.
pub async fn remove_one_if_empty(client: &Client, namespace: &str, uid: &str) -> Result<bool, Failure> {
    if !contents(client, namespace).await?.is_empty() {
        return Ok(false);
    }
    delete(client, namespace, uid).await.map(|()| true)
}

/// Removes `namespace` with all that is in it, if we made it for `project`; says whether it goes. Only for namespaces
/// in which nobody else has any business: those of an isolated deployment.
pub async fn remove(client: &Client, namespace: &str, project: &str) -> Result<bool, Failure> {
    let Some(found) = metadata(client, namespace).await?.filter(|found| made_for(found, project)) else {
        return Ok(false);
    };
    let uid = found.uid.unwrap_or_default();
    delete(client, namespace, &uid).await?;
    let gone =
        wait::await_condition(Api::<Namespace>::all(client.clone()), namespace, wait::conditions::is_deleted(&uid));
    // One that hangs on somebody's finalizer goes when that does: nothing of it can be used any more.
    let _ = tokio::time::timeout(PATIENCE, gone).await;
    Ok(true)
}

/// Has the namespace of that name and uid removed, with all that is in it, whoever made it; waits for nothing.
///
/// # Errors
/// When the API server refuses it.
pub async fn delete(client: &Client, namespace: &str, uid: &str) -> Result<(), Failure> {
    let this = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let api: Api<Namespace> = Api::all(client.clone());
    match api.delete(namespace, &DeleteParams::default().preconditions(this)).await {
        Err(found) if !error::is_missing(&found) => {
            Err(error::failed(&format!("remove the namespace {namespace}"), &found))
        }
        _ => Ok(()),
    }
}

/// A namespace that this tool made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub namespace: String,
    /// The project that it was made for.
    pub project: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// All namespaces that this tool made, for whatever project.
///
/// # Errors
/// When the cluster does not answer.
pub async fn made(client: &Client) -> Result<Vec<Made>, Failure> {
    let params = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
    let list = Api::<Namespace>::all(client.clone()).list_metadata(&params).await;
    let list = list.map_err(|found| error::failed("list the namespaces that this tool made", &found))?;
    let made = list.items.into_iter().filter_map(|found| {
        let ObjectMeta { name, mut labels, creation_timestamp, .. } = found.metadata;
        let project = labels.as_mut()?.remove(PROJECT)?;
        let at_ms = creation_timestamp.map_or(0, |time| time.0.as_millisecond());
        Some(Made { namespace: name?, project, at_ms })
    });
    Ok(made.collect())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use kube::api::ObjectMeta;
    use serde_json::json;

    use super::{counts, stuck};

    #[test]
    fn a_namespace_that_does_not_go_says_what_holds_it_and_what_to_do() {
        let live: Namespace = serde_json::from_value(json!({"status": {"conditions": [
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources discovered"},
            {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "example.org/hold in 1 instances"},
        ]}}))
        .unwrap();
        for (live, expected) in [(None, None), (Some(&live), Some("example.org/hold in 1 instances"))] {
            let failure = stuck("shop", live);
            assert!(failure.message.contains("the namespace shop"), "{failure:?}");
            assert_eq!(failure.causes.get(1).map(String::as_str), expected);
            assert!(failure.help[0].contains("kubectl get namespace shop --output yaml"), "{failure:?}");
        }
    }

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
        check("Lease", "xtask-dev-todo", &plain, false);
        check("Lease", "somebodys", &plain, true);
    }
}
