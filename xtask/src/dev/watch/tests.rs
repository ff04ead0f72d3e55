//! What the kernel tells of real folders, and what is done where it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use engine::files::Alias;
use tempfile::TempDir;

use super::{Burst, Watch};
use crate::dev::aliases::Aliases;
use crate::dev::reads::{Context, Reads};
use crate::dev::walked::Walked;

/// Far beyond what a burst takes.
const LONG: Duration = Duration::from_secs(20);

/// By this variable a test knows that it runs in a namespace of its own.
const APART: &str = "XTASK_TEST_APART";

/// A workspace of which images are built from `contexts`.
fn walked(root: &Path, contexts: &[&str]) -> Walked {
    let context = |folder: &&str| {
        let folder = root.join(folder);
        let dockerfile = folder.join("Dockerfile");
        (folder.display().to_string(), Context { folder, dockerfile })
    };
    let contexts: BTreeMap<String, Context> = contexts.iter().map(context).collect();
    let (folders, files, patterns, made) = ([].into(), [].into(), Vec::new(), Vec::new());
    Walked::of(Reads { root: root.to_owned(), contexts, folders, files, patterns, made }, Aliases::default()).unwrap()
}

/// An empty workspace, with `folders`.
fn workspace(folders: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    folders.iter().for_each(|folder| fs::create_dir_all(root.join(folder)).unwrap());
    (folder, root)
}

async fn burst(watch: &mut Watch) -> Burst {
    tokio::time::timeout(LONG, watch.burst()).await.expect("something is told")
}

/// Waits until something is told of `path`.
async fn until(watch: &mut Watch, path: &Path) {
    while !burst(watch).await.paths.contains(path) {}
}

/// Whether the test `name` is to go on, because it runs in a user namespace of its own, in which limits and rights are
/// others; otherwise it is run in one. Where there are no such namespaces there is nothing to run.
fn apart(name: &str, flags: &[&str]) -> bool {
    if std::env::var_os(APART).is_some() {
        return true;
    }
    let mut unshare = Command::new("unshare");
    if !unshare.args(flags).arg("true").status().is_ok_and(|status| status.success()) {
        return false;
    }
    let test = format!("dev::watch::tests::{name}");
    let output = Command::new("unshare")
        .args(flags)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(APART, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
    false
}

#[tokio::test]
async fn what_was_gathered_when_somebody_stopped_listening_is_told_to_the_next() {
    let (_folder, root) = workspace(&[]);
    let mut watch = Watch::begin(walked(&root, &[])).unwrap();
    fs::write(root.join("a.py"), "1").unwrap();
    while watch.gathered.is_none() {
        // Dropped again and again in the middle.
        let _ = tokio::time::timeout(Duration::from_millis(1), watch.burst()).await;
    }
    let burst = burst(&mut watch).await;
    assert!(burst.paths.contains(&root.join("a.py")), "{burst:?}");
}

#[tokio::test]
async fn symlinks_are_told_of_and_what_they_lead_to_by_its_own_name_only() {
    let (_folder, root) = workspace(&["app"]);
    let mut watch = Watch::begin(walked(&root, &[])).unwrap();
    std::os::unix::fs::symlink("app", root.join("link")).unwrap();
    std::os::unix::fs::symlink("/", root.join("everything")).unwrap();
    let told = burst(&mut watch).await;
    assert!(told.paths.contains(&root.join("link")), "{told:?}");
    fs::write(root.join("app/a.py"), "1").unwrap();
    let told = burst(&mut watch).await;
    assert!(told.paths.contains(&root.join("app/a.py")), "{told:?}");
    assert!(!told.paths.contains(&root.join("link/a.py")), "{told:?}");
}

#[tokio::test]
async fn a_burst_is_told_once_also_in_folders_that_are_new_and_never_from_those_that_nobody_reads() {
    let (_folder, root) = workspace(&["node_modules/x", "app"]);
    let mut watch = Watch::begin(walked(&root, &[])).unwrap();
    fs::write(root.join("node_modules/x/a.js"), "1").unwrap();
    fs::create_dir_all(root.join("app/new/deep")).unwrap();
    let told = burst(&mut watch).await;
    assert!(told.paths.contains(&root.join("app/new")), "{told:?}");
    assert!(!told.paths.iter().any(|path| path.starts_with(root.join("node_modules"))), "{told:?}");

    let deep = root.join("app/new/deep/a.py");
    fs::write(&deep, "1").unwrap();
    until(&mut watch, &deep).await;
    // An editor's atomic save: another file is renamed over it.
    fs::write(root.join("app/new/deep/.a.py.swp"), "2").unwrap();
    fs::rename(root.join("app/new/deep/.a.py.swp"), &deep).unwrap();
    until(&mut watch, &deep).await;
}

#[tokio::test]
async fn a_folder_that_tools_make_is_watched_as_soon_as_an_image_is_built_from_it() {
    let (_folder, root) = workspace(&["backend/app/target/deep", "backend/node_modules"]);
    fs::write(root.join("backend/.dockerignore"), "node_modules\n").unwrap();
    let mut watch = Watch::begin(walked(&root, &[])).unwrap();
    watch.follow(walked(&root, &["backend"]));
    // What was written there before is found by looking.
    until(&mut watch, &root.join("backend/app/target")).await;
    fs::write(root.join("backend/node_modules/a.js"), "1").unwrap();
    for path in ["backend/app/target/a.py", "backend/app/target/deep/a.py", "backend/app/target/new/a.py"] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "1").unwrap();
        loop {
            let told = burst(&mut watch).await;
            assert!(!told.paths.iter().any(|path| path.starts_with(root.join("backend/node_modules"))), "{told:?}");
            // Of a new folder, that it is there stands for all that is in it.
            if told.paths.contains(&path) || told.paths.contains(&root.join("backend/app/target/new")) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn files_outside_the_workspace_are_watched_where_something_is_read_from_them() {
    let (_folder, root) = workspace(&["work/app", "repository/refs/heads", "repository/objects"]);
    let (workspace, repository) = (root.join("work"), root.join("repository"));
    let reads = Reads {
        root: workspace.clone(),
        contexts: BTreeMap::new(),
        folders: [repository.join("refs")].into(),
        files: [repository.join("HEAD")].into(),
        patterns: Vec::new(),
        made: Vec::new(),
    };
    let mut watch = Watch::begin(Walked::of(reads, Aliases::default()).unwrap()).unwrap();
    fs::write(repository.join("index"), "1").unwrap();
    fs::write(repository.join("HEAD"), "1").unwrap();
    let told = burst(&mut watch).await;
    assert_eq!(told.paths, [repository.join("HEAD")].into());
    fs::write(repository.join("objects/1"), "1").unwrap();
    fs::write(repository.join("refs/heads/main"), "1").unwrap();
    let told = burst(&mut watch).await;
    assert_eq!(told.paths, [repository.join("refs/heads/main")].into());
}

#[tokio::test]
async fn what_links_lead_to_is_watched_as_soon_as_somebody_has_read_it() {
    let (_folder, root) = workspace(&["work/chart", "work/node_modules/lib", "work/node_modules/other", "beside/deep"]);
    let (workspace, beside) = (root.join("work"), root.join("beside"));
    let reads = Reads {
        root: workspace.clone(),
        contexts: BTreeMap::new(),
        folders: [workspace.join("chart")].into(),
        files: [].into(),
        patterns: Vec::new(),
        made: Vec::new(),
    };
    let alias = |real: PathBuf, reached: &str| Alias { real, reached: workspace.join(reached) };
    let aliases = Aliases::new(BTreeSet::from([
        alias(beside.clone(), "chart/beside"),
        alias(root.join("note.txt"), "chart/note.txt"),
        alias(workspace.join("node_modules/lib"), "chart/lib"),
    ]));
    let mut watch = Watch::begin(Walked::of(reads.clone(), Aliases::default()).unwrap()).unwrap();
    fs::write(beside.join("deep/before"), "1").unwrap();
    watch.follow(Walked::of(reads, aliases).unwrap());
    // What was written there before is found by looking.
    until(&mut watch, &beside).await;
    fs::write(workspace.join("node_modules/other/a"), "1").unwrap();
    fs::write(root.join("other.txt"), "1").unwrap();
    let written = [beside.join("deep/a"), root.join("note.txt"), workspace.join("node_modules/lib/a")];
    for path in written {
        fs::write(&path, "1").unwrap();
        let told = burst(&mut watch).await;
        assert!(told.paths.contains(&path), "{told:?}");
        assert!(!told.paths.iter().any(|path| path.to_string_lossy().contains("other")), "{told:?}");
    }
}

#[tokio::test]
async fn what_is_written_through_memory_is_told() {
    let (_folder, root) = workspace(&[]);
    let path = root.join("a.py");
    fs::write(&path, "before").unwrap();
    let mut watch = Watch::begin(walked(&root, &[])).unwrap();
    let program =
        "import mmap, sys\nwith open(sys.argv[1], 'r+b') as f, mmap.mmap(f.fileno(), 0) as m: m[:] = b'after.'";
    assert!(Command::new("python3").args(["-c", program]).arg(&path).status().unwrap().success());
    until(&mut watch, &path).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "after.");
}

#[tokio::test]
async fn folders_that_the_kernel_has_no_watches_for_are_looked_at_and_the_rest_goes_on() {
    let name = "folders_that_the_kernel_has_no_watches_for_are_looked_at_and_the_rest_goes_on";
    if !apart(name, &["--user", "--map-root-user"]) {
        return;
    }
    let limit = |watches: u32| fs::write("/proc/sys/user/max_inotify_watches", watches.to_string()).unwrap();
    let folders = ["a/deep", "b/deep", "c/deep", "d/deep"];
    let (_folder, root) = workspace(&folders);
    limit(4);
    let mut watch = Watch::begin(walked(&root, &[])).unwrap();
    let told = burst(&mut watch).await;
    let why = told.unwatched.expect("it is said");
    assert!(why.help.iter().any(|help| help.contains("max_user_watches")), "{why:?}");
    // What is watched is told at once, and of the rest that it may have changed.
    fs::write(root.join("a.py"), "1").unwrap();
    until(&mut watch, &root.join("a.py")).await;
    let unwatched = watch.unwatched.clone();
    assert!(!unwatched.is_empty());
    watch.look_at = Instant::now();
    let told = burst(&mut watch).await;
    assert!(unwatched.is_subset(&told.paths), "{told:?}, not {unwatched:?}");
    assert_eq!(told.unwatched, None, "it is said once");
    assert_eq!(watch.unwatched, unwatched);

    limit(100);
    watch.look_at = Instant::now();
    burst(&mut watch).await;
    assert_eq!(watch.unwatched, [].into());
    for folder in folders {
        let path = root.join(folder).join("a.py");
        fs::write(&path, "1").unwrap();
        until(&mut watch, &path).await;
    }
}

#[tokio::test]
async fn a_folder_that_this_user_may_not_read_ends_nothing() {
    if !apart("a_folder_that_this_user_may_not_read_ends_nothing", &["--user"]) {
        return;
    }
    let (_folder, root) = workspace(&["app", "somebodys"]);
    let may = |mode: u32| fs::set_permissions(root.join("somebodys"), fs::Permissions::from_mode(mode)).unwrap();
    may(0);
    assert!(fs::read_dir(root.join("somebodys")).is_err(), "nobody in here may do everything");
    let mut watch = Watch::begin(walked(&root, &[])).unwrap();
    fs::write(root.join("app/a.py"), "1").unwrap();
    let told = burst(&mut watch).await;
    assert_eq!((told.paths, told.unwatched), ([root.join("app/a.py")].into(), None));
    // From now on it may.
    may(0o700);
    until(&mut watch, &root.join("somebodys")).await;
    fs::write(root.join("somebodys/b.py"), "1").unwrap();
    until(&mut watch, &root.join("somebodys/b.py")).await;
    assert_eq!(watch.unwatched, [].into());
}

#[tokio::test]
async fn a_file_that_a_named_link_leads_to_is_watched_where_it_lies() {
    let (_folder, root) = workspace(&[]);
    let (_other, main) = workspace(&["node_modules"]);
    fs::write(main.join("local.yaml"), "a: 1\n").unwrap();
    fs::write(main.join("other.yaml"), "a: 1\n").unwrap();
    std::os::unix::fs::symlink(main.join("local.yaml"), root.join("local.yaml")).unwrap();
    let files = BTreeSet::from([root.join("local.yaml")]);
    let (contexts, folders, patterns, made) = (BTreeMap::new(), [].into(), Vec::new(), Vec::new());
    let reads = Reads { root: root.clone(), contexts, folders, files, patterns, made };
    let aliases = Aliases::new(reads.links());
    let mut watch = Watch::begin(Walked::of(reads, aliases.clone()).unwrap()).unwrap();
    fs::write(main.join("other.yaml"), "a: 2\n").unwrap();
    fs::write(main.join("local.yaml"), "a: 2\n").unwrap();
    let told = burst(&mut watch).await;
    assert_eq!(told.paths, BTreeSet::from([main.join("local.yaml")]), "and nothing else of that folder");
    let reached: Vec<PathBuf> = told.paths.iter().flat_map(|path| aliases.reached(path)).collect();
    assert_eq!(reached, [root.join("local.yaml")]);
}
