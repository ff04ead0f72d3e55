//! Whether a suite has to run: it is fresh when its files, its command, its tools and the variables that tests read are
//! as they were when it last passed in this checkout.
//!
//! Verdicts, receipts and digests of files are the engine's, as for any step. A receipt is removed before its suite
//! starts and written only after all of it has passed, for inputs that held still; so whatever ends a run leaves none. It
//! knows neither how suites are run nor how they are shown.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::digest::Digest;
use engine::failure::{Class, Failure};
use engine::files::dockerignore::Patterns;
use engine::files::rules::NEVER_WALKED;
use engine::files::{EntryKind, FileSet, Gatherer, Query, Rules};
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt, Receipts};
use engine::step::{Kind, StepId};
use engine::verdict::{Difference, Reason, Verdict, judge};
use tokio_util::sync::CancellationToken;

use super::bed;
use super::suites::{Inputs, Needs, Suite};
use crate::dayzero::suite_tools::{Found, Tool};
use crate::steps::command::add_program;
use crate::world::process::{self, Command, Stream};

/// Tells tests that there is time for many rounds.
pub const SOAK: &str = "XTASK_SOAK";

/// What else tests or the tools that they run read of the environment.
const VARIABLES: [&str; 8] = [
    "DOCKER_HOST",
    "KUBECONFIG",
    "MINIKUBE_HOME",
    "RUSTFLAGS",
    SOAK,
    "UPDATE_EXPECTED",
    "XTASK_TEST_HELMS",
    "XTASK_TEST_SEED",
];

/// What suites on a cluster run beside the tools that they name: a deploy has got these.
const OF_A_CLUSTER: [&str; 2] = ["docker", "minikube"];

/// The folders with rules about what git ignores.
const IGNORING: [&str; 2] = ["", "frontend"];

/// Folders that tools leave behind and have git ignore themselves.
const CACHES: [&str; 4] = [".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"];

/// What a suite starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It passed with the very same inputs.
    Fresh(Passed),
    /// It has to run, and why.
    Stale(Reason),
}

/// A pass that still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// How many tests passed.
    pub tests: u64,
    /// How long ago.
    pub ago: Duration,
}

/// See the module.
pub struct Freshness {
    root: PathBuf,
    receipts: Receipts,
    gatherer: Arc<Gatherer>,
    /// What `rustc` says of itself; `None` when it says nothing.
    compiler: Option<String>,
}

impl Freshness {
    /// That of the suites of the checkout at `root`, which keeps what it knows in `state`; `compiler` is what
    /// [`compiler`] has found.
    pub fn new(root: &Path, state: &Path, gatherer: Arc<Gatherer>, compiler: Option<String>) -> Self {
        Self { root: root.to_owned(), receipts: Receipts::in_folder(state.join("suites")), gatherer, compiler }
    }

    /// Judges `suites`. One that makes what a stale one among them needs is stale with it: what it made may be gone.
    pub async fn judge<'a>(&self, suites: &[&'a Suite], found: &Found, force: bool) -> Vec<(&'a Suite, Standing)> {
        let mut judged = Vec::new();
        for suite in suites {
            judged.push((*suite, self.standing(suite, found, force).await));
        }
        let run = judged.iter().filter(|(_, standing)| matches!(standing, Standing::Stale(_)));
        let needed: Vec<_> = run.filter_map(|(suite, _)| Some((suite.after?, suite.name))).collect();
        for (suite, standing) in &mut judged {
            let by = needed.iter().find(|(name, _)| *name == suite.name && matches!(standing, Standing::Fresh(_)));
            if let Some((_, by)) = by {
                *standing = stale(format!("{by} needs what it makes"));
            }
        }
        judged
    }

    async fn standing(&self, suite: &Suite, found: &Found, force: bool) -> Standing {
        let manifest = match self.manifest(suite, found).await {
            Ok(manifest) => manifest,
            Err(failure) => return stale(failure.to_string()),
        };
        let mut stored = self.receipts.load(manifest.step());
        if let engine::receipt::Stored::Receipt(receipt) = &mut stored {
            self.receipts.attach_listings(&mut receipt.manifest, &manifest);
        }
        let reasons = match judge(&manifest, &stored, None, force) {
            Verdict::Fresh => Vec::new(),
            Verdict::Stale(reasons) => reasons,
        };
        let tests = stored.receipt().and_then(|receipt| Some((receipt, receipt.output.as_ref()?.facts.as_u64()?)));
        match (reasons.into_iter().next(), tests) {
            (Some(reason), _) => Standing::Stale(reason),
            (None, None) => stale("its receipt does not say what passed".to_owned()),
            (None, Some((receipt, tests))) => {
                let ago = now().saturating_sub(Duration::from_millis(receipt.finished_ms));
                Standing::Fresh(Passed { tests, ago })
            }
        }
    }

    /// Forgets that `suite` ever passed, and returns the inputs with which it starts; `None` when they cannot be told.
    ///
    /// # Errors
    /// When its receipt cannot be removed: it would speak for a suite that fails.
    pub async fn begin(&self, suite: &Suite, found: &Found) -> Result<Option<Manifest>, Failure> {
        self.receipts.remove(&id(suite))?;
        Ok(self.manifest(suite, found).await.ok())
    }

    /// Notes that all `tests` of `suite`, which has begun with the inputs `before`, passed; the error is why that proves
    /// nothing for the next run.
    pub async fn end(
        &self,
        suite: &Suite,
        found: &Found,
        before: Option<Manifest>,
        tests: u64,
        took: Duration,
    ) -> Result<(), String> {
        let before = before.ok_or("not all of its inputs could be read")?;
        let manifest = self.manifest(suite, found).await.map_err(|failure| failure.to_string())?;
        if !manifest.held_still_since(&before) {
            let changes = manifest.changes_since(&before);
            let what = changes.first().map_or_else(|| "a file was written".to_owned(), ToString::to_string);
            return Err(format!("its inputs changed while it ran: {what}"));
        }
        let digest = Digest::of_bytes(&tests.to_le_bytes());
        let receipt = Receipt {
            manifest,
            output: Some(Output { facts: tests.into(), digest }),
            observed: serde_json::Value::Null,
            finished_ms: now().as_millis() as u64,
            took,
        };
        self.receipts.store(&receipt).map_err(|failure| failure.to_string())
    }

    /// All that `suite` depends on.
    async fn manifest(&self, suite: &Suite, found: &Found) -> Result<Manifest, Failure> {
        let mut manifest = Manifest::new(id(suite));
        manifest.value(Source::Definition, "command", suite.command.join(" "));
        let system = rustix::system::uname();
        for (name, part) in [("kernel", system.release()), ("machine", system.machine())] {
            manifest.value(Source::Tool, name, part.to_string_lossy());
        }
        if suite.command.first() == Some(&"cargo") {
            let compiler = self.compiler.as_ref();
            let compiler = compiler.ok_or_else(|| Failure::environment("rustc does not tell its version"))?;
            manifest.value(Source::Tool, "rustc", compiler);
        }
        for tool in suite.tools {
            for program in programs(*tool, found) {
                add_program(&self.root, &program, &mut manifest)?;
            }
        }
        if suite.needs > Needs::Nothing {
            manifest.value(Source::Definition, "cluster", bed::graph_file(&bed::profile()));
            for program in OF_A_CLUSTER.iter().filter_map(|name| process::resolve(OsStr::new(name), None)) {
                add_program(&self.root, &program, &mut manifest)?;
            }
        }
        for (name, value) in VARIABLES.iter().filter_map(|name| Some((*name, env::var_os(name)?))) {
            manifest.value(Source::Variable, name, value.to_string_lossy());
        }
        self.add_files(suite.inputs, &mut manifest).await?;
        Ok(manifest)
    }

    async fn add_files(&self, inputs: Inputs, manifest: &mut Manifest) -> Result<(), Failure> {
        let query = self.query(inputs)?;
        let (gatherer, asked) = (Arc::clone(&self.gatherer), query.clone());
        // The first time it reads them all, and signals are to be heard meanwhile.
        let gathered = tokio::task::spawn_blocking(move || gatherer.gather(&asked)).await;
        let gathered = gathered.map_err(|error| Failure::step("could not read files").because(error))??.files;
        for (link, _) in gathered.links() {
            let path = self.root.join(&link);
            let leads = path.canonicalize().map_err(|error| Failure::io("follow the link", &path, &error))?;
            if !self.root.canonicalize().is_ok_and(|root| leads.starts_with(root)) {
                return Err(Failure::step(format!("{link} leads out of the checkout")));
            }
        }
        manifest.files("files", &without_folders(&gathered));
        self.gatherer.stamp(&query, &gathered).into_iter().for_each(|stamp| manifest.stamp(stamp));
        Ok(())
    }

    /// Asks for what `inputs` name and git does not ignore: that is what people write, and secrets are not among it.
    fn query(&self, inputs: Inputs) -> Result<Query, Failure> {
        let only = inputs.paths.iter().map(|path| format!("!{path}"));
        let mut lines: Vec<String> = if inputs.paths.is_empty() { vec![] } else { vec!["**".to_owned()] };
        lines.extend(only);
        lines.extend(NEVER_WALKED.iter().chain(&CACHES).map(|name| format!("**/{name}")));
        for folder in IGNORING {
            let path = self.root.join(folder).join(".gitignore");
            match fs::read_to_string(&path) {
                Ok(text) => lines.extend(text.lines().filter_map(|line| for_docker(folder, line))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::io("read", &path, &error)),
            }
        }
        let ignore = Patterns::parse(lines.join("\n").as_bytes(), &self.root.join(".gitignore"))?;
        let name = format!("suites-{}", inputs.name);
        Ok(Query { name, root: self.root.clone(), rules: Rules::Context { ignore } })
    }
}

/// What the compiler says of itself in `root`, with the toolchain's version. `None` when there is none.
///
/// # Errors
/// When the run is interrupted.
pub async fn compiler(root: &Path, cancel: &CancellationToken) -> Result<Option<String>, Failure> {
    let asked = Command::new("rustc").args(["--version", "--verbose"]).cwd(root).run(cancel, |_, _| {}).await;
    match asked.and_then(|finished| finished.success(Class::Environment)) {
        Ok(finished) => Ok(Some(finished.text(Stream::Out))),
        Err(failure) if failure.class == Class::Interrupted => Err(failure),
        Err(_) => Ok(None),
    }
}

/// The programs of a tool that was found: none, one, or those of a list of folders.
fn programs(tool: Tool, found: &Found) -> Vec<PathBuf> {
    let Some(path) = found.get(&tool) else { return Vec::new() };
    let program = |path: PathBuf| if path.is_dir() { path.join("helm") } else { path };
    match tool {
        Tool::OldHelm => env::split_paths(path).map(program).collect(),
        // Where cargo did not start this program, it is found as a bare name.
        _ => vec![process::resolve(path.as_os_str(), None).unwrap_or_else(|| path.clone())],
    }
}

/// git knows files only; a folder that something has left empty is no input.
fn without_folders(files: &FileSet) -> FileSet {
    FileSet::new(files.entries().iter().filter(|entry| entry.kind != EntryKind::Directory).cloned().collect())
}

/// A line of the `.gitignore` in `folder` as one of a `.dockerignore` at the top.
fn for_docker(folder: &str, line: &str) -> Option<String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (mark, rule) = line.strip_prefix('!').map_or(("", line), |rule| ("!", rule));
    let rule = rule.trim_end_matches('/');
    // A rule without a slash is about names, wherever they are.
    let anywhere = if rule.contains('/') { "" } else { "**/" };
    let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    Some(format!("{mark}{folder}{anywhere}{}", rule.trim_start_matches('/')))
}

fn id(suite: &Suite) -> StepId {
    StepId::new(Kind::Command, suite.name.replace(' ', "-"))
}

fn stale(why: String) -> Standing {
    Standing::Stale(Reason::World(Difference::Missing(why)))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
