//! What a deploy needs of this machine: looked at, held against what is wanted, and told with what mends it.
//!
//! One file per need; in each, a pure function judges what another has read. Nothing is started, installed or changed,
//! and nothing waits for longer than [`PATIENCE`]. How findings are shown is not known here.

mod capabilities;
mod cgroup;
mod clock;
mod cluster;
mod container_engine;
mod cores;
mod disk;
mod foreseen;
mod inotify;
mod memory;
mod names;
mod packages;
mod ports;
mod programs;
mod proxy;
mod reach;
mod trust;

use std::path::Path;
use std::time::Duration;

use engine::config::{Cluster, Driver, GraphFile};
use engine::failure::Failure;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::world::machine::Machine;
use crate::world::minikube::{Home, Profile};

/// How long anything may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// How well a need is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is.
    Good,
    /// It is, or a deploy sees to it; good to know all the same.
    Note,
    /// It is not, and a deploy would fail of it.
    Short,
}

/// One need and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `memory`.
    pub need: String,
    /// How well it is met.
    pub standing: Standing,
    /// What there is, and what is wanted where that is more.
    pub found: String,
    /// Where that was read.
    pub source: String,
    /// What mends it: a command wherever there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    fn good(need: &str, found: impl Into<String>, source: impl Into<String>) -> Self {
        let (found, source) = (found.into(), source.into());
        Self { need: need.to_owned(), standing: Standing::Good, found, source, mend: None }
    }

    fn note(need: &str, found: impl Into<String>, source: impl Into<String>) -> Self {
        Self { standing: Standing::Note, ..Self::good(need, found, source) }
    }

    fn short(need: &str, found: impl Into<String>, source: impl Into<String>) -> Self {
        Self { standing: Standing::Short, ..Self::good(need, found, source) }
    }

    fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }

    /// What could not be looked at is no reason to say that a deploy would fail.
    fn unread(need: &str, source: &str) -> Self {
        Self::note(need, "not to be found out here", source)
    }
}

/// What the graph file and this machine's settings want.
struct Wanted<'a> {
    /// The cluster, if any is declared.
    cluster: Option<&'a Cluster>,
    /// Whether minikube already knows its profile: making the node is what needs most.
    made: bool,
    /// Whether a deploy gets what is missing by itself.
    installs: bool,
    /// Whether this user is root.
    root: bool,
    /// Whether minikube is told of a node image.
    has_a_node_image: bool,
    /// Whether an image is built on one that is assembled where no registry gives it.
    builds_on_bases: bool,
}

impl Wanted<'_> {
    fn minikube(&self) -> Option<&Cluster> {
        self.cluster.filter(|cluster| cluster.driver == Driver::Minikube)
    }
}

/// Looks at everything at once.
///
/// # Errors
/// When the run is cancelled, or this user's settings cannot be read.
pub async fn examine(file: Option<&GraphFile>, cancel: &CancellationToken) -> Result<Vec<Finding>, Failure> {
    let cluster = file.and_then(|file| file.cluster.as_ref());
    let home = Home::find();
    let made = cluster
        .filter(|cluster| cluster.driver == Driver::Minikube)
        .is_some_and(|cluster| matches!(Profile::read(&home, &cluster.profile), Ok(Some(_))));
    let machine = Machine::read()?;
    let installs = cfg!(target_os = "linux") && machine.tools.install;
    let mut args = machine.minikube.start_args.iter().chain(cluster.iter().flat_map(|cluster| &cluster.start_args));
    let has_a_node_image = args.any(|arg| arg.starts_with("--base-image"));
    let root = rustix::process::geteuid().is_root();
    let builds_on_bases = file.is_some_and(foreseen::builds_on_bases);
    let wanted = Wanted { cluster, made, installs, root, has_a_node_image, builds_on_bases };
    let mut findings =
        vec![cores::look(&wanted), memory::look(&wanted), cgroup::look(), capabilities::look(), inotify::look()];
    let ((engine, comes), programs, cluster, names, reached, ports) = tokio::join!(
        container_engine::look(&wanted),
        programs::look(&wanted, cancel),
        cluster::look(&wanted),
        names::look(),
        reach::look(cancel),
        ports::look(&wanted),
    );
    let foreseen = foreseen::foresee(&wanted, &reached, &programs::lacking(&wanted, &programs), cancel).await?;
    findings.extend(disk::look(&wanted, &foreseen).await);
    findings.push(packages::look(&foreseen, cancel).await?);
    findings.extend(foreseen::node(&foreseen));
    findings.push(engine);
    findings.push(programs::client(comes, cancel, &wanted).await?);
    findings.extend(programs);
    findings.extend(cluster);
    findings.push(names);
    findings.extend(proxy::look(wanted.minikube().is_some()));
    findings.push(trust::look());
    findings.push(clock::judge(&reached));
    findings.extend(reach::judge(&reached));
    findings.extend(ports);
    if cancel.is_cancelled() { Err(Failure::interrupted()) } else { Ok(findings) }
}

/// A file of the kernel's, as text; empty where there is none.
fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// `3.9 GiB`.
fn gibibytes(bytes: u64) -> String {
    const GIB: f64 = (1_u64 << 30) as f64;
    format!("{:.1} GiB", bytes as f64 / GIB)
}
