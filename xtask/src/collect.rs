//! Garbage collection once images are built: the project's images that nobody needs any more leave their daemons.
//!
//! Whoever names an image may need it: an object of the cluster that makes pods, a revision that helm keeps, a receipt
//! of any checkout. What they say is searched as text and not understood: an image's first digits are in its ID and in
//! its name, so they stand wherever it is meant, be it in a field that nobody here knows of. Keeping too much is no
//! harm. It goes on beside the rollout and fails nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use engine::config::{Daemon as Place, Image};
use engine::event::{Event, Level};
use engine::failure::Failure;
use engine::lock::Locks;
use engine::step::Kind;
use futures_util::future::{try_join, try_join_all};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};

use crate::context::Context;
use crate::report::words;
use crate::steps::daemon;
use crate::workspace::Workspace;
use crate::world::docker::{self, Inventory, Removed};
use crate::world::helm::record;
use crate::world::{git, kube as objects};

/// Collects in the daemons of `images` and tells what went in one line; whatever goes wrong is no more than a note.
pub async fn after_build(cx: &Context, images: &[&Image], locks: &Locks) {
    let collected = tokio::select! {
        collected = collect(cx, images, locks, SystemTime::now()) => collected,
        () = cx.cancel.cancelled() => return,
    };
    let text = match collected {
        Ok(removed) if removed.is_empty() => return,
        Ok(removed) => told(&removed),
        Err(failure) => format!("images that nobody needs stay for now: {failure}"),
    };
    cx.tell(Event::Note { step: None, level: Level::Info, text: cx.redactor.redact(&text) });
}

fn told(removed: &[Removed]) -> String {
    // Sizes include layers that other images may share.
    let megabytes = removed.iter().map(|image| image.size).sum::<u64>() / 1_000_000;
    format!("removed {} that nobody needs, up to {megabytes} MB", words::count(removed.len(), "image"))
}

/// Removes what nobody names from the daemons of `images`. `now` is the time that images' ages are counted to.
///
/// # Errors
/// When a daemon or the cluster does not answer, or something that may name images cannot be read: then nothing more is
/// removed.
pub async fn collect(cx: &Context, images: &[&Image], locks: &Locks, now: SystemTime) -> Result<Vec<Removed>, Failure> {
    let mut texts = receipts(cx.workspace.root(), locks)?;
    let mut cluster_asked = false;
    let mut removed = Vec::new();
    for place in [Place::Cluster, Place::Host] {
        if !images.iter().any(|image| image.daemon == place) {
            continue;
        }
        let daemon = daemon::at(cx, place).await?;
        // Asked anew: what a run believes may be as old as the run.
        let inventory = Inventory::fetch(&daemon).await?;
        let ids = || inventory.of_project(&cx.project, None).map(|image| image.id.as_str());
        // Most often the receipts alone show that there is nothing to do.
        if docker::candidates(&inventory, &cx.project, &named(ids(), &texts), now).next().is_none() {
            continue;
        }
        if !cluster_asked && !cx.world.context().is_empty() {
            let client = cx.world.kube().await?;
            let (objects, records) = try_join(makers_of_pods(&client), record::contents_of_all(&client)).await?;
            texts.extend(objects);
            texts.extend(records);
            cluster_asked = true;
        }
        removed.extend(docker::collect(&daemon, &inventory, &cx.project, &named(ids(), &texts), now).await?);
    }
    Ok(removed)
}

/// Those of `ids` that any of `texts` names, in whatever form: each holds the first digits of the ID.
fn named<'a>(ids: impl Iterator<Item = &'a str>, texts: &[String]) -> BTreeSet<String> {
    ids.filter(|id| texts.iter().any(|text| text.contains(docker::short(id)))).map(str::to_owned).collect()
}

/// The receipts of this checkout, of the other worktrees of its repository, and those that lie beside locks.
fn receipts(root: &Path, locks: &Locks) -> Result<Vec<String>, Failure> {
    // What a checkout's commands were given, its images' own receipts name as well.
    let names_images = |name: &str| name.ends_with(".receipt") && !name.starts_with(Kind::Command.word());
    let mut texts = texts_in(locks.folder(), names_images)?;
    let checkouts: BTreeSet<_> = git::worktrees(root).into_iter().chain([root.to_owned()]).collect();
    for checkout in checkouts {
        let workspace = Workspace::at(checkout);
        for workspace in [workspace.clone(), workspace.for_dev()] {
            texts.extend(texts_in(workspace.receipts().folder(), |_| true)?);
        }
    }
    Ok(texts)
}

/// The files of `folder` whose names are `wanted`, as text.
fn texts_in(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, Failure> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut texts = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_wanted = path.file_name().is_some_and(|name| wanted(&name.to_string_lossy()));
        if !is_wanted || path.is_dir() {
            continue;
        }
        match fs::read(&path) {
            Ok(bytes) => texts.push(String::from_utf8_lossy(&bytes).into_owned()),
            // Another run has just renamed it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::io("read", &path, &error)),
        }
    }
    Ok(texts)
}

/// All pods of the cluster, and whatever makes some now or may make some later.
async fn makers_of_pods(client: &Client) -> Result<Vec<String>, Failure> {
    let kinds = [
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<ReplicaSet>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<DaemonSet>(&()),
        ApiResource::erase::<ControllerRevision>(&()),
        ApiResource::erase::<Job>(&()),
        ApiResource::erase::<CronJob>(&()),
    ];
    let lists = kinds.iter().map(|kind| async move {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
        let list = api.list(&ListParams::default()).await;
        list.map_err(|found| objects::error::failed(&format!("list the cluster's {}", kind.plural), &found))
    });
    let objects = try_join_all(lists).await?.into_iter().flatten();
    Ok(objects.map(|object| object.data.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{named, receipts, told};
    use crate::world::docker::Removed;

    const OLD: &str = "sha256:aaaaaaaaaaaa1111111111111111111111111111111111111111111111111111";
    const NEW: &str = "sha256:bbbbbbbbbbbb2222222222222222222222222222222222222222222222222222";

    #[test]
    fn an_image_is_named_by_whatever_holds_its_first_digits() {
        let rows: [(&str, &[&str]); 6] = [
            (r#"{"spec":{"containers":[{"image":"todo/backend:aaaaaaaaaaaa"}]}}"#, &[OLD]),
            (r#"{"image":"docker.io/todo/backend:bbbbbbbbbbbb@sha256:cc"}"#, &[NEW]),
            ("image:\n  repository: todo/backend\n  tag: bbbbbbbbbbbb\n", &[NEW]),
            (&format!(r#"{{"imageID":"docker://{OLD}"}}"#), &[OLD]),
            (r#"["todo/backend:aaaaaaaaaaaa", "todo/backend:bbbbbbbbbbbb"]"#, &[OLD, NEW]),
            ("todo/backend:latest", &[]),
        ];
        for (text, expected) in rows {
            let expected: BTreeSet<String> = expected.iter().map(|&id| id.to_owned()).collect();
            assert_eq!(named([OLD, NEW].into_iter(), &[text.to_owned()]), expected, "{text}");
        }
    }

    #[test]
    fn receipts_of_this_checkout_and_those_beside_locks_count() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("here/.xtask/receipts/image-backend", "own");
        write("here/.xtask/receipts/listings/image-backend-1", "a listing names no image");
        write("here/.xtask/tools.json", "no receipt");
        let locks = engine::lock::Locks::in_folder(folder.path().join("locks")).unwrap();
        write("locks/image-backend-1.receipt", "shared");
        write("locks/image-backend-1", "who holds it");
        write("locks/command-lint-1.receipt", "of some checkout's command");
        assert_eq!(receipts(&folder.path().join("here"), &locks).unwrap(), ["shared", "own"]);
    }

    #[test]
    fn what_went_is_one_line() {
        let image = |size| Removed { id: OLD.to_owned(), names: BTreeSet::new(), size };
        assert_eq!(told(&[image(212_400_000)]), "removed 1 image that nobody needs, up to 212 MB");
        assert_eq!(told(&[image(1), image(2)]), "removed 2 images that nobody needs, up to 0 MB");
    }
}
