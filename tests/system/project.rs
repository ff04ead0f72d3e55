//! A copy of this checkout that a test may change, and the command run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::ran::Ran;
use crate::turn::Turn;

/// The namespace of everything that these tests deploy, and the project's name: `system-test`, unless these tests were
/// compiled with another one, to run beside others in the same cluster.
pub const NAMESPACE: &str = match option_env!("XTASK_TEST_NAMESPACE") {
    Some(name) => name,
    None => "system-test",
};

/// A checkout with a graph file for the test cluster.
pub struct Project {
    folder: PathBuf,
    pub cluster: Cluster,
    _turn: Arc<Turn>,
}

impl Project {
    /// The shared deployment, everything in it as in this checkout and fresh.
    pub fn deployed() -> Self {
        let project = Self::copy("shared");
        project.run(&["deploy"]).expect_success();
        project
    }

    /// This checkout's application under a name of its own in the cluster, where nothing of it has ever been; nor is the
    /// shared deployment there, for which there is no room beside it.
    pub fn never_deployed() -> Self {
        let shared = Self::copy("shared");
        shared.run(&["teardown", "--data"]).expect_success();
        let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is right").as_secs();
        let name: &'static str = format!("{NAMESPACE}-{now}").leak();
        let mut project = Self::copy("never-deployed");
        let _ = fs::remove_dir_all(project.path(".xtask"));
        project.cluster = project.cluster.in_namespace(name);
        project.write("xtask.toml", &graph_file(&project.cluster.context, name));
        project
    }

    /// The project below `fixtures/` as it is there, with nothing deployed of it, in a folder of the test's own. What it
    /// deploys is in `namespace`, as its graph file says.
    pub fn fixture(name: &str, namespace: &'static str) -> Self {
        Self::of_fixture(Turn::with_small_projects(), name, namespace)
    }

    /// That of the dev loop's tests, in the same way.
    pub fn live(namespace: &'static str) -> Self {
        Self::of_fixture(Turn::with_live_project(), "live", namespace)
    }

    fn of_fixture(turn: Arc<Turn>, name: &str, namespace: &'static str) -> Self {
        let cluster = Cluster::of_environment().in_namespace(namespace);
        let folder = Self::place(name);
        let _ = fs::remove_dir_all(&folder);
        copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/system/fixtures").join(name), &folder);
        let project = Self { folder, cluster, _turn: turn };
        project.edit("xtask.toml", "CONTEXT", &project.cluster.context);
        project
    }

    /// A further checkout of a fixture as it is in this one, with nothing deployed of it.
    pub fn beside(&self, name: &str) -> Self {
        let folder = Self::place(name);
        let _ = fs::remove_dir_all(&folder);
        copy_folder(&self.folder, &folder);
        let _ = fs::remove_dir_all(folder.join(".xtask"));
        Self { folder, cluster: self.cluster.clone(), _turn: Arc::clone(&self._turn) }
    }

    /// A further checkout of the same deployment, with nothing known about it.
    pub fn second_checkout(&self) -> Self {
        let second = Self::copy("second");
        let _ = fs::remove_dir_all(second.path(".xtask"));
        let values = "helm/todo-chatbot/values-local.yaml";
        fs::copy(self.path(values), second.path(values)).expect("both checkouts have the same secrets");
        second
    }

    /// A project of its own, with nothing known about it, in the cluster of the kubeconfig context `context`.
    pub fn of_files(name: &str, context: &str, files: &[(&str, &str)]) -> Self {
        let turn = Turn::with_small_projects();
        let folder = Self::place(name);
        let _ = fs::remove_dir_all(&folder);
        let project = Self { folder, cluster: Cluster::of_context(context), _turn: turn };
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    fn place(name: &str) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("system").join(name)
    }

    fn copy(name: &str) -> Self {
        let turn = Turn::with_application();
        let folder = Self::place(name);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
        let files = tracked(root);
        // An earlier commit's files would make another image.
        let list = folder.join(".copied");
        let earlier = fs::read_to_string(&list).unwrap_or_default();
        for path in earlier.lines().filter(|path| !files.contains(&PathBuf::from(path))) {
            let _ = fs::remove_file(folder.join(path));
        }
        let names: String = files.iter().map(|path| format!("{}\n", path.display())).collect();
        fs::write(&list, names).expect("the target folder can be written");
        for path in files {
            let (from, to) = (root.join(&path), folder.join(&path));
            let new = fs::read(&from).unwrap_or_default();
            // Unchanged files keep their times, as in a checkout that somebody works in.
            if fs::read(&to).ok().as_ref() != Some(&new) {
                fs::create_dir_all(to.parent().expect("files are in folders")).expect("folders can be made");
                fs::copy(&from, &to).expect("files can be copied");
            }
        }
        let cluster = Cluster::of_environment();
        fs::write(folder.join("xtask.toml"), graph_file(&cluster.context, NAMESPACE))
            .expect("the graph file can be written");
        Self { folder, cluster, _turn: turn }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Replaces `from` by `to` in a file, which has to contain it.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).expect("the file is there");
        assert!(text.contains(from), "{path} has no {from:?}");
        fs::write(self.path(path), text.replacen(from, to, 1)).expect("the file can be written");
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("files are in folders")).expect("folders can be made");
        fs::write(path, text).expect("the file can be written");
    }

    /// The command that people type, ready to be run, in this checkout.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(&self.folder).env("CI", "true").stdin(Stdio::null());
        command
    }

    /// Runs it to its end with JSON events.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).args(["--format", "json"]).output().expect("the binary can be run");
        Ran::new(arguments, output)
    }

    /// Runs it to its end with JSON events; also each program that it starts, with its arguments and its environment.
    pub fn run_traced(&self, arguments: &[&str]) -> (Ran, String) {
        let programs = self.path("../programs");
        let command = self.command(arguments);
        let output = Command::new("strace")
            .args(["--follow-forks", "--trace=execve", "--no-abbrev", "--string-limit=65536", "--output"])
            .arg(&programs)
            .arg(command.get_program())
            .args(command.get_args())
            .args(["--format", "json"])
            .env("CI", "true")
            .current_dir(self.folder())
            .output()
            .expect("strace is there");
        let traced = fs::read_to_string(&programs).expect("strace writes what it has seen");
        (Ran::new(arguments, output), traced)
    }

    /// Runs it to its end as people see it.
    pub fn run_human(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("the binary can be run");
        Ran::new(arguments, output)
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folders can be made");
    for entry in fs::read_dir(from).expect("the fixture is there") {
        let entry = entry.expect("folders can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("files can be copied");
        }
    }
}

/// What git would check out, with what is not committed yet, less what is only for this repository's own tests.
fn tracked(root: &Path) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "backend", "frontend", "helm"])
        .current_dir(root)
        .output()
        .expect("git is there");
    let paths = String::from_utf8(listed.stdout).expect("paths are text");
    paths.split_terminator('\0').map(PathBuf::from).filter(|path| root.join(path).is_file()).collect()
}

/// The graph file of this repository's application in the test cluster, with `name` as its project's and namespace's.
fn graph_file(context: &str, name: &str) -> String {
    include_str!("fixtures/app.toml").replace("PROJECT", name).replace("CONTEXT", context)
}
