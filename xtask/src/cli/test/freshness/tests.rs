//! Suites of real checkouts, run for real; and what the suites of this one say that they depend on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use engine::files::Gatherer;
use tokio_util::sync::CancellationToken;

use super::{Freshness, IGNORING, Standing, for_docker};
use crate::cli::test::runner::{Ended, Ground, all};
use crate::cli::test::suites::{Inputs, Needs, SUITES, Suite};
use crate::dayzero::suite_tools::Found;

/// A checkout with files of which the suites read only those in `backend`.
struct Checkout {
    folder: tempfile::TempDir,
    freshness: Freshness,
    cancel: CancellationToken,
}

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let freshness = of(folder.path(), folder.path(), "rustc 1.95.0");
        let checkout = Self { folder, freshness, cancel: CancellationToken::new() };
        checkout.write(".gitignore", "values-local.yaml\n*.pyc\n");
        checkout.write("backend/app.py", "1");
        checkout.write("docs/api.md", "1");
        checkout
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Judges `suites`, then runs what is stale.
    async fn run(&self, suites: &[&Suite]) -> Vec<Ended> {
        let judged = self.freshness.judge(suites, &Found::new(), false).await;
        let ground = Ground {
            root: self.folder.path(),
            found: Found::new(),
            freshness: &self.freshness,
            compiled: None,
            logs: self.folder.path(),
            context: None,
            soak: false,
            cancel: &self.cancel,
            show: &|_| {},
        };
        let mut ended = Vec::new();
        // Where it was interrupted, those that ended before are told of.
        let _ = all(&judged, &ground, &mut ended).await;
        ended
    }

    /// Why `suite` would run; nothing when it is fresh.
    async fn why(&self, suite: &Suite) -> Option<String> {
        why(&self.freshness, suite).await
    }
}

fn of(root: &Path, state: &Path, compiler: &str) -> Freshness {
    let state = state.join(".xtask");
    let gatherer = Arc::new(Gatherer::new(state.join("stat-cache")));
    Freshness::new(root, &state, gatherer, Some(compiler.to_owned()))
}

async fn why(freshness: &Freshness, suite: &Suite) -> Option<String> {
    match freshness.judge(&[suite], &Found::new(), false).await.remove(0).1 {
        Standing::Fresh(_) => None,
        Standing::Stale(reason) => Some(reason.to_string()),
    }
}

/// A suite that reads `backend`.
const fn suite(command: &'static [&'static str]) -> Suite {
    Suite {
        name: "of the backend",
        budget: Duration::from_secs(60),
        needs: Needs::Nothing,
        counted: false,
        tools: &[],
        command,
        inputs: Inputs { name: "backend", paths: &["backend"] },
        after: None,
        lane: None,
    }
}

#[tokio::test]
async fn a_suite_that_passed_is_fresh_until_what_it_reads_changes() {
    let checkout = Checkout::new();
    let suite = suite(&["true"]);
    assert_eq!(checkout.why(&suite).await.as_deref(), Some("first run"));
    assert!(checkout.run(&[&suite]).await[0].fresh.is_none());
    let again = checkout.run(&[&suite]).await;
    assert!(again[0].fresh.is_some() && again[0].passed == 1, "{again:?}");

    for (path, text, reason) in [
        ("docs/api.md", "2", None),
        ("backend/values-local.yaml", "of this machine", None),
        ("backend/__pycache__/app.pyc", "made", None),
        ("backend/.pytest_cache/v", "made", None),
        ("backend/app.py", "1", None),
        ("backend/app.py", "2", Some("app.py changed")),
        ("backend/new.py", "1", Some("new.py")),
    ] {
        checkout.write(path, text);
        let why = checkout.why(&suite).await;
        assert_eq!(why.is_some(), reason.is_some(), "{path}: {why:?}");
        assert!(why.is_none_or(|why| why.contains(reason.unwrap_or_default())), "{path}");
        checkout.run(&[&suite]).await;
    }
    fs::create_dir(checkout.folder.path().join("backend/empty")).unwrap();
    assert_eq!(checkout.why(&suite).await, None, "git knows no folders");
}

#[tokio::test]
async fn a_suite_is_run_again_for_another_command_compiler_or_tool() {
    let checkout = Checkout::new();
    checkout.run(&[&suite(&["true"])]).await;
    assert!(checkout.why(&suite(&["true", "--all"])).await.is_some_and(|why| why.contains("command")));

    let of_cargo = suite(&["cargo", "--version"]);
    checkout.run(&[&of_cargo]).await;
    assert_eq!(checkout.why(&of_cargo).await, None);
    let newer = of(checkout.folder.path(), checkout.folder.path(), "rustc 1.96.0");
    let why = why(&newer, &of_cargo).await.unwrap();
    assert_eq!(why, "tool rustc rustc 1.95.0 → rustc 1.96.0");
}

#[tokio::test]
async fn only_a_suite_that_passed_whole_leaves_a_receipt() {
    const EDITS: &[&str] = &["sh", "-c", "echo 2 >backend/app.py"];
    const REWRITES: &[&str] = &["sh", "-c", "cp backend/app.py x && mv x backend/app.py"];
    let rows: [(&'static [&'static str], bool, bool); 5] = [
        (&["true"], false, true),
        (&["false"], false, false),
        (&["true"], true, false),
        // What was tested is not what is there now, ...
        (EDITS, false, false),
        // ... or may not have been at some moment.
        (REWRITES, false, false),
    ];
    for (command, interrupted, kept) in rows {
        let checkout = Checkout::new();
        let suite = suite(command);
        if interrupted {
            checkout.cancel.cancel();
        }
        checkout.run(&[&suite]).await;
        let why = checkout.why(&suite).await;
        assert_eq!(why, (!kept).then(|| "first run".to_owned()), "{command:?}");
    }
}

#[tokio::test]
async fn a_suite_that_was_killed_is_not_fresh_by_its_former_pass() {
    let checkout = Checkout::new();
    let suite = suite(&["true"]);
    checkout.run(&[&suite]).await;
    // Killed here, there is nobody left who could remove anything.
    checkout.freshness.begin(&suite, &Found::new()).await.unwrap();
    assert_eq!(checkout.why(&suite).await.as_deref(), Some("first run"));
}

#[tokio::test]
async fn whoever_forces_runs_what_is_fresh() {
    let checkout = Checkout::new();
    let suite = suite(&["true"]);
    checkout.run(&[&suite]).await;
    let judged = checkout.freshness.judge(&[&suite], &Found::new(), true).await;
    assert!(matches!(&judged[0].1, Standing::Stale(reason) if reason.to_string() == "--force"));
}

#[tokio::test]
async fn what_cannot_be_known_is_run() {
    let suite = suite(&["true"]);
    let checkout = Checkout::new();
    checkout.run(&[&suite]).await;
    std::os::unix::fs::symlink("/etc/hosts", checkout.folder.path().join("backend/hosts")).unwrap();
    assert!(checkout.why(&suite).await.unwrap().contains("leads out of the checkout"));

    let checkout = Checkout::new();
    checkout.run(&[&suite]).await;
    let receipt = checkout.folder.path().join(".xtask/suites/command-of-the-backend");
    fs::write(receipt, "receipt/1 0 x\n").unwrap();
    assert!(checkout.why(&suite).await.unwrap().contains("receipt"));

    let checkout = Checkout::new();
    let lacking = Freshness { compiler: None, ..of(checkout.folder.path(), checkout.folder.path(), "") };
    let of_cargo = Suite { command: &["cargo", "--version"], ..suite };
    assert!(why(&lacking, &of_cargo).await.unwrap().contains("rustc"));
}

#[tokio::test]
async fn what_a_stale_suite_needs_is_made_again() {
    let checkout = Checkout::new();
    let packages = Suite { name: "packages", ..suite(&["true"]) };
    let tests = Suite { after: Some("packages"), ..suite(&["false"]) };
    checkout.run(&[&packages, &tests]).await;
    assert_eq!(checkout.why(&packages).await, None);
    let ended = checkout.run(&[&packages, &tests]).await;
    assert!(ended.iter().all(|suite| suite.fresh.is_none()), "{ended:?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The paths that git names.
fn git(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new("git").args(["ls-files", "-z"]).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// The files that `inputs` name in this checkout.
fn gathered(inputs: Inputs) -> BTreeSet<String> {
    let state = tempfile::tempdir().unwrap();
    let freshness = of(&root(), state.path(), "");
    let files = freshness.gatherer.gather(&freshness.query(inputs).unwrap()).unwrap().files;
    super::without_folders(&files).entries().iter().map(|entry| entry.path.clone()).collect()
}

#[test]
fn every_file_that_git_tracks_is_an_input_of_a_suite_and_none_that_it_ignores() {
    let there = |path: &String| root().join(path).symlink_metadata().is_ok();
    let tracked: BTreeSet<String> = git(&[]).into_iter().filter(there).collect();
    let ignored = git(&["--others", "--ignored", "--exclude-standard"]);
    let mut read = BTreeSet::new();
    let mut names = BTreeSet::new();
    for suite in SUITES.iter().filter(|suite| names.insert(suite.inputs.name)) {
        let files = gathered(suite.inputs);
        let secret: Vec<&String> = files.intersection(&ignored).collect();
        assert!(secret.is_empty(), "git ignores {secret:?}, and {} reads them", suite.name);
        read.extend(files);
    }
    let unread: Vec<&String> = tracked.difference(&read).collect();
    assert!(unread.is_empty(), "no suite reads {unread:?}, so it may change and nothing is tested");
}

#[test]
fn what_tools_leave_in_a_checkout_is_ignored() {
    for path in [
        "target/debug/xtask",
        "backend/.venv/pyvenv.cfg",
        // Not a package: those are links, and git asks for no path that leads through one.
        "frontend/node_modules/.modules.yaml",
        "frontend/.next/BUILD_ID",
        // Where the checkout is a mount of its own, packages are linked from here.
        ".pnpm-store/v10/files/00/00",
    ] {
        let asked =
            Command::new("git").args(["check-ignore", "--quiet", "--no-index", path]).current_dir(root()).status();
        assert!(asked.unwrap().success(), "{path}");
    }
}

#[test]
fn no_suite_writes_the_locks_of_packages() {
    for suite in SUITES {
        let frozen = match suite.command {
            ["uv", rest @ ..] => rest.contains(&"--frozen"),
            ["pnpm", rest @ ..] if rest.contains(&"install") => rest.contains(&"--frozen-lockfile"),
            _ => true,
        };
        assert!(frozen, "{}", suite.name);
    }
}

#[test]
fn what_suites_say_that_they_read_is_there() {
    let tracked = git(&[]);
    for suite in SUITES {
        for path in suite.inputs.paths {
            let below = format!("{path}/");
            let there = tracked.iter().any(|file| file == path || file.starts_with(&below));
            assert!(there, "{} reads {path}, and git tracks nothing there", suite.name);
        }
        let twin = SUITES.iter().find(|other| other.inputs.name == suite.inputs.name);
        assert_eq!(twin.map(|twin| twin.inputs.paths), Some(suite.inputs.paths), "{}", suite.name);
    }
    let rules =
        tracked.iter().filter_map(|path| path.strip_suffix(".gitignore")).map(|path| path.trim_end_matches('/'));
    assert_eq!(rules.collect::<Vec<_>>(), IGNORING, "rules of other folders would not be heard");
    let manifests = tracked.iter().filter(|path| path.ends_with("Cargo.toml"));
    let licences = SUITES.iter().find(|suite| suite.name == "licences").unwrap().inputs.paths;
    assert!(manifests.into_iter().all(|path| licences.contains(&path.as_str())), "of whose dependencies nobody asks");
}

#[test]
fn what_a_suite_needs_is_made_before_it() {
    for (at, suite) in SUITES.iter().enumerate() {
        let made = suite.after.is_none_or(|name| SUITES[..at].iter().any(|other| other.name == name));
        assert!(made, "{} is after {:?}", suite.name, suite.after);
    }
}

#[test]
fn rules_of_git_are_said_in_dockers_words() {
    for (folder, line, said) in [
        ("", "# a comment", None),
        ("", "", None),
        ("", "/target", Some("target")),
        ("", "node_modules/", Some("**/node_modules")),
        ("", "*.pyc", Some("**/*.pyc")),
        ("", "/kubernetes/secret.env", Some("kubernetes/secret.env")),
        ("", "!kept.pyc", Some("!**/kept.pyc")),
        ("frontend", "*.tsbuildinfo", Some("frontend/**/*.tsbuildinfo")),
        ("frontend", "tests/browser/.artefacts/", Some("frontend/tests/browser/.artefacts")),
    ] {
        assert_eq!(for_docker(folder, line).as_deref(), said, "{folder} {line}");
    }
}
