//! The graph file as a whole.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeTable;

use super::check::{Check, Deployment};
use super::ci::Ci;
use super::cluster::Cluster;
use super::command::Command;
use super::dev::{self, Dev};
use super::diagnostic::{Diagnostic, Source};
use super::image::Image;
use super::isolate::Isolation;
use super::manifests::Manifests;
use super::mention::{Mention, Target, Why};
use super::names::{ProjectName, StepName, VariableName};
use super::reading::Reading;
use super::release::Release;
use super::resolve;
use super::secrets::Secrets;
use super::syntax;
use super::table::Table;
use super::value::Value;
use crate::step::{Kind, StepId};

/// The graph file's name, at the workspace root.
pub const FILE_NAME: &str = "xtask.toml";

/// The graph file: the cluster and the steps.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GraphFile {
    /// The file itself, absolute.
    #[serde(skip)]
    pub path: PathBuf,
    /// The workspace root, absolute: the file's folder. All paths of the file are relative to it.
    #[serde(skip)]
    pub root: PathBuf,
    /// The project's name: first part of its images' names, value of the label that marks its objects. By default the
    /// minikube profile's name.
    #[schemars(with = "Option<super::text::Form<ProjectName>>", default)]
    pub project: String,
    /// Variables of the environment that `${env.NAME}` may use.
    #[schemars(with = "Vec<super::text::Form<VariableName>>", default)]
    pub env: Vec<String>,
    /// The cluster that everything runs in.
    pub cluster: Option<Cluster>,
    /// What continuous integration does beside deploying.
    #[schemars(default)]
    pub ci: Ci,
    /// Images, by step name.
    #[serde(rename = "image")]
    #[schemars(default)]
    pub images: BTreeMap<String, Image>,
    /// Secret values, by step name.
    #[schemars(default)]
    pub secrets: BTreeMap<String, Secrets>,
    /// Helm releases, by step name.
    #[serde(rename = "release")]
    #[schemars(default)]
    pub releases: BTreeMap<String, Release>,
    /// Raw manifests, by step name.
    #[schemars(default)]
    pub manifests: BTreeMap<String, Manifests>,
    /// Checks, by step name.
    #[serde(rename = "check")]
    #[schemars(default)]
    pub checks: BTreeMap<String, Check>,
    /// Commands, by step name.
    #[serde(rename = "command")]
    #[schemars(default)]
    pub commands: BTreeMap<String, Command>,
    /// How images run under `dev`, by the image's step name.
    #[schemars(default)]
    pub dev: BTreeMap<String, Dev>,
    /// The isolated deployment that the file was made to describe.
    #[serde(skip)]
    pub isolation: Option<Isolation>,
    /// Each place where a step names another; the graph is made of them.
    #[serde(skip)]
    pub(crate) mentions: Vec<Mention>,
    #[serde(skip)]
    pub(crate) source: Arc<Source>,
}

/// Reads the graph file at `path`; all its mistakes are the error, in order of position.
pub fn load(path: &Path) -> Result<GraphFile, Vec<Diagnostic>> {
    complete(read_file(path)?)
}

/// Reads a graph file from its text. `origin` is where it is (or would be): paths are relative to its folder.
pub fn parse(text: &str, origin: &Path) -> Result<GraphFile, Vec<Diagnostic>> {
    complete(read_text(text, origin))
}

/// A file with whatever is wrong in it.
pub(crate) struct Outcome {
    /// As far as it could be understood.
    pub(crate) file: GraphFile,
    pub(crate) problems: Vec<Diagnostic>,
}

fn complete(outcome: Outcome) -> Result<GraphFile, Vec<Diagnostic>> {
    if outcome.problems.is_empty() { Ok(outcome.file) } else { Err(outcome.problems) }
}

/// Reads the file at `path`; the error is one problem with the file as a whole.
pub(crate) fn read_file(path: &Path) -> Result<Outcome, Vec<Diagnostic>> {
    let problem = |message: String| Diagnostic::of_file(path, message);
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| {
        vec![match error.kind() {
            io::ErrorKind::NotFound => problem(format!("there is no graph file {shown}"))
                .help(format!("run this in the folder that has one, or name it with --graph-file PATH/{FILE_NAME}")),
            io::ErrorKind::IsADirectory => problem(format!("{shown} is a folder, not a graph file"))
                .help(format!("name the file in it: {}", path.join(FILE_NAME).display())),
            io::ErrorKind::PermissionDenied => problem(format!("{shown} may not be read: {error}"))
                .help(format!("give this user access to it: chmod u+r {shown}")),
            _ => problem(format!("could not read {shown}: {error}")),
        }]
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(read_text(&text, path)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            let problem = problem(format!("{shown} is not UTF-8: line {line} has a byte that no text has"));
            Err(vec![problem.help("save it as UTF-8")])
        }
    }
}

/// Reads as much of `text` as can be understood.
pub(crate) fn read_text(text: &str, origin: &Path) -> Outcome {
    let source = Source::new(origin, text);
    let path = std::path::absolute(origin).unwrap_or_else(|_| origin.to_owned());
    let root = path.parent().unwrap_or(Path::new(".")).to_owned();
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let reading = Reading::new(&source);
    let sound = syntax::report(&reading, &document, errors);
    let empty = DeTable::new();
    let raw = if sound { document.get_ref() } else { &empty };
    let mut file = Table::read_root(&reading, raw, |table| GraphFile::read(table, path, root, Arc::clone(&source)));
    if sound && raw.is_empty() {
        let problem = Diagnostic::of_file(origin, format!("{} declares nothing", origin.display()));
        reading.report::<()>(problem.help(
            "declare what is to be deployed and where: [release.NAME] with a chart, [image.NAME] with a context, [cluster]",
        ));
    }
    if sound {
        resolve::check(&reading, &file, raw);
    }
    let gathered = reading.finish();
    file.mentions = gathered.mentions;
    let mut problems = gathered.problems;
    problems.sort_by_key(Diagnostic::order);
    Outcome { file, problems }
}

impl GraphFile {
    /// The steps that the file declares, in the order in which kinds are listed to people.
    pub fn steps(&self) -> Vec<StepId> {
        fn named<T>(kind: Kind, steps: &BTreeMap<String, T>) -> impl Iterator<Item = StepId> {
            steps.keys().map(move |name| StepId::new(kind, name.as_str()))
        }
        let cluster = self.cluster.iter().map(|_| StepId::cluster());
        cluster
            .chain(named(Kind::Image, &self.images))
            .chain(named(Kind::Secrets, &self.secrets))
            .chain(named(Kind::Manifests, &self.manifests))
            .chain(named(Kind::Release, &self.releases))
            .chain(named(Kind::Check, &self.checks))
            .chain(named(Kind::Command, &self.commands))
            .collect()
    }

    /// The step that makes the image called `name` in mappings and variables: an image step, or a command.
    pub fn maker_of_image(&self, name: &str) -> Option<StepId> {
        if self.images.contains_key(name) {
            return Some(StepId::new(Kind::Image, name));
        }
        let maker = self.commands.iter().find(|(_, command)| command.images().any(|image| image == name));
        maker.map(|(command, _)| StepId::new(Kind::Command, command.as_str()))
    }

    /// The namespaces in which a secrets step makes its Secret: those of the releases that use it.
    pub fn namespaces_of_secrets(&self, name: &str) -> BTreeSet<&str> {
        let uses = |release: &&Release| release.secrets.iter().any(|secrets| secrets == name);
        self.releases.values().filter(uses).map(|release| release.namespace.as_str()).collect()
    }

    /// Where steps need each other: who, whom, why. Names of images are followed to the steps that make them.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (StepId, StepId, Why)> {
        let edge = |mention: &Mention| Some((mention.by.clone(), self.target(mention)?, mention.why.clone()));
        self.mentions.iter().filter_map(edge)
    }

    fn target(&self, mention: &Mention) -> Option<StepId> {
        match &mention.target {
            Target::Step(step) => Some(step.clone()),
            Target::Image(name) => self.maker_of_image(name),
            Target::Bare(_) => None,
        }
    }

    /// A mistake that several edges make together: it points at the first place of each.
    pub(crate) fn problem_at_edges(
        &self,
        message: String,
        edges: impl Iterator<Item = (StepId, StepId)>,
    ) -> Diagnostic {
        let place = |(by, on): (StepId, StepId)| {
            let mentions = self.mentions.iter().filter(|mention| mention.by == by);
            let mentions = mentions.filter(|mention| self.target(mention).as_ref() == Some(&on));
            let first = mentions.map(|mention| mention.span.clone()).min_by_key(|span| span.start);
            (first.unwrap_or_default(), format!("{by} needs {on}"))
        };
        let mut places: Vec<_> = edges.map(place).collect();
        places.sort_by_key(|(span, _)| span.start);
        let mut places = places.into_iter();
        let (span, label) = places.next().unwrap_or_default();
        let problem = Diagnostic::at(&self.source, span, message).label(label);
        places.fold(problem, |problem, (span, label)| problem.remark(span, label))
    }

    fn read(table: &Table<'_>, path: PathBuf, root: PathBuf, source: Arc<Source>) -> Self {
        let reading = table.reading;
        let project = table.optional("project", "\"todo-chatbot\"", |value| Some(value.text::<ProjectName>()?.0));
        let env = table.optional("env", "[\"CI\"]", |value| value.set(|item| Some(item.text::<VariableName>()?.0)));
        let env = env.unwrap_or_default();
        reading.declare_env(env.clone());
        let cluster = table.optional("cluster", "", |value| {
            reading.enter(StepId::cluster());
            value.table(|table| Cluster::read(table, project.as_deref()))
        });
        let ci = table.optional("ci", "", |value| value.table(Ci::read)).unwrap_or_default();
        let profile = || cluster.as_ref().map(|cluster| cluster.profile.clone()).filter(|profile| !profile.is_empty());
        let project = project.or_else(profile).unwrap_or_else(|| NO_PROJECT.to_owned());
        let images = steps(table, Kind::Image, |table| Image::read(table, &project));
        let secrets = steps(table, Kind::Secrets, Secrets::read);
        let releases = steps(table, Kind::Release, Release::read);
        let manifests = steps(table, Kind::Manifests, Manifests::read);
        let deployments: Vec<_> = declared(table, Kind::Release)
            .map(|step| (releases.get(&step.name).map(|release| release.namespace.clone()), step))
            .chain(
                declared(table, Kind::Manifests)
                    .map(|step| (manifests.get(&step.name).map(|manifests| manifests.namespace.clone()), step)),
            )
            .map(|(namespace, step)| Deployment { step, namespace })
            .collect();
        let checks = steps(table, Kind::Check, |table| Check::read(table, &deployments));
        let commands = steps(table, Kind::Command, Command::read);
        let declared_images: Vec<String> = declared(table, Kind::Image).map(|step| step.name).collect();
        let dev = dev::tables(table, &images, &declared_images);
        let mentions = Vec::new();
        Self {
            path,
            root,
            project,
            env,
            cluster,
            ci,
            images,
            secrets,
            releases,
            manifests,
            checks,
            commands,
            dev,
            isolation: None,
            mentions,
            source,
        }
    }
}

/// The project's name in a file that needs none: it has neither a cluster nor a `project`.
const NO_PROJECT: &str = "local";

/// The names of the steps of a kind, right or wrong.
fn declared<'t>(table: &Table<'t>, kind: Kind) -> impl Iterator<Item = StepId> {
    let steps = table.value_of(kind.word()).and_then(|value| value.raw().as_table());
    steps.into_iter().flatten().map(move |(name, _)| StepId::new(kind, name.get_ref().as_ref()))
}

/// Reads all steps of a kind.
fn steps<T>(root: &Table<'_>, kind: Kind, read: impl Fn(&Table<'_>) -> Option<T>) -> BTreeMap<String, T> {
    let Some(value) = root.get(kind.word(), "") else {
        return BTreeMap::new();
    };
    let word = kind.word();
    let unnamed = |value: Value<'_>| {
        let problem = value.reading.at(value.key_span(), format!("every step of the kind {word} needs a name"));
        let problem = problem.label("not a table with a step's name");
        value.reading.report::<()>(problem.help(format!("write [{word}.NAME] above the keys of each step")));
    };
    if !value.raw().is_table() {
        unnamed(value);
        return BTreeMap::new();
    }
    // Keys right below [image] are one mistake, however many they are.
    let told = Cell::new(false);
    let steps = value.map(|entry| {
        if !entry.raw().is_table() {
            if !told.replace(true) {
                unnamed(entry);
            }
            return None;
        }
        entry.key_text::<StepName>()?;
        entry.reading.enter(StepId::new(kind, entry.name()));
        entry.table(&read)
    });
    steps.unwrap_or_default()
}
