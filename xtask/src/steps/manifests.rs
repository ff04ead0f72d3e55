//! A manifests step: objects as they stand in files, image references apart, applied on the server's side; those of
//! ours that are in no file any more are removed, and what was changed by hand on those that are is put back. Which are
//! ours, their labels say, and no receipt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::config::Manifests as Definition;
use engine::digest::Hasher;
use engine::failure::Failure;
use engine::files::file_set::compare;
use engine::files::glob::Globs;
use engine::files::{Behind, EntryKind, FileSet, Query, Rules};
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::{Kind, StepId};
use engine::verdict::{Difference, Observation};
use kube::Client;
use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::Context;
use crate::steps::exclusive::under_lease;
use crate::steps::{Belonging, Made, Scope, Step, image, namespace};
use crate::world::kube::apply::{self, Owner};
use crate::world::kube::drift::{self, Found};
use crate::world::kube::identity::{self, Address, Identity};
use crate::world::kube::kinds::Kinds;
use crate::world::kube::put_back::put_back;
use crate::world::kube::rendered::{self, Rendered};
use crate::world::kube::{definitions, namespaces, volumes};
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
        Ok(Query {
            name: format!("{}.files", self.id.file_stem()),
            root: cx.workspace.root().to_owned(),
            rules: Rules::Reached { globs: self.globs()?, below: String::new() },
        })
    }

    fn globs(&self) -> Result<Globs, Failure> {
        Globs::new(&self.definition.files)
    }

    /// The files that `query` is about, and what links among them lead to.
    fn files(&self, cx: &Context, query: &Query) -> Result<(FileSet, Behind), Failure> {
        let files = cx.gatherer.gather(query)?.files;
        let behind = cx.gatherer.follow(query, &files, &self.globs()?)?;
        behind.has_an_end(&query.root, |_| true)?;
        Ok((files, behind))
    }

    /// The paths of the files to be read, in order.
    fn paths(&self, cx: &Context) -> Result<Vec<String>, Failure> {
        let (files, behind) = self.files(cx, &self.query(cx)?)?;
        let globs = self.globs()?;
        let is_folder = |path: &str| cx.workspace.root().join(path).is_dir();
        let all = files.entries().iter().chain(behind.files.entries());
        let read = all.filter(|entry| match entry.kind {
            EntryKind::File { .. } => true,
            // One that leads nowhere is to be told, like a file that cannot be read.
            EntryKind::Symlink { .. } => globs.matches(&entry.path) && !is_folder(&entry.path),
            EntryKind::Directory => false,
        });
        let mut paths: Vec<String> = read.map(|entry| entry.path.clone()).collect();
        paths.sort_by(|a, b| compare(a, b));
        paths.dedup();
        Ok(paths)
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
        for shown in self.paths(cx)? {
            objects.extend(read(cx.workspace.root(), &shown)?);
        }
        Ok(objects)
    }

    /// What the last apply from here has left; `None` where nothing is known of one.
    fn left(&self, cx: &Context) -> Option<Observed> {
        let stored = cx.workspace.receipts().load(&self.id);
        // Of an apply that has not come to its end nothing is known.
        let receipt = stored.receipt().filter(|receipt| receipt.output.is_some())?;
        Observed::deserialize(&receipt.observed).ok()
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
        let owned = self.owned(cx, client, &located, left).await?;
        let known = left.objects.iter().map(|(_, identity)| &identity.uid);
        let ours = owned.iter().map(|(_, uid)| uid).chain(known).collect();
        self.put_back(client, &located, &ours).await?;
        let step = self.id.file_stem();
        let owner = Owner { project: &cx.project, step: &step };
        let objects = self.objects(cx)?;
        let applied = apply::apply(client, &self.kinds, &objects, &self.definition.namespace, &owner).await?;
        if self.definition.prune {
            self.prune(client, &applied, &owned).await?;
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
    async fn put_back(
        &self,
        client: &Client,
        located: &[(Address, Rendered)],
        ours: &BTreeSet<&String>,
    ) -> Result<(), Failure> {
        let asked: Vec<(Address, &Rendered)> =
            located.iter().map(|(address, object)| (address.clone(), object)).collect();
        for inspected in drift::inspect(client, &asked).await? {
            // Others' objects are adopted by the apply, field by field.
            if let Found::There { identity, differences, live } = &inspected.found
                && ours.contains(&identity.uid)
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
        applied: &[(Address, Identity)],
        owned: &BTreeSet<(Address, String)>,
    ) -> Result<(), Failure> {
        for (address, uid) in owned {
            let wanted = applied.iter().any(|(other, identity)| other == address || identity.uid == *uid);
            if !wanted {
                apply::remove(client, address, uid).await?;
            }
        }
        Ok(())
    }

    /// Every object that bears this step's labels, with its uid: of the kinds that most manifests are made of, of those that
    /// are defined in the cluster, and of those of `located` and of what is known to be `left`.
    async fn owned(
        &self,
        cx: &Context,
        client: &Client,
        located: &[(Address, Rendered)],
        left: &Observed,
    ) -> Result<BTreeSet<(Address, String)>, Failure> {
        let step = self.id.file_stem();
        let owner = Owner { project: &cx.project, step: &step };
        let defined = definitions::kinds(client, &self.kinds).await?;
        let left = left.objects.iter().map(|(address, _)| address);
        let used = located.iter().map(|(address, _)| address).chain(left).map(|address| address.resource.clone());
        let mut owned = apply::owned(client, &owner, &self.definition.namespace, &defined, &used.collect()).await?;
        let written = |address: &Address| located.iter().any(|(other, _)| other == address);
        for found in owned.iter().filter(|(address, _)| !written(address)).cloned().collect::<Vec<_>>() {
            // Controllers give what they make of an object its labels; that goes when the object goes.
            let made_of_another = |live: DynamicObject| live.metadata.owner_references.is_some();
            if found.0.read(client).await?.is_none_or(made_of_another) {
                owned.remove(&found);
            }
        }
        Ok(owned)
    }

    /// What a teardown is about; it does not know what images were made. Labels tell what is ours also where files have gone
    /// or are not to be understood; of which kinds it may be, the last apply tells.
    async fn belonging(&self, cx: &Context, client: &Client) -> Result<Owned, Failure> {
        let (written, lacking) = match self.paths(cx) {
            Ok(paths) => understood(cx.workspace.root(), &paths),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let left = self.left(cx);
        let unseen = lacking.filter(|_| left.is_none());
        let located = self.located(written, client).await?;
        let objects = self.owned(cx, client, &located, &left.unwrap_or_default()).await?;
        let mut claims = BTreeMap::new();
        let sets = |address: &&Address| address.resource.kind == "StatefulSet";
        for set in objects.iter().map(|(address, _)| address).filter(sets) {
            if let Some(live) = set.read(client).await? {
                claims.extend(self.claims_of(client, set, &live.data).await?);
            }
        }
        // The set may have gone, and what it has had made stayed.
        for (set, object) in located.iter().filter(|(address, _)| sets(&address)) {
            claims.extend(self.claims_of(client, set, &object.body).await?);
        }
        Ok(Owned { objects, claims, unseen })
    }

    /// The volume claims that a StatefulSet has had made, which bear no label of the step, each with the set.
    async fn claims_of(
        &self,
        client: &Client,
        set: &Address,
        body: &Value,
    ) -> Result<BTreeMap<Address, Address>, Failure> {
        let namespace = set.namespace.as_deref().unwrap_or_default();
        let resource = self.kinds.find(client, "v1", "PersistentVolumeClaim").await?;
        let names = volumes::claims_of_set(client, namespace, &set.name, body).await?;
        let claim = |name| Address { resource: resource.clone(), namespace: set.namespace.clone(), name };
        Ok(names.into_iter().map(|name| (claim(name), set.clone())).collect())
    }
}

/// The objects of one file below `root`.
fn read(root: &Path, shown: &str) -> Result<Vec<Rendered>, Failure> {
    let path = root.join(shown);
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    rendered::objects(&text, shown)
}

/// The objects of those files below `root` that can be understood, and why the first of the others cannot.
fn understood(root: &Path, paths: &[String]) -> (Vec<Rendered>, Option<Failure>) {
    let (mut objects, mut lacking) = (Vec::new(), None);
    for shown in paths {
        match read(root, shown) {
            Ok(found) => objects.extend(found),
            Err(failure) => {
                lacking.get_or_insert(failure);
            }
        }
    }
    (objects, lacking)
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
        let query = self.query(cx)?;
        let (files, behind) = self.files(cx, &query)?;
        // A link that no glob matches is followed, and what it says itself is no input.
        let globs = self.globs()?;
        let name = |path: &str| globs.matches(path).then(|| path.to_owned());
        super::files::add(&mut manifest, &files, &behind, name);
        // They are read again when they are applied.
        let stamps = cx.gatherer.stamp(&query, &files).into_iter().chain(behind.stamp);
        stamps.for_each(|stamp| manifest.stamp(stamp));
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
        let place = self.definition.namespace.as_str();
        if cx.isolated {
            self.expect_inside(cx, &client).await?;
        }
        namespace::ensure(cx, &self.id, &client, place).await?;
        let applied = under_lease(cx, &self.id, &client, place, Box::pin(self.apply(cx, &client, &left))).await?;
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
        let Owned { objects, claims, unseen } = self.belonging(cx, &client).await?;
        if let Some(failure) = unseen {
            let what = format!("what {} may have of kinds that few have", self.id);
            let kept = format!("{}; with that mended, `cargo xtask teardown` again removes it", failure.message);
            belongings.push(Belonging { what, kept: Some(kept) });
        }
        for claim in claims.keys() {
            let namespace = claim.namespace.as_deref().unwrap_or_default();
            let what = format!("volume claim {} in namespace {namespace}, with its data", claim.name);
            belongings.push(Belonging { what, kept: (!scope.data).then(|| "--data removes it".to_owned()) });
        }
        for (address, _) in objects {
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
            let Owned { objects, claims, unseen: _ } = self.belonging(cx, &client).await?;
            for (claim, set) in claims.iter().filter(|_| !scope.data) {
                let namespace = set.namespace.as_deref().unwrap_or_default();
                volumes::outlive(&client, namespace, &set.name, std::slice::from_ref(&claim.name)).await?;
            }
            for (address, uid) in objects {
                if !keeps(&client, &address, scope).await? {
                    apply::remove(&client, &address, &uid).await?;
                }
            }
            for claim in claims.keys().filter(|_| scope.data) {
                let live = claim.read(&client).await?;
                if let Some(uid) = live.and_then(|live| live.metadata.uid) {
                    apply::remove(&client, claim, &uid).await?;
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

/// What there is of a step.
struct Owned {
    /// The objects that bear its labels, with their uids.
    objects: BTreeSet<(Address, String)>,
    /// The volume claims that StatefulSets among them have had made, each with its set.
    claims: BTreeMap<Address, Address>,
    /// Why there may be more: files that cannot be understood may have objects of kinds that nothing else tells of.
    unseen: Option<Failure>,
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

    use super::{replace_images, understood};

    #[test]
    fn a_file_that_cannot_be_understood_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let object = |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}");
        let check = |files: &[(&str, &str)], expected: &[&str], lacking: Option<&str>| {
            files.iter().for_each(|(path, text)| std::fs::write(folder.path().join(path), text).unwrap());
            let paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
            let (objects, failure) = understood(folder.path(), &paths);
            assert_eq!(objects.iter().map(|object| object.name.as_str()).collect::<Vec<_>>(), expected);
            assert_eq!(failure.map(|failure| failure.message).as_deref(), lacking);
        };
        let (one, two) = (object("one"), object("two"));
        check(&[("a.yaml", &one), ("b.yaml", &two)], &["one", "two"], None);
        let broken = Some("b.yaml is not valid YAML");
        check(&[("a.yaml", &one), ("b.yaml", "data: ["), ("c.yaml", &two)], &["one", "two"], broken);
    }

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
