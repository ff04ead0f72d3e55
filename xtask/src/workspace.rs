//! The checkout that a run works in, and the folder in it where runs keep what they know.
//!
//! All of that folder can be deleted at any time; the next run then judges everything anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use engine::failure::Failure;
use engine::receipt::{self, Receipts};
use engine::step::StepId;

/// Where isolated deployments have their receipts, each in a folder by its name.
const ISOLATED: &str = "isolated";

/// The file with the local ports of a deployment's Services.
const LOCAL_PORTS: &str = "local-ports.json";

/// A checkout with a graph file.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    isolation: Option<String>,
    dev: bool,
    former: bool,
}

impl Workspace {
    /// The workspace whose graph file lies in `root`, an absolute path.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), isolation: None, dev: false, former: false }
    }

    /// The same checkout for the isolated deployment `name`: its receipts are its own, files' digests and the journals
    /// of runs are shared.
    pub fn isolated(self, name: &str) -> Self {
        Self { isolation: Some(name.to_owned()), ..self }
    }

    /// The isolated deployments that this checkout has receipts of.
    pub fn isolations(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state().join(ISOLATED)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// When this checkout began to know of the isolated deployment `name`, or learnt of it last.
    pub fn isolation_changed(&self, name: &str) -> Option<SystemTime> {
        fs::metadata(self.state().join(ISOLATED).join(name)).and_then(|about| about.modified()).ok()
    }

    /// Forgets what is known of the isolated deployment `name`, once there is nothing left of it.
    ///
    /// # Errors
    /// When its folder cannot be removed.
    pub fn forget_isolation(&self, name: &str) -> Result<(), Failure> {
        let folder = self.state().join(ISOLATED).join(name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::io("remove", &folder, &error)),
            _ => Ok(()),
        }
    }

    /// The same checkout as `dev` deploys it: with receipts of its own, so that neither takes the other's for its own.
    pub fn for_dev(self) -> Self {
        Self { dev: true, ..self }
    }

    /// The same checkout as an earlier graph file of a dev loop has deployed it: with receipts of its own, for the
    /// cluster may be another one.
    pub fn former(self) -> Self {
        Self { former: true, ..self }
    }

    /// The folder of the graph file.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `.xtask`, where runs keep what they know.
    pub fn state(&self) -> PathBuf {
        self.root.join(".xtask")
    }

    /// The receipts of this checkout, or of its isolated deployment.
    pub fn receipts(&self) -> Receipts {
        Receipts::in_folder(self.receipts_folder())
    }

    /// Whether anything was ever deployed from here, or was tried to.
    pub fn has_receipts(&self) -> bool {
        self.receipts_folder().is_dir()
    }

    fn receipts_folder(&self) -> PathBuf {
        self.deployment().join(match (self.former, self.dev) {
            (true, _) => "former-receipts",
            (false, true) => "dev-receipts",
            (false, false) => "receipts",
        })
    }

    /// Where everything lies that is known of the deployment.
    fn deployment(&self) -> PathBuf {
        match &self.isolation {
            Some(name) => self.state().join(ISOLATED).join(name),
            None => self.state(),
        }
    }

    /// The local ports that a dev loop has opened for the deployment's Services, `todo-frontend:80`. What is not there
    /// or cannot be read is as good as none: the loop opens them by its own rule then, and writes down which.
    pub fn local_ports(&self) -> BTreeMap<String, u16> {
        let text = fs::read(self.deployment().join(LOCAL_PORTS)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Has [`Self::local_ports`] be `ports` from now on, for every run of this checkout.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember_local_ports(&self, ports: &BTreeMap<String, u16>) -> Result<(), Failure> {
        if *ports == self.local_ports() {
            return Ok(());
        }
        // Whoever reads it meanwhile finds the old ones or the new ones.
        let path = self.deployment().join(LOCAL_PORTS);
        let text = serde_json::to_vec(ports).map_err(|error| Failure::io("write", &path, &error.into()))?;
        receipt::write_atomically(&path, &text)
    }

    /// Where digests of files are remembered. What `dev` looks at differs from what a deploy does.
    pub fn stat_cache(&self) -> PathBuf {
        self.state().join(if self.dev { "dev-stat-cache" } else { "stat-cache" })
    }

    /// Where it is written down how long steps took.
    pub fn times(&self) -> PathBuf {
        self.deployment().join(if self.dev { "dev-times.json" } else { "times.json" })
    }

    /// Where the journals and logs of run `number` are kept.
    pub fn run_folder(&self, number: u64) -> PathBuf {
        self.state().join("runs").join(number.to_string())
    }

    /// The log of a step in run `number`.
    pub fn log_path(&self, number: u64, step: &StepId) -> PathBuf {
        self.run_folder(number).join(format!("{}.log", step.file_stem()))
    }

    /// The numbers of the runs that are kept, oldest first.
    pub fn runs(&self) -> Vec<u64> {
        let entries = fs::read_dir(self.state().join("runs")).into_iter().flatten().flatten();
        let mut numbers: Vec<u64> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Has git ignore the folder in every checkout, also in those whose own rules say nothing of it.
    fn hide_from_git(&self) -> Result<(), Failure> {
        let path = self.state().join(".gitignore");
        if path.exists() {
            return Ok(());
        }
        fs::write(&path, "*\n").map_err(|error| Failure::io("write", &path, &error))
    }

    /// Makes the folder of a new run, and keeps only the newest `kept` of the older ones.
    ///
    /// # Errors
    /// When the folder cannot be made: a full disk, a read-only checkout.
    pub fn begin_run(&self, kept: usize) -> Result<u64, Failure> {
        let runs = self.runs();
        for old in runs.iter().rev().skip(kept) {
            // A folder that will not go is only clutter.
            let _ = fs::remove_dir_all(self.run_folder(*old));
        }
        let parent = self.state().join("runs");
        fs::create_dir_all(&parent).map_err(|error| Failure::io("make the folder", &parent, &error))?;
        self.hide_from_git()?;
        let mut number = runs.last().map_or(1, |last| last + 1);
        loop {
            let folder = self.run_folder(number);
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(number),
                // Another run took the number a moment ago.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Failure::io("make the folder", &folder, &error)),
            }
        }
    }
}
