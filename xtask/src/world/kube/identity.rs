//! Which object it is and whether it was written since: uid, generation, and who wrote which fields.
//!
//! One list per kind and namespace answers for all objects of a run. It is a list of metadata, but for the kinds that
//! run pods, whose status tells how they are.

use std::collections::{BTreeMap, BTreeSet};

use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use futures_util::future::try_join_all;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta};
use serde::{Deserialize, Serialize};

use crate::world::kube::kinds::{Kinds, Resource};
use crate::world::kube::rendered::Rendered;
use crate::world::kube::{error, health};

/// Up to this many objects of a kind that has no namespaces are asked for one by one: clusters hold dozens of others.
const FEW: usize = 2;

/// An object's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// What it is.
    pub resource: Resource,
    /// Where it is; `None` for kinds without namespaces.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Address {
    /// The address that `rendered` has when it is applied in `namespace`.
    pub async fn of(client: &Client, kinds: &Kinds, rendered: &Rendered, namespace: &str) -> Result<Self, Failure> {
        let resource = kinds.find(client, &rendered.api_version, &rendered.kind).await?;
        Ok(Self::at(resource, rendered, namespace))
    }

    /// As [`Self::of`]; `None` when the cluster does not have the kind.
    pub async fn of_known(
        client: &Client,
        kinds: &Kinds,
        rendered: &Rendered,
        namespace: &str,
    ) -> Result<Option<Self>, Failure> {
        let resource = kinds.look_up(client, &rendered.api_version, &rendered.kind).await?;
        Ok(resource.map(|resource| Self::at(resource, rendered, namespace)))
    }

    fn at(resource: Resource, rendered: &Rendered, namespace: &str) -> Self {
        let namespace = rendered.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        Self { namespace: resource.namespaced.then_some(namespace), resource, name: rendered.name.clone() }
    }

    /// `Deployment todo-backend`: how messages name it.
    pub fn title(&self) -> String {
        format!("{} {}", self.resource.kind, self.name)
    }

    /// Requests for objects of this kind in this place.
    pub fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource.api()),
            None => Api::all_with(client.clone(), &self.resource.api()),
        }
    }

    /// The object; `None` if it is not there.
    pub async fn read(&self, client: &Client) -> Result<Option<DynamicObject>, Failure> {
        self.api(client).get_opt(&self.name).await.map_err(|found| error::failed(&self.doing("read"), &found))
    }

    /// `read Deployment todo-backend in namespace todo`.
    pub fn doing(&self, verb: &str) -> String {
        match &self.namespace {
            Some(namespace) => format!("{verb} {} in namespace {namespace}", self.title()),
            None => format!("{verb} {}", self.title()),
        }
    }
}

/// The state of an object at one moment, as far as metadata tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Another uid is another object under the same name.
    pub uid: String,
    /// Counts changes of the spec, for kinds that have one.
    pub generation: Option<i64>,
    /// Changes with every write.
    pub resource_version: String,
    /// Who wrote which fields and when, status aside: controllers that report status leave it as it is.
    pub writers: Digest,
}

impl Identity {
    /// What `metadata` tells.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation,
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            writers: writers(metadata),
        }
    }

    /// Whether nothing but status was written between `self` and `later`. `false` means: look closer.
    pub fn is_same(&self, later: &Self) -> bool {
        self.uid == later.uid
            && (self.resource_version == later.resource_version
                || (self.generation == later.generation && self.writers == later.writers))
    }
}

fn writers(metadata: &ObjectMeta) -> Digest {
    let mut hasher = Hasher::new("writers/1");
    for entry in metadata.managed_fields.iter().flatten().filter(|entry| entry.subresource.as_deref() != Some("status"))
    {
        hasher.text(entry.manager.as_deref().unwrap_or_default());
        hasher.text(entry.operation.as_deref().unwrap_or_default());
        hasher.text(&entry.time.as_ref().map(|time| time.0.to_string()).unwrap_or_default());
        hasher.text(&entry.fields_v1.as_ref().map(|fields| fields.0.to_string()).unwrap_or_default());
    }
    hasher.finish()
}

/// An object as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its metadata in short.
    pub identity: Identity,
    /// Why its pods are not all well: `1 of 2 pods is ready`; `None` when they are, and for kinds without pods.
    pub trouble: Option<String>,
}

impl Seen {
    fn of(object: &DynamicObject) -> Self {
        let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
        Self { identity: Identity::of(&object.metadata), trouble: health::trouble(kind, &object.data) }
    }
}

/// How the objects at `addresses` are, `None` for what is not there. One request per kind and namespace, all at once.
pub async fn look(client: &Client, addresses: &BTreeSet<Address>) -> Result<BTreeMap<Address, Option<Seen>>, Failure> {
    let mut groups: BTreeMap<(&Resource, Option<&str>), Vec<&Address>> = BTreeMap::new();
    for address in addresses {
        groups.entry((&address.resource, address.namespace.as_deref())).or_default().push(address);
    }
    let found = try_join_all(groups.into_values().map(|group| look_at(client, group))).await?;
    Ok(found.into_iter().flatten().collect())
}

async fn look_at(client: &Client, group: Vec<&Address>) -> Result<Vec<(Address, Option<Seen>)>, Failure> {
    let Some(first) = group.first() else { return Ok(Vec::new()) };
    let plain = |metadata: &ObjectMeta| Seen { identity: Identity::of(metadata), trouble: None };
    if first.namespace.is_none() && group.len() <= FEW {
        return try_join_all(group.into_iter().map(|address| async move {
            let found = address.api(client).get_metadata_opt(&address.name).await;
            let found = found.map_err(|found| error::failed(&address.doing("look at"), &found))?;
            Ok((address.clone(), found.map(|found| plain(&found.metadata))))
        }))
        .await;
    }
    let (api, all) = (first.api(client), ListParams::default());
    let found: Result<Vec<(Option<String>, Seen)>, kube::Error> = if health::has_pods(&first.resource.kind) {
        let list = api.list(&all).await;
        list.map(|list| {
            list.items
                .into_iter()
                .map(|mut object| {
                    // Items of a list do not name their kind.
                    object.types = Some(first.resource.types());
                    (object.metadata.name.clone(), Seen::of(&object))
                })
                .collect()
        })
    } else {
        let list = api.list_metadata(&all).await;
        list.map(|list| {
            list.items.iter().map(|object| (object.metadata.name.clone(), plain(&object.metadata))).collect()
        })
    };
    let found: BTreeMap<String, Seen> = match found {
        Ok(found) => found.into_iter().filter_map(|(name, seen)| Some((name?, seen))).collect(),
        // The kind itself is gone, for example with its CustomResourceDefinition: so are its objects.
        Err(found) if error::is_missing(&found) => BTreeMap::new(),
        Err(found) => {
            let place =
                first.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
            return Err(error::failed(&format!("list {}{place}", first.resource.plural), &found));
        }
    };
    Ok(group.into_iter().map(|address| (address.clone(), found.get(&address.name).cloned())).collect())
}

#[cfg(test)]
mod tests {
    use engine::digest::Digest;

    use super::Identity;

    #[test]
    fn only_a_write_outside_status_makes_an_object_worth_a_look() {
        let one = |uid: &str, generation, version: &str, writers: &[u8]| Identity {
            uid: uid.to_owned(),
            generation,
            resource_version: version.to_owned(),
            writers: Digest::of_bytes(writers),
        };
        let before = one("u", Some(1), "10", b"helm");
        let check = |later: Identity, same: bool| assert_eq!(before.is_same(&later), same);
        check(one("u", Some(1), "10", b"helm"), true);
        check(one("u", Some(1), "11", b"helm"), true);
        check(one("u", Some(2), "11", b"helm"), false);
        check(one("u", Some(1), "11", b"helm, kubectl"), false);
        check(one("v", Some(1), "10", b"helm"), false);
    }
}
