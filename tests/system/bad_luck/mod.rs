//! Bad input and bad luck: what people read then, the exit code, and that nothing is left half written.

mod build;
mod chart;
mod input;
pub mod machine;
mod state;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::Project;
use crate::ran::Ran;

/// The namespace of what these tests deploy.
const NAMESPACE: &str = "luck-test";

/// A small project of a test's own, of which nothing is deployed.
fn small() -> Project {
    let project = Project::fixture("small", NAMESPACE);
    let secrets = project.path("secrets.yaml");
    fs::copy(project.path("secrets.yaml.example"), &secrets).expect("files can be copied");
    fs::set_permissions(secrets, fs::Permissions::from_mode(0o600)).expect("files can be made private");
    project
}

/// Runs `command`, which has to end with `code`, say all of `words` on standard error, and leave every file as it was.
/// What it said.
#[track_caller]
fn fails(project: &Project, command: &mut Command, code: i32, words: &[&str]) -> String {
    let before = contents(project.folder());
    let output = command.output().expect("the binary can be run");
    let ran = Ran::new(&["a command that fails"], output).expect_code(code);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not said:\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("help:"), "there is a next step:\n{}", ran.stderr);
    assert_eq!(contents(project.folder()), before, "files of the project are as they were");
    ran.stderr
}

/// All files with their contents, without those in which runs keep what they know.
fn contents(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() && !path.ends_with(".xtask") {
            found.extend(contents(&path));
        } else if path.is_file() {
            let bytes = fs::read(&path).expect("the file can be read");
            found.insert(path, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    found
}
