//! With the host's real daemon, which has to run; images are built from nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions, TagImageOptionsBuilder};
use engine::digest::Digest;
use engine::failure::Class;
use engine::files::file_set::{Entry, EntryKind, FileSet};
use secrecy::SecretString;
use tempfile::TempDir;

use super::{Build, BuiltImage, Inventory, LABEL_PROJECT, LABEL_STEP, build, collect, remove, short};
use crate::world::daemon::Daemon;

fn host() -> Daemon {
    Daemon::of_host().unwrap()
}

/// A folder with one file in it, and what builds it.
fn one_file(project: &str, content: &str, dockerfile: &str) -> (TempDir, Build) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), content).unwrap();
    let digest = Digest::of_bytes(content.as_bytes());
    let kind = EntryKind::File { executable: true, size: content.len() as u64, digest };
    let build = Build {
        project: project.to_owned(),
        step: "image:one".to_owned(),
        context: folder.path().to_owned(),
        files: FileSet::new(vec![Entry { path: "a".to_owned(), kind }]),
        dockerfile: dockerfile.as_bytes().to_vec(),
        dockerfile_name: "one/Dockerfile".to_owned(),
        target: None,
        platform: None,
        args: BTreeMap::new(),
        secrets: BTreeMap::new(),
        repository: format!("{project}/one"),
        salt: None,
        redact: Arc::new(|line| line.replace("hush", "***")),
    };
    (folder, build)
}

async fn built(project: &str, content: &str) -> BuiltImage {
    let (_folder, order) = one_file(project, content, "FROM scratch\nCOPY a /\n");
    build(&host(), order, |_| ()).await.unwrap()
}

/// A project that no other test, and no run of these tests at the same time, works on.
fn project(name: &str) -> String {
    format!("xtask-docker-test-{name}-{}", std::process::id())
}

fn in_two_hours() -> SystemTime {
    SystemTime::now() + Duration::from_secs(2 * 60 * 60)
}

#[tokio::test]
async fn an_image_is_named_after_its_id_and_found_in_one_list() {
    let project = project("named");
    let image = built(&project, &project).await;
    assert_eq!(image.reference, format!("{project}/one:{}", short(&image.id)));
    assert_eq!(image.size, project.len() as u64);

    let inventory = Inventory::fetch(&host()).await.unwrap();
    let found = inventory.by_id(&image.id).unwrap();
    assert_eq!(found.names, BTreeSet::from([image.reference.clone()]));
    assert_eq!(inventory.by_name(&image.reference), Some(found));
    assert_eq!(inventory.by_name(&format!("docker.io/{}", image.reference)), Some(found));
    assert_eq!(inventory.by_name(&format!("{project}/one")), None, "there is no tag `latest`");
    assert_eq!(inventory.of_project(&project, None).collect::<Vec<_>>(), [found]);
    assert_eq!(inventory.of_project(&project, Some("image:one")).collect::<Vec<_>>(), [found]);
    assert_eq!(inventory.of_project(&project, Some("image:other")).count(), 0);
    let labels = [(LABEL_PROJECT, project.as_str()), (LABEL_STEP, "image:one")];
    assert_eq!(found.labels, labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    let removed = remove(&host(), found).await.unwrap().unwrap();
    assert_eq!(removed.id, image.id);
    assert_eq!(Inventory::fetch(&host()).await.unwrap().by_id(&image.id), None);
}

#[tokio::test]
async fn the_same_image_again_keeps_its_id_and_its_name() {
    let project = project("again");
    let first = built(&project, "same").await;
    let second = built(&project, "same").await;
    assert_eq!((&second.id, &second.reference), (&first.id, &first.reference));
    let inventory = Inventory::fetch(&host()).await.unwrap();
    remove(&host(), inventory.by_id(&first.id).unwrap()).await.unwrap();
}

#[tokio::test]
async fn garbage_is_what_is_old_and_named_by_nobody() {
    let project = project("garbage");
    let [by_name, by_id, in_use, renamed, unwanted] =
        ["by-name", "by-id", "in-use", "renamed", "unwanted"].map(|content| built(&project, content));
    let (by_name, by_id, in_use) = (by_name.await, by_id.await, in_use.await);
    let (renamed, unwanted) = (renamed.await, unwanted.await);
    let docker = host().connect().await.unwrap();
    let options = TagImageOptionsBuilder::default().repo(&project).tag("mine").build();
    docker.tag_image(&renamed.id, Some(options)).await.unwrap();
    let body = ContainerCreateBody {
        image: Some(in_use.reference.clone()),
        cmd: Some(vec!["none".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let container = docker.create_container(None::<CreateContainerOptions>, body).await.unwrap().id;
    let keep = BTreeSet::from([format!("docker.io/{}", by_name.reference), by_id.id.clone()]);

    let inventory = Inventory::fetch(&host()).await.unwrap();
    let removed = collect(&host(), &inventory, &project, &keep, SystemTime::now()).await.unwrap();
    assert_eq!(removed, [], "all of them are young");
    let removed = collect(&host(), &inventory, "another project", &keep, in_two_hours()).await.unwrap();
    assert_eq!(removed, [], "another project's are not ours to remove");
    let removed = collect(&host(), &inventory, &project, &keep, in_two_hours()).await.unwrap();
    let removed: Vec<_> = removed.into_iter().map(|image| image.id).collect();
    assert_eq!(removed, [unwanted.id], "the only one that is neither kept, nor used, nor named by a person");

    docker.remove_container(&container, None::<RemoveContainerOptions>).await.unwrap();
    docker
        .remove_image(&format!("{project}:mine"), None::<bollard::query_parameters::RemoveImageOptions>, None)
        .await
        .unwrap();
    let inventory = Inventory::fetch(&host()).await.unwrap();
    let removed = collect(&host(), &inventory, &project, &BTreeSet::new(), in_two_hours()).await.unwrap();
    assert_eq!(removed.len(), 4);
}

#[tokio::test]
async fn a_failed_build_shows_the_instruction_its_last_lines_and_where_it_stands() {
    let project = project("failed");
    let dockerfile = "FROM scratch\nCOPY a /\n\nRUN [\"/a\", \"hush\"]\n";
    let (_folder, mut order) = one_file(&project, "not a program", dockerfile);
    order.secrets.insert("token".to_owned(), SecretString::from("hush"));
    let failure = build(&host(), order, |_| ()).await.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (Class::Step, "image:one did not build"));
    assert_eq!(failure.causes, ["exit 1"]);
    let excerpt = &failure.excerpts[0];
    assert_eq!(excerpt.origin, "one/Dockerfile:4");
    assert_eq!(excerpt.lines[0], "RUN [\"/a\", \"***\"]");
    assert!(excerpt.lines[1].contains("/a"), "{excerpt:?}");
}

#[tokio::test]
async fn each_mistake_says_where_and_what_to_do() {
    let rows = [
        ("FROM scratch\nCOPY b /\n", "one/Dockerfile:2: `b` is not there", ".dockerignore"),
        ("FROM scratch\nFOO\n", "one/Dockerfile:2: unknown instruction: FOO", ""),
        (
            "FROM 127.0.0.1:1/none\n",
            "one/Dockerfile:1: the base image 127.0.0.1:1/none:latest is not in the daemon, and its registry did not \
             give it",
            "docker pull 127.0.0.1:1/none:latest",
        ),
    ];
    for (dockerfile, cause, help) in rows {
        let (_folder, order) = one_file(&project("mistake"), "a", dockerfile);
        let failure = build(&host(), order, |_| ()).await.unwrap_err();
        assert_eq!(failure.causes[0], cause);
        assert!(failure.help.join(" ").contains(help), "{failure:?}");
    }
    let (folder, order) = one_file(&project("mistake"), "a", "FROM scratch\nCOPY a /\n");
    std::fs::write(folder.path().join("a"), "b").unwrap();
    let failure = build(&host(), order, |_| ()).await.unwrap_err();
    assert_eq!(failure.message, "image:one: a changed during the build");
}

#[test]
fn daemons_that_are_too_old_are_told_by_their_api() {
    assert!(Inventory::read("1.41", b"[]").is_ok());
    assert!(Inventory::read("1.52", b"[]").is_ok());
    assert_eq!(Inventory::read("1.40", b"[]").unwrap_err(), "it speaks the docker API 1.40; needed is 1.41");
    assert!(Inventory::read("1.41", b"{}").unwrap_err().starts_with("its list of images: "));
}

#[test]
fn a_forbidden_socket_names_the_group_that_may_use_it() {
    // Files under /etc/passwd's group, root on every system, stand for the socket.
    let failure =
        Daemon::Socket("/etc/passwd".into()).unreachable(&std::io::Error::from(std::io::ErrorKind::PermissionDenied));
    let group = if cfg!(target_os = "macos") { "wheel" } else { "root" };
    assert!(failure.help[0].contains(&format!("sudo usermod -aG {group} $USER")), "{failure:?}");
}
