//! The tool's own sources: where they are part of the workspace, a change of them builds the tool anew, and the loop goes
//! on in the new program. What runs in the pods is not touched.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;

use crate::world::inherited::{self, Sockets};
use crate::world::process::{Command, Exit};

/// How much of cargo's output is told when the tool cannot be built.
const LINES: usize = 40;

/// See the module.
#[derive(Debug, Clone)]
pub struct OwnSources {
    root: PathBuf,
    package: PathBuf,
    program: PathBuf,
    /// Where cargo has built the running program, and builds the next.
    target: PathBuf,
}

impl OwnSources {
    /// Those of this program, if they are below `root` and cargo has built it from them.
    pub fn below(root: &Path) -> Option<Self> {
        let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let program = std::env::current_exe().ok()?;
        let profile = program.parent()?;
        let debug = profile.file_name().is_some_and(|name| name == "debug");
        let target = profile.parent()?.to_owned();
        (debug && package.starts_with(root) && package.is_dir()).then(|| Self {
            root: root.to_owned(),
            package,
            program,
            target,
        })
    }

    /// Whether the program is made from any of `paths`.
    pub fn concern(&self, paths: &BTreeSet<PathBuf>) -> bool {
        let is_source = |path: &PathBuf| {
            let below = path.strip_prefix(&self.package).ok();
            let kind = path.extension().and_then(|extension| extension.to_str());
            below.is_some_and(|below| !below.iter().any(|part| part == "tests" || part == "examples"))
                && matches!(kind, Some("rs" | "toml" | "py" | "mjs"))
        };
        paths.iter().any(is_source)
    }

    /// Has cargo build the program.
    ///
    /// # Errors
    /// When it does not compile; the compiler's last words are the cause.
    pub async fn build(&self, cancel: &CancellationToken) -> Result<(), Failure> {
        let name = env!("CARGO_PKG_NAME");
        let mut lines = Vec::new();
        let finished = Command::new("cargo")
            .args(["build", "--quiet", "--package", name, "--bin", name, "--target-dir"])
            .arg(&self.target)
            .cwd(&self.root)
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
