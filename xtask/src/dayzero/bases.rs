//! Base images in the node's daemon: what is not there is pulled, and where no registry gives it, it is assembled from
//! distribution packages under the same name, labelled as such.
//!
//! That happens in a minikube node of our own only: no other daemon ever gets an upstream name from here, and no
//! image that exists is replaced. An image that can be neither pulled nor assembled is left to the build, whose error
//! names the Dockerfile's line; one that is Alpine's is an error here, which also names what can be had instead.

mod remains;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bollard::models::SystemInfo;
use engine::event::Level;
use engine::failure::{Class, Failure};
use engine::step::StepId;

use super::home::Home;
use super::{packages, reach};
use crate::context::Context;
use crate::world::daemon::Daemon;
use crate::world::docker::{Image, Inventory, LABEL_PROJECT, familiar};
use crate::world::process::Command;
use crate::world::tool_folder;

/// The label of an image that was assembled, with what it was assembled from.
const ASSEMBLED: &str = "xtask.assembled";

/// What can be assembled: the folders of `dayzero/bases`, each after those that it is made with.
const CATALOGUE: [&str; 4] = ["debian:trixie-slim", "python:3.13-slim", "node:22-slim", "postgres:17"];

/// An image that something needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// `node:22-slim`.
    pub name: &'a str,
    /// Who says so: `frontend/Dockerfile:3`.
    pub place: String,
}

/// Gets `wanted` into the node's daemon, as far as that is possible; returns whether anything is there now that was
/// not before. Nothing is asked of anybody when all of them are there.
///
/// # Errors
/// When an image could only be assembled and was not; when it is of a kind that cannot be.
pub async fn provide(cx: &Context, step: &StepId, daemon: &Daemon, wanted: &[Wanted<'_>]) -> Result<bool, Failure> {
    let inventory = cx.world.inventory(daemon).await?;
    let mut changed = false;
    for image in wanted.iter().filter(|image| inventory.by_name(image.name).is_none()) {
        let registry = registry(image.name);
        let reached = reach::reaches(cx, &[registry.as_str()]).await?;
        // One that answers need not give it: there are limits, and walls before where layers lie.
        let mut cause = format!("{} does not answer", reach::host(&registry));
        if reached || has_ways_of_its_own(daemon).await {
            match pull(cx, step, daemon, image.name).await? {
                Ok(()) => {
                    changed = true;
                    continue;
                }
                Err(failure) => cause = last_line(failure),
            }
        }
        if let Some(known) = in_catalogue(image.name) {
            assemble(cx, step, daemon, known, &cause).await?;
            changed = true;
        } else if is_alpine(image.name) {
            return Err(alpine(image, &cause));
        }
    }
    if changed {
        cx.world.forget_observations().await;
    }
    Ok(changed)
}

/// Gets `image` into `daemon` as its registry has it now, whatever is there by its name; an image of a project's own,
/// which no registry has, stays as it is.
///
/// # Errors
/// When the registry does not give it.
pub async fn renew(cx: &Context, step: &StepId, daemon: &Daemon, image: &Wanted<'_>) -> Result<(), Failure> {
    let inventory = cx.world.inventory(daemon).await?;
    if inventory.by_name(image.name).is_some_and(|image| image.labels.contains_key(LABEL_PROJECT)) {
        return Ok(());
    }
    let pulled = pull(cx, step, daemon, image.name).await?;
    cx.world.forget_observations().await;
    pulled.map_err(|failure| {
        let Wanted { name, place } = image;
        let message = format!("{place}: the registry of {name} did not give it");
        let because = Failure::environment(message).because(failure.message);
        failure.causes.into_iter().fold(because, Failure::because).help("leave out --pull to build on what is there")
    })
}

/// The name in the catalogue of an image that can be assembled.
pub fn in_catalogue(name: &str) -> Option<&'static str> {
    CATALOGUE.into_iter().find(|known| *known == familiar(name))
}

/// The images that could be assembled and are not in `inventory`.
pub fn absent(inventory: &Inventory) -> impl Iterator<Item = &'static str> {
    CATALOGUE.into_iter().filter(|name| inventory.by_name(name).is_none())
}

/// What `image` was assembled from; `None` of an image that came from elsewhere.
pub fn assembled_from(image: &Image) -> Option<&str> {
    image.labels.get(ASSEMBLED).map(String::as_str)
}

/// Whether any image in `inventory` was assembled.
pub fn any_assembled(inventory: &Inventory) -> bool {
    CATALOGUE.iter().filter_map(|name| inventory.by_name(name)).any(|image| assembled_from(image).is_some())
}

/// Which of the images `named` were assembled, and from what. One that was built on such a base has its label, too, and
/// is told of by its own step.
pub fn told(inventory: &Inventory, named: &BTreeSet<String>) -> Vec<String> {
    let known = named.iter().filter(|name| CATALOGUE.contains(&familiar(name).as_str()));
    let assembled = known.filter_map(|name| Some((name, assembled_from(inventory.by_name(name)?)?)));
    assembled.map(|(name, from)| format!("{} assembled from {from}", familiar(name))).collect()
}

/// The other places that somebody has given the daemon to pull from.
pub async fn mirrors(daemon: &Daemon) -> Vec<String> {
    about(daemon).await.map(mirrors_in).unwrap_or_default()
}

fn mirrors_in(info: SystemInfo) -> Vec<String> {
    info.registry_config.and_then(|config| config.mirrors).unwrap_or_default()
}

/// Whether the daemon may reach a registry that is not reached from here: by a mirror, or by a proxy that it alone was
/// told of.
async fn has_ways_of_its_own(daemon: &Daemon) -> bool {
    about(daemon).await.is_some_and(|info| {
        let proxies = [&info.http_proxy, &info.https_proxy];
        proxies.iter().any(|proxy| proxy.as_ref().is_some_and(|proxy| !proxy.is_empty()))
            || !mirrors_in(info).is_empty()
    })
}

/// What it says of itself, if it answers.
async fn about(daemon: &Daemon) -> Option<SystemInfo> {
    daemon.connect().await.ok()?.info().await.ok()
}

/// Flags by which minikube gives a new node's daemon the host's `mirrors`, unless `args` name some.
pub fn mirror_flags(mirrors: &[String], args: &[String]) -> Vec<String> {
    const FLAG: &str = "--registry-mirror";
    if args.iter().any(|arg| arg.starts_with(FLAG)) {
        return Vec::new();
    }
    mirrors.iter().map(|mirror| format!("{FLAG}={mirror}")).collect()
}

/// The address at which the registry of an image answers.
fn registry(name: &str) -> String {
    let host = match familiar(name).split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host.to_owned(),
        _ => "registry-1.docker.io".to_owned(),
    };
    format!("{host}/v2/")
}

/// Pulls with docker's own client, which knows the user's logins. The inner error says why the registry does not give the
/// image.
async fn pull(cx: &Context, step: &StepId, daemon: &Daemon, name: &str) -> Result<Result<(), Failure>, Failure> {
    cx.progress(step, format!("pulling {name}"));
    let command = daemon.points(Command::new("docker").args(["pull", name]), Some(cx.world.context()));
    let finished = command.run(&cx.cancel, |_, line| cx.progress(step, line)).await?;
    Ok(finished.success(Class::Environment).map(drop))
}

/// What a program said last before it failed.
fn last_line(failure: Failure) -> String {
    let last = failure.excerpts.into_iter().flat_map(|excerpt| excerpt.lines).rfind(|line| !line.trim().is_empty());
    last.unwrap_or(failure.message)
}

/// Puts the image `name` together, because of `cause`.
async fn assemble(
    cx: &Context,
    step: &StepId,
    daemon: &Daemon,
    name: &'static str,
    cause: &str,
) -> Result<(), Failure> {
    packages::ensure(cx, step, &[packages::MMDEBSTRAP, packages::DEBIANS_KEYS]).await?;
    // The copy is brought up to date under the lock; while it is read others may work on other bases.
    let home = Home::open(cx).await?;
    reach::tell_recipes(home.root()).await?;
    let (folder, asked) = (home.root().join("bases"), home.root().join("run/asked"));
    drop(home);
    remains::clear(&tool_folder::root().with_file_name("bases"), CATALOGUE.map(folder_of))?;
    for name in with_its_own(&folder, name) {
        cx.progress(step, format!("assembling {name} from Debian packages"));
        let command = Command::new(folder.join("assemble")).arg(folder_of(name)).arg(&asked);
        let command = daemon.points(command, Some(cx.world.context()));
        let told = |_, line: &str| match line.strip_prefix("note: ") {
            Some(text) => cx.note(step, Level::Info, text),
            None => cx.progress(step, line),
        };
        let finished = command.run(&cx.cancel, told).await?;
        finished.success(Class::Environment).map_err(|failure| {
            failure.because(format!("{name} was to be assembled here, for it cannot be pulled: {cause}"))
        })?;
    }
    cx.note(step, Level::Info, format!("{name} was assembled from Debian packages: {cause}"));
    Ok(())
}

/// The base `name` behind those that it is made with.
fn with_its_own(folder: &Path, name: &'static str) -> Vec<&'static str> {
    let text = fs::read_to_string(folder.join(folder_of(name)).join("Dockerfile")).unwrap_or_default();
    let dockerfile = buildkit::Dockerfile::parse(&text);
    let named = |known: &&str| dockerfile.stages.iter().any(|stage| stage.base == **known);
    CATALOGUE.into_iter().filter(named).chain([name]).collect()
}

fn folder_of(name: &str) -> String {
    name.replace(':', "-")
}

fn is_alpine(name: &str) -> bool {
    let name = familiar(name);
    let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, ""));
    Path::new(repository).file_name().is_some_and(|last| last == "alpine") || tag.contains("alpine")
}

fn alpine(image: &Wanted<'_>, cause: &str) -> Failure {
    let Wanted { name, place } = image;
    let repository = name.split(':').next().unwrap_or(name);
    let same = CATALOGUE.iter().find(|known| known.split(':').next() == Some(repository));
    let instead = same.unwrap_or(&CATALOGUE[0]);
    Failure::environment(format!("{place}: {name} cannot be got on this machine"))
        .because(cause)
        .because("an Alpine image has another C library, and cannot be assembled from Debian's packages")
        .help(format!("name one with glibc in {place}, which can be: {instead}"))
        .help(format!("or bring it here: `docker save {name}` where there is one, `docker load` in the node"))
}

#[cfg(test)]
mod elsewhere_tests;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        ASSEMBLED, CATALOGUE, Wanted, alpine, any_assembled, is_alpine, mirror_flags, registry, told, with_its_own,
    };
    use crate::world::docker::Inventory;

    #[test]
    fn a_new_node_gets_the_hosts_mirrors_unless_it_is_given_others() {
        let mirrors = ["https://a.example/".to_owned(), "https://b.example/".to_owned()];
        let flags = ["--registry-mirror=https://a.example/", "--registry-mirror=https://b.example/"];
        assert_eq!(mirror_flags(&mirrors, &["--preload=false".to_owned()]), flags);
        assert!(mirror_flags(&mirrors, &["--registry-mirror=https://mine.example".to_owned()]).is_empty());
        assert!(mirror_flags(&[], &[]).is_empty());
    }

    #[test]
    fn assembled_images_are_told_by_their_labels() {
        let image = |name: &str, labels: serde_json::Value| {
            serde_json::json!({
                "Id": format!("sha256:{name}"), "RepoTags": [name], "RepoDigests": null, "Labels": labels,
                "Created": 1, "Size": 1,
            })
        };
        let inventory = |from: serde_json::Value| {
            let images = [
                image("postgres:17", from),
                image("node:22-slim", serde_json::json!(null)),
                // Built on one: that is told by the step that built it.
                image("todo-backend:1", serde_json::json!({ASSEMBLED: "Debian trixie"})),
            ];
            Inventory::read("1.41", &serde_json::to_vec(&images).unwrap()).unwrap()
        };
        let named = ["docker.io/library/postgres:17", "node:22-slim", "todo-backend:1"].map(str::to_owned).into();
        let assembled = inventory(serde_json::json!({ASSEMBLED: "Debian trixie"}));
        assert!(any_assembled(&assembled));
        assert_eq!(told(&assembled, &named), ["postgres:17 assembled from Debian trixie"]);
        let pulled = inventory(serde_json::json!({}));
        assert!(!any_assembled(&pulled) && told(&pulled, &named).is_empty());
    }

    #[test]
    fn the_catalogue_is_what_there_are_folders_for() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("dayzero").join("bases");
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
        let mut bases: Vec<String> = entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap().replacen('-', ":", 1))
            .collect();
        let mut known = CATALOGUE.map(str::to_owned);
        bases.sort();
        known.sort();
        assert_eq!(bases, known);
    }

    #[test]
    fn a_base_comes_after_those_that_it_is_made_with() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("dayzero").join("bases");
        assert_eq!(with_its_own(&folder, "node:22-slim"), ["python:3.13-slim", "node:22-slim"]);
        assert_eq!(with_its_own(&folder, "postgres:17"), ["postgres:17"]);
    }

    #[test]
    fn registries_are_read_from_names() {
        let rows = [
            ("node:22-slim", "registry-1.docker.io/v2/"),
            ("docker.io/library/node", "registry-1.docker.io/v2/"),
            ("someone/app:1", "registry-1.docker.io/v2/"),
            ("ghcr.io/someone/app:1", "ghcr.io/v2/"),
            ("localhost/app", "localhost/v2/"),
            ("10.0.0.1:5000/app", "10.0.0.1:5000/v2/"),
        ];
        for (name, expected) in rows {
            assert_eq!(registry(name), expected, "{name}");
        }
    }

    #[test]
    fn alpine_is_refused_with_the_line_and_something_else_to_name() {
        let rows = [
            ("node:22-alpine", Some("node:22-slim")),
            ("python:3.13-alpine3.20", Some("python:3.13-slim")),
            ("alpine", Some("debian:trixie-slim")),
            ("alpine:3.20", Some("debian:trixie-slim")),
            ("golang:1.25-alpine", Some("debian:trixie-slim")),
            ("node:22-slim", None),
            ("alpinist/app:1", None),
        ];
        for (name, instead) in rows {
            assert_eq!(is_alpine(name), instead.is_some(), "{name}");
            let Some(instead) = instead else { continue };
            let failure = alpine(&Wanted { name, place: "frontend/Dockerfile:3".to_owned() }, "silence");
            assert!(failure.message.starts_with("frontend/Dockerfile:3: "), "{failure}");
            assert!(failure.help[0].ends_with(instead), "{name}: {failure:?}");
        }
    }
}
