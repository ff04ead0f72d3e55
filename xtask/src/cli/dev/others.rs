//! Which synced images have to be built as a deploy builds them, too: something runs them that gets no files.
//!
//! Looked for before each run, in what the charts say by then. Where that cannot be told, it is as it was at the last look;
//! before the first one, a build too many is better than a program without its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use engine::digest::Digest;
use engine::event::Level;
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::receipt::Output;
use engine::step::{Kind, StepId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::rollback;
use crate::cli::session::{Project, Session};
use crate::context::Context;
use crate::steps::image::{self, stage_of};
use crate::steps::release::ReleaseStep;
use crate::steps::release::others::{ByImage, Found};
use crate::steps::{self, Mode};
use crate::workspace::Workspace;
use crate::world::World;

/// What is known of them since the loop began.
#[derive(Debug, Default)]
pub struct Others {
    /// By the release's step name.
    found: Mutex<BTreeMap<String, Found>>,
    /// What people have been told.
    told: Mutex<ByImage>,
}

impl Others {
    /// Has `project` build what somebody runs beside the containers that are synced. Returns who that is, as far as it
    /// could be found out.
    pub async fn provide(
        &self,
        project: &mut Project,
        isolation: Option<&str>,
        gatherer: Arc<Gatherer>,
        cancel: &CancellationToken,
    ) -> ByImage {
        let others = match self.look(project, isolation, gatherer, cancel).await {
            Ok(others) => others,
            // What is wrong is told by the run that is about to begin.
            Err(_) => project.file.dev.keys().map(|image| (image.clone(), BTreeSet::new())).collect(),
        };
        for image in others.keys() {
            let step = StepId::new(Kind::Image, image.as_str());
            let syncs = |step: &StepId| step.kind == Kind::Release;
            project.graph = project.graph.with_beside(&step, stage_of(image), syncs);
        }
        others
    }

    async fn look(
        &self,
        project: &Project,
        isolation: Option<&str>,
        gatherer: Arc<Gatherer>,
        cancel: &CancellationToken,
    ) -> Result<ByImage, Failure> {
        let mut file = project.file.clone();
        let mut workspace = Workspace::at(file.root.clone());
        if let Some(isolation) = isolation {
            workspace = workspace.isolated(isolation);
            file.isolate(isolation, &workspace.local_ports())?;
        }
        let world = Arc::new(World::of_context(file.cluster.as_ref().map_or("", |cluster| cluster.kube_context())));
        // Nobody is told anything of a look.
        let (events, _) = mpsc::unbounded_channel();
        let mut cx = Context::new(workspace.for_dev(), file.project.clone(), world, gatherer, 0, events);
        cx.cancel = cancel.clone();
        stand_in(&cx, &Project { file: file.clone(), graph: project.graph.clone() });
        let mut others = ByImage::new();
        for (name, definition) in &file.releases {
            let step =
                ReleaseStep::new(name, definition.clone(), rollback::origins(&file)).synced(&file.dev, &project.graph);
            let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
            let found = match (step.others(&cx, known.as_ref()).await, known) {
                (Ok(found), _) | (Err(_), Some(found)) => found,
                (Err(failure), None) => return Err(failure),
            };
            for (image, titles) in &found.others {
                others.entry(image.clone()).or_default().extend(titles.iter().cloned());
            }
            self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), found);
        }
        for image in file.dev.keys() {
            let step = StepId::new(Kind::Image, image.as_str());
            let used = project.graph.dependents(&step);
            let used: Vec<String> = used.filter(|step| step.kind != Kind::Release).map(ToString::to_string).collect();
            if !used.is_empty() {
                others.entry(image.clone()).or_default().extend(used);
            }
        }
        Ok(others)
    }

    /// Says in the run `session` who runs built images, where that has changed since it was said.
    pub fn tell(&self, session: &Session, others: &ByImage) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (image, titles) in others.iter().filter(|(image, titles)| told.get(*image) != Some(*titles)) {
            if titles.is_empty() {
                continue;
            }
            let titles = titles.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let text = format!(
                "not synced: {titles}; what runs there is {image} as a deploy builds it, and a saved file of a synced folder \
                 reaches it with the next build: r at a terminal"
            );
            session.cx.note(&StepId::new(Kind::Image, image.as_str()), Level::Info, text);
        }
        told.clone_from(others);
    }
}

/// Gives `cx` what the steps of `project` have made, or something of the same shape.
fn stand_in(cx: &Context, project: &Project) {
    let receipts = cx.workspace.receipts();
    for (id, step) in steps::of_graph_file(&project.file, &project.graph, Mode::Dev) {
        let made = || receipts.load(&id).receipt().and_then(|receipt| receipt.output.clone());
        let synced = project.file.images.get(&id.name).filter(|_| {
            // Which image it is differs from build to build, and makes no difference here.
            id.kind == Kind::Image && project.file.dev.contains_key(&id.name)
        });
        let output = match synced {
            Some(image) => output_of(&image.repository),
            None => made().or_else(|| step.stand_in(cx)),
        };
        if let Some(output) = output {
            cx.set_output(&id, output);
        }
    }
}

/// What the step of an image with this repository makes.
fn output_of(repository: &str) -> Option<Output> {
    let digest = Digest::of_bytes(repository.as_bytes());
    let tag: String = digest.to_string().chars().take(12).collect();
    let facts = image::Facts {
        id: format!("sha256:{digest}"),
        reference: format!("{repository}:{tag}"),
        assembled: Vec::new(),
    };
    Some(Output { facts: serde_json::to_value(facts).ok()?, digest })
}
