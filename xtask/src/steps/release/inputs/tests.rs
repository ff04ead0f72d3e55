//! Which files of a chart count, in real folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use engine::digest::Digest;
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::manifest::Manifest;
use engine::step::{Kind, StepId};
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use super::{Origins, chart};
use crate::context::Context;
use crate::steps::secrets::Origin;
use crate::workspace::Workspace;
use crate::world::World;

const GRAPH: &str = r#"
project = "demo"
[cluster]
profile = "p"
[secrets.todo]
from = "local/values.yaml"
key = "secrets"
object = "o"
[release.x]
chart = "chart"
namespace = "n"
secrets = ["todo"]
"#;

const SECRETS: &str = "secrets: { PASSWORD: swordfish }\n";

/// A workspace with a chart, these links, and a `.helmignore` of these lines.
fn workspace(links: &[(&str, &str)], ignored: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let files = [
        ("xtask.toml", GRAPH),
        ("chart/Chart.yaml", "name: x"),
        ("chart/charts/one.yaml", ""),
        ("chart/.helmignore", ignored),
        ("common/templates/a.yaml", "a"),
        ("note.txt", "one"),
        ("local/values.yaml", SECRETS),
    ];
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for (link, target) in links {
        symlink(target, folder.path().join(link)).unwrap();
    }
    folder
}

fn manifest(folder: &TempDir) -> Result<Manifest, Failure> {
    let file = engine::config::load(&folder.path().join("xtask.toml")).unwrap();
    let (events, _) = unbounded_channel();
    let workspace = Workspace::at(folder.path());
    let gatherer = Arc::new(Gatherer::new(workspace.stat_cache()));
    let cx = Context::new(workspace, "demo".into(), Arc::new(World::of_context("p")), gatherer, 1, events);
    let origins: Origins = file.secrets.iter().map(|(name, of)| (name.clone(), Origin::of(of))).collect();
    let step = StepId::new(Kind::Release, "x");
    let mut manifest = Manifest::new(step.clone());
    chart(&cx, &step, &file.releases["x"], &origins, &mut manifest)?;
    Ok(manifest)
}

#[test]
fn what_links_lead_to_is_part_of_the_chart_as_far_as_helm_reads_it() {
    let links = [
        ("chart/note.txt", "../note.txt"),
        ("chart/charts/common", "../../common"),
        ("chart/hidden.txt", "../note.txt"),
        ("chart/hidden", "../common"),
        ("chart/hidden-around", ".."),
        ("common/hidden-back", "../chart"),
        ("chart/gone", "nowhere"),
    ];
    let folder = workspace(&links, "hidden*\n");
    let before = manifest(&folder).unwrap();
    let names: Vec<&str> = before.entries().iter().map(|entry| entry.name.as_str()).collect();
    let expected = [
        "chart/.helmignore",
        "chart/Chart.yaml",
        "chart/charts/common",
        "chart/charts/one.yaml",
        "chart/gone",
        "chart/note.txt",
        "chart/charts/common/templates/a.yaml",
        "chart/note.txt → ../note.txt",
    ];
    assert_eq!(names, expected);

    let changes = |path: &str| {
        fs::write(folder.path().join(path), "two").unwrap();
        let after = manifest(&folder).unwrap();
        after.changes_since(&before).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(changes("note.txt"), ["chart/note.txt → ../note.txt changed"]);
    fs::write(folder.path().join("note.txt"), "one").unwrap();
    assert_eq!(changes("common/templates/a.yaml"), ["chart/charts/common/templates/a.yaml changed"]);
    fs::write(folder.path().join("common/templates/a.yaml"), "a").unwrap();
    let again = manifest(&folder).unwrap();
    assert_eq!(again.key(), before.key());
    assert!(!again.held_still_since(&before), "helm may have read what was there in between");
}

#[test]
fn secrets_behind_a_link_are_not_packed_and_leave_no_digest() {
    let digest = Digest::of_bytes(SECRETS.as_bytes());
    let is_kept = |folder: &TempDir| {
        let kept = fs::read_dir(Workspace::at(folder.path()).stat_cache()).unwrap();
        let mut kept = kept.map(|file| fs::read(file.unwrap().path()).unwrap());
        kept.any(|bytes| bytes.windows(digest.as_bytes().len()).any(|bytes| bytes == digest.as_bytes()))
    };
    let check = |links: &[(&str, &str)], file: &str| {
        let folder = workspace(links, "");
        let failure = manifest(&folder).unwrap_err();
        assert_eq!(failure.message, format!("chart/{file} would be packed into helm's history, with its secrets"));
        assert!(!is_kept(&folder), "{links:?}");
        let folder = workspace(links, &format!("{file}\n"));
        assert!(manifest(&folder).is_ok(), "not once it is ignored");
        assert!(!is_kept(&folder), "{links:?}");
    };
    check(&[("chart/local", "../local")], "local/values.yaml");
    check(&[("chart/mine.yaml", "../local/values.yaml")], "mine.yaml");
    check(&[("chart/charts/common", "../../common"), ("common/local", "../local")], "charts/common/local/values.yaml");
    check(
        &[("chart/charts/common", "../../common"), ("common/x.yaml", "../local/values.yaml")],
        "charts/common/x.yaml",
    );
    // As everything else that is packed.
    let folder = workspace(&[("chart/mine.yaml", "../note.txt")], "");
    fs::write(folder.path().join("note.txt"), SECRETS).unwrap();
    manifest(&folder).unwrap();
    assert!(is_kept(&folder), "or else this test would see nothing");
}

#[test]
fn a_link_to_a_folder_around_it_is_refused_unless_helm_ignores_it() {
    let links = [("chart/charts/common", "../../common"), ("common/back", ".")];
    let failure = manifest(&workspace(&links, "")).unwrap_err();
    assert!(
        failure.message.ends_with("chart/charts/common/back leads to a folder that it lies in itself"),
        "{failure}"
    );
    for ignored in ["back\n", "back/\n", "charts/common/back\n"] {
        assert!(manifest(&workspace(&links, ignored)).is_ok(), "{ignored}");
    }
}
