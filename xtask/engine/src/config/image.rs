//! `[image.NAME]`: an image that is built from a Dockerfile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::mention::{Target, Why};
use super::names::{Repository, SecretKey, StepName, VariableName};
use super::paths::Shape;
use super::table::Table;
use super::template::{Reference, Template};
use super::text::{Flaw, Form, Text};
use super::value::Value;
use crate::step::{Kind, StepId};

/// The docker daemon that holds an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Daemon {
    /// The one inside the cluster's node, where pods find it.
    Cluster,
    /// The one of this machine.
    Host,
}

pub(crate) const DAEMONS: [(&str, Daemon); 2] = [("cluster", Daemon::Cluster), ("host", Daemon::Host)];

/// A container image. Its tag is made from its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Image {
    /// The folder that the Dockerfile copies from.
    pub context: PathBuf,
    /// The Dockerfile, relative to the graph file; by default `Dockerfile` in the context.
    #[schemars(with = "Option<PathBuf>", default)]
    pub dockerfile: PathBuf,
    /// The stage to build; by default the last.
    pub target: Option<String>,
    /// The platform to build for: "linux/arm64"; by default the daemon's own.
    #[schemars(with = "Option<Form<Platform>>")]
    pub platform: Option<String>,
    /// Values for the Dockerfile's ARG lines. Secrets are refused: build arguments stay in the image's history.
    #[schemars(with = "BTreeMap<String, Form<Template>>", default)]
    pub build_args: BTreeMap<String, Template>,
    /// Secrets for `RUN --mount=type=secret,id=NAME`, which leave no trace in the image.
    #[schemars(default)]
    pub build_secrets: BTreeMap<String, SecretSource>,
    /// The daemon that builds and keeps it: `cluster` (the default) or `host`.
    #[schemars(default = "default_daemon")]
    pub daemon: Daemon,
    /// The image's name without tag; by default PROJECT/STEP.
    #[schemars(with = "Option<Form<Repository>>", default)]
    pub repository: String,
    /// Steps that have to be done before: "command:codegen".
    #[schemars(with = "Vec<Form<StepId>>", default)]
    pub after: Vec<StepId>,
}

pub(crate) const fn default_daemon() -> Daemon {
    Daemon::Cluster
}

impl Image {
    /// The repository as a registry (or what stands for one) and a name, for charts that want the two apart.
    pub fn registry_and_name(&self) -> (&str, &str) {
        // What docker itself puts in front of a name without any `/`.
        self.repository.rsplit_once('/').unwrap_or(("docker.io/library", &self.repository))
    }

    pub(crate) fn read(table: &Table<'_>, project: &str) -> Option<Self> {
        let context = table.required("context", "\"backend\"", |value| value.existing(Shape::Folder));
        let dockerfile = table.optional("dockerfile", "\"backend/Dockerfile\"", |value| value.existing(Shape::File));
        let target = table.optional("target", "\"runtime\"", Value::words);
        let platform = table.optional("platform", "\"linux/amd64\"", |value| Some(value.text::<Platform>()?.0));
        let build_args = table.optional("build-args", "{ GIT_COMMIT = \"${git.commit}\" }", |value| {
            value.map(|entry| {
                entry.key_text::<VariableName>()?;
                entry.template(refuse_secrets)
            })
        });
        let build_secrets = table.optional("build-secrets", "{ npm = { env = \"NPM_TOKEN\" } }", |value| {
            value.map(|entry| {
                entry.key_text::<SecretKey>()?;
                entry.like("{ env = \"NPM_TOKEN\" }").table(SecretSource::read)
            })
        });
        let daemon = table.optional("daemon", "\"cluster\"", |value| value.choice(&DAEMONS)).unwrap_or(Daemon::Cluster);
        let repository =
            table.optional("repository", "\"todo-chatbot/backend\"", |value| Some(value.text::<Repository>()?.0));
        let after = table.optional("after", "[\"command:codegen\"]", Value::steps);
        let step = table.reading.step();
        if daemon == Daemon::Cluster {
            table.needs_cluster();
        }
        let context = context?;
        let dockerfile = match dockerfile {
            Some(path) => path,
            None if table.has("dockerfile") => return None,
            None => default_dockerfile(table, &context),
        };
        Some(Self {
            context,
            dockerfile,
            target,
            platform,
            build_args: build_args.unwrap_or_default(),
            build_secrets: build_secrets.unwrap_or_default(),
            daemon,
            repository: repository.unwrap_or_else(|| format!("{project}/{}", step.name)),
            after: after.unwrap_or_default(),
        })
    }
}

/// `Dockerfile` in the context, which has to be there.
fn default_dockerfile(table: &Table<'_>, context: &Path) -> PathBuf {
    let path = if context == Path::new(".") { PathBuf::from("Dockerfile") } else { context.join("Dockerfile") };
    if let Some(value) = table.value_of("context") {
        value.expect(&path, Shape::Dockerfile, None);
    }
    path
}

/// Build arguments are stored in the image.
fn refuse_secrets(reference: &Reference) -> Option<(&'static str, String)> {
    match reference {
        Reference::Secret { step, key } => Some((
            "stays in the image's history",
            format!(
                "give it as a build secret: build-secrets = {{ {key} = {{ secrets = \"{step}\", key = \"{key}\" }} }}"
            ),
        )),
        _ => None,
    }
}

/// Where a build secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum SecretSource {
    /// A variable of the environment.
    Env {
        /// Its name.
        #[schemars(with = "Form<VariableName>")]
        env: String,
    },
    /// A file inside the workspace, or in the home folder with `~/` in front.
    File {
        /// Its path.
        file: String,
    },
    /// A key of a secrets step.
    Secrets {
        /// The step.
        #[schemars(with = "Form<StepName>")]
        secrets: String,
        /// The key in its map.
        #[schemars(with = "Form<SecretKey>")]
        key: String,
    },
}

impl SecretSource {
    fn read(table: &Table<'_>) -> Option<Self> {
        let env = table.get("env", "\"NPM_TOKEN\"");
        let file = table.get("file", "\"~/.npmrc\"");
        let secrets = table.get("secrets", "\"todo\"");
        let key = table.get("key", "\"NPM_TOKEN\"");
        let reading = table.reading;
        match (env, file, secrets) {
            (Some(env), None, None) => {
                table.refuse("key", "`key` belongs to `secrets`", "no use here", "remove it");
                Some(Self::Env { env: env.text::<VariableName>()?.0 })
            }
            (None, Some(file), None) => {
                table.refuse("key", "`key` belongs to `secrets`", "no use here", "remove it");
                let text = file.words()?;
                let in_home = text.strip_prefix("~/").is_some_and(|rest| !rest.is_empty());
                Some(Self::File { file: if in_home { text } else { file.path()?.display().to_string() } })
            }
            (None, None, Some(secrets)) => {
                let step = secrets.text::<StepName>()?.0;
                let id = StepId::new(Kind::Secrets, step.as_str());
                reading.mention(Target::Step(id), Why::BuildSecret(table.name().to_owned()), secrets.span());
                let key = match key {
                    Some(key) => key.text::<SecretKey>()?.0,
                    None => return table.missing("key", "\"NPM_TOKEN\""),
                };
                Some(Self::Secrets { secrets: step, key })
            }
            _ => {
                let problem =
                    table.problem("a build secret has one source").label("exactly one of `env`, `file`, `secrets`");
                reading.report(
                    problem
                        .help("for example: { env = \"NPM_TOKEN\" }, or { secrets = \"todo\", key = \"NPM_TOKEN\" }"),
                )
            }
        }
    }
}

/// Operating system and processor, as docker writes them.
struct Platform(String);

impl Text for Platform {
    const WHAT: &'static str = "a platform";
    const PATTERN: &'static str = "^linux/[a-z0-9]+(/v[0-9]+)?$";
    const EXAMPLE: &'static str = "linux/amd64";

    fn parse(text: &str) -> Result<Self, Flaw> {
        let parts: Vec<_> = text.split('/').collect();
        let is_word =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let (2..=3) = parts.len() else {
            return Err(
                Flaw::new("not of the form linux/PROCESSOR").help("for example \"linux/amd64\" or \"linux/arm64\"")
            );
        };
        if parts.first() != Some(&"linux") || !parts.iter().all(is_word) {
            return Err(Flaw::new("pods run linux").help("for example \"linux/amd64\" or \"linux/arm64\""));
        }
        Ok(Self(text.to_owned()))
    }
}
