//! The node image and Kubernetes' own images: minikube's where they are reached, else assembled here.
//!
//! minikube takes images from the host's daemon and programs from its cache before it asks any network. What was
//! assembled is kept under names of ours; the names that minikube knows it by are lent only while `minikube start`
//! reads them, never over something that has the name already, and taken back by the next run if this one is killed.

mod loan;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use engine::failure::Failure;
use engine::step::{Kind, StepId};

use super::home::Home;
use super::make::{Made, make};
use super::{host_engine, reach};
use crate::context::Context;
use crate::steps::image;
use crate::world::daemon::Daemon;
use crate::world::docker::{self, Inventory};
use crate::world::minikube;
use crate::world::tool_folder;
use loan::Loan;

/// Where minikube gets the node image, Kubernetes' images and its programs.
const UPSTREAM: [&str; 3] = ["gcr.io/v2/", "registry.k8s.io/v2/", "dl.k8s.io/release/stable.txt"];

/// The flag by which somebody has settled the question.
const BASE_IMAGE: &str = "--base-image";

/// Steps that make an image, and the names that it is asked for by.
const IMAGES: &str = include_str!("../../../dayzero/images/upstream");

/// The project that day zero's graph file names.
const PROJECT: &str = "xtask-dayzero";

/// How the node image that is assembled here is called: that of the step `image:node`.
const REPOSITORY: &str = "xtask-dayzero/node:";

/// What is to be told of a node that was made from `image`; nothing of one that came from a registry.
pub fn assembled(image: &str) -> Option<String> {
    let text = "the node and Kubernetes assembled from Debian packages and Go modules";
    image.starts_with(REPOSITORY).then(|| text.to_owned())
}

/// Flags with which minikube starts a node that it has made from `image` before: one of ours has all that it needs in
/// itself, and minikube would look for it on the network.
pub fn again(image: &str) -> Vec<String> {
    match assembled(image) {
        Some(_) => vec![format!("{BASE_IMAGE}={image}"), "--preload=false".into(), "--cache-images=false".into()],
        None => Vec::new(),
    }
}

/// What `minikube start` needs beside the usual, while this value is there.
pub struct Assembled {
    /// Further flags.
    pub args: Vec<String>,
    /// The Kubernetes version that there is.
    pub kubernetes: &'static str,
    loan: Loan,
    _home: Home,
}

impl Assembled {
    /// Takes back what was lent to minikube.
    ///
    /// # Errors
    /// When the daemon or the file system refuses.
    pub async fn take_back(self) -> Result<(), Failure> {
        self.loan.take_back().await
    }
}

/// What minikube has to be given on this machine so that it can start a node with the Kubernetes version `declared`;
/// `None` where it gets everything by itself. `args` are the flags that it gets anyway.
///
/// # Errors
/// When something has to be assembled and cannot be, or not in that version.
pub async fn provide(cx: &Context, declared: Option<&str>, args: &[String]) -> Result<Option<Assembled>, Failure> {
    let host = Daemon::of_host()?;
    if !is_to_be_assembled(cx, &host, declared, args).await? {
        // Nobody goes on with what compilers have begun for a node, if they have.
        if let Some(home) = Home::alone()? {
            home.forget_caches()?;
        }
        return Ok(None);
    }
    let kubernetes = tool_folder::version("KUBERNETES");
    require_version(declared, kubernetes)?;
    let home = Home::open(cx).await?;
    // Whatever an earlier run that was killed has lent is not somebody's own.
    Loan::forgotten(home.root(), &host).take_back().await?;
    let made = make(cx, &home, &steps()).await?;
    let node = reference(&made, "node")?;
    let images = upstream().map(|(step, name)| Ok((reference(&made, step)?, name.to_owned())));
    let images = images.collect::<Result<Vec<_>, Failure>>()?;
    let keep = images.iter().map(|(reference, _)| reference.clone()).chain([node.clone()]).collect();
    // What an older recipe made; a node that still runs from it keeps it.
    docker::collect(&host, &Inventory::fetch(&host).await?, PROJECT, &keep, SystemTime::now()).await?;
    let loan =
        Loan::make(home.root(), minikube::Home::find().path(), &host, &images, &programs(&home, kubernetes)).await?;
    let args =
        [format!("{BASE_IMAGE}={node}"), "--preload=false".into(), "--cache-images=true".into(), "--cni=bridge".into()];
    Ok(Some(Assembled { args: args.into(), kubernetes, loan, _home: home }))
}

/// Takes back what a run that was killed has lent to minikube, and removes what it has left: it may have been killed when
/// the node was up, and then nothing else comes here again. What is lent at this moment by a run that lives stays.
///
/// # Errors
/// When the daemon or the file system refuses.
pub async fn take_back_forgotten() -> Result<(), Failure> {
    let Some(home) = Home::alone()? else { return Ok(()) };
    home.clear_remains()?;
    if !loan::is_open(home.root()) {
        return Ok(());
    }
    Loan::forgotten(home.root(), &Daemon::of_host()?).take_back().await
}

/// Whether minikube can get its node and Kubernetes in the version `declared` neither from a network nor from what it
/// has got before, and nobody has told it of another source.
///
/// # Errors
/// When the host's daemon does not answer, or cannot build what would have to be assembled.
pub(super) async fn is_to_be_assembled(
    cx: &Context,
    host: &Daemon,
    declared: Option<&str>,
    args: &[String],
) -> Result<bool, Failure> {
    let settled = args.iter().any(|arg| arg.starts_with(BASE_IMAGE));
    if settled || has_its_own(host, declared).await? || reach::reaches(cx, &UPSTREAM).await? {
        return Ok(false);
    }
    host_engine::require_builds(host).await?;
    Ok(true)
}

/// The steps that make all images.
pub(super) fn steps() -> Vec<StepId> {
    let names = upstream().map(|(step, _)| step).chain(["node"]);
    names.map(|name| StepId::new(Kind::Image, name)).collect()
}

fn upstream() -> impl Iterator<Item = (&'static str, &'static str)> {
    IMAGES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// minikube's own node image was got before, and with it the archive of Kubernetes' images that it will look for.
///
/// # Errors
/// When the host's daemon does not answer.
pub async fn has_its_own(host: &Daemon, declared: Option<&str>) -> Result<bool, Failure> {
    Ok(has_its_archive(declared) && Inventory::fetch(host).await?.has_repository("gcr.io/k8s-minikube/kicbase"))
}

/// Whether minikube has got the archive of Kubernetes' images before, in the version `declared`.
pub fn has_its_archive(declared: Option<&str>) -> bool {
    has_archive(&minikube::Home::find().path().join("cache/preloaded-tarball"), declared)
}

/// Whether there is a whole archive in `folder` of the version `declared`; of any, where that is minikube's own choice.
fn has_archive(folder: &Path, declared: Option<&str>) -> bool {
    // preloaded-images-k8s-v18-v1.34.4-docker-overlay2-amd64.tar.lz4, beside its checksum and parts of downloads.
    let version = |name: &str| {
        let (_, version) = name.strip_prefix("preloaded-images-k8s-")?.split_once("-v")?;
        let (version, rest) = version.split_once("-docker-")?;
        let whole = rest.ends_with(&format!("-{}.tar.lz4", image::docker_architecture()));
        whole.then(|| version.to_owned())
    };
    let names =
        folder.read_dir().into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| version(&name)).any(|version| admits(declared, &version))
}

/// Whether the version `declared`, which may leave out its end, is `version`.
fn admits(declared: Option<&str>, version: &str) -> bool {
    declared.is_none_or(|declared| {
        version.strip_prefix(declared).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn reference(made: &Made, step: &str) -> Result<String, Failure> {
    Ok(made.facts::<image::Facts>(&StepId::new(Kind::Image, step))?.reference)
}

/// Programs that minikube copies into the node, with where it looks for them.
fn programs(home: &Home, kubernetes: &str) -> Vec<(PathBuf, PathBuf)> {
    let arch = image::docker_architecture();
    let cache = minikube::Home::find().path().join(format!("cache/linux/{arch}/v{kubernetes}"));
    let out = home.root().join("out");
    let kubectl = format!("kubectl-{kubernetes}");
    [("kubeadm", "kubernetes"), ("kubelet", "kubernetes"), ("kubectl", kubectl.as_str())]
        .map(|(program, folder)| (out.join(folder).join(program), cache.join(program)))
        .into()
}

fn require_version(declared: Option<&str>, there_is: &str) -> Result<(), Failure> {
    let Some(declared) = declared else { return Ok(()) };
    if admits(Some(declared), there_is) {
        return Ok(());
    }
    let (minor, _) = there_is.rsplit_once('.').unwrap_or((there_is, ""));
    Err(Failure::environment(format!("Kubernetes {declared} cannot be got on this machine"))
        .because(format!("{} do not answer, and what can be made without them is Kubernetes {there_is}", hosts()))
        .help(format!("write kubernetes = \"{minor}\" in the table [cluster] of xtask.toml"))
        .help("or give minikube another source, by `start-args` in this machine's settings"))
}

fn hosts() -> String {
    UPSTREAM.map(reach::host).join(", ")
}

#[cfg(test)]
mod tests {
    use super::{has_archive, require_version, steps, upstream};
    use crate::steps::image::docker_architecture;

    #[test]
    fn only_the_version_that_can_be_made_is_promised() {
        let rows =
            [(None, true), (Some("1.34"), true), (Some("1.34.4"), true), (Some("1.3"), false), (Some("1.35"), false)];
        for (declared, fits) in rows {
            assert_eq!(require_version(declared, "1.34.4").is_ok(), fits, "{declared:?}");
        }
        let failure = require_version(Some("1.33"), "1.34.4").unwrap_err();
        assert!(failure.help[0].contains("kubernetes = \"1.34\""), "{failure:?}");
    }

    #[test]
    fn what_minikube_has_got_before_counts_only_whole_and_in_the_version_that_is_declared() {
        let here = docker_architecture();
        let rows = [
            (vec![], None, false),
            (vec![format!("v18-v1.34.4-docker-overlay2-{here}.tar.lz4")], Some("1.34"), true),
            (vec![format!("v18-v1.34.4-docker-overlay2-{here}.tar.lz4")], Some("1.34.4"), true),
            (vec![format!("v18-v1.34.4-docker-overlay2-{here}.tar.lz4")], None, true),
            (vec![format!("v18-v1.31.0-docker-overlay2-{here}.tar.lz4")], Some("1.34"), false),
            (vec![format!("v18-v1.34.4-containerd-overlay2-{here}.tar.lz4")], Some("1.34"), false),
            (vec!["v18-v1.34.4-docker-overlay2-s390x.tar.lz4".to_owned()], Some("1.34"), false),
            (vec![format!("v18-v1.34.4-docker-overlay2-{here}.tar.lz4.checksum")], Some("1.34"), false),
            (vec![format!("v18-v1.34.4-docker-overlay2-{here}.tar.lz4.download")], Some("1.34"), false),
        ];
        for (names, declared, expected) in rows {
            let folder = tempfile::tempdir().unwrap();
            for name in &names {
                std::fs::write(folder.path().join(format!("preloaded-images-k8s-{name}")), "").unwrap();
            }
            assert_eq!(has_archive(folder.path(), declared), expected, "{names:?} {declared:?}");
        }
        assert!(!has_archive(std::path::Path::new("/no/such/folder"), None));
    }

    #[test]
    fn every_image_that_is_asked_for_has_a_step() {
        let graph = include_str!("../../../dayzero/xtask.toml");
        for step in steps() {
            assert!(graph.contains(&format!("[image.{}]", step.name)), "{step}");
        }
        let kubernetes = upstream().filter(|(step, _)| step.starts_with("kube-"));
        for (step, name) in kubernetes {
            let version = crate::world::tool_folder::version("KUBERNETES");
            assert_eq!(name, format!("registry.k8s.io/{step}:v{version}"));
        }
    }
}
