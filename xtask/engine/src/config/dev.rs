//! `[dev.NAME]`: how the containers of an image follow its sources while `dev` runs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::image::Image;
use super::names::VariableName;
use super::nearest::{listed, nearest};
use super::paths::Shape;
use super::table::Table;
use super::text::{Flaw, Form, Text};
use super::value::Value;
use crate::step::{Kind, StepId};

/// What in the image receives files and keeps the application running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// `python3`, 3.9 or later. Modules that the sources import from elsewhere are loaded before the application
    /// starts, so that a restart does not load them again.
    Python,
    /// `node`, 18 or later.
    Node,
}

const RUNTIMES: [(&str, Runtime); 2] = [("python", Runtime::Python), ("node", Runtime::Node)];

/// How an image's containers run under `dev`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Dev {
    /// The Dockerfile's stage to run: one with the dependencies, the tools that development needs, and none of the
    /// folders of `sync`, which are left out of its build.
    pub target: String,
    /// What in that stage receives files: `python` or `node`.
    pub runtime: Runtime,
    /// Folders of the context that are copied into running containers, and where to: { app = "/app/app" }.
    #[schemars(with = "BTreeMap<String, Form<ContainerFolder>>", length(min = 1))]
    pub sync: BTreeMap<String, String>,
    /// The command that runs the application, in the stage's working folder: ["python", "-m", "app"].
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Changes of these files, relative to the context, restart the application: by default "**/*.py" with `python`,
    /// and nothing with `node`, whose development servers look themselves.
    #[schemars(with = "Option<Vec<String>>", default)]
    pub restart_on: Vec<String>,
    /// Changes of these files rebuild the image although they lie in a folder of `sync`.
    #[schemars(default)]
    pub rebuild_on: Vec<String>,
    /// Variables to set in the container.
    #[schemars(default)]
    pub env: BTreeMap<String, String>,
    /// What the container may use, in place of the chart's limits: { cpu = "2", memory = "2Gi" }.
    #[schemars(default)]
    pub limits: BTreeMap<String, String>,
    /// How many pods run it: 1 by default.
    #[schemars(default = "default_replicas")]
    pub replicas: u32,
}

const fn default_replicas() -> u32 {
    1
}

impl Dev {
    /// Reads the table of an image. `images` are those that the file declares.
    pub(crate) fn read(table: &Table<'_>, images: &BTreeMap<String, Image>) -> Option<Self> {
        let context = images.get(table.name()).map(|image| image.context.as_path());
        let target = table.required("target", "\"dev\"", Value::words);
        let runtime = table.required("runtime", "\"python\"", |value| value.choice(&RUNTIMES));
        let sync = table.required("sync", "{ app = \"/app/app\" }", |value| read_sync(value, context));
        let command = table.required("command", "[\"python\", \"-m\", \"app\"]", read_command);
        let restart_on = table.optional("restart-on", "[\"**/*.py\"]", read_globs);
        let rebuild_on = table.optional("rebuild-on", "[\"app/generated/**\"]", read_globs);
        let env = table.optional("env", "{ LOG_LEVEL = \"debug\" }", |value| {
            value.map(|entry| {
                entry.key_text::<VariableName>()?;
                Some(entry.string()?.to_owned())
            })
        });
        let limits = table.optional("limits", "{ cpu = \"2\", memory = \"2Gi\" }", |value| value.map(Value::words));
        let replicas = table.optional("replicas", "1", |value| value.integer(1..=100));
        let runtime = runtime?;
        let by_default = match runtime {
            Runtime::Python => vec!["**/*.py".to_owned()],
            Runtime::Node => Vec::new(),
        };
        Some(Self {
            target: target?,
            runtime,
            sync: sync?,
            command: command?,
            restart_on: restart_on.unwrap_or(by_default),
            rebuild_on: rebuild_on.unwrap_or_default(),
            env: env.unwrap_or_default(),
            limits: limits.unwrap_or_default(),
            replicas: replicas.unwrap_or_else(default_replicas),
        })
    }
}

/// All `[dev.NAME]` tables of the file, each for an image of that name.
pub(crate) fn tables(root: &Table<'_>, images: &BTreeMap<String, Image>, declared: &[String]) -> BTreeMap<String, Dev> {
    let tables = root.optional("dev", "", |value| {
        value.map(|entry| {
            if !declared.iter().any(|image| image == entry.name()) {
                let name = entry.name();
                let problem = entry.reading.at(entry.key_span(), format!("there is no image {name}"));
                let problem = problem.label("says how an image's containers run, and names none");
                let names = || declared.iter().map(String::as_str);
                return entry.reading.report(match nearest(name, names()) {
                    Some(near) => problem.help(format!("did you mean [dev.{near}]?")),
                    None if declared.is_empty() => problem.help(format!("add a table [image.{name}]")),
                    None => problem.help(format!("the images are {}", listed(names()))),
                });
            }
            entry.reading.enter(StepId::new(Kind::Image, entry.name()));
            entry.table(|table| Dev::read(table, images))
        })
    });
    tables.unwrap_or_default()
}

fn read_sync(value: Value<'_>, context: Option<&Path>) -> Option<BTreeMap<String, String>> {
    let folders = value.map(|entry| {
        let name = entry.name();
        let plain = !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !plain {
            let problem = entry.reading.at(entry.key_span(), format!("`{name}` is not a folder below the context"));
            return entry.reading.report(problem.label("names no folder in it").help("for example: app, or src/lib"));
        }
        if let Some(context) = context {
            entry.expect(&context.join(name), Shape::Folder, None);
        }
        Some(entry.text::<ContainerFolder>()?.0)
    })?;
    if folders.is_empty() && value.raw().as_table().is_some_and(toml::de::DeTable::is_empty) {
        let problem = value.problem("`sync` is empty").label("copies nothing");
        return value.reading.report(problem.help("for example: sync = { app = \"/app/app\" }"));
    }
    refuse_nested(value, &folders);
    Some(folders)
}

/// Each file has one place, and each place holds one folder: what a folder does not have is removed from where it is
/// copied to, so two that overlap would take each other's files away.
fn refuse_nested(value: Value<'_>, folders: &BTreeMap<String, String>) {
    let Some(written) = value.raw().as_table() else { return };
    let read = written.iter().filter_map(|(key, raw)| {
        let target = folders.get(key.get_ref().as_ref())?;
        Some([(key.get_ref().as_ref(), key.span()), (target.as_str(), raw.span())])
    });
    let mut read: Vec<[(&str, Range<usize>); 2]> = read.collect();
    read.sort_by_key(|[(_, key), _]| key.start);
    for (at, second) in read.iter().enumerate() {
        for (first, second) in read.iter().take(at).flat_map(|first| first.iter().zip(second)) {
            let (outer, inner) = if lies_in(second.0, first.0) { (first, second) } else { (second, first) };
            if lies_in(inner.0, outer.0) {
                let problem = value.reading.at(inner.1.clone(), "folders of `sync` overlap").label("lies in the other");
                let problem = problem.remark(outer.1.clone(), "with all that is in it");
                let help =
                    "of folders that overlap files would get lost: name the outer one only, or folders side by side";
                value.reading.report::<()>(problem.help(help));
            }
        }
    }
}

/// Whether the folder `inner` is `outer`, or below it.
fn lies_in(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn read_command(value: Value<'_>) -> Option<Vec<String>> {
    let words = value.list(Value::words)?;
    if value.raw().as_array().is_some_and(|items| items.is_empty()) {
        let problem = value.problem("`command` is empty").label("no program");
        return value.reading.report(problem.help("for example: command = [\"python\", \"-m\", \"app\"]"));
    }
    Some(words)
}

/// Patterns relative to the context: they are held against paths as the image's manifest lists them.
fn read_globs(value: Value<'_>) -> Option<Vec<String>> {
    value.set(|item| item.words().and_then(|text| item.pattern(text)))
}

/// An absolute folder in a container.
struct ContainerFolder(String);

impl Text for ContainerFolder {
    const WHAT: &'static str = "a folder in a container";
    const PATTERN: &'static str = "^(/[^/]+)+$";
    const EXAMPLE: &'static str = "/app/app";

    fn parse(text: &str) -> Result<Self, Flaw> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(Flaw::new("does not begin with `/`"));
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Flaw::new("not a plain path below `/`"));
        }
        Ok(Self(format!("/{path}")))
    }
}
