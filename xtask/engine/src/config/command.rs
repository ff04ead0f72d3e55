//! `[command.NAME]`: a command of the project's own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::image::{DAEMONS, Daemon, default_daemon};
use super::names::VariableName;
use super::paths::Shape;
use super::table::Table;
use super::template::{Reference, Template};
use super::text::{Form, serialize_as_text};
use super::value::Value;
use crate::step::StepId;

/// A command, what it reads and what it makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments, without a shell: ["uv", "run", "pytest"].
    #[schemars(with = "Vec<Form<Template>>", length(min = 1))]
    pub run: Vec<Template>,
    /// The folder to run it in; by default that of the graph file.
    #[schemars(with = "Option<PathBuf>", default)]
    pub cwd: PathBuf,
    /// Variables to set in its environment; values may have variables of the graph file, secrets too.
    #[schemars(with = "BTreeMap<String, Form<Template>>", default)]
    pub env: BTreeMap<String, Template>,
    /// The files that it reads, relative to `cwd`: "app/**/*.py".
    #[schemars(default)]
    pub inputs: Vec<String>,
    /// What it makes: files relative to `cwd`, or "image:NAME" for an image in a docker daemon.
    #[schemars(with = "Vec<String>", default)]
    pub outputs: Vec<Output>,
    /// Whether it talks to the cluster; known by itself when it uses `${cluster.context}` or makes an image there.
    #[schemars(default)]
    pub needs_cluster: bool,
    /// The daemon that its images are in: `cluster` (the default) or `host`. Its environment points there.
    #[schemars(default = "default_daemon")]
    pub daemon: Daemon,
    /// Steps that have to be done before.
    #[schemars(with = "Vec<Form<StepId>>", default)]
    pub after: Vec<StepId>,
}

/// What a command makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// A file, or a pattern of files, relative to the workspace root.
    Files(String),
    /// An image by this name in the command's daemon.
    Image(String),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(path) => f.write_str(path),
            Self::Image(name) => write!(f, "image:{name}"),
        }
    }
}

serialize_as_text!(Output);

impl Command {
    /// The names of the images that it makes.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Image(name) => Some(name.as_str()),
            Output::Files(_) => None,
        })
    }

    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        let run = table.required("run", "[\"make\", \"openapi\"]", read_run);
        let cwd = table.optional("cwd", "\"backend\"", |value| value.existing(Shape::Folder));
        let cwd = cwd.unwrap_or_else(|| PathBuf::from("."));
        let env = table.optional("env", "{ LOG_LEVEL = \"debug\" }", |value| {
            value.map(|entry| {
                entry.key_text::<VariableName>()?;
                entry.template(|_| None)
            })
        });
        let inputs = table.optional("inputs", "[\"app/**/*.py\"]", |value| value.set(|item| item.glob(&cwd)));
        let outputs =
            table.optional("outputs", "[\"openapi.json\"]", |value| value.set(|item| read_output(item, &cwd)));
        let needs_cluster = table.optional("needs-cluster", "true", Value::boolean);
        let daemon = table.optional("daemon", "\"host\"", |value| value.choice(&DAEMONS)).unwrap_or(Daemon::Cluster);
        let after = table.optional("after", "[\"release:todo\"]", Value::steps);
        let outputs = outputs.unwrap_or_default();
        let makes_images = outputs.iter().any(|output| matches!(output, Output::Image(_)));
        if !makes_images && table.has("outputs") {
            let help = "remove it, or add an output \"image:NAME\"";
            table.refuse("daemon", "`daemon` says where images are", "this command makes none", help);
        }
        let run = run?;
        let env = env.unwrap_or_default();
        let uses_cluster = run
            .iter()
            .chain(env.values())
            .flat_map(Template::references)
            .any(|used| *used == Reference::ClusterContext);
        let needs_cluster =
            needs_cluster.unwrap_or(false) || uses_cluster || (makes_images && daemon == Daemon::Cluster);
        if needs_cluster {
            table.needs_cluster();
        }
        Some(Self {
            run,
            cwd,
            env,
            inputs: inputs.unwrap_or_default(),
            outputs,
            needs_cluster,
            daemon,
            after: after.unwrap_or_default(),
        })
    }
}

fn read_run(value: Value<'_>) -> Option<Vec<Template>> {
    let words = value.list(|item| item.template(refuse_secrets))?;
    match value.raw().as_array().and_then(|items| items.iter().next()) {
        None => {
            let problem = value.problem("`run` is empty").label("no program");
            value.reading.report(problem.help("for example: run = [\"make\", \"openapi\"]"))
        }
        Some(first) if first.get_ref().as_str().is_some_and(|program| program.trim().is_empty()) => {
            let problem = value.reading.at(first.span(), "`run` has no program").label("an empty string");
            value.reading.report(problem.help("the first item is the program"))
        }
        Some(_) => Some(words),
    }
}

fn read_output(item: Value<'_>, cwd: &std::path::Path) -> Option<Output> {
    let text = item.words()?;
    match text.strip_prefix("image:") {
        Some("") => item.reading.report(item.problem("an image without a name").label("a name is missing")),
        Some(name) => Some(Output::Image(name.to_owned())),
        None => Some(Output::Files(item.glob(cwd)?)),
    }
}

/// Arguments of a process can be read by every user of the machine.
fn refuse_secrets(reference: &Reference) -> Option<(&'static str, String)> {
    match reference {
        Reference::Secret { key, .. } => Some((
            "every user of the machine can read arguments",
            format!("give it through the environment: env = {{ {key} = \"${{{reference}}}\" }}"),
        )),
        _ => None,
    }
}
