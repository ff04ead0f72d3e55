//! A release step: a chart becomes a helm release whose pods run what they should.
//!
//! Helm applies; everything else is done here without it: looking (`observed`), putting back what was changed by hand,
//! repairing what a killed helm left, waiting (`deploy`), keeping data when the rest goes (`teardown`).

pub mod changes;
mod deploy;
mod fate;
mod gone_kinds;
pub mod inputs;
mod inventory;
mod leftovers;
pub mod observed;
pub mod others;
mod remade;
mod teardown;
mod validation;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use async_trait::async_trait;
use engine::config::{As, Dev, Release as Definition};
use engine::digest::Hasher;
use engine::failure::Failure;
use engine::graph::Graph;
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::{Kind, StepId};
use engine::verdict::Observation;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::dayzero::bases;
use crate::dev::overlay::{self, Amendment};
use crate::steps::cluster;
use crate::steps::image;
use crate::steps::secrets;
use crate::steps::{Belonging, Made, Scope, Step};
use crate::world::helm::annotate;
use crate::world::helm::program::{Helm, Place};
use crate::world::helm::record::{self, Head};
use crate::world::kube::kinds::Kinds;
use crate::world::kube::rendered;
use crate::world::settle::Settled;
use crate::world::tool::{self, Tools};
use deploy::{Deploy, Deployed, Plan};
use inputs::{Origins, Values};
use observed::Observed;
use teardown::Teardown;

/// What later steps see of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its name in helm.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its revision.
    pub revision: u32,
    /// The uid of helm's record of it: revisions of another installation have numbers alike.
    pub record: String,
    /// Its objects: kind, namespace and name.
    pub objects: Vec<(String, Option<String>, String)>,
    /// What its pods run that came from no registry: `postgres:17 assembled from Debian trixie`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assembled: Vec<String>,
}

/// How containers of an image are synced.
struct Synced {
    dev: Dev,
    /// The step that has made what they run.
    made_by: StepId,
}

/// See the module.
pub struct ReleaseStep {
    id: StepId,
    definition: Definition,
    origins: Origins,
    dev: BTreeMap<String, Synced>,
    kinds: Kinds,
    program: Option<PathBuf>,
}

impl ReleaseStep {
    /// The step `name`; `origins` has all secrets steps of the graph file, for their maps are no values.
    pub fn new(name: &str, definition: Definition, origins: Origins) -> Self {
        let id = StepId::new(Kind::Release, name);
        Self { id, definition, origins, dev: BTreeMap::new(), kinds: Kinds::default(), program: None }
    }

    /// The release as `dev` runs it: pods of the images in `dev` run its agent. `graph` says which of these images have
    /// a step of its own for what is synced.
    pub fn synced(mut self, dev: &BTreeMap<String, Dev>, graph: &Graph) -> Self {
        let used = |image: &String| self.definition.images.values().any(|used| used.image == *image);
        let synced = |(image, dev): (&String, &Dev)| {
            let own = Some(image::stage_of(image)).filter(|stage| graph.contains(stage));
            let made_by = own.unwrap_or_else(|| StepId::new(Kind::Image, image.as_str()));
            (image.clone(), Synced { dev: dev.clone(), made_by })
        };
        self.dev = dev.iter().filter(|(image, _)| used(image)).map(synced).collect();
        self
    }

    /// Has helm run `program` as its post-renderer, where this process is not the tool itself.
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        match &self.program {
            Some(program) => Ok(program.clone()),
            None => std::env::current_exe()
                .map_err(|error| Failure::environment("could not find this program's own file").because(error)),
        }
    }

    fn place(&self, cx: &Context) -> Place {
        Place {
            context: cx.world.context().to_owned(),
            namespace: self.definition.namespace.clone(),
            release: self.definition.name.clone(),
        }
    }

    /// What helm's records say of our revisions: the mark by which a teardown knows them.
    fn description(&self, cx: &Context) -> String {
        format!("Deployed by xtask: {} of {}", self.id, cx.project)
    }

    async fn helm(&self, cx: &Context) -> Result<tool::Tool, Failure> {
        Tools::in_folder(&cx.workspace.state()).find(tool::Kind::Helm, &cx.cancel).await
    }

    /// The Secrets that pods may read, with the versions of their keys.
    fn secrets(&self, cx: &Context) -> Result<annotate::Secrets, Failure> {
        let mut objects: BTreeMap<String, BTreeMap<String, _>> = BTreeMap::new();
        for name in &self.definition.secrets {
            if self.origins.get(name).is_some_and(|origin| origin.r#as == As::Object) {
                let facts: secrets::Facts = cx.facts(&StepId::new(Kind::Secrets, name.as_str()))?;
                for (namespace, versions) in facts.namespaces {
                    objects.entry(namespace).or_default().insert(facts.object.clone(), versions);
                }
            }
        }
        Ok(annotate::Secrets { namespace: self.definition.namespace.clone(), objects })
    }

    /// What `dev` changes in the manifests.
    fn amendments(&self, cx: &Context) -> Result<Vec<Amendment>, Failure> {
        let reference = |step: &StepId| Ok::<_, Failure>(cx.facts::<image::Facts>(step)?.reference);
        let amendment = |(image, synced): (&String, &Synced)| {
            let named = reference(&StepId::new(Kind::Image, image.as_str()))?;
            Ok(Amendment::new(image, &synced.dev, named, reference(&synced.made_by)?))
        };
        self.dev.iter().map(amendment).collect()
    }

    async fn plan(&self, cx: &Context, left: Option<Observed>, validate: bool) -> Result<Plan, Failure> {
        Ok(Plan {
            helm: Helm::new(&self.helm(cx).await?),
            place: self.place(cx),
            chart: cx.workspace.root().join(&self.definition.chart),
            values: inputs::values(cx, &self.id, &self.definition, &self.origins)?,
            secrets: self.secrets(cx)?,
            amendments: self.amendments(cx)?,
            description: self.description(cx),
            left,
            validate,
        })
    }

    /// What helm makes of the chart with `values`, without the cluster.
    async fn render(&self, cx: &Context, helm: &tool::Tool, values: Values) -> Result<String, Failure> {
        let plan = Plan {
            helm: Helm::new(helm),
            place: self.place(cx),
            chart: cx.workspace.root().join(&self.definition.chart),
            values,
            secrets: annotate::Secrets::default(),
            amendments: Vec::new(),
            description: self.description(cx),
            left: None,
            validate: true,
        };
        let kubernetes = cx.facts::<cluster::Facts>(&StepId::cluster()).ok().and_then(|facts| facts.kubernetes);
        plan.rehearse(cx, self, kubernetes.as_deref()).await
    }

    /// What the pods of `revision` run that came from no registry. Nothing is asked where there is nothing of the kind,
    /// and what could not be found out is not worth a deploy that has succeeded.
    async fn assembled(&self, cx: &Context, revision: u32) -> Vec<String> {
        let look = async {
            let cluster: cluster::Facts = cx.facts(&StepId::cluster())?;
            if cluster.profile.is_none() {
                return Ok(Vec::new());
            }
            let daemon = cx.world.node_daemon().await?;
            let inventory = cx.world.inventory(&daemon).await?;
            if !bases::any_assembled(&inventory) {
                return Ok(Vec::new());
            }
            let history = self.history(cx).await?;
            let Some(head) = history.iter().find(|head| head.revision == revision) else { return Ok(Vec::new()) };
            Ok::<_, Failure>(bases::told(&inventory, &self.images(cx, head).await?))
        };
        look.await.unwrap_or_default()
    }

    fn made(&self, deployed: Deployed, assembled: Vec<String>) -> Result<Made, Failure> {
        let Deployed { left, settled } = deployed;
        let mut hasher = Hasher::new("release-output/1");
        hasher.number(left.revision.into()).text(&left.record);
        for known in &left.objects {
            hasher.text(&known.address.title());
            hasher.text(known.identity.as_ref().map_or("", |identity| &identity.uid));
        }
        let facts = Facts {
            name: self.definition.name.clone(),
            namespace: self.definition.namespace.clone(),
            revision: left.revision,
            record: left.record.clone(),
            objects: left
                .objects
                .iter()
                .map(|known| {
                    let address = &known.address;
                    (address.resource.kind.clone(), address.namespace.clone(), address.name.clone())
                })
                .collect(),
            assembled,
        };
        let mut summary = summary(&self.definition.name, left.revision, &settled);
        if !facts.assembled.is_empty() {
            summary.push_str(&format!(", with {}", facts.assembled.join(" and ")));
        }
        let json =
            |error: serde_json::Error| Failure::step(format!("could not keep what {} made", self.id)).because(error);
        let facts = serde_json::to_value(facts).map_err(json)?;
        let observed = serde_json::to_value(left).map_err(json)?;
        Ok(Made { output: Output { facts, digest: hasher.finish() }, observed, summary })
    }

    /// The revisions that helm has kept, oldest first.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn history(&self, cx: &Context) -> Result<Vec<Head>, Failure> {
        let Place { namespace, release, .. } = self.place(cx);
        record::history(&cx.world.kube().await?, &namespace, &release).await
    }

    /// The images that the pods of a revision run.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub async fn images(&self, cx: &Context, head: &Head) -> Result<BTreeSet<String>, Failure> {
        let record = record::read(&cx.world.kube().await?, &self.definition.namespace, head).await?;
        let mut images = BTreeSet::new();
        for object in rendered::objects(&record.manifest, &format!("revision {}", head.revision))? {
            let template = object.pod_template().and_then(|pointer| object.body.pointer(pointer));
            let containers = ["/spec/containers", "/spec/initContainers"].into_iter();
            for container in containers.filter_map(|pointer| template?.pointer(pointer)?.as_array()).flatten() {
                images.extend(container.get("image").and_then(serde_json::Value::as_str).map(str::to_owned));
            }
        }
        Ok(images)
    }

    /// Whether a revision was made by `dev`: its pods run the agent.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub async fn runs_dev(&self, cx: &Context, head: &Head) -> Result<bool, Failure> {
        let record = record::read(&cx.world.kube().await?, &self.definition.namespace, head).await?;
        let objects = rendered::objects(&record.manifest, &format!("revision {}", head.revision))?;
        Ok(objects.iter().any(overlay::is_synced))
    }

    /// Makes the next revision as `head` was and waits for its pods; says how they are.
    ///
    /// # Errors
    /// When helm fails, or the pods do not become ready.
    pub async fn roll_back(&self, cx: &Context, head: &Head) -> Result<String, Failure> {
        let helm = Helm::new(&self.helm(cx).await?);
        let deploy = Deploy { cx, step: self, client: cx.world.kube().await? };
        let Deployed { left, settled } = deploy.roll_back(&helm, head).await?;
        Ok(summary(&self.definition.name, left.revision, &settled))
    }
}

/// `revision 8, backend 2/2, frontend 2/2 unchanged`.
fn summary(release: &str, revision: u32, settled: &Settled) -> String {
    let mut parts = vec![format!("revision {revision}")];
    for (workload, state) in &settled.workloads {
        let name =
            workload.name.strip_prefix(release).and_then(|name| name.strip_prefix('-')).unwrap_or(&workload.name);
        let unchanged = if state.unchanged { " unchanged" } else { "" };
        parts.push(format!("{name} {}/{}{unchanged}", state.ready, state.desired));
    }
    parts.join(", ")
}

#[async_trait]
impl Step for ReleaseStep {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn pool(&self) -> Pool {
        Pool::Cluster
    }

    fn lock_name(&self, cx: &Context) -> Result<String, Failure> {
        let cluster = super::cluster_in_locks(cx);
        Ok(format!("release {cluster} {} {}", self.definition.namespace, self.definition.name))
    }

    async fn gather(&self, cx: &Context) -> Result<Manifest, Failure> {
        let mut manifest = Manifest::new(self.id.clone());
        manifest.value(Source::Definition, "name", &self.definition.name);
        manifest.value(Source::Definition, "namespace", &self.definition.namespace);
        manifest.value(Source::Definition, "chart", self.definition.chart.display());
        manifest.value(Source::Tool, "helm", self.helm(cx).await?.version);
        let upstream = self.definition.secrets.iter().map(|name| StepId::new(Kind::Secrets, name.as_str()));
        for step in std::iter::once(StepId::cluster()).chain(upstream) {
            if let Some(output) = cx.output(&step) {
                manifest.digest(Source::Upstream, step.to_string(), output.digest);
            }
        }
        for amendment in self.amendments(cx)? {
            manifest.digest(Source::Definition, format!("dev.{}", amendment.image), overlay::digest(&amendment));
        }
        inputs::chart(cx, &self.id, &self.definition, &self.origins, &mut manifest)?;
        inputs::values(cx, &self.id, &self.definition, &self.origins)?.add_to(&mut manifest)?;
        Ok(manifest)
    }

    fn understands(&self, receipt: &Receipt) -> bool {
        super::has_shapes::<Facts, Observed>(receipt)
    }

    async fn observe(&self, cx: &Context, receipt: &Receipt) -> Result<Observation, Failure> {
        let left: Observed = serde_json::from_value(receipt.observed.clone())
            .map_err(|error| Failure::step(format!("could not read what {} had left", self.id)).because(error))?;
        let client = cx.world.kube().await?;
        observed::observe(&client, &self.kinds, &self.definition.namespace, &self.definition.name, &left).await
    }

    async fn perform(&self, cx: &Context, job: &Job) -> Result<Made, Failure> {
        let left: Option<Observed> =
            job.previous.as_ref().and_then(|receipt| serde_json::from_value(receipt.observed.clone()).ok());
        let deploy = Deploy { cx, step: self, client: cx.world.kube().await? };
        let deployed = match left {
            Some(left) if job.verdict.is_only_unhealthy() => deploy.settle(left).await?,
            left => {
                let validate = validation::is_due(&job.verdict, &self.definition);
                deploy.upgrade(&self.plan(cx, left, validate).await?).await?
            }
        };
        let assembled = self.assembled(cx, deployed.left.revision).await;
        self.made(deployed, assembled)
    }

    async fn rehearse(&self, cx: &Context) -> Result<(), Failure> {
        // What is not there yet is got by the deploy itself.
        let Ok(helm) = self.helm(cx).await else { return Ok(()) };
        let values = inputs::values_to_rehearse(cx, &self.id, &self.definition, &self.origins)?;
        self.render(cx, &helm, values).await.map(drop)
    }

    async fn belongings(&self, cx: &Context, scope: Scope) -> Result<Vec<Belonging>, Failure> {
        Teardown { cx, step: self, client: cx.world.kube().await?, scope }.belongings().await
    }

    async fn remove(&self, cx: &Context, scope: Scope) -> Result<(), Failure> {
        Teardown { cx, step: self, client: cx.world.kube().await?, scope }.remove().await
    }
}
