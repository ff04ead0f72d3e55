//! The name of a pipeline's run: `ci-`, which machine, which run. It is the name of the run's isolated deployment, so
//! whoever finds something of that name knows whose it is and whether it may still be in use.
//!
//! Whether a run lives is told by a lock, so a machine is here what shares locks: one kernel, since it was started, and
//! one folder of locks in it. Machines that were cloned, or containers that share a home, are as many.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;

use engine::digest::Hasher;
use engine::failure::Failure;
use engine::lock::{Held, Locks};

use crate::world::machine_key::MachineKey;

/// How many hexadecimal digits each part has.
const DIGITS: usize = 6;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunName {
    machine: String,
    run: String,
}

impl RunName {
    /// A name that no other run has.
    ///
    /// # Errors
    /// When this machine's key cannot be read or made.
    pub fn new(locks: &Locks) -> Result<Self, Failure> {
        let mut hasher = Hasher::new("ci-run/1");
        hasher.number(std::process::id().into());
        hasher.text(&format!("{:?}", std::time::SystemTime::now()));
        let run = hasher.finish().to_string();
        Ok(Self { machine: machine_of(locks)?, run: last(&run).to_owned() })
    }

    /// The name in `text`, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (machine, run) = text.strip_prefix("ci-")?.split_once('-')?;
        let is_part = |part: &str| part.len() == DIGITS && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_part(machine) && is_part(run)).then(|| Self { machine: machine.to_owned(), run: run.to_owned() })
    }

    /// Whether the run's lock is one of `locks`, so that it tells whether the run lives.
    ///
    /// # Errors
    /// When this machine's key cannot be read or made, or its locks cannot be looked at.
    pub fn is_under(&self, locks: &Locks) -> Result<bool, Failure> {
        Ok(self.machine == machine_of(locks)?)
    }

    /// Takes the name for this process's lifetime; `None` while another process has it.
    ///
    /// # Errors
    /// When the lock cannot be made.
    pub fn claim(&self, locks: &Locks) -> Result<Option<Held>, Failure> {
        // The kernel lets go of it however the process ends.
        locks.named(&format!("ci run {self}")).try_acquire(&format!("the run {self}, process {}", std::process::id()))
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ci-{}-{}", self.machine, self.run)
    }
}

fn machine_of(locks: &Locks) -> Result<String, Failure> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let folder = locks.folder();
    let about = std::fs::metadata(folder).map_err(|error| Failure::io("look at", folder, &error))?;
    machine(&[boot.trim(), &host, &about.dev().to_string(), &about.ino().to_string()])
}

/// Under this user's key: a name tells nobody which machine it was.
fn machine(facts: &[&str]) -> Result<String, Failure> {
    let mut hasher = Hasher::new("ci-machine/2");
    facts.iter().for_each(|fact| {
        hasher.text(fact);
    });
    let facts = hasher.finish().to_string();
    let digest = MachineKey::of_this_user()?.digest("ci-machine", facts.as_bytes()).to_string();
    Ok(last(&digest).to_owned())
}

fn last(digest: &str) -> &str {
    digest.get(digest.len().saturating_sub(DIGITS)..).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use engine::lock::Locks;

    use super::{RunName, machine};

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path()).unwrap();
        let name = RunName::new(&locks).unwrap();
        assert_eq!(RunName::parse(&name.to_string()), Some(name.clone()));
        assert_ne!(RunName::new(&locks).unwrap(), name);
        for other in ["", "ci", "ci-1-2", "dev-4b1c22-9c1a77", "ci-4b1c22-9c1a77-x", "ci-4b1c22-9c1a7z", "mine"] {
            assert_eq!(RunName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_who_shares_a_runs_locks_can_tell_whether_it_lives() {
        // Two containers with the same home: the key is the same, /tmp is not.
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [here, there] = folders.each_ref().map(|folder| Locks::in_folder(folder.path()).unwrap());
        let name = RunName::new(&here).unwrap();
        let _lives = name.claim(&here).unwrap().expect("it is free");
        assert!(name.is_under(&here).unwrap() && name.claim(&here).unwrap().is_none());
        assert!(!name.is_under(&there).unwrap(), "there, the lock is free and says nothing");
        // Machines that were cloned from one image, and one that was started anew.
        let facts = ["a-boot", "runner", "8:1", "7"];
        let own = machine(&facts).unwrap();
        assert_eq!(machine(&facts).unwrap(), own);
        for (number, fact) in facts.iter().enumerate() {
            let mut others = facts;
            others[number] = "another";
            assert_ne!(machine(&others).unwrap(), own, "{fact}");
        }
    }

    #[test]
    fn a_run_that_lives_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path()).unwrap();
        let name = RunName::new(&locks).unwrap();
        let held = name.claim(&locks).unwrap().expect("it is free");
        assert!(name.claim(&locks).unwrap().is_none());
        drop(held);
        assert!(name.claim(&locks).unwrap().is_some());
    }
}
