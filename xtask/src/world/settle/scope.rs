//! Which workloads belong together: those of a release, and those named one by one.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::diagnose::evidence::{Identity, Kind};
use crate::world::kube::identity::Address;

/// The label by which charts mark what belongs to a release, hooks and pods included.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The annotations by which helm marks what it owns; hooks bear none.
const RELEASE: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The workload at `address`; `None` if what is there is none.
pub fn workload(address: &Address) -> Option<Identity> {
    Some(Identity::new(Kind::from_word(&address.resource.kind)?, address.namespace.clone()?, address.name.clone()))
}

/// What a watch is about.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The namespaces to look at from the start: the release's own and those that its objects are known to be in.
    pub namespaces: BTreeSet<String>,
    /// The release: its namespace and its name. What helm or the chart marked as its own belongs.
    pub release: Option<(String, String)>,
    /// Objects that belong whatever their marks: hooks without labels, manifests.
    pub objects: BTreeSet<Identity>,
}

impl Scope {
    /// A scope of these objects alone.
    pub fn of(objects: impl IntoIterator<Item = Identity>) -> Self {
        let objects: BTreeSet<Identity> = objects.into_iter().collect();
        let namespaces = objects.iter().map(|object| object.namespace.clone()).collect();
        Self { namespaces, release: None, objects }
    }

    /// The release `name` of `namespace`, hooks included where the chart labels them.
    pub fn release(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let namespace = namespace.into();
        Self {
            namespaces: BTreeSet::from([namespace.clone()]),
            release: Some((namespace, name.into())),
            objects: BTreeSet::new(),
        }
    }

    /// With these objects as well, and their namespaces.
    pub fn with(mut self, objects: impl IntoIterator<Item = Identity>) -> Self {
        for object in objects {
            self.namespaces.insert(object.namespace.clone());
            self.objects.insert(object);
        }
        self
    }

    /// The identity of an object that belongs; `None` for one that does not.
    pub fn identity(&self, kind: Kind, meta: &ObjectMeta) -> Option<Identity> {
        let identity = Identity::new(kind, meta.namespace.clone()?, meta.name.clone()?);
        (self.objects.contains(&identity) || self.marked(meta)).then_some(identity)
    }

    /// The name less the release's, as people call it: `backend` for `todo-backend`.
    pub fn short<'a>(&self, identity: &'a Identity) -> &'a str {
        let release = self.release.as_ref().map(|(_, name)| name.as_str());
        release.and_then(|release| identity.name.strip_prefix(release)?.strip_prefix('-')).unwrap_or(&identity.name)
    }

    fn marked(&self, meta: &ObjectMeta) -> bool {
        let Some((namespace, name)) = &self.release else { return false };
        let annotation = |key| meta.annotations.as_ref().and_then(|all| all.get(key));
        match annotation(RELEASE) {
            Some(owner) => owner == name && annotation(RELEASE_NAMESPACE).is_none_or(|of| of == namespace),
            None => meta.labels.as_ref().and_then(|all| all.get(INSTANCE)) == Some(name),
        }
    }
}
