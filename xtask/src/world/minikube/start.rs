//! Runs the minikube tool: to make a node, to bring one back, to stop and to delete one.

use std::path::PathBuf;

use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;

use super::current_context::CurrentContext;
use super::progress::Said;
use crate::world::daemon::Daemon;
use crate::world::process::{Command, Exit, Stream};

/// The label of the node's daemon that says for which project this tool has made the node. It is given when the node
/// is made, so there is no moment at which a node of ours does not say so.
pub(super) const OWNER: &str = "dev.xtask.project";

/// What a node is to be like. Only Kubernetes' version can be changed once it is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// `1.34` for its newest patch, or `1.34.4`; minikube's default when absent.
    pub kubernetes: Option<String>,
    /// CPUs.
    pub cpus: Option<u32>,
    /// Memory in MiB.
    pub memory: Option<u64>,
    /// Ports of this machine that lead into the node: `127.0.0.1:30080:30080`.
    pub ports: Vec<String>,
    /// Further flags of `minikube start`, given whenever a node is made or brought back.
    pub start_args: Vec<String>,
}

/// What minikube says while it works.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// A line as it is, for a log; what it means follows.
    Line(&'a str),
    /// What it does now.
    Step(&'a str),
    /// Something worth knowing.
    Warning(&'a str),
}

/// What surrounds a call of the tool.
pub struct Work<'a> {
    /// Hears what minikube says.
    pub told: &'a mut (dyn FnMut(Told<'_>) + Send),
    /// Ends minikube and all that it started.
    pub cancel: &'a CancellationToken,
}

/// The minikube tool, for one profile.
#[derive(Debug, Clone)]
pub struct Minikube {
    program: PathBuf,
    profile: String,
    /// The host's daemon, where minikube has to be told of it.
    named: Option<Daemon>,
}

impl Minikube {
    /// `program` is the tool's path; `host` is the daemon in which the node is a container.
    pub fn new(program: impl Into<PathBuf>, profile: impl Into<String>, host: &Daemon) -> Self {
        let named = host.has_to_be_named().then(|| host.clone());
        Self { program: program.into(), profile: profile.into(), named }
    }

    /// The profile's name.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Makes the node, and marks it as made for `project`. Takes about half a minute; longer when images have to be
    /// fetched.
    ///
    /// # Errors
    /// When minikube gives up, with what it says.
    pub async fn create(&self, wanted: &Wanted, project: &str, work: &mut Work<'_>) -> Result<(), Failure> {
        let mut args = vec![
            "--driver=docker".to_owned(),
            "--container-runtime=docker".to_owned(),
            format!("--docker-opt=label={OWNER}={project}"),
        ];
        args.extend(wanted.cpus.map(|cpus| format!("--cpus={cpus}")));
        args.extend(wanted.memory.map(|memory| format!("--memory={memory}m")));
        args.extend(wanted.ports.iter().map(|port| format!("--ports={port}")));
        self.start(wanted, args, "make the node", work).await
    }

    /// Brings back a node that was made: stopped, half-dead, without its container, or with an older Kubernetes.
    ///
    /// # Errors
    /// When minikube gives up, with what it says.
    pub async fn bring_back(&self, wanted: &Wanted, work: &mut Work<'_>) -> Result<(), Failure> {
        // What the node was made with is in the profile. Saying anything else now would alter the profile's text
        // but not the node.
        self.start(wanted, Vec::new(), "start the node", work).await
    }

    async fn start(&self, wanted: &Wanted, args: Vec<String>, doing: &str, work: &mut Work<'_>) -> Result<(), Failure> {
        // So that the user's current context is another one for no moment at all where minikube can help it.
        let command = self.command("start").args(["--interactive=false", "--output=json", "--keep-context=true"]);
        // minikube refuses the docker driver to root without it.
        let command = if rustix::process::geteuid().is_root() { command.arg("--force") } else { command };
        let version = wanted.kubernetes.iter().map(|version| format!("--kubernetes-version={version}"));
        self.run(command.args(version).args(args).args(wanted.start_args.clone()), doing, work).await
    }

    /// Stops the node: its pods, images and data are kept.
    ///
    /// # Errors
    /// When minikube gives up.
    pub async fn stop(&self, work: &mut Work<'_>) -> Result<(), Failure> {
        self.run(self.command("stop").arg("--output=json"), "stop the node", work).await
    }

    /// Removes the node with all that is in it, its profile and its kubeconfig context.
    ///
    /// # Errors
    /// When minikube gives up.
    pub async fn delete(&self, work: &mut Work<'_>) -> Result<(), Failure> {
        self.run(self.command("delete").arg("--output=json"), "delete the node", work).await
    }

    /// Writes the kubeconfig context anew, with the address at which the node answers now.
    ///
    /// # Errors
    /// When minikube gives up.
    pub async fn update_context(&self, work: &mut Work<'_>) -> Result<(), Failure> {
        self.run(self.command("update-context"), "write the kubeconfig context", work).await
    }

    fn command(&self, verb: &str) -> Command {
        let command = Command::new(&self.program)
            .args([verb, "--profile", &self.profile])
            // It asks the network about newer versions of itself otherwise.
            .env("MINIKUBE_WANTUPDATENOTIFICATION", "false");
        match &self.named {
            Some(host) => host.points(command, None),
            None => command,
        }
    }

    /// The user's current context is the same afterwards, also when minikube gives up or is ended.
    async fn run(&self, command: Command, doing: &str, work: &mut Work<'_>) -> Result<(), Failure> {
        let current = CurrentContext::read();
        let ran = self.hear(command, doing, work).await;
        let put_back = current.map_or(Ok(()), |current| current.put_back(&self.profile));
        ran.and(put_back)
    }

    async fn hear(&self, command: Command, doing: &str, work: &mut Work<'_>) -> Result<(), Failure> {
        let mut complaint = None;
        let doing = format!("{doing} of the profile `{}`", self.profile);
        let told = &mut *work.told;
        let heard = |_: Stream, line: &str| {
            told(Told::Line(line));
            match Said::parse(line) {
                Some(Said::Step(text)) => told(Told::Step(&text)),
                Some(Said::Warning(text)) => told(Told::Warning(&text)),
                Some(Said::Error(said)) => complaint = Some(said),
                None => {}
            }
        };
        let finished = command.run(work.cancel, heard).await?;
        match (finished.exit, complaint) {
            (Exit::Code(0), _) => Ok(()),
            (_, Some(complaint)) => Err(self.with_log(complaint.failure(&doing))),
            (_, None) => Err(self.with_log(finished.failure(Class::Step))),
        }
    }

    fn with_log(&self, failure: Failure) -> Failure {
        failure.help(format!("`minikube logs -p {}` shows what the node says", self.profile))
    }
}
