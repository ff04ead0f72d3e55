//! A command of the project's own, run when what it reads has changed or what it makes is not there as it made it.
//!
//! It is a list of arguments, never a shell's text. What it reads and makes is declared; a command without outputs
//! (a linter) is fresh as long as its inputs are.

mod made;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use engine::config::{self, Daemon as Where};
use engine::digest::{Digest, Hasher};
use engine::event::Level;
use engine::failure::{Class, Failure};
use engine::files::glob::Globs;
use engine::files::{Behind, FileSet, Gathering, Query, Rules};
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt};
use engine::run::{Job, Pool};
use engine::step::{Kind, StepId};
use engine::verdict::{Difference, Observation};
use secrecy::ExposeSecret as _;
use serde::Deserialize as _;

use crate::context::Context;
use crate::steps::daemon;
use crate::steps::log::Log;
use crate::steps::variables::{SecretValues, Variables};
use crate::steps::{Belonging, Made, Scope, Step};
use crate::world::process::{self, Command};
use crate::world::tool::Stamp;
use made::Products;

/// The step `command:NAME`.
pub struct CommandStep {
    id: StepId,
    definition: config::Command,
    secrets: Arc<dyn SecretValues>,
}

impl CommandStep {
    /// The command `name` of the graph file.
    pub fn new(name: &str, definition: config::Command, secrets: Arc<dyn SecretValues>) -> Self {
        Self { id: StepId::new(Kind::Command, name), definition, secrets }
    }

    fn variables(&self, cx: &Context) -> Result<Variables, Failure> {
        Variables::look_up(cx, &*self.secrets, self.definition.run.iter().chain(self.definition.env.values()))
    }

    fn folder(&self, cx: &Context) -> PathBuf {
        cx.workspace.root().join(&self.definition.cwd)
    }

    /// The program and its arguments.
    fn words(&self, variables: &Variables) -> Result<Vec<String>, Failure> {
        self.definition.run.iter().map(|word| variables.expand(word)).collect()
    }

    /// The file that is run.
    fn program(&self, cx: &Context, word: &str) -> Result<PathBuf, Failure> {
        let found = if word.contains('/') {
            process::resolve(OsStr::new(word), Some(&self.folder(cx)))
        } else {
            cx.world.program(word)
        };
        found.ok_or_else(|| {
            let failure = Failure::environment(format!("no `{word}` found, which {} runs", self.id));
            if word.contains('/') {
                failure.help(format!(
                    "make it executable, or correct the path: it is relative to {}",
                    self.folder(cx).display()
                ))
            } else {
                failure.help("install it, or add its folder to PATH")
            }
        })
    }

    /// Asks for files by `rules`, whose globs are relative to the workspace.
    fn query(&self, cx: &Context, purpose: &str, rules: Rules) -> Query {
        let name = format!("{}.{purpose}", self.id.file_stem());
        Query { name, root: cx.workspace.root().to_owned(), rules }
    }

    async fn files(&self, cx: &Context, query: Query) -> Result<Gathering, Failure> {
        if let Some(gathering) = cx.gatherer.glance(&query) {
            return Ok(gathering);
        }
        let gatherer = cx.gatherer.clone();
        // Reading many files takes a while, and would keep other steps from being looked at.
        tokio::task::spawn_blocking(move || gatherer.gather(&query))
            .await
            .map_err(|error| Failure::step("could not read files").because(error))?
    }

    fn inputs(&self) -> Result<Globs, Failure> {
        Globs::new(&self.definition.inputs)
    }

    fn inputs_query(&self, cx: &Context, globs: Globs) -> Query {
        self.query(cx, "inputs", Rules::Reached { globs, below: String::new() })
    }

    /// What links among the inputs lead to: what runs reads through them.
    async fn behind(&self, cx: &Context, query: Query, files: FileSet) -> Result<Behind, Failure> {
        let (gatherer, globs) = (cx.gatherer.clone(), self.inputs()?);
        // There may be many files behind one link, and then it takes a while.
        let followed = tokio::task::spawn_blocking(move || {
            let behind = gatherer.follow(&query, &files, &globs)?;
            // A wildcard does not lead through such a link, a name does.
            behind.has_an_end(&query.root, |link| globs.may_match_below(link, true))?;
            Ok(behind)
        });
        followed.await.map_err(|error| Failure::step("could not read files").because(error))?
    }

    /// The inputs' globs that match no file, not even behind a link.
    async fn unmatched(&self, cx: &Context) -> Result<Vec<String>, Failure> {
        let query = self.inputs_query(cx, self.inputs()?);
        let Gathering { files, unmatched, .. } = self.files(cx, query.clone()).await?;
        if unmatched.is_empty() || files.links().is_empty() {
            return Ok(unmatched);
        }
        let behind = self.behind(cx, query, files).await?.files;
        Ok(Globs::new(unmatched)?.unmatched(behind.entries().iter().map(|entry| entry.path.as_str())))
    }

    async fn add_inputs(&self, cx: &Context, manifest: &mut Manifest) -> Result<(), Failure> {
        let globs = self.inputs()?;
        let query = self.inputs_query(cx, globs.clone());
        let files = self.files(cx, query.clone()).await?.files;
        // A link that no glob matches is followed, and what it says itself is no input.
        let links = !files.links().is_empty();
        let own = match links {
            true => Cow::Owned(files.only(|path| globs.matches(path))),
            false => Cow::Borrowed(&files),
        };
        manifest.files("inputs", &own);
        // What runs reads them whenever it comes to them.
        cx.gatherer.stamp(&query, &files).into_iter().for_each(|stamp| manifest.stamp(stamp));
        if links {
            let behind = self.behind(cx, query, files).await?;
            if !behind.files.entries().is_empty() {
                manifest.files("what links among the inputs lead to", &behind.files);
            }
            behind.stamp.into_iter().for_each(|stamp| manifest.stamp(stamp));
        }
        Ok(())
    }

    /// What there is of what it makes.
    async fn products(&self, cx: &Context) -> Result<(Products, Vec<String>), Failure> {
        let patterns: Vec<_> = self.definition.outputs.iter().filter_map(pattern).collect();
        let (files, mut missing) = match patterns.as_slice() {
            [] => (FileSet::new(Vec::new()), Vec::new()),
            patterns => {
                let query = self.query(cx, "outputs", Rules::Globs { globs: Globs::new(patterns)? });
                let Gathering { files, unmatched, .. } = self.files(cx, query).await?;
                (files, unmatched)
            }
        };
        let mut products = Products::of_files(&files);
        let images: Vec<_> = self.definition.images().collect();
        if !images.is_empty() {
            let docker = daemon::at(cx, self.definition.daemon).await?.connect().await?;
            for name in images {
                match made::image_id(&docker, name).await? {
                    Some(id) => products.add_image(name, id),
                    None => missing.push(format!("image:{name}")),
                }
            }
        }
        Ok((products, missing))
    }

    async fn command(&self, cx: &Context, variables: &Variables) -> Result<Command, Failure> {
        let words = self.words(variables)?;
        let program = self.program(cx, words.first().map_or("", String::as_str))?;
        let mut command =
            Command::new(program).args(words.into_iter().skip(1)).cwd(self.folder(cx)).redact(cx.redact());
        if self.definition.images().next().is_some() {
            let profile = (self.definition.daemon == Where::Cluster).then(|| cx.world.context());
            command = daemon::at(cx, self.definition.daemon).await?.points(command, profile);
        }
        for (name, template) in &self.definition.env {
            command = command.env(name, variables.expand_secret(template)?.expose_secret());
        }
        Ok(command)
    }

    async fn run(&self, cx: &Context, command: Command) -> Result<(), Failure> {
        let mut log = Log::create(cx, &self.id)?;
        let heard = |_: process::Stream, line: &str| {
            log.line(line);
            cx.line(&self.id, line);
            cx.progress(&self.id, line);
        };
        let finished = command.run(&cx.cancel, heard).await?;
        let finished = finished.success(Class::Step);
        finished.map(drop).map_err(|failure| failure.help(format!("the whole log is in {}", log.shown())))
    }
}

fn pattern(output: &config::Output) -> Option<&str> {
    match output {
        config::Output::Files(pattern) => Some(pattern),
        config::Output::Image(_) => None,
    }
}

#[async_trait]
impl Step for CommandStep {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn pool(&self) -> Pool {
        Pool::Builds
    }

    fn lock_name(&self, cx: &Context) -> Result<String, Failure> {
        if self.is_done_in_checkout() {
            return Ok(format!("{} in {}", self.id, cx.workspace.root().display()));
        }
        let images: Vec<&str> = self.definition.images().collect();
        daemon::lock_name(cx, self.definition.daemon, &images.join(" and "))
    }

    fn is_done_in_checkout(&self) -> bool {
        self.definition.images().next().is_none()
    }

    async fn gather(&self, cx: &Context) -> Result<Manifest, Failure> {
        let mut manifest = Manifest::new(self.id.clone());
        let config::Command { run, cwd, env, inputs, outputs, needs_cluster, daemon, after } = &self.definition;
        let list = |items: Vec<String>| items.join("\n");
        manifest.value(Source::Definition, "run", list(run.iter().map(ToString::to_string).collect()));
        manifest.value(Source::Definition, "cwd", cwd.display());
        for (name, template) in env {
            manifest.value(Source::Definition, format!("env.{name}"), template);
        }
        manifest.value(Source::Definition, "inputs", list(inputs.clone()));
        manifest.value(Source::Definition, "outputs", list(outputs.iter().map(ToString::to_string).collect()));
        if self.definition.images().next().is_some() {
            manifest.value(Source::Definition, "daemon", if *daemon == Where::Host { "host" } else { "cluster" });
        }
        let variables = self.variables(cx)?;
        variables.add_to(&mut manifest);
        let words = self.words(&variables)?;
        let program = self.program(cx, words.first().map_or("", String::as_str))?;
        add_program(cx.workspace.root(), &program, &mut manifest)?;
        if !inputs.is_empty() {
            self.add_inputs(cx, &mut manifest).await?;
        }
        let cluster = StepId::cluster();
        for step in needs_cluster.then_some(&cluster).into_iter().chain(after) {
            let output = cx.output(step).ok_or_else(|| Failure::step(format!("{step} has made nothing yet")))?;
            manifest.digest(Source::Upstream, step.to_string(), output.digest);
        }
        Ok(manifest)
    }

    fn understands(&self, receipt: &Receipt) -> bool {
        super::has_shapes::<serde::de::IgnoredAny, Products>(receipt)
    }

    async fn observe(&self, cx: &Context, receipt: &Receipt) -> Result<Observation, Failure> {
        let (products, missing) = self.products(cx).await?;
        if !missing.is_empty() {
            let missing = missing.into_iter().map(|what| Difference::Missing(format!("{what} is missing")));
            return Ok(Observation { differences: missing.collect(), refreshed: None });
        }
        Ok(match Products::deserialize(&receipt.observed) {
            Ok(recorded) => Observation { differences: products.differences_since(&recorded), refreshed: None },
            Err(_) => Observation::differs(Difference::Altered("what it made is not known".to_owned())),
        })
    }

    fn asks_the_world(&self) -> bool {
        self.definition.images().next().is_some()
    }

    async fn perform(&self, cx: &Context, _: &Job) -> Result<Made, Failure> {
        for pattern in self.unmatched(cx).await? {
            cx.note(&self.id, Level::Warning, format!("the input `{pattern}` matches no file"));
        }
        let variables = self.variables(cx)?;
        let command = self.command(cx, &variables).await?;
        self.run(cx, command).await?;
        let (products, missing) = self.products(cx).await?;
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(Failure::step(format!("{} ended well, but did not make {missing}", self.id))
                .help("correct its `outputs` in the graph file, or the command"));
        }
        let json = |error| Failure::step(format!("could not write down what {} made", self.id)).because(error);
        let observed = serde_json::to_value(&products).map_err(json)?;
        let output = Output { facts: observed.clone(), digest: products.digest() };
        Ok(Made { output, observed, summary: products.summary() })
    }

    /// What it makes is the project's own: files of the checkout and images that others may use.
    async fn belongings(&self, _: &Context, _: Scope) -> Result<Vec<Belonging>, Failure> {
        Ok(Vec::new())
    }

    async fn remove(&self, _: &Context, _: Scope) -> Result<(), Failure> {
        Ok(())
    }
}

/// Adds the program: by its contents when it lies in the workspace, like any input; by its stamp when it is a tool of
/// the machine, which may be large.
///
/// # Errors
/// When it cannot be read or looked at.
pub fn add_program(root: &Path, program: &Path, manifest: &mut Manifest) -> Result<(), Failure> {
    if let Ok(path) = program.strip_prefix(root) {
        let bytes = fs::read(program).map_err(|error| Failure::io("read", program, &error))?;
        manifest.digest(Source::File, path.display().to_string(), Digest::of_bytes(&bytes));
        return Ok(());
    }
    let Stamp { inode, size, modified } =
        Stamp::of(program).map_err(|error| Failure::io("look at", program, &error))?;
    let mut hasher = Hasher::new("tool/1");
    hasher
        .text(&program.display().to_string())
        .number(inode.0)
        .number(inode.1)
        .number(size)
        .text(&modified.to_string());
    manifest.digest(Source::Tool, program.display().to_string(), hasher.finish());
    Ok(())
}

#[cfg(test)]
mod tests;
