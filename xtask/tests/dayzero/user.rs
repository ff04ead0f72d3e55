//! The whole program as some user, in a home of their own and with nothing on `PATH` but stand-ins for what would change
//! this machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::bench::find;

/// Nobody's own number on Debian and Ubuntu, for a test that root runs.
const NOBODY: u32 = 65534;

/// Writes down how it was called, as all stand-ins do.
const WRITES_DOWN: &str = "echo \"${0##*/} $*\" >>$HOME/called";

pub struct User {
    folder: TempDir,
    /// The number, where it is not this process's own.
    number: Option<u32>,
}

/// What came of a run.
pub struct Ran {
    pub code: Option<i32>,
    pub said: String,
    /// The stand-ins that were called, with their arguments.
    pub called: Vec<String>,
}

impl Ran {
    /// Calls of apt-get that would have installed something; that an archive is fetched first does not count.
    pub fn installed(&self) -> Vec<&str> {
        let calls = self.called.iter().map(String::as_str);
        calls
            .filter(|call| call.starts_with("apt-get ") && call.contains(" install "))
            .filter(|call| !call.ends_with(" --download-only"))
            .collect()
    }
}

impl User {
    /// Somebody who is not root, with a checkout and a home.
    pub fn new() -> Self {
        let root = rustix::process::geteuid().is_root();
        Self::of(root.then_some(NOBODY))
    }

    /// Whoever runs these tests: root, maybe.
    pub fn same() -> Self {
        Self::of(None)
    }

    fn of(number: Option<u32>) -> Self {
        let user = Self { folder: tempfile::tempdir().unwrap(), number };
        for folder in ["home", "bin"] {
            fs::create_dir(user.path(folder)).unwrap();
            chown(user.path(folder), user.number, user.number).unwrap();
        }
        // The program lies where this user may read it, whatever the checkout is in.
        fs::copy(env!("CARGO_BIN_EXE_xtask"), user.path("xtask")).unwrap();
        user.write("xtask.toml", "project = \"nothing\"\n");
        for open in ["", "xtask"] {
            fs::set_permissions(user.path(open), fs::Permissions::from_mode(0o755)).unwrap();
        }
        user.program("apt-get", "");
        user.program("dpkg", "");
        user.link("env");
        user
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
        chown(self.path(path), self.number, self.number).unwrap();
    }

    /// A stand-in that writes down how it is called, and then does as `script` says.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path(&format!("bin/{name}"));
        fs::write(&path, format!("#!/bin/sh\n{WRITES_DOWN}\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The program of this machine.
    pub fn link(&self, name: &str) {
        symlink(find(name), self.path("bin").join(name)).unwrap();
    }

    /// A sudo that does what it is told, as this user.
    pub fn sudoer(self) -> Self {
        self.program("sudo", "shift\nexec \"$@\"");
        self.link("true");
        self
    }

    /// The program, ready to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = self.path("xtask");
        let mut command = match self.number {
            Some(number) => {
                let mut command = Command::new(find("setpriv"));
                command.args([format!("--reuid={number}"), format!("--regid={number}"), "--clear-groups".to_owned()]);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments);
        self.at_home(&mut command);
        command
    }

    /// The program at a terminal whose keys nobody presses.
    pub fn at_a_terminal(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(find("script"));
        let line = format!("{} {}", self.path("xtask").display(), arguments.join(" "));
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        self.at_home(&mut command);
        command
    }

    pub fn at_home(&self, command: &mut Command) {
        command.current_dir(self.path("home")).stdin(std::process::Stdio::null());
        command.env_clear().env("PATH", self.path("bin")).env("HOME", self.path("home"));
        // Whatever is looked for, it is not the engine of this machine.
        command.env("DOCKER_HOST", format!("unix://{}", self.path("docker.sock").display()));
    }

    /// Runs it to its end.
    pub fn run(&self, command: &mut Command) -> Ran {
        let _ = fs::remove_file(self.path("home/called"));
        let output = command.output().unwrap();
        // At a terminal everything is shown there.
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Ran { code: output.status.code(), said, called: self.called() }
    }

    pub fn called(&self) -> Vec<String> {
        let called = fs::read_to_string(self.path("home/called")).unwrap_or_default();
        called.lines().map(str::to_owned).collect()
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

/// Whether packages are installed here at all.
pub fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line.starts_with("ID") && (line.contains("debian") || line.contains("ubuntu")))
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
