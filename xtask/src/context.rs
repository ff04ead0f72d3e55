//! What a step is given: the workspace, the world, the outputs of other steps, and where to tell events.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use engine::event::{Event, Level};
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::receipt::Output;
use engine::step::StepId;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::ask::Person;
use crate::redact::Redactor;
use crate::workspace::Workspace;
use crate::world::World;
use crate::world::process::Redact;

/// See the module. Cheap to clone; all clones belong to the same run.
#[derive(Clone)]
pub struct Context {
    /// The checkout.
    pub workspace: Workspace,
    /// Names what is ours in the cluster and in the daemon.
    pub project: String,
    /// Names whose the cluster itself is, which an isolated deployment shares with the one that it is isolated from.
    pub cluster_project: String,
    /// Whether this is an isolated deployment beside another.
    pub isolated: bool,
    /// Daemons, the API server, tools.
    pub world: Arc<World>,
    /// Digests of files, through the stat cache.
    pub gatherer: Arc<Gatherer>,
    /// Masks secrets in whatever is shown or written.
    pub redactor: Arc<Redactor>,
    /// Cancelled when the run is to stop: waits end, children are ended.
    pub cancel: CancellationToken,
    /// The number of this run.
    pub run: u64,
    /// Who answers questions.
    pub person: Person,
    /// Base images are asked for at their registries, though they are there.
    pub pull: bool,
    /// This machine may be changed without asking: the person has said so beforehand.
    pub may_change_machine: bool,
    events: UnboundedSender<Event>,
    outputs: Arc<Mutex<BTreeMap<StepId, Output>>>,
}

impl Context {
    /// A context whose events go to `events`.
    pub fn new(
        workspace: Workspace,
        project: String,
        world: Arc<World>,
        gatherer: Arc<Gatherer>,
        run: u64,
        events: UnboundedSender<Event>,
    ) -> Self {
        Self {
            workspace,
            cluster_project: project.clone(),
            isolated: false,
            project,
            world,
            gatherer,
            redactor: Arc::default(),
            cancel: CancellationToken::new(),
            run,
            person: Person::Nobody,
            pull: false,
            may_change_machine: false,
            events,
            outputs: Arc::default(),
        }
    }

    /// A context for work in another workspace that is part of the same run: it is told of and cancelled with it.
    pub fn beside(
        &self,
        workspace: Workspace,
        project: String,
        world: Arc<World>,
        gatherer: Arc<Gatherer>,
        run: u64,
    ) -> Self {
        Self { workspace, project, world, gatherer, run, outputs: Arc::default(), ..self.clone() }
    }

    /// Tells an event. Nobody listening is no error: the run goes on.
    pub fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Tells where a running step is.
    pub fn progress(&self, step: &StepId, text: impl Into<String>) {
        self.tell(Event::Progress { step: step.clone(), text: self.redactor.redact(&text.into()) });
    }

    /// Tells something that a person should know.
    pub fn note(&self, step: &StepId, level: Level, text: impl Into<String>) {
        self.tell(Event::Note { step: Some(step.clone()), level, text: self.redactor.redact(&text.into()) });
    }

    /// Tells a line of output, redacted.
    pub fn line(&self, step: &StepId, line: &str) {
        self.tell(Event::Output { step: step.clone(), line: self.redactor.redact(line) });
    }

    /// What masks secrets in a line, for whoever writes lines.
    pub fn redact(&self) -> Redact {
        let redactor = Arc::clone(&self.redactor);
        Arc::new(move |line| redactor.redact(line))
    }

    /// Where the whole log of a step goes; its folder is there when this returns.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn log_path(&self, step: &StepId) -> Result<PathBuf, Failure> {
        let path = self.workspace.log_path(self.run, step);
        let folder = self.workspace.run_folder(self.run);
        fs::create_dir_all(&folder).map_err(|error| Failure::io("make the folder", &folder, &error))?;
        Ok(path)
    }

    /// What an earlier step of this run made.
    pub fn output(&self, step: &StepId) -> Option<Output> {
        self.outputs.lock().ok()?.get(step).cloned()
    }

    /// What an earlier step made, in the shape that its kind defines.
    ///
    /// # Errors
    /// When the step has made nothing in this run, or its facts have another shape.
    pub fn facts<T: DeserializeOwned>(&self, step: &StepId) -> Result<T, Failure> {
        let output = self.output(step).ok_or_else(|| Failure::step(format!("{step} has made nothing yet")))?;
        serde_json::from_value(output.facts)
            .map_err(|error| Failure::step(format!("could not read what {step} made")).because(error))
    }

    pub(crate) fn set_output(&self, step: &StepId, output: Output) {
        if let Ok(mut outputs) = self.outputs.lock() {
            outputs.insert(step.clone(), output);
        }
    }
}
