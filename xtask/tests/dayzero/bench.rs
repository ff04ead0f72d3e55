//! A copy of `dayzero/` to work in, on a machine that has little more than a shell.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::server::Server;

/// What recipes run and every machine has. Package managers, compilers and engines are not among it.
const PROGRAMS: [&str; 26] = [
    "bash",
    "cat",
    "chmod",
    "cp",
    "cut",
    "dirname",
    "env",
    "find",
    "flock",
    "grep",
    "gzip",
    "ln",
    "mkdir",
    "mktemp",
    "mv",
    "paste",
    "rm",
    "sed",
    "sha256sum",
    "sha512sum",
    "sh",
    "sort",
    "tar",
    "tr",
    "uname",
    "basename",
];

pub struct Bench {
    folder: TempDir,
    pub server: Server,
}

/// A recipe that has ended.
pub struct Ran {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), server: Server::start() };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("dayzero");
        copy(&source.join("tools"), &bench.path("tools"));
        copy(&source.join("bases"), &bench.path("bases"));
        fs::create_dir(bench.path("programs")).unwrap();
        for program in PROGRAMS {
            std::os::unix::fs::symlink(find(program), bench.path("programs").join(program)).unwrap();
        }
        // The real one, which asks the server of this test whatever host it is told.
        let curl = format!(
            "echo \"$*\" >>{}\nwords=()\nfor word in \"$@\"; do words+=(\"${{word/#https:\\/\\//http://{}/}}\"); done\n\
             exec {} --noproxy '*' \"${{words[@]/#http:\\/\\/npm.invalid/http://{}/npm.invalid}}\"",
            bench.path("curls").display(),
            bench.server.address,
            find("curl").display(),
            bench.server.address,
        );
        bench.program("curl", &curl);
        bench.write("tools/shell", "#!/bin/bash\nset -euo pipefail\n. \"$(dirname \"$0\")/sources\"\n\"$@\"\n");
        bench
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        // It may be a link to a program of the system's, which nobody here may write to.
        let _ = fs::remove_file(self.path(path));
        fs::write(self.path(path), text).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Puts a program on the recipes' `PATH` that does as `script` says.
    pub fn program(&self, name: &str, script: &str) {
        self.write(&format!("programs/{name}"), &format!("#!{}\n{script}\n", find("bash").display()));
    }

    /// An archive with one program in it; `ARCH` in its path is this machine's.
    pub fn archive(&self, path: &str, text: &str) -> Vec<u8> {
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let (tree, path) = (tempfile::tempdir().unwrap(), path.replace("ARCH", arch));
        let file = tree.path().join(&path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let made = Command::new("tar").args(["-czf", "-", "-C"]).arg(tree.path()).arg(&path).output().unwrap();
        assert!(made.status.success());
        made.stdout
    }

    /// Has a recipe take `bytes` for what was released.
    pub fn pin(&self, recipe: &str, name: &str, bytes: &[u8]) {
        let sum = sum("sha256sum", bytes);
        self.pin_line(recipe, &[format!("{name}_amd64"), format!("{name}_arm64")], &sum);
    }

    /// The same for npm's packages.
    pub fn pin_512(&self, recipe: &str, name: &str, bytes: &[u8]) {
        self.pin_line(recipe, &[name.to_owned()], &sum("sha512sum", bytes));
    }

    fn pin_line(&self, recipe: &str, names: &[String], sum: &str) {
        let text = fs::read_to_string(self.path(recipe)).unwrap();
        let line = |line: &str| match line.split_once('=') {
            Some((name, _)) if names.iter().any(|other| other == name) => format!("{name}={sum}\n"),
            _ => format!("{line}\n"),
        };
        self.write(recipe, &text.lines().map(line).collect::<String>());
    }

    /// Begins a recipe as the tool does: leading a group of its own.
    pub fn start(&self, line: &str) -> Child {
        let mut words = line.split(' ');
        let mut command = Command::new(self.path(words.next().unwrap()));
        command.args(words).env_clear().env("PATH", self.path("programs")).env("HOME", self.path("home"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap()
    }

    pub fn run(&self, line: &str) -> Ran {
        ended(self.start(line))
    }

    /// What is in the tool folder.
    pub fn made(&self) -> Vec<String> {
        names(&self.path("out"))
    }

    /// What recipes have begun to put together.
    pub fn begun(&self) -> Vec<String> {
        names(&self.path("caches")).into_iter().filter(|name| name.starts_with("work.")).collect()
    }

    /// The program whose folder begins with the first of `parts` and whose path in it is the second.
    pub fn read(&self, parts: &[&str; 2]) -> String {
        let folder = self.made().into_iter().find(|name| name.starts_with(parts[0])).unwrap();
        fs::read_to_string(self.path(&format!("out/{folder}{}", parts[1]))).unwrap()
    }
}

pub fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { success: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

pub fn sum(program: &str, bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let told = Command::new(program).arg(file.path()).output().unwrap();
    String::from_utf8(told.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

pub fn find(program: &str) -> PathBuf {
    look_for(program).unwrap_or_else(|| panic!("there is no {program} on PATH"))
}

/// The program, if this machine has it.
pub fn look_for(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
