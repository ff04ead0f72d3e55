//! What a release has brought and no teardown removes: it may be somebody else's by now, or hold somebody's data.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use engine::failure::Failure;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PartialObjectMeta};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

use crate::steps::Belonging;
use crate::world::helm::hooks;
use crate::world::kube::identity::Address;
use crate::world::kube::kinds::Kinds;
use crate::world::kube::{definitions, error};

/// Definitions of kinds that are there and that the `crds/` of the chart in the folder `chart` brought, or would have.
pub async fn definitions(client: &Client, kinds: &Kinds, chart: &Path) -> Result<Vec<Belonging>, Failure> {
    let mut found = Vec::new();
    for definition in definitions::of_chart(chart)? {
        let Some(address) = Address::of_known(client, kinds, &definition, "").await? else { continue };
        if address.read(client).await?.is_some() {
            let name = &definition.name;
            let why = format!(
                "helm removes no crds/, because all objects of the kind would go with it; kubectl delete \
                 customresourcedefinition {name} does"
            );
            found.push(Belonging { what: format!("{} {name}", definition.kind), kept: Some(why) });
        }
    }
    Ok(found)
}

/// Jobs and pods of hooks in `namespace` that are not among the `known` ones: those of revisions that helm has
/// forgotten, or of other releases.
pub async fn hooks(client: &Client, namespace: &str, known: &BTreeSet<Address>) -> Result<Vec<Belonging>, Failure> {
    let mut found = strays::<Job>(client, namespace, known).await?;
    found.extend(strays::<Pod>(client, namespace, known).await?);
    Ok(found)
}

async fn strays<K>(client: &Client, namespace: &str, known: &BTreeSet<Address>) -> Result<Vec<Belonging>, Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let kind = K::kind(&());
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let list = api.list_metadata(&ListParams::default()).await;
    let list = list.map_err(|found| error::failed(&format!("list each {kind} in namespace {namespace}"), &found))?;
    let is_known = |name: &str| known.iter().any(|address| address.resource.kind == kind && address.name == name);
    let is_stray = |object: &PartialObjectMeta<K>| {
        let annotations = object.metadata.annotations.as_ref();
        annotations.is_some_and(|annotations| annotations.contains_key(hooks::HOOK))
            && object.metadata.owner_references.is_none()
            && object.metadata.name.as_deref().is_some_and(|name| !is_known(name))
    };
    let strays = list.items.into_iter().filter(is_stray).filter_map(|object| object.metadata.name);
    Ok(strays
        .map(|name| {
            let verb = format!("kubectl --namespace {namespace} delete {} {name}", kind.to_lowercase());
            Belonging {
                what: format!("{kind} {name} in namespace {namespace}"),
                kept: Some(format!("a hook made it that no revision knows any more; {verb} removes it")),
            }
        })
        .collect())
}
