//! The helm program: upgrades, rollbacks, removals, and what the two majors call things.
//!
//! Values go in by stdin. The cluster is named in each call, and variables that could name another are taken away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::failure::{Class, Failure};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::world::helm::complaint;
use crate::world::process::{Command, Exit, Finished, Redact, Stream};
use crate::world::tool::Tool;

/// How many revisions helm keeps of a release.
pub const HISTORY: u32 = 10;

/// How long a release may take to go, hooks and pods included.
pub const REMOVAL: Duration = Duration::from_secs(300);

/// Variables that would point helm at another cluster or store, or make it print values.
const UNWANTED: [&str; 10] = [
    "HELM_DEBUG",
    "HELM_DRIVER",
    "HELM_KUBEAPISERVER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBEASUSER",
    "HELM_KUBECAFILE",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "HELM_KUBETLS_SERVER_NAME",
    "HELM_KUBETOKEN",
    "HELM_NAMESPACE",
];

/// A helm program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helm {
    program: PathBuf,
    major: u32,
}

/// Where a release is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The kubeconfig context.
    pub context: String,
    /// The namespace of the release.
    pub namespace: String,
    /// The release's name.
    pub release: String,
}

/// What to deploy.
#[derive(Debug, Clone)]
pub struct Upgrade<'a> {
    /// Where.
    pub place: &'a Place,
    /// The chart's folder.
    pub chart: &'a Path,
    /// The chart's folder as people know it.
    pub shown: &'a Path,
    /// All values.
    pub values: &'a Value,
    /// The newest record says that helm 4 applied it on the server's side, or there is none: only then may helm 4
    /// be told to take fields over from others.
    pub server_side: bool,
    /// A post-renderer: the program and the file that it is given.
    pub post_renderer: Option<(PathBuf, PathBuf)>,
    /// What helm's record says about the revision.
    pub description: &'a str,
    /// How long helm waits for any one hook.
    pub timeout: Duration,
    /// How many revisions are kept; all with 0.
    pub history: u32,
    /// Whether the objects are held against the API server's schemas before any of them is applied.
    pub validate: bool,
}

impl Helm {
    /// The helm that was found.
    pub fn new(tool: &Tool) -> Self {
        Self { program: tool.path.clone(), major: tool.version.major }
    }

    /// Installs or upgrades, hooks included; does not wait for anything else to become ready.
    pub async fn upgrade(
        &self,
        upgrade: &Upgrade<'_>,
        redact: Redact,
        cancel: &CancellationToken,
        on_line: impl FnMut(Stream, &str) + Send,
    ) -> Result<(), Failure> {
        let folder = tempfile::Builder::new().prefix("xtask-helm-").tempdir();
        let folder = folder.map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), &error))?;
        let mut command = self
            .command(upgrade.place, "upgrade")
            .arg(&upgrade.place.release)
            .arg(upgrade.chart)
            .args(["--install", "--reset-values", "--values", "-", "--history-max", &upgrade.history.to_string()])
            .args(["--timeout", &format!("{}s", upgrade.timeout.as_secs()), "--description", upgrade.description])
            .stdin(upgrade.values.to_string())
            .redact(redact);
        if self.major >= 4 && upgrade.server_side {
            command = command.arg("--force-conflicts");
        }
        if !upgrade.validate {
            command = command.arg("--disable-openapi-validation");
        }
        if let Some((program, file)) = &upgrade.post_renderer {
            command = self.post_rendered(command, program, file, folder.path())?;
        }
        let finished = command.run(cancel, on_line).await?;
        succeeded(&finished, upgrade.place, upgrade.shown)
    }

    /// Renders without a cluster: the text that an upgrade would apply to one of the version `kubernetes`. Without one
    /// helm takes what it was built with, and a helm that was built from source a very old one.
    pub async fn render(
        &self,
        upgrade: &Upgrade<'_>,
        kubernetes: Option<&str>,
        redact: Redact,
        cancel: &CancellationToken,
    ) -> Result<String, Failure> {
        let finished = Command::new(&self.program)
            .arg("template")
            .arg(&upgrade.place.release)
            .arg(upgrade.chart)
            .args(["--namespace", &upgrade.place.namespace, "--values", "-"])
            .args(kubernetes.into_iter().flat_map(|version| ["--kube-version", version]))
            .stdin(upgrade.values.to_string())
            .redact(redact)
            .keep(64 << 20)
            .run(cancel, |_, _| {})
            .await?;
        succeeded(&finished, upgrade.place, upgrade.shown)?;
        Ok(finished.text(Stream::Out))
    }

    /// Makes a new revision that is as `revision` was.
    pub async fn rollback(
        &self,
        place: &Place,
        revision: u32,
        server_side: bool,
        timeout: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let (revision, history) = (revision.to_string(), HISTORY.to_string());
        let mut command = self.command(place, "rollback").args([&place.release, &revision]).args([
            "--history-max",
            &history,
            "--timeout",
            &format!("{}s", timeout.as_secs()),
        ]);
        if self.major >= 4 && server_side {
            command = command.arg("--force-conflicts");
        }
        let finished = command.run(cancel, |_, _| {}).await?;
        ended_well(finished)
    }

    /// Removes a release with its history. One that is not there is no error. Returns before its pods have gone, which
    /// its workloads wait for: `--wait` of helm 4.1 fails when one object is seen to be gone before all others were
    /// seen at all.
    pub async fn uninstall(&self, place: &Place, cancel: &CancellationToken) -> Result<(), Failure> {
        let command = self.command(place, "uninstall").arg(&place.release).args(["--cascade", "foreground"]);
        let command = command.args(["--timeout", &format!("{}s", REMOVAL.as_secs())]);
        let finished = command.run(cancel, |_, _| {}).await?;
        if finished.text(Stream::Err).contains("release: not found") {
            return Ok(());
        }
        ended_well(finished)
    }

    fn command(&self, place: &Place, verb: &str) -> Command {
        let command = UNWANTED.into_iter().fold(Command::new(&self.program), Command::env_remove);
        command.arg(verb).args(["--kube-context", &place.context, "--namespace", &place.namespace])
    }

    /// Helm 3 takes a program; helm 4 the name of a plugin, so it gets a folder with just that one.
    fn post_rendered(&self, command: Command, program: &Path, file: &Path, folder: &Path) -> Result<Command, Failure> {
        const NAME: &str = "xtask";
        const VERB: &str = crate::world::helm::annotate::VERB;
        if self.major < 4 {
            let command = command.arg("--post-renderer").arg(program);
            return Ok(command.args(["--post-renderer-args", VERB, "--post-renderer-args"]).arg(file));
        }
        // JSON is YAML: paths with spaces or colons need no care.
        let manifest = serde_json::json!({
            "apiVersion": "v1",
            "type": "postrenderer/v1",
            "name": NAME,
            "version": "1.0.0",
            "runtime": "subprocess",
            "runtimeConfig": {"platformCommand": [{"command": program, "args": [VERB, file]}]},
        });
        let plugin = folder.join(NAME);
        let path = plugin.join("plugin.yaml");
        std::fs::create_dir(&plugin)
            .and_then(|()| std::fs::write(&path, manifest.to_string()))
            .map_err(|error| Failure::io("write", &path, &error))?;
        Ok(command.env("HELM_PLUGINS", folder).args(["--post-renderer", NAME]))
    }
}

fn succeeded(finished: &Finished, place: &Place, chart: &Path) -> Result<(), Failure> {
    match finished.exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(_) => Err(complaint::failure(place, chart, &finished.text(Stream::Err))),
        Exit::Signal(_) => Err(killed(finished)),
    }
}

fn ended_well(finished: Finished) -> Result<(), Failure> {
    match finished.exit {
        Exit::Signal(_) => Err(killed(&finished)),
        Exit::Code(_) => finished.success(Class::Step).map(drop),
    }
}

/// The error for a helm that a signal of somebody else has ended.
fn killed(finished: &Finished) -> Failure {
    finished
        .failure(Class::Step)
        .because("somebody ended it, or the machine had no memory left for it")
        .help("run the same command again: it goes on from what helm has left")
}
