//! A manifests step: objects as they stand in files, image references apart, applied on the server's side; those of
//! ours that are in no file any more are removed, found by their labels.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::config::Manifests as Definition;
use engine::digest::Hasher;
use engine::failure::Failure;
use engine::files::glob::Globs;
use engine::files::{EntryKind, FileSet, Query, Rules};
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::{Kind, StepId};
use engine::verdict::{Difference, Observation};
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::Context;
use crate::steps::exclusive::under_lease;
use crate::steps::{Belonging, Made, Scope, Step, image};
use crate::world::kube::apply::{self, Owner};
use crate::world::kube::drift::{self, Found};
use crate::world::kube::identity::{self, Address, Identity};
use crate::world::kube::kinds::{Kinds, Resource};
use crate::world::kube::put_back::put_back;
use crate::world::kube::rendered::{self, Rendered};
use crate::world::kube::{namespaces, volumes};
use crate::world::settle::{Expected, Watch, scope};

/// How long pods may take to become ready.
const PATIENCE: Duration = Duration::from_secs(300);

/// What later steps see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The objects: kind, namespace and name.
    pub objects: Vec<(String, Option<String>, String)>,
}

/// What was left: each object as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Observed {
    objects: Vec<(Address, Identity)>,
}

/// See the module.
pub struct ManifestsStep {
    id: StepId,
    definition: Definition,
    kinds: Kinds,
}

impl ManifestsStep {
    /// The step `name`.
    pub fn new(name: &str, definition: Definition) -> Self {
        Self { id: StepId::new(Kind::Manifests, name), definition, kinds: Kinds::default() }
    }

    /// Which files they are.
    fn query(&self, cx: &Context) -> Result<Query, Failure> {
        let patterns: Vec<&str> = self.definition.files.iter().map(String::as_str).collect();
        Ok(Query {
            name: format!("{}.files", self.id.file_stem()),
            root: cx.workspace.root().to_owned(),
            rules: Rules::Globs { globs: Globs::new(&patterns)? },
        })
    }

    fn files(&self, cx: &Context) -> Result<FileSet, Failure> {
        Ok(cx.gatherer.gather(&self.query(cx)?)?.files)
    }

    /// The literal references in the files with what replaces them.
    fn images(&self, cx: &Context) -> Result<Vec<(&str, String)>, Failure> {
        let images = self.definition.images.iter().map(|(literal, image)| {
            let facts: image::Facts = cx.facts(&StepId::new(Kind::Image, image.as_str()))?;
            Ok((literal.as_str(), facts.reference))
        });
        images.collect()
    }

    /// The objects of all files, in the files' order, with the images that they run.
    fn objects(&self, cx: &Context) -> Result<Vec<Rendered>, Failure> {
        let images = self.images(cx)?;
        let mut objects = self.written(cx)?;
        for object in &mut objects {
            replace_images(&mut object.body, &images);
        }
        Ok(objects)
    }

    /// The objects of all files as they are written there.
    fn written(&self, cx: &Context) -> Result<Vec<Rendered>, Failure> {
        let mut objects = Vec::new();
        for entry in self.files(cx)?.entries() {
            if matches!(entry.kind, EntryKind::Directory) {
                continue;
            }
            let path = cx.workspace.root().join(&entry.path);
            let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
            objects.extend(rendered::objects(&text, &entry.path)?);
        }
        Ok(objects)
    }

    async fn located(&self, objects: Vec<Rendered>, client: &Client) -> Result<Vec<(Address, Rendered)>, Failure> {
        let mut located = Vec::new();
        for object in objects {
            // A kind that another of the files brings is not there before that is applied.
            if let Ok(address) = Address::of(client, &self.kinds, &object, &self.definition.namespace).await {
                located.push((address, object));
            }
        }
        Ok(located)
    }

    /// An isolated deployment has nothing outside of its own namespace: what is there is the other deployment's.
    async fn expect_inside(&self, cx: &Context, client: &Client) -> Result<(), Failure> {
        let own = self.definition.namespace.as_str();
        for object in self.written(cx)? {
            let address = Address::of(client, &self.kinds, &object, own).await?;
            if address.namespace.as_deref() != Some(own) {
                let what = format!("{} cannot be deployed in isolation: {} is not in", self.id, address.title());
                return Err(Failure::usage(format!("{what} a namespace of the deployment's own"))
                    .help("leave the namespace out of the file, and put what belongs to the whole cluster elsewhere"));
            }
        }
        Ok(())
    }

    async fn apply(&self, cx: &Context, client: &Client, left: &Observed) -> Result<Observed, Failure> {
        let located = self.located(self.objects(cx)?, client).await?;
        let mut watch = Watch::begin(
            client.clone(),
            scope::Scope::of(located.iter().filter_map(|(address, _)| scope::workload(address))),
            cx.redact(),
        )
        .await?;
        self.put_back(client, &located, left).await?;
        let step = self.id.file_stem();
        let owner = Owner { project: &cx.project, step: &step };
        let objects = self.objects(cx)?;
        let applied = apply::apply(client, &self.kinds, &objects, &self.definition.namespace, &owner).await?;
        if self.definition.prune {
            self.prune(client, &owner, &applied, left).await?;
        }
        let expected: Vec<Expected> = applied
            .iter()
            .filter_map(|(address, identity)| {
                Some(Expected { identity: scope::workload(address)?, generation: identity.generation.unwrap_or(0) })
            })
            .collect();
        tokio::select! {
            settled = watch.until_settled(&expected, Instant::now() + PATIENCE) => settled.map(drop)?,
            () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
        }
        Ok(Observed { objects: applied })
    }

    /// What was added by hand belongs to somebody else, so no apply takes it away.
    async fn put_back(&self, client: &Client, located: &[(Address, Rendered)], left: &Observed) -> Result<(), Failure> {
        // Only what we have applied before: others' objects are adopted by the apply, field by field.
        let known = |address: &Address| left.objects.iter().any(|(known, _)| known == address);
        let ours: Vec<(Address, &Rendered)> = located
            .iter()
            .filter(|(address, _)| known(address))
            .map(|(address, object)| (address.clone(), object))
            .collect();
        for inspected in drift::inspect(client, &ours).await? {
            if let Found::There { differences, live, .. } = &inspected.found
                && !differences.is_empty()
            {
                put_back(client, &inspected.address, live, differences, false).await?;
            }
        }
        Ok(())
    }

    async fn prune(
        &self,
        client: &Client,
        owner: &Owner<'_>,
        applied: &[(Address, Identity)],
        left: &Observed,
    ) -> Result<(), Failure> {
        let kinds: BTreeSet<Resource> = left.objects.iter().map(|(address, _)| address.resource.clone()).collect();
        for (address, uid) in apply::owned(client, owner, &kinds).await? {
            let wanted = applied.iter().any(|(other, identity)| *other == address || identity.uid == uid);
            if !wanted {
                apply::remove(client, &address, &uid).await?;
            }
        }
        Ok(())
    }

    async fn owned(&self, cx: &Context, client: &Client) -> Result<BTreeSet<(Address, String)>, Failure> {
        let step = self.id.file_stem();
        let owner = Owner { project: &cx.project, step: &step };
        // Only their kinds count: a teardown does not know what images were made.
        let located = self.located(self.written(cx)?, client).await?;
        let kinds = located.into_iter().map(|(address, _)| address.resource).collect();
        apply::owned(client, &owner, &kinds).await
    }
}

/// Replaces whole image references, wherever an object has an `image`.
fn replace_images(value: &mut Value, images: &[(&str, String)]) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let replaced = value.as_str().filter(|_| name == "image").and_then(|text| {
                    images.iter().find(|(literal, _)| *literal == text).map(|(_, reference)| reference.clone())
                });
                match replaced {
                    Some(reference) => *value = reference.into(),
                    None => replace_images(value, images),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_images(item, images)),
        _ => {}
    }
}

#[async_trait]
impl Step for ManifestsStep {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn pool(&self) -> Pool {
        Pool::Cluster
    }

    fn lock_name(&self, cx: &Context) -> Result<String, Failure> {
        let cluster = super::cluster_in_locks(cx);
        Ok(format!("manifests {cluster} {} {}", cx.project, self.id.name))
    }

    async fn gather(&self, cx: &Context) -> Result<Manifest, Failure> {
        let mut manifest = Manifest::new(self.id.clone());
        manifest.value(Source::Definition, "namespace", &self.definition.namespace);
        manifest.value(Source::Definition, "prune", self.definition.prune);
        if let Some(cluster) = cx.output(&StepId::cluster()) {
            manifest.digest(Source::Upstream, "cluster", cluster.digest);
        }
        let files = self.files(cx)?;
        for entry in files.entries() {
            match &entry.kind {
                EntryKind::File { digest, .. } => manifest.digest(Source::File, &entry.path, *digest),
                EntryKind::Symlink { target } => manifest.value(Source::File, &entry.path, target),
                EntryKind::Directory => {}
            }
        }
        // They are read again when they are applied.
        cx.gatherer.stamp(&self.query(cx)?, &files).into_iter().for_each(|stamp| manifest.stamp(stamp));
        for (literal, reference) in self.images(cx)? {
            manifest.value(Source::Value, format!("image {literal}"), reference);
        }
        Ok(manifest)
    }

    fn understands(&self, receipt: &Receipt) -> bool {
        super::has_shapes::<Value, Observed>(receipt)
    }

    async fn observe(&self, cx: &Context, receipt: &Receipt) -> Result<Observation, Failure> {
        let client = cx.world.kube().await?;
        let left: Observed = serde_json::from_value(receipt.observed.clone()).unwrap_or_default();
        let addresses = left.objects.iter().map(|(address, _)| address.clone()).collect();
        let seen = identity::look(&client, &addresses).await?;
        let now = |address: &Address| seen.get(address).and_then(Option::as_ref);
        let mut differences: Vec<Difference> = seen
            .iter()
            .filter_map(|(address, seen)| {
                let trouble = seen.as_ref()?.trouble.as_ref()?;
                Some(Difference::Unhealthy(format!("{}: {trouble}", address.title())))
            })
            .collect();
        let same =
            |(address, known): &&(Address, Identity)| now(address).is_some_and(|seen| known.is_same(&seen.identity));
        let suspects: Vec<&Address> =
            left.objects.iter().filter(|known| !same(known)).map(|(address, _)| address).collect();
        if suspects.is_empty() {
            return Ok(Observation { differences, refreshed: None });
        }
        // Only files that are as they were tell how the objects should be. A look before the cluster's turn would take them
        // for changed, and so see nothing.
        cx.facts::<Value>(&StepId::cluster())?;
        let unchanged = self.gather(cx).await?.key() == receipt.manifest.key();
        let located = if unchanged { self.located(self.objects(cx)?, &client).await? } else { Vec::new() };
        let located: Vec<(Address, &Rendered)> = located
            .iter()
            .filter(|(address, _)| suspects.contains(&address))
            .map(|(address, object)| (address.clone(), object))
            .collect();
        let mut refreshed = left.clone();
        for inspected in drift::inspect(&client, &located).await? {
            let wrap =
                if matches!(inspected.found, Found::Missing) { Difference::Missing } else { Difference::Altered };
            differences.extend(inspected.sentences().into_iter().map(wrap));
            match &inspected.found {
                Found::There { identity, differences, .. } if differences.is_empty() => {
                    for known in refreshed.objects.iter_mut().filter(|(address, _)| *address == inspected.address) {
                        known.1 = identity.clone();
                    }
                }
                Found::RightlyGone => refreshed.objects.retain(|(address, _)| *address != inspected.address),
                _ => {}
            }
        }
        let refreshed = (unchanged && refreshed != left).then(|| serde_json::to_value(&refreshed)).transpose();
        let refreshed = refreshed.map_err(|error| Failure::step("could not keep what was observed").because(error))?;
        Ok(Observation { differences, refreshed })
    }

    async fn perform(&self, cx: &Context, job: &Job) -> Result<Made, Failure> {
        let client = cx.world.kube().await?;
        let left: Option<Observed> =
            job.previous.as_ref().and_then(|receipt| serde_json::from_value(receipt.observed.clone()).ok());
        let left = left.unwrap_or_default();
        let namespace = self.definition.namespace.as_str();
        if cx.isolated {
            self.expect_inside(cx, &client).await?;
        }
        namespaces::ensure(&client, namespace, &cx.project).await?;
        let applied = under_lease(cx, &self.id, &client, namespace, Box::pin(self.apply(cx, &client, &left))).await?;
        let mut hasher = Hasher::new("manifests-output/1");
        for (address, identity) in &applied.objects {
            hasher.text(&address.title()).text(&identity.uid);
            hasher.text(
                &identity.generation.map_or_else(|| identity.resource_version.clone(), |number| number.to_string()),
            );
        }
        let objects = applied
            .objects
            .iter()
            .map(|(address, _)| (address.resource.kind.clone(), address.namespace.clone(), address.name.clone()));
        let json =
            |error: serde_json::Error| Failure::step(format!("could not keep what {} made", self.id)).because(error);
        let facts = serde_json::to_value(Facts { objects: objects.collect() }).map_err(json)?;
        let summary = format!("{} objects", applied.objects.len());
        let observed = serde_json::to_value(applied).map_err(json)?;
        Ok(Made { output: Output { facts, digest: hasher.finish() }, observed, summary })
    }

    async fn belongings(&self, cx: &Context, scope: Scope) -> Result<Vec<Belonging>, Failure> {
        let client = cx.world.kube().await?;
        let mut belongings = Vec::new();
        for (address, _) in self.owned(cx, &client).await? {
            let place = address.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}"));
            let kept = keeps(&client, &address, scope).await?.then(|| "--data removes it".to_owned());
            belongings.push(Belonging { what: format!("{}{}", address.title(), place.unwrap_or_default()), kept });
        }
        let namespace = &self.definition.namespace;
        if namespaces::is_ours(&client, namespace, &cx.project).await? {
            let kept = !scope.data && volumes::any(&client, namespace).await?;
            let what = format!("namespace {namespace}, if nothing else is in it");
            belongings.push(Belonging { what, kept: kept.then(|| "its data stays".to_owned()) });
        }
        Ok(belongings)
    }

    async fn remove(&self, cx: &Context, scope: Scope) -> Result<(), Failure> {
        let client = cx.world.kube().await?;
        let work = async {
            for (address, uid) in self.owned(cx, &client).await? {
                if !keeps(&client, &address, scope).await? {
                    apply::remove(&client, &address, &uid).await?;
                }
            }
            Ok(())
        };
        if namespaces::stays(&client, &self.definition.namespace).await? {
            under_lease(cx, &self.id, &client, &self.definition.namespace, Box::pin(work)).await?;
        } else {
            work.await?;
        }
        namespaces::remove_if_empty(&client, &self.definition.namespace, &cx.project).await.map(drop)
    }
}

/// Whether an object stays with the data that it holds.
async fn keeps(client: &Client, address: &Address, scope: Scope) -> Result<bool, Failure> {
    Ok(!scope.data
        && match address.resource.kind.as_str() {
            "PersistentVolumeClaim" | "PersistentVolume" => true,
            "Namespace" => volumes::any(client, &address.name).await?,
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::replace_images;

    #[test]
    fn only_whole_references_of_images_are_replaced() {
        let mut object =
            json!({"spec": {"containers": [{"image": "web:1.0"}, {"image": "web:1.0-x"}], "note": "web:1.0"}});
        replace_images(&mut object, &[("web:1.0", "todo/web:3f9c".to_owned())]);
        let expected =
            json!({"spec": {"containers": [{"image": "todo/web:3f9c"}, {"image": "web:1.0-x"}], "note": "web:1.0"}});
        assert_eq!(object, expected);
    }
}
