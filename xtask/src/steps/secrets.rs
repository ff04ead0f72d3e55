//! A secrets step: values from a git-ignored file become a Secret in each namespace whose releases use them.
//!
//! The file is made from its example on the first run, with values made up where the graph file says so. Values that
//! a Secret in the cluster has are taken before any is made up: they may belong to data that was kept.

mod generate;
pub mod local;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
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
use crate::steps::{Belonging, Made, Scope, Step};
use crate::world::git_ignore;
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

/// See the module.
pub struct SecretsStep {
    id: StepId,
    definition: Definition,
    origin: Origin,
    namespaces: BTreeSet<String>,
}

impl SecretsStep {
    /// The step `name`, for the releases in `namespaces`.
    pub fn new(name: &str, definition: Definition, namespaces: BTreeSet<String>) -> Self {
        let origin = Origin::of(&definition);
        Self { id: StepId::new(Kind::Secrets, name), definition, origin, namespaces }
    }

    /// The namespaces that get a Secret.
    fn targets(&self) -> impl Iterator<Item = &str> {
        let objects = self.definition.r#as == As::Object;
        self.namespaces.iter().filter(move |_| objects).map(String::as_str)
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
        let places: Vec<String> = empty
            .map(|key| match local.line(key) {
                Some(line) => format!("{from}:{line} leaves {key} empty"),
                None => format!("{from} has no {key}"),
            })
            .collect();
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

    /// The file as it is, or as its example says; whether it has to be written.
    fn draft(&self, cx: &Context) -> Result<(Local, bool), Failure> {
        if let Some(local) = self.read(cx)? {
            return Ok((local, false));
        }
        let local = self.example(cx)?;
        cx.note(&self.id, Level::Info, format!("made {} from its example", self.origin.from.display()));
        Ok((local, true))
    }

    fn write(&self, cx: &Context, local: &Local) -> Result<(), Failure> {
        let path = self.path(cx);
        self.warn_of_git(cx, &path);
        local.write(&path)
    }

    /// The file with a value for every key that gets one by itself, written.
    async fn complete(
        &self,
        cx: &Context,
        client: Option<&Client>,
        (mut local, mut write): (Local, bool),
    ) -> Result<Local, Failure> {
        let empty: Vec<&String> = self.definition.generate.keys().filter(|key| local.is_empty(key)).collect();
        let kept = match client {
            Some(client) if !empty.is_empty() => self.kept(client).await?,
            _ => Values::new(),
        };
        let mut made_up = Vec::new();
        for key in empty {
            let value = match (kept.get(key), self.definition.generate.get(key)) {
                (Some(value), _) => {
                    let text = format!(
                        "{key} is the one that the cluster's data was made with, in {}",
                        self.definition.object
                    );
                    cx.note(&self.id, Level::Info, text);
                    value.clone()
                }
                (None, Some(generator)) => {
                    made_up.push(key.as_str());
                    generate::generate(*generator)?
                }
                (None, None) => continue,
            };
            cx.redactor.learn(&value);
            local = local.with(key, &value, &self.origin.from)?;
            write = true;
        }
        if let Some(client) = client.filter(|_| !made_up.is_empty()) {
            self.warn_of_kept_data(cx, client, &made_up).await?;
        }
        if write {
            self.write(cx, &local)?;
        } else if local::make_private(&self.path(cx))? {
            let text = format!("took the rights of others to {} away", self.origin.from.display());
            cx.note(&self.id, Level::Warning, text);
        }
        Ok(local)
    }

    /// Values that were lost, in the file and in the cluster, while data that they may belong to was kept.
    async fn warn_of_kept_data(&self, cx: &Context, client: &Client, made_up: &[&str]) -> Result<(), Failure> {
        for namespace in self.targets() {
            let claims = volumes::claims(client, namespace, "").await?;
            if claims.is_empty() {
                continue;
            }
            let text = format!(
                "made up {} anew, but namespace {namespace} has data from before, in {}, which may open only with the \
                 old; who still has that writes it into {} and deploys again",
                made_up.join(", "),
                claims.join(", "),
                self.origin.from.display()
            );
            cx.note(&self.id, Level::Warning, text);
        }
        Ok(())
    }

    fn warn_of_git(&self, cx: &Context, path: &Path) {
        if git_ignore::is_exposed(path) {
            let from = self.origin.from.display();
            let text = format!("git does not ignore {from}, which holds secrets: add the line /{from} to .gitignore");
            cx.note(&self.id, Level::Warning, text);
        }
    }

    fn example(&self, cx: &Context) -> Result<Local, Failure> {
        let path = cx.workspace.root().join(&self.definition.example);
        let text = fs::read_to_string(&path).map_err(|error| {
            let failure = Failure::io("read the example", &path, &error);
            failure.help(format!("without one, write {} yourself", self.origin.from.display()))
        })?;
        Local::parse(text, &self.definition.example, &self.origin.key)
    }

    /// The values of generated keys that Secrets in the cluster have.
    async fn kept(&self, client: &Client) -> Result<Values, Failure> {
        let mut kept = Values::new();
        for namespace in self.targets() {
            if let Some(live) = secret::read(client, namespace, &self.definition.object).await? {
                for (key, value) in secret::text_values(&live) {
                    if !value.expose_secret().is_empty() {
                        kept.entry(key).or_insert(value);
                    }
                }
            }
        }
        Ok(kept)
    }

    /// The Secrets with what the completed file says, and that.
    async fn apply_completed(
        &self,
        cx: &Context,
        draft: (Local, bool),
    ) -> Result<(Values, BTreeMap<String, Versions>), Failure> {
        let targets: Vec<&str> = self.targets().collect();
        if targets.is_empty() {
            return Ok((filled(cx, &self.complete(cx, None, draft).await?), BTreeMap::new()));
        }
        let client = cx.world.kube().await?;
        for namespace in &targets {
            namespaces::ensure(&client, namespace, &cx.project).await?;
        }
        // Also while the file is completed: of two machines that make up a value, the second finds the first one's.
        let work = async {
            let values = filled(cx, &self.complete(cx, Some(&client), draft).await?);
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
        let namespaces: Vec<&str> = self.namespaces.iter().map(String::as_str).collect();
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
        let (draft, is_new) = self.draft(cx)?;
        if let Err(lacking) = self.require(&draft) {
            if is_new {
                self.write(cx, &draft)?;
            }
            return Err(lacking);
        }
        let (values, namespaces) = self.apply_completed(cx, (draft, is_new)).await?;
        let facts =
            Facts { object: self.definition.object.clone(), namespaces, present: values.keys().cloned().collect() };
        let summary = match facts.namespaces.len() {
            0 => format!("{} values for helm", values.len()),
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
