//! With the host's real daemon, which has to run; names and images are of these tests alone.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Loan, is_open};
use crate::world::daemon::Daemon;
use crate::world::docker::Inventory;

/// A machine with two images of ours, and a name that somebody has given to an image of theirs.
struct Machine {
    folder: TempDir,
    host: Daemon,
    prefix: String,
}

impl Machine {
    fn new(test: &str) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
            host: Daemon::of_host().unwrap(),
            prefix: format!("xtask-loan-test-{test}-{}", std::process::id()),
        };
        for name in ["ours-a", "ours-b", "theirs"] {
            machine.import(name);
        }
        machine
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}:1", self.prefix)
    }

    /// Makes an image of nothing.
    fn import(&self, name: &str) {
        let comment = format!("--message={}", self.name(name));
        let mut docker = Command::new("docker");
        let docker = docker.args(["import", &comment, "-", &self.name(name)]);
        let mut docker = docker.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // A tar archive ends with zeros; this one has nothing else.
        docker.stdin.take().unwrap().write_all(&[0; 10240]).unwrap();
        assert!(docker.wait().unwrap().success());
    }

    /// What a name means, by its image's ID.
    async fn means(&self, name: &str) -> Option<String> {
        let inventory = Inventory::fetch(&self.host).await.unwrap();
        inventory.by_name(&self.name(name)).map(|image| image.id.clone())
    }

    /// Lends both images, the second by a name that is taken, and a program.
    async fn lend(&self) -> Loan {
        let images = [("ours-a", "upstream"), ("ours-b", "theirs")];
        let images = images.map(|(ours, name)| (self.name(ours), self.name(name)));
        fs::write(self.folder.path().join("kubelet"), "ours").unwrap();
        let programs = [(self.folder.path().join("kubelet"), self.place())];
        let minikube = self.folder.path().join("minikube");
        Loan::make(self.folder.path(), &minikube, &self.host, &images, &programs).await.unwrap()
    }

    /// Where minikube looks for the program.
    fn place(&self) -> PathBuf {
        self.folder.path().join("minikube/cache/kubelet")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let names = ["ours-a", "ours-b", "theirs", "upstream"].map(|name| self.name(name));
        let mut docker = Command::new("docker");
        // Those that are gone already are what the test is about.
        let _ = docker.args(["rmi", "--force"]).args(names).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[tokio::test]
async fn what_a_killed_run_has_lent_is_taken_back_by_the_next() {
    let machine = Machine::new("killed");
    // Nothing of it is dropped or taken back: that is what a kill leaves.
    std::mem::forget(machine.lend().await);
    assert_eq!(machine.means("upstream").await, machine.means("ours-a").await);
    assert!(machine.place().is_file() && is_open(machine.folder.path()));

    Loan::forgotten(machine.folder.path(), &machine.host).take_back().await.unwrap();
    assert_eq!(machine.means("upstream").await, None);
    assert!(machine.means("ours-a").await.is_some() && machine.means("ours-b").await.is_some());
    assert!(!machine.place().exists() && !is_open(machine.folder.path()));
    let again = Loan::forgotten(machine.folder.path(), &machine.host).take_back().await;
    assert_eq!(again, Ok(()), "there is nothing any more, and that is no error");
}

#[tokio::test]
async fn a_name_that_somebody_has_given_is_neither_taken_nor_removed() {
    let machine = Machine::new("taken");
    let theirs = machine.means("theirs").await;
    let loan = machine.lend().await;
    assert_eq!(machine.means("theirs").await, theirs, "it means what it did");
    // While it is lent, somebody pulls the upstream image.
    machine.import("upstream");
    let pulled = machine.means("upstream").await;
    loan.take_back().await.unwrap();
    assert_eq!((machine.means("theirs").await, machine.means("upstream").await), (theirs, pulled));
}
