//! A secrets step: values from a git-ignored file become a Secret in each namespace whose releases use them.
//!
//! The file is made from its example on the first run, with values made up where the graph file says so. Values that
//! the cluster has are taken before any is made up: they may belong to data that was kept.

mod completed;
mod generate;
mod kept;
pub mod local;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use engine::config::{As, Secrets as Definition};
use engine::digest::{Digest, Hasher};
use engine::event::Level;
use engine::failure::Failure;
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::{Kind, StepId};
use engine::verdict::{Difference, Observation};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::steps::exclusive::{under_lease, under_leases};
use crate::steps::{Belonging, Made, Scope, Step, namespace};
use crate::world::git_index;
use crate::world::kube::namespaces;
use crate::world::kube::secret::{self, Owned, Values, Versions};
use crate::world::kube::volumes;
use crate::world::machine_key::MachineKey;
use local::Local;

/// What later steps see of a secrets step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The Secret's name.
    pub object: String,
    /// The Secret in each namespace: its uid and the version of each key. Empty for `as = "values"`.
    pub namespaces: BTreeMap<String, Versions>,
    /// The keys that have a value, in order.
    pub present: Vec<String>,
}

/// Where a step's values are, and what becomes of them: what a release needs to know to leave them out of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file, relative to the workspace root.
    pub from: PathBuf,
    /// The path of the map inside the file; empty when the whole file is the map.
    pub key: Vec<String>,
    /// The file that it is made from.
    pub example: PathBuf,
    /// Whether helm gets the values themselves.
    pub r#as: As,
}

impl Origin {
    /// Of a definition.
    pub fn of(definition: &Definition) -> Self {
        let key = definition.key.as_ref().map(engine::config::ValuePath::keys).unwrap_or_default();
        Self { from: definition.from.clone(), key, example: definition.example.clone(), r#as: definition.r#as }
    }

    /// The values that are not empty, each known to the redactor from here on.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn values(&self, cx: &Context) -> Result<Option<Values>, Failure> {
        let local = Local::read(&cx.workspace.root().join(&self.from), &self.from, &self.key)?;
        Ok(local.map(|local| filled(cx, &local)))
    }
}

fn filled(cx: &Context, local: &Local) -> Values {
    let filled = local.values().iter().filter(|(_, value)| !value.expose_secret().is_empty());
    filled.inspect(|(_, value)| cx.redactor.learn(value)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A release that uses a step's values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// Where it is.
    pub namespace: String,
    /// Its name in helm.
    pub release: String,
    /// The step that deploys it.
    pub step: StepId,
}

/// See the module.
pub struct SecretsStep {
    id: StepId,
    definition: Definition,
    origin: Origin,
    users: BTreeSet<User>,
}

impl SecretsStep {
    /// The step `name`, for the releases `users`.
    pub fn new(name: &str, definition: Definition, users: BTreeSet<User>) -> Self {
        let origin = Origin::of(&definition);
        Self { id: StepId::new(Kind::Secrets, name), definition, origin, users }
    }

    /// The namespaces of the releases, in order.
    fn namespaces(&self) -> BTreeSet<&str> {
        self.users.iter().map(|user| user.namespace.as_str()).collect()
    }

    /// The namespaces that get a Secret.
    fn targets(&self) -> impl Iterator<Item = &str> {
        let objects = self.definition.r#as == As::Object;
        self.namespaces().into_iter().filter(move |_| objects)
    }

    fn owned<'a>(&'a self, cx: &'a Context, namespace: &'a str) -> Owned<'a> {
        Owned { namespace, name: &self.definition.object, project: &cx.project, step: &self.id.name }
    }

    fn path(&self, cx: &Context) -> PathBuf {
        cx.workspace.root().join(&self.origin.from)
    }

    fn read(&self, cx: &Context) -> Result<Option<Local>, Failure> {
        Local::read(&self.path(cx), &self.origin.from, &self.origin.key)
    }

    /// One error for all keys that have to have a value, have none, and get none by themselves.
    fn require(&self, local: &Local) -> Result<(), Failure> {
        let made_up = |key: &String| self.definition.generate.contains_key(key);
        let empty = self.definition.require.iter().filter(|key| !made_up(key) && local.is_empty(key));
        let from = self.origin.from.display();
        let places: Vec<String> = empty.map(|key| self.place_of_empty(local, key)).collect();
        if places.is_empty() {
            return Ok(());
        }
        Err(places
            .iter()
            .fold(Failure::usage(format!("{} lacks values that it requires", self.id)), |failure, place| {
                failure.because(place)
            })
            .help(format!("fill them in: {from} stays on this machine, git ignores it")))
    }

    /// Where `key`, which is empty, is to be filled in.
    fn place_of_empty(&self, local: &Local, key: &str) -> String {
        let from = self.origin.from.display();
        match local.line(key) {
            Some(line) => format!("{from}:{line} leaves {key} empty"),
            None => format!("{from} has no {key}"),
        }
    }

    fn refuse_tracked(&self, cx: &Context) -> Result<(), Failure> {
        match git_index::untrack_command(&self.path(cx)) {
            None => Ok(()),
            Some(command) => {
                Err(Failure::usage(format!("git tracks {}, which holds secrets", self.origin.from.display()))
                    .because("whoever gets the repository gets the secrets, those of old commits too")
                    .help(format!("untrack it: {command}"))
                    .help("then change every value in it that was ever pushed"))
            }
        }
    }

    /// The Secrets with what the completed file says, and that.
    async fn apply_completed(&self, cx: &Context) -> Result<(Values, BTreeMap<String, Versions>), Failure> {
        let targets: Vec<&str> = self.targets().collect();
        if self.users.is_empty() {
            return Ok((filled(cx, &self.complete(cx, None).await?), BTreeMap::new()));
        }
        let client = cx.world.kube().await?;
        if targets.is_empty() {
            return Ok((filled(cx, &self.complete(cx, Some(&client)).await?), BTreeMap::new()));
        }
        for target in &targets {
            namespace::ensure(cx, &self.id, &client, target).await?;
        }
        // Also while the file is completed: of two machines that make up a value, the second finds the first one's. And it
        // is read again: a person may have written to it while somebody else had the Leases.
        let work = async {
            let values = filled(cx, &self.complete(cx, Some(&client)).await?);
            let applied = self.apply(cx, &client, &values).await?;
            Ok((values, applied))
        };
        under_leases(cx, &self.id, &client, &targets, Box::pin(work)).await
    }

    async fn apply(
        &self,
        cx: &Context,
        client: &Client,
        values: &Values,
    ) -> Result<BTreeMap<String, Versions>, Failure> {
        let mut applied = BTreeMap::new();
        for namespace in self.targets() {
            let found = secret::apply(client, &self.owned(cx, namespace), values).await?;
            if !found.strangers.is_empty() {
                let (object, keys) = (&self.definition.object, found.strangers.join(", "));
                let text = format!(
                    "removed {keys} from Secret {object} in namespace {namespace}: {} has no such key",
                    self.id
                );
                cx.note(&self.id, Level::Warning, text);
            }
            applied.insert(namespace.to_owned(), found.versions);
        }
        Ok(applied)
    }

    /// How the Secret in `namespace` differs from what was recorded: `digests` has each value's, under this machine's
    /// key. The file is not asked: whether that has changed is another question.
    async fn differences(
        &self,
        client: &Client,
        namespace: &str,
        recorded: Option<&Versions>,
        digests: &BTreeMap<&str, Digest>,
    ) -> Result<Vec<Difference>, Failure> {
        let title = format!("Secret {} in namespace {namespace}", self.definition.object);
        let Some(live) = secret::read(client, namespace, &self.definition.object).await? else {
            return Ok(vec![Difference::Missing(format!("{title} is gone"))]);
        };
        if live.metadata.uid.as_deref() != recorded.map(|recorded| recorded.uid.as_str()) {
            return Ok(vec![Difference::Altered(format!("{title} was made anew"))]);
        }
        let machine = MachineKey::of_this_user()?;
        let found = altered(&live, digests, |key, value| machine.digest(key, value));
        let mut texts: Vec<String> = found.into_iter().map(|what| format!("{title}: {what}")).collect();
        if texts.is_empty() && recorded.map(|recorded| &recorded.keys) != secret::versions(&live).as_ref() {
            texts.push(format!("{title}: its versions were changed by hand"));
        }
        Ok(texts.into_iter().map(Difference::Altered).collect())
    }

    /// The keys whose values belong to data: kept as long as there is a volume in the namespace.
    async fn kept_keys(&self, client: &Client, namespace: &str, scope: Scope) -> Result<Vec<&str>, Failure> {
        if scope.data || !volumes::any(client, namespace).await? {
            return Ok(Vec::new());
        }
        Ok(self.definition.generate.keys().map(String::as_str).collect())
    }
}

/// What of a Secret's data is not as `digests` say.
fn altered(live: &Secret, digests: &BTreeMap<&str, Digest>, digest: impl Fn(&str, &[u8]) -> Digest) -> Vec<String> {
    let data = live.data.as_ref();
    let same = |key: &str, recorded: &Digest| {
        data.and_then(|data| data.get(key)).is_some_and(|value| digest(key, &value.0) == *recorded)
    };
    let changed = digests.iter().filter(|(key, recorded)| !same(key, recorded));
    let mut found: Vec<String> = changed.map(|(key, _)| format!("{key} changed by hand")).collect();
    let strangers = data.into_iter().flat_map(BTreeMap::keys).filter(|key| !digests.contains_key(key.as_str()));
    found.extend(strangers.map(|key| format!("{key} added by hand")));
    found
}

fn digest_of(facts: &Facts) -> Digest {
    let mut hasher = Hasher::new("secrets-output/1");
    hasher.text(&facts.object);
    for (namespace, versions) in &facts.namespaces {
        hasher.text(namespace).text(&versions.uid).number(versions.keys.len() as u64);
        for (key, version) in &versions.keys {
            hasher.text(key).number(*version);
        }
    }
    facts.present.iter().for_each(|key| {
        hasher.text(key);
    });
    hasher.finish()
}

#[async_trait]
impl Step for SecretsStep {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn pool(&self) -> Pool {
        Pool::Cluster
    }

    fn lock_name(&self, cx: &Context) -> Result<String, Failure> {
        // The file is this checkout's own, the Secrets are the cluster's.
        let cluster = super::cluster_in_locks(cx);
        let namespaces: Vec<&str> = self.namespaces().into_iter().collect();
        Ok(format!("secrets {cluster} {} {}", namespaces.join(" "), self.definition.object))
    }

    async fn gather(&self, cx: &Context) -> Result<Manifest, Failure> {
        self.refuse_tracked(cx)?;
        let mut manifest = Manifest::new(self.id.clone());
        manifest.value(Source::Definition, "object", &self.definition.object);
        manifest.value(Source::Definition, "from", self.origin.from.display());
        manifest.value(Source::Definition, "key", self.origin.key.join("."));
        for namespace in self.targets() {
            manifest.value(Source::Definition, format!("namespace {namespace}"), namespace);
        }
        for (key, generator) in &self.definition.generate {
            manifest.value(Source::Definition, format!("generate {key}"), generator);
        }
        if let Some(cluster) = cx.output(&StepId::cluster()) {
            manifest.digest(Source::Upstream, "cluster", cluster.digest);
        }
        match self.read(cx)? {
            Some(local) => {
                self.require(&local)?;
                let machine = MachineKey::of_this_user()?;
                for (key, value) in local.values() {
                    cx.redactor.learn(value);
                    manifest.digest(Source::Secret, key, machine.digest(key, value.expose_secret().as_bytes()));
                }
            }
            None => manifest.value(Source::File, self.origin.from.display().to_string(), "not there yet"),
        }
        Ok(manifest)
    }

    fn understands(&self, receipt: &Receipt) -> bool {
        super::has_shapes::<Facts, serde_json::Value>(receipt)
    }

    async fn observe(&self, cx: &Context, receipt: &Receipt) -> Result<Observation, Failure> {
        let facts: Option<Facts> =
            receipt.output.as_ref().and_then(|output| serde_json::from_value(output.facts.clone()).ok());
        let Some(facts) = facts.filter(|facts| !facts.namespaces.is_empty()) else {
            return Ok(Observation::as_recorded());
        };
        // Until the step runs again the Secrets hold what the file had then.
        let entries = receipt.manifest.entries().iter().filter(|entry| entry.source == Source::Secret);
        let digests = entries.map(|entry| (entry.name.as_str(), entry.digest));
        let digests = digests.filter(|(key, _)| facts.present.iter().any(|present| present == key)).collect();
        let client = cx.world.kube().await?;
        let found = try_join_all(
            facts
                .namespaces
                .iter()
                .map(|(namespace, recorded)| self.differences(&client, namespace, Some(recorded), &digests)),
        )
        .await?;
        Ok(Observation { differences: found.into_iter().flatten().collect(), refreshed: None })
    }

    async fn perform(&self, cx: &Context, _job: &Job) -> Result<Made, Failure> {
        self.refuse_tracked(cx)?;
        self.expect_required(cx)?;
        let (values, namespaces) = self.apply_completed(cx).await?;
        let facts =
            Facts { object: self.definition.object.clone(), namespaces, present: values.keys().cloned().collect() };
        let summary = match facts.namespaces.len() {
            0 => format!("{} {} for helm", values.len(), if values.len() == 1 { "value" } else { "values" }),
            _ => format!(
                "{} {} in Secret {} of {}",
                values.len(),
                if values.len() == 1 { "key" } else { "keys" },
                facts.object,
                facts.namespaces.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
        };
        let digest = digest_of(&facts);
        let facts = serde_json::to_value(facts)
            .map_err(|error| Failure::step(format!("could not keep what {} made", self.id)).because(error))?;
        Ok(Made { output: Output { facts, digest }, observed: serde_json::Value::Null, summary })
    }

    fn stand_in(&self, cx: &Context) -> Option<Output> {
        let local = self.read(cx).ok()?;
        let known: BTreeSet<String> = local.map(|local| filled(cx, &local).into_keys().collect()).unwrap_or_default();
        let present = known.into_iter().chain(self.definition.generate.keys().cloned()).collect::<BTreeSet<_>>();
        let facts = Facts {
            object: self.definition.object.clone(),
            namespaces: BTreeMap::new(),
            present: present.into_iter().collect(),
        };
        let digest = digest_of(&facts);
        Some(Output { facts: serde_json::to_value(facts).ok()?, digest })
    }

    async fn belongings(&self, cx: &Context, scope: Scope) -> Result<Vec<Belonging>, Failure> {
        let client = cx.world.kube().await?;
        let mut belongings = Vec::new();
        for namespace in self.targets() {
            let owned = self.owned(cx, namespace);
            let live = secret::read(&client, namespace, owned.name).await?;
            let Some(live) = live.filter(|live| secret::is_ours(live, &owned)) else { continue };
            let kept = self.kept_keys(&client, namespace, scope).await?;
            let others = live.data.iter().flatten().map(|(key, _)| key.as_str()).filter(|key| !kept.contains(key));
            let others: Vec<&str> = others.collect();
            if !kept.is_empty() && !others.is_empty() {
                let what = format!("{} of Secret {} in namespace {namespace}", others.join(", "), owned.name);
                belongings.push(Belonging { what, kept: None });
            }
            let kept =
                (!kept.is_empty()).then(|| format!("{} belong to the data; --data removes them", kept.join(", ")));
            belongings.push(Belonging { what: format!("Secret {} in namespace {namespace}", owned.name), kept });
        }
        Ok(belongings)
    }

    async fn remove(&self, cx: &Context, scope: Scope) -> Result<(), Failure> {
        let client = cx.world.kube().await?;
        for namespace in self.targets() {
            let owned = self.owned(cx, namespace);
            let live = secret::read(&client, namespace, owned.name).await?;
            if live.is_some_and(|live| secret::is_ours(&live, &owned)) {
                let work = async {
                    let kept = self.kept_keys(&client, namespace, scope).await?;
                    secret::remove(&client, &owned, &kept).await
                };
                under_lease(cx, &self.id, &client, namespace, Box::pin(work)).await?;
            }
            namespaces::remove_if_empty(&client, namespace, &cx.project).await?;
        }
        Ok(())
    }
}

/// One secret value of this checkout with its keyed digest, for what is not a Secret: build secrets, commands.
///
/// # Errors
/// When the file is not there yet, or has no such value.
pub fn value(cx: &Context, origin: &Origin, key: &str) -> Result<(SecretString, Digest), Failure> {
    let value = origin.values(cx)?.and_then(|mut values| values.remove(key));
    let value = value.ok_or_else(|| no_value(&origin.from, key))?;
    let digest = MachineKey::of_this_user()?.digest(key, value.expose_secret().as_bytes());
    Ok((value, digest))
}

fn no_value(from: &Path, key: &str) -> Failure {
    Failure::usage(format!("{} has no value for {key}", from.display()))
        .help(format!("fill it in: {} stays on this machine, git ignores it", from.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use engine::digest::Digest;
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;

    use super::altered;

    #[test]
    fn a_secret_is_held_against_what_was_recorded_of_it() {
        let digest = |key: &str, value: &[u8]| Digest::of_bytes(&[key.as_bytes(), value].concat());
        let check = |data: &[(&str, &str)], expected: &[&str]| {
            let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
            let live = Secret { data: Some(data.collect()), ..Secret::default() };
            let recorded = BTreeMap::from([("A", digest("A", b"1")), ("B", digest("B", b"2"))]);
            assert_eq!(altered(&live, &recorded, digest), expected);
        };
        check(&[("A", "1"), ("B", "2")], &[]);
        check(&[("A", "x"), ("B", "2")], &["A changed by hand"]);
        check(&[("B", "2"), ("C", "3")], &["A changed by hand", "C added by hand"]);
    }
}
