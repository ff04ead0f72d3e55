//! A machine that lacks something: programs, the daemon, a port, room on the disk, the right to write.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{fails, small};
use crate::project::Project;

/// A folder for `PATH` with just these programs, as they are on this machine.
fn only(programs: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for program in programs {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        symlink(found.trim_end(), folder.path().join(program)).unwrap();
    }
    folder
}

/// A project whose minikube profile is one that there is not, in a minikube home of its own.
fn without_cluster(home: &Path) -> (Project, impl Fn(&Project) -> Command) {
    let project = small();
    project.edit("xtask.toml", &format!("profile = \"{}\"", project.cluster.context), "profile = \"luck-none\"");
    let home = home.to_owned();
    (project, move |project: &Project| {
        let mut command = project.command(&["deploy"]);
        command.env("MINIKUBE_HOME", &home);
        command
    })
}

#[test]
fn no_docker() {
    let home = tempfile::tempdir().unwrap();
    let (project, deploy) = without_cluster(home.path());
    let socket = home.path().join("docker.sock");
    let address = format!("unix://{}", socket.display());
    let words = [&*format!("no docker daemon answers at {}", socket.display()), "install docker", "start docker"];
    fails(&project, deploy(&project).env("DOCKER_HOST", address), 3, &words);
    assert!(!home.path().join(".minikube/profiles/luck-none").exists(), "no profile is left half made");

    // The daemon answers, but minikube has no docker client to speak with it.
    let path = only(&["minikube", "helm"]);
    fails(&project, deploy(&project).env("PATH", path.path()), 3, &["no docker found on PATH", "install docker"]);
    assert!(!home.path().join(".minikube/profiles/luck-none").exists(), "no profile is left half made");
}

/// The settings of somebody who installs what is missing by themselves.
fn nothing_is_installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("xtask")).unwrap();
    fs::write(folder.path().join("xtask/config.toml"), "[tools]\ninstall = false\n").unwrap();
    folder
}

#[test]
fn no_minikube() {
    let project = small();
    let settings = nothing_is_installed();
    let path = only(&["helm", "docker"]);
    let words = ["no minikube found on PATH", "install minikube", "https://minikube.sigs.k8s.io/docs/start/"];
    let mut command = project.command(&["deploy"]);
    // What the tool has got for this machine before is out of its sight, too.
    command.env("PATH", path.path()).env("XDG_CONFIG_HOME", settings.path()).env("XDG_CACHE_HOME", settings.path());
    fails(&project, &mut command, 3, &words);
}

#[test]
fn no_helm_or_one_that_is_too_old() {
    let project = small();
    let settings = nothing_is_installed();
    let deploy = |path: &Path| {
        let mut command = project.command(&["deploy", "release:small"]);
        command.env("PATH", path).env("XDG_CONFIG_HOME", settings.path()).env("XDG_CACHE_HOME", settings.path());
        command
    };
    let path = only(&["minikube", "docker"]);
    let words = ["no helm found on PATH", "install helm 3.12 or later", "https://helm.sh/docs/intro/install/"];
    fails(&project, &mut deploy(path.path()), 3, &words);

    let helm = path.path().join("helm");
    fs::write(&helm, "#!/bin/sh\necho v3.5.0\n").unwrap();
    fs::set_permissions(&helm, fs::Permissions::from_mode(0o755)).unwrap();
    let is_old = format!("{} is helm 3.5.0, which is too old", helm.display());
    let words = [&*is_old, "install helm 3.12 or later"];
    fails(&project, &mut deploy(path.path()), 3, &words);
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_port_in_use_is_told_with_who_has_it() {
    let project = small();
    // A Service that is not there would be told first.
    project.run(&["deploy"]).expect_success();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let who = format!("process {}", std::process::id());
    let forward = format!("small:8000={port}");
    let words = [&*format!("port 127.0.0.1:{port} is in use by "), &who, "small:8000="];
    fails(&project, &mut project.command(&["forward", &forward]), 3, &words);
    project.run(&["teardown", "--data"]).expect_success();
}

/// A mount that ends with this value. Only root may mount, so these tests are root's.
pub struct Mount(PathBuf);

impl Mount {
    #[track_caller]
    pub fn new(at: &Path, arguments: &[&str]) -> Self {
        let status = Command::new("mount").args(arguments).arg(at).status().expect("mount is there");
        assert!(status.success(), "could not mount {}: these tests have to be run by root", at.display());
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk() {
    let project = small();
    let state = project.path(".xtask");
    fs::create_dir(&state).unwrap();
    let _mount = Mount::new(&state, &["-t", "tmpfs", "-o", "size=256k", "tmpfs"]);
    let filler = state.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let words = ["could not write", ".xtask/", "No space left on device", "free some disk space"];
    fails(&project, &mut project.command(&["deploy", "image:app", "--force"]), 3, &words);
    fs::remove_file(&filler).unwrap();
    project.run(&["deploy", "image:app"]).expect_success();
    project.run(&["deploy", "image:app"]).expect_all_fresh();
    project.run(&["teardown"]).expect_success();
}

#[test]
fn a_disk_that_fills_while_an_image_is_built() {
    let project = small();
    let state = project.path(".xtask");
    fs::create_dir(&state).unwrap();
    let mount = Mount::new(&state, &["-t", "tmpfs", "-o", "size=256k", "tmpfs"]);
    // BuildKit passes on no more than 100 kB of output in a second.
    let chatter = "import time\nfor number in range(60):\n    print('x' * 8000, flush=True)\n    time.sleep(0.1)\n";
    project.write("app/chatter.py", chatter);
    let dockerfile = fs::read_to_string(project.path("app/Dockerfile")).unwrap();
    // Another layer each time: a cached one says nothing.
    let run = format!("COPY chatter.py /\nRUN python3 /chatter.py {}\n", std::process::id());
    project.write("app/Dockerfile", &format!("{dockerfile}{run}"));
    let words = [".xtask/", "No space left on device", "free some disk space"];
    fails(&project, &mut project.command(&["deploy", "image:app", "--force"]), 3, &words);
    drop(mount);
    project.run(&["deploy", "image:app"]).expect_success();
    project.run(&["deploy", "image:app"]).expect_all_fresh();
    project.run(&["teardown"]).expect_success();
}

#[test]
fn a_read_only_checkout() {
    let project = small();
    let folder = project.folder().to_str().unwrap();
    let _bound = Mount::new(project.folder(), &["--bind", folder]);
    let remounted = Command::new("mount").args(["-o", "remount,bind,ro", folder]).status().unwrap();
    assert!(remounted.success());
    let words = ["could not make the folder", ".xtask", "Read-only file system", "make the file system writable"];
    fails(&project, &mut project.command(&["deploy"]), 3, &words);
    // What only looks needs no right to write.
    project.run_human(&["graph"]).expect_success();
    project.run_human(&["deploy", "image:app", "--dry-run"]).expect_success();
}
