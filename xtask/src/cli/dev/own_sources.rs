//! The tool's own sources: where they are part of the workspace, a change of them builds the tool anew, and the loop goes
//! on in the new program. What runs in the pods is not touched.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;
use xtask_launcher::freshness::Build;
use xtask_launcher::settings::VARIABLES;

use crate::world::inherited::{self, Sockets};
use crate::world::process::{Command, Exit};

/// How much of cargo's output is told when the tool cannot be built.
const LINES: usize = 40;

/// What tells one build of the program from another: inode, and time of the last change.
type Version = (u64, i64, i64);

/// See the module.
#[derive(Debug, Clone)]
pub struct OwnSources {
    root: PathBuf,
    package: PathBuf,
    program: PathBuf,
    /// Which build of it runs.
    running: Option<Version>,
    /// Where cargo has built the running program, and builds the next.
    target: PathBuf,
    /// What it was built from, as cargo has written it down.
    files: BTreeSet<PathBuf>,
}

impl OwnSources {
    /// Those of this program, if they are below `root` and cargo has built it from them.
    pub fn below(root: &Path) -> Option<Self> {
        let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let program = std::env::current_exe().ok()?;
        let profile = program.parent()?;
        let debug = profile.file_name().is_some_and(|name| name == "debug");
        let target = profile.parent()?.to_owned();
        let ours = debug && package.starts_with(root) && package.is_dir();
        ours.then(|| Self::of(root.to_owned(), package, program, target))
    }

    fn of(root: PathBuf, package: PathBuf, program: PathBuf, target: PathBuf) -> Self {
        let files = Build { program: &program, workspace: &root }.sources();
        let running = version(&program);
        Self { files: files.unwrap_or_default().into_iter().collect(), root, package, program, running, target }
    }

    /// Whether the program is made from any of `paths`. A folder stands for what is in it.
    pub fn concern(&self, paths: &BTreeSet<PathBuf>) -> bool {
        // Cargo writes down what has compiled: what has just been added to that counts, too.
        let may_be_source = |path: &PathBuf| {
            let below = path.strip_prefix(&self.package).ok();
            let kind = path.extension().and_then(|extension| extension.to_str());
            below.is_some_and(|below| !below.iter().any(|part| part == "tests" || part == "examples"))
                && matches!(kind, Some("rs" | "toml" | "py" | "mjs"))
        };
        let is_source = |path: &PathBuf| self.files.iter().any(|file| file.starts_with(path));
        paths.iter().any(|path| may_be_source(path) || is_source(path))
    }

    /// Whether any of what the program is made from was written since it was built, whoever was told of it.
    pub fn have_changed(&self) -> bool {
        let modified = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
        let build = Build { program: &self.program, workspace: &self.root };
        // Where cargo was called by hand, nobody has noted when it began.
        let Some(begun) = build.begun().or_else(|| modified(&self.program)) else { return false };
        // A file from the future, which another machine has written, would be newer than whatever is built.
        let now = SystemTime::now();
        self.files.iter().filter_map(|file| modified(file)).any(|time| begun <= time && time <= now)
    }

    /// Has cargo build the program; whether it is another one then than runs, whichever build has made it.
    ///
    /// # Errors
    /// When it does not compile; the compiler's last words are the cause.
    pub async fn build(&self, cancel: &CancellationToken) -> Result<bool, Failure> {
        let build = Build { program: &self.program, workspace: &self.root };
        let begun = build.begin().map_err(|error| Failure::io("write beside", &self.program, &error))?;
        let built = self.have_built(cancel).await;
        let noted = match &built {
            Ok(()) => build.finish(&begun),
            Err(_) => fs::remove_file(&begun),
        };
        built?;
        noted.map_err(|error| Failure::io("write beside", &self.program, &error))?;
        Ok(self.is_another())
    }

    /// Whether the program that is there now is another one than runs.
    fn is_another(&self) -> bool {
        version(&self.program) != self.running
    }

    async fn have_built(&self, cancel: &CancellationToken) -> Result<(), Failure> {
        let name = env!("CARGO_PKG_NAME");
        let mut lines = Vec::new();
        let command = Command::new("cargo")
            .args(["build", "--quiet", "--package", name, "--bin", name, "--target-dir"])
            .arg(&self.target)
            .cwd(&self.root);
        // As this program was built: `cargo xtask` has it built without them, cargo by itself with them.
        let variables = if cfg!(debug_assertions) { &[] } else { VARIABLES };
        let finished = variables
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value))
            .run(cancel, |_, line: &str| lines.push(line.to_owned()))
            .await?;
        if matches!(finished.exit, Exit::Code(0)) {
            return Ok(());
        }
        let said = lines.split_off(lines.len().saturating_sub(LINES)).join("\n");
        Err(Failure::new(Class::Step, "the tool could not be built from its changed sources")
            .because(said)
            .help("this loop goes on with the program that runs; mend the sources"))
    }

    /// Becomes the new program, with the same arguments and `sockets`. Returns only when that fails.
    pub fn start_anew(&self, sockets: &Sockets) -> Failure {
        let mut command = std::process::Command::new(&self.program);
        let _left = inherited::leave(&mut command, sockets);
        let error = command.args(std::env::args_os().skip(1)).exec();
        Failure::io("start", &self.program, &error)
    }
}

fn version(program: &Path) -> Option<Version> {
    let about = fs::metadata(program).ok()?;
    Some((about.ino(), about.mtime(), about.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime};

    use tempfile::TempDir;

    use super::OwnSources;

    const FILES: [&str; 7] = [
        "Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
        "xtask/Cargo.toml",
        "xtask/src/main.rs",
        "xtask/engine/src/lib.rs",
        "dayzero/tools/helm",
    ];

    fn set(path: &Path, time: SystemTime) {
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    /// A program that was built an hour after its sources were written.
    fn built() -> (TempDir, PathBuf, OwnSources) {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(7200);
        for file in FILES.into_iter().chain(["xtask/src/new.rs", "xtask/tests/a.rs", "docs/x.md", "target/debug/xtask"])
        {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
            set(&root.join(file), long_ago);
        }
        let program = root.join("target/debug/xtask");
        set(&program, long_ago + Duration::from_secs(3600));
        let from = ["xtask/src/main.rs", "xtask/engine/src/lib.rs", "dayzero/tools/helm"];
        let from = from.map(|file| root.join(file).display().to_string());
        fs::write(program.with_extension("d"), format!("{}: {}\n", program.display(), from.join(" "))).unwrap();
        let own = OwnSources::of(root.clone(), root.join("xtask"), program, root.join("target"));
        (folder, root, own)
    }

    #[test]
    fn all_that_is_compiled_in_concerns_the_program_and_nothing_else() {
        let (_folder, root, own) = built();
        let check = |path: &str, expected: bool| {
            assert_eq!(own.concern(&BTreeSet::from([root.join(path)])), expected, "{path}");
        };
        FILES.iter().for_each(|file| check(file, true));
        // What was added to it, and folders that were moved.
        for path in ["xtask/src/new.rs", "xtask/src/new/agent.py", "dayzero/tools", "xtask"] {
            check(path, true);
        }
        for path in ["xtask/tests/a.rs", "docs/x.md", "docs", "frontend/Cargo.toml", "xtask/notes.md", "dayzero/other"]
        {
            check(path, false);
        }
    }

    #[test]
    fn a_program_that_a_build_has_made_stays_another_whatever_later_builds_find_to_do() {
        let (_folder, _root, own) = built();
        assert!(!own.is_another(), "nothing was built yet");
        let made = own.program.with_extension("made");
        fs::write(&made, "another").unwrap();
        fs::rename(&made, &own.program).unwrap();
        // Also to a build that begins now and finds it up to date.
        assert!(own.is_another() && own.clone().is_another());
    }

    #[test]
    fn what_was_written_since_the_program_was_built_is_found_without_being_told() {
        for file in FILES {
            let (_folder, root, own) = built();
            assert!(!own.have_changed(), "nothing has");
            set(&root.join(file), SystemTime::now() - Duration::from_secs(1));
            assert!(own.have_changed(), "{file}");
            // It was built since; what is newer than now would be built for ever.
            fs::write(root.join("target/debug/xtask.begun"), "").unwrap();
            assert!(!own.have_changed(), "{file}");
            set(&root.join(file), SystemTime::now() + Duration::from_secs(3600));
            assert!(!own.have_changed(), "{file}");
        }
        let (_folder, root, own) = built();
        set(&root.join("docs/x.md"), SystemTime::now() - Duration::from_secs(1));
        assert!(!own.have_changed());
    }
}
