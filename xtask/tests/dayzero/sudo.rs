//! The whole program as a user who is not root: what it has `sudo` do, and when. The `sudo` here writes down what it was
//! told and does nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::bench::find;

/// Nobody's own number on Debian and Ubuntu, for a test that root runs.
const NOBODY: u32 = 65534;

struct User {
    folder: TempDir,
    /// The number, where it is not this process's own.
    number: Option<u32>,
}

impl User {
    /// Somebody with a checkout, a home, a sudo that `may` do everything, and no openssl.
    fn new(may: bool) -> Self {
        let root = rustix::process::geteuid().is_root();
        let user = Self { folder: tempfile::tempdir().unwrap(), number: root.then_some(NOBODY) };
        for folder in ["home", "bin"] {
            fs::create_dir(user.path(folder)).unwrap();
            chown(user.path(folder), user.number, user.number).unwrap();
        }
        user.executable("bin/sudo", &format!("echo \"$*\" >>{}\n{may}", user.path("home/sudo").display()));
        // The program lies where this user may read it, whatever the checkout is in.
        fs::copy(env!("CARGO_BIN_EXE_xtask"), user.path("xtask")).unwrap();
        fs::write(user.path("xtask.toml"), "project = \"nothing\"\n").unwrap();
        for open in ["", "xtask"] {
            fs::set_permissions(user.path(open), fs::Permissions::from_mode(0o755)).unwrap();
        }
        user
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn executable(&self, path: &str, script: &str) {
        fs::write(self.path(path), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Has a suite of tests run that needs openssl; its exit code, what it said, and what sudo was told.
    fn test(&self, environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let mut command = match self.number {
            Some(number) => {
                let mut command = Command::new(find("setpriv"));
                command.args([format!("--reuid={number}"), format!("--regid={number}"), "--clear-groups".to_owned()]);
                command.arg(self.path("xtask"));
                command
            }
            None => Command::new(self.path("xtask")),
        };
        let told = self.path("home/sudo");
        let _ = fs::remove_file(&told);
        let command = command.args(["test", "builds"]).current_dir(self.path("home"));
        let command = command.env_clear().env("PATH", self.path("bin")).env("HOME", self.path("home"));
        let output = command.envs(environment.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said, fs::read_to_string(told).unwrap_or_default())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // Its folder of locks, where it is not that of whoever runs the tests.
        if let Some(number) = self.number {
            let _ = fs::remove_dir_all(Path::new("/tmp").join(format!("xtask-{number}")));
        }
    }
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line.starts_with("ID") && (line.contains("debian") || line.contains("ubuntu")))
}

#[test]
fn packages_are_installed_by_a_sudo_that_asks_for_nothing_when_that_was_said() {
    if !is_debian() {
        return;
    }
    let user = User::new(true);
    let install = "--non-interactive env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install";
    for environment in [&[("CI", "true")][..], &[]] {
        let (code, said, told) = user.test(environment);
        assert_eq!(code, Some(3), "{said}");
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.first(), Some(&"--non-interactive true"), "{said}");
        if environment.is_empty() {
            assert!(said.contains("--yes was not said") && said.contains("help: sudo apt-get update"), "{said}");
            assert_eq!(lines.len(), 1, "nothing is done that nobody has allowed: {told}");
        } else {
            assert!(lines.len() == 3 && lines[2].starts_with(install) && lines[2].ends_with(" openssl"), "{told}");
        }
    }
    let (code, said, told) = User::new(false).test(&[("CI", "true")]);
    assert_eq!((code, told.as_str()), (Some(3), "--non-interactive true\n"), "{said}");
    assert!(said.contains("only root may, and this user is not root"), "{said}");
}
