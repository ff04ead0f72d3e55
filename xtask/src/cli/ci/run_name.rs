//! The name of a pipeline's run: `ci-`, which machine, which run. It is the name of the run's isolated deployment, so
//! whoever finds something of that name knows whose it is and whether it may still be in use.

use std::fmt;

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
    pub fn new() -> Result<Self, Failure> {
        let mut hasher = Hasher::new("ci-run/1");
        hasher.number(std::process::id().into());
        hasher.text(&format!("{:?}", std::time::SystemTime::now()));
        let run = hasher.finish().to_string();
        Ok(Self { machine: this_machine()?, run: last(&run).to_owned() })
    }

    /// The name in `text`, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (machine, run) = text.strip_prefix("ci-")?.split_once('-')?;
        let is_part = |part: &str| part.len() == DIGITS && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_part(machine) && is_part(run)).then(|| Self { machine: machine.to_owned(), run: run.to_owned() })
    }

    /// Whether the run was on this machine.
    ///
    /// # Errors
    /// When this machine's key cannot be read or made.
    pub fn is_of_this_machine(&self) -> Result<bool, Failure> {
        Ok(self.machine == this_machine()?)
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

/// Runs that share locks have the same key: what is alive on this machine is seen by exactly those.
fn this_machine() -> Result<String, Failure> {
    let digest = MachineKey::of_this_user()?.digest("ci-machine", b"").to_string();
    Ok(last(&digest).to_owned())
}

fn last(digest: &str) -> &str {
    digest.get(digest.len().saturating_sub(DIGITS)..).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use engine::lock::Locks;

    use super::RunName;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is() {
        let name = RunName::new().unwrap();
        assert_eq!(RunName::parse(&name.to_string()), Some(name.clone()));
        assert!(name.is_of_this_machine().unwrap());
        assert_ne!(RunName::new().unwrap(), name);
        for other in ["", "ci", "ci-1-2", "dev-4b1c22-9c1a77", "ci-4b1c22-9c1a77-x", "ci-4b1c22-9c1a7z", "mine"] {
            assert_eq!(RunName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_run_that_lives_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path()).unwrap();
        let name = RunName::new().unwrap();
        let held = name.claim(&locks).unwrap().expect("it is free");
        assert!(name.claim(&locks).unwrap().is_none());
        drop(held);
        assert!(name.claim(&locks).unwrap().is_some());
    }
}
