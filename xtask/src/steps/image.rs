//! A container image in the daemon that its users take it from: the node's for pods, the host's where so declared.

pub mod build_secrets;
mod shown;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::config::{self, Daemon as Place};
use engine::digest::Digest;
use engine::event::Level;
use engine::failure::Failure;
use engine::files::{FileSet, Query, Rules};
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::{Kind, StepId};
use engine::verdict::{Difference, Observation};
use serde::{Deserialize, Serialize};

use self::shown::Shown;
use super::variables::{SecretValues, Variables};
use super::{Belonging, Made, Scope, Step};
use super::{cluster, daemon};
use crate::context::Context;
use crate::dayzero::bases::{self, Wanted};
use crate::dev::sources::build_patterns;
use crate::world::daemon::Daemon;
use crate::world::docker::{self, Inventory};
use crate::world::pause;

/// What later steps see of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `sha256:` and 64 hexadecimal digits.
    pub id: String,
    /// `todo-chatbot/backend:3f9c1a77b2d0`: repository, and a tag that is a prefix of the ID.
    pub reference: String,
    /// The bases that came from no registry: `node:22-slim assembled from Debian trixie`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assembled: Vec<String>,
}

/// The step `image:NAME`, or [`stage_of`] that.
pub struct ImageStep {
    id: StepId,
    /// By the step of this name its images are known in the daemon, whoever builds them.
    owner: StepId,
    definition: config::Image,
    secrets: Arc<dyn SecretValues>,
    dev: Option<config::Dev>,
    /// Its bases have been asked for at their registries in this run.
    pulled: AtomicBool,
}

/// All that goes into a build.
struct Ingredients {
    dockerfile: Vec<u8>,
    files: FileSet,
    args: BTreeMap<String, String>,
    /// The images that it is built from, by line.
    bases: Vec<Base>,
    secrets: build_secrets::BuildSecrets,
}

/// An image that a Dockerfile names.
struct Base {
    name: String,
    /// The first line that names it.
    line: usize,
    /// What it is in the daemon, if it is there.
    id: Option<String>,
    /// What it was assembled from, if it was.
    assembled_from: Option<String>,
}

/// What the name of a stage's step ends in; a graph file gives no step such a name.
const STAGE: &str = ".dev";

/// The step that builds the image `name` up to the stage that `dev` syncs, where others run the image itself.
pub fn stage_of(name: &str) -> StepId {
    StepId::new(Kind::Image, format!("{name}{STAGE}"))
}

/// The name in the graph file of the image that the step `name` builds.
pub fn of_stage(name: &str) -> &str {
    name.strip_suffix(STAGE).unwrap_or(name)
}

/// How long the containers of pods that have gone are waited for: the kubelet takes its time to remove them.
const CONTAINERS_GO: Duration = Duration::from_secs(60);

impl ImageStep {
    /// The image `name` of the graph file.
    pub fn new(name: &str, definition: config::Image, secrets: Arc<dyn SecretValues>) -> Self {
        let id = StepId::new(Kind::Image, name);
        Self { owner: id.clone(), id, definition, secrets, dev: None, pulled: AtomicBool::default() }
    }

    /// The image as `dev` runs it: another stage, without the folders that are synced.
    pub fn synced(mut self, dev: &config::Dev) -> Self {
        self.definition.target = Some(dev.target.clone());
        self.dev = Some(dev.clone());
        self
    }

    /// The same beside the image as it is deployed, which others run.
    pub fn beside(self) -> Self {
        Self { id: stage_of(&self.owner.name), ..self }
    }

    /// Removes an image. The containers of pods that have gone are removed a while after them: they are waited for.
    async fn remove_image(&self, cx: &Context, daemon: &Daemon, image: &docker::Image) -> Result<(), Failure> {
        let begun = Instant::now();
        while docker::remove(daemon, image).await?.is_none() {
            if begun.elapsed() > CONTAINERS_GO {
                let name = image.names.first().unwrap_or(&image.id);
                let text = format!(
                    "the image {name} stays: a container uses it; `cargo xtask teardown` again removes it later"
                );
                cx.note(&self.id, Level::Warning, text);
                return Ok(());
            }
            cx.progress(&self.id, "waiting for the last container to go");
            tokio::select! {
                () = pause(Duration::from_millis(500)) => {}
                () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
            }
        }
        Ok(())
    }

    async fn inventory(&self, cx: &Context) -> Result<Arc<Inventory>, Failure> {
        cx.world.inventory(&daemon::at(cx, self.definition.daemon).await?).await
    }

    async fn ingredients(&self, cx: &Context) -> Result<Ingredients, Failure> {
        let definition = &self.definition;
        let variables = Variables::look_up(cx, &*self.secrets, definition.build_args.values())?;
        let mut args = BTreeMap::new();
        for (name, value) in &definition.build_args {
            args.insert(name.clone(), variables.expand(value)?);
        }
        let path = cx.workspace.root().join(&definition.dockerfile);
        let dockerfile = fs::read(&path).map_err(|error| Failure::io("read the Dockerfile", &path, &error))?;
        let parsed = buildkit::Dockerfile::parse(&String::from_utf8_lossy(&dockerfile));
        let platform = definition.platform.clone().unwrap_or_else(|| format!("linux/{}", docker_architecture()));
        let inventory = self.inventory(cx).await?;
        let bases = parsed.base_images(&args, definition.target.as_deref(), &platform);
        let bases = bases.into_iter().map(|base| {
            let image = inventory.by_name(&base.name);
            let assembled_from = image.and_then(bases::assembled_from).map(str::to_owned);
            Base { name: base.name, line: base.line, id: image.map(|image| image.id.clone()), assembled_from }
        });
        let secrets = build_secrets::read(cx, &*self.secrets, &definition.build_secrets)?;
        Ok(Ingredients { dockerfile, files: self.files(cx).await?, args, bases: bases.collect(), secrets })
    }

    /// Gets the bases that are not in the node's daemon, where that is possible; whether any came.
    async fn provide_bases(&self, cx: &Context, ingredients: &Ingredients) -> Result<bool, Failure> {
        let other_platform = self.definition.platform.is_some();
        if self.definition.daemon != Place::Cluster
            || other_platform
            || ingredients.bases.iter().all(|base| base.id.is_some())
        {
            return Ok(false);
        }
        // Somebody else's cluster is not given names that mean something else elsewhere.
        if cx.facts::<cluster::Facts>(&StepId::cluster())?.profile.is_none() {
            return Ok(false);
        }
        let wanted: Vec<_> = ingredients.bases.iter().map(|base| self.wanted(base)).collect();
        bases::provide(cx, &self.id, &daemon::at(cx, self.definition.daemon).await?, &wanted).await
    }

    fn wanted<'a>(&self, base: &'a Base) -> Wanted<'a> {
        Wanted { name: &base.name, place: format!("{}:{}", self.definition.dockerfile.display(), base.line) }
    }

    async fn files(&self, cx: &Context) -> Result<FileSet, Failure> {
        let (gatherer, context) = (Arc::clone(&cx.gatherer), self.context(cx));
        let (name, dockerfile) = (self.id.file_stem(), cx.workspace.root().join(&self.definition.dockerfile));
        let dev = self.dev.clone();
        let look = move || {
            let ignore = build_patterns(&context, &dockerfile, dev.as_ref())?;
            gatherer.gather(&Query { name, root: context, rules: Rules::Context { ignore } })
        };
        let gathered = tokio::task::spawn_blocking(look).await;
        let gathered = gathered.map_err(|error| Failure::step("could not look at the files").because(error))??;
        Ok(gathered.files)
    }

    fn context(&self, cx: &Context) -> PathBuf {
        cx.workspace.root().join(&self.definition.context)
    }

    fn manifest(&self, cx: &Context, ingredients: &Ingredients) -> Manifest {
        let definition = &self.definition;
        let mut manifest = Manifest::new(self.id.clone());
        if definition.daemon == Place::Cluster
            && let Some(cluster) = cx.output(&StepId::cluster())
        {
            manifest.digest(Source::Upstream, "cluster", cluster.digest);
        }
        manifest.value(Source::Definition, "repository", &definition.repository);
        manifest.value(Source::Definition, "target", definition.target.as_deref().unwrap_or_default());
        manifest.value(Source::Definition, "platform", definition.platform.as_deref().unwrap_or_default());
        for (name, value) in &ingredients.args {
            manifest.value(Source::Definition, format!("build-args.{name}"), value);
        }
        for Base { name, id, .. } in &ingredients.bases {
            manifest.value(Source::BaseImage, name, id.as_deref().map_or("not there yet", docker::short));
        }
        ingredients.secrets.add_to(&mut manifest);
        let dockerfile = definition.dockerfile.display().to_string();
        manifest.digest(Source::File, dockerfile, Digest::of_bytes(&ingredients.dockerfile));
        manifest.files(definition.context.display().to_string(), &ingredients.files);
        manifest
    }
}

#[async_trait]
impl Step for ImageStep {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn pool(&self) -> Pool {
        Pool::Builds
    }

    fn lock_name(&self, cx: &Context) -> Result<String, Failure> {
        // The image and its stage are built at the same time.
        let stage = if self.id == self.owner { "" } else { STAGE };
        daemon::lock_name(cx, self.definition.daemon, &format!("{}{stage}", self.definition.repository))
    }

    async fn gather(&self, cx: &Context) -> Result<Manifest, Failure> {
        let mut ingredients = self.ingredients(cx).await?;
        if cx.pull && !self.pulled.swap(true, Ordering::Relaxed) {
            let daemon = daemon::at(cx, self.definition.daemon).await?;
            for base in &ingredients.bases {
                bases::renew(cx, &self.id, &daemon, &self.wanted(base)).await?;
            }
            ingredients = self.ingredients(cx).await?;
        }
        Ok(self.manifest(cx, &ingredients))
    }

    fn understands(&self, receipt: &Receipt) -> bool {
        super::has_shapes::<Facts, serde_json::Value>(receipt)
    }

    async fn observe(&self, cx: &Context, receipt: &Receipt) -> Result<Observation, Failure> {
        let Some(facts) =
            receipt.output.as_ref().and_then(|output| serde_json::from_value::<Facts>(output.facts.clone()).ok())
        else {
            return Ok(Observation::differs(Difference::Missing("its receipt does not say which image it is".into())));
        };
        let inventory = self.inventory(cx).await?;
        Ok(match inventory.by_name(&facts.reference) {
            Some(image) if image.id == facts.id => Observation::as_recorded(),
            Some(image) => Observation::differs(Difference::Altered(format!(
                "{} is another image now: {}",
                facts.reference,
                docker::short(&image.id)
            ))),
            None => {
                Observation::differs(Difference::Missing(format!("{} is not in the daemon any more", facts.reference)))
            }
        })
    }

    async fn perform(&self, cx: &Context, job: &Job) -> Result<Made, Failure> {
        let mut ingredients = self.ingredients(cx).await?;
        if self.provide_bases(cx, &ingredients).await? {
            // With what is there now the engine judges it once more, and finds it cached.
            ingredients = self.ingredients(cx).await?;
        } else if self.manifest(cx, &ingredients).key() != job.manifest.key() {
            return Err(Failure::step(format!("the inputs of {} changed as its build began", self.id))
                .help("run the same command again when they hold still"));
        }
        let daemon = daemon::at(cx, self.definition.daemon).await?;
        let assembled: Vec<String> = ingredients
            .bases
            .iter()
            .filter_map(|base| Some(format!("{} assembled from {}", base.name, base.assembled_from.as_deref()?)))
            .collect();
        let build = docker::Build {
            project: cx.project.clone(),
            step: self.owner.to_string(),
            context: self.context(cx),
            files: ingredients.files,
            dockerfile: ingredients.dockerfile,
            dockerfile_name: self.definition.dockerfile.display().to_string(),
            target: self.definition.target.clone(),
            platform: self.definition.platform.clone(),
            args: ingredients.args,
            secrets: ingredients.secrets.values(),
            repository: self.definition.repository.clone(),
            salt: ingredients.secrets.salt(),
            redact: cx.redact(),
        };
        let mut log = super::log::Log::create(cx, &self.id)?;
        let mut shown = Shown::default();
        let building = docker::build(&daemon, build, |event| tell(cx, &self.id, &mut log, &mut shown, &event));
        let built = tokio::select! {
            built = building => built,
            () = cx.cancel.cancelled() => return Err(Failure::interrupted()),
        };
        cx.world.forget_observations().await;
        let built = built.map_err(|failure| match &self.dev {
            Some(dev) => failure.help(format!(
                "`dev` builds the stage {} without {}: the stage must not copy them",
                dev.target,
                dev.sync.keys().cloned().collect::<Vec<_>>().join(" and ")
            )),
            None => failure,
        });
        let built = built.map_err(|failure| failure.help(format!("the whole log is in {}", log.shown())))?;
        let mut summary = format!("{}, {} MB", docker::short(&built.id), built.size / 1_000_000);
        if !assembled.is_empty() {
            summary.push_str(&format!(", on {}", assembled.join(" and ")));
        }
        let facts = Facts { id: built.id.clone(), reference: built.reference.clone(), assembled };
        let digest = Digest::of_bytes(format!("{} {}", facts.reference, facts.id).as_bytes());
        Ok(Made {
            output: Output { facts: serde_json::json!(facts), digest },
            observed: serde_json::Value::Null,
            summary,
        })
    }

    fn stand_in(&self, cx: &Context) -> Option<Output> {
        let digest = Digest::of_bytes(b"not built yet");
        let facts = Facts {
            id: format!("sha256:{digest}"),
            reference: format!("{}/{}:not-built-yet", cx.project, self.id.name),
            assembled: Vec::new(),
        };
        Some(Output { facts: serde_json::to_value(facts).ok()?, digest })
    }

    async fn belongings(&self, cx: &Context, _: Scope) -> Result<Vec<Belonging>, Failure> {
        let inventory = self.inventory(cx).await?;
        let step = self.owner.to_string();
        let images = inventory.of_project(&cx.project, Some(&step));
        let names = images.flat_map(|image| image.names.iter());
        Ok(names.map(|name| Belonging { what: format!("image {name}"), kept: None }).collect())
    }

    async fn remove(&self, cx: &Context, _: Scope) -> Result<(), Failure> {
        let daemon = daemon::at(cx, self.definition.daemon).await?;
        cx.world.forget_observations().await;
        let inventory = cx.world.inventory(&daemon).await?;
        let step = self.owner.to_string();
        for image in inventory.of_project(&cx.project, Some(&step)) {
            self.remove_image(cx, &daemon, image).await?;
        }
        cx.world.forget_observations().await;
        Ok(())
    }
}

/// Tells what a build does, and logs all of it.
fn tell(cx: &Context, step: &StepId, log: &mut super::log::Log, shown: &mut Shown, event: &buildkit::Event) {
    use buildkit::Change;
    match &event.change {
        Change::Started => log.line(&format!("{} …", event.vertex)),
        Change::Cached => log.line(&format!("{}: cached", event.vertex)),
        Change::Wrote(line) => {
            log.line(line);
            cx.line(step, line);
        }
        Change::Advanced { .. } => {}
        Change::Completed(time) => log.line(&format!("{}: {:.1}s", event.vertex, time.as_secs_f64())),
        Change::Failed(message) => log.line(&format!("{}: {message}", event.vertex)),
    }
    if let Some(text) = shown.after(event) {
        cx.progress(step, text);
    }
}

/// The architecture of this machine in docker's words.
pub(crate) fn docker_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
