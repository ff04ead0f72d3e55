//! Starts the tool. `cargo xtask` runs this program, which has no dependencies, so that cargo need not look through
//! those of the tool each time: that takes longer than a deploy which finds nothing to do.
//!
//! Whether the tool has to be built is decided as cargo does, by the times of its sources ([`xtask_launcher::freshness`]); building is
//! cargo's. Nothing in here knows what the tool does.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::{env, fs};

use xtask_launcher::freshness::Build;
use xtask_launcher::pulse::{self, PULSE};
use xtask_launcher::settings::{FIRST, VARIABLES};

/// The package of the tool, and its program.
const TOOL: &str = "xtask";

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(
                io::stderr(),
                "error: could not start the tool\n  cause: {error}\n  help:  run `cargo build --package {TOOL}`, which says more"
            );
            ExitCode::FAILURE
        }
    }
}

/// Returns only when the tool was not started.
fn start() -> io::Result<ExitCode> {
    let this = env::current_exe()?;
    let (target, workspace) = (target(&this), workspace());
    let program = target.join("debug").join(TOOL);
    let build = Build { program: &program, workspace: &workspace };
    // Cargo builds this program anew for another compiler or other flags, and then the tool needs it, too.
    if !build.is_fresh(&[&this]) {
        fs::create_dir_all(target.join("debug"))?;
        let begun = build.begin()?;
        let first = if program.exists() { &[] } else { FIRST };
        let status = cargo(&workspace, &target, &[VARIABLES, first].concat())?;
        if !status.success() {
            fs::remove_file(&begun)?;
            return Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
        }
        build.finish(&begun)?;
    }
    Err(without_ours(&mut Command::new(&program)).args(env::args_os().skip(1)).exec())
}

/// Where the tool is built: beside everything else that cargo builds here. So neither does `cargo test` wait for a dev
/// loop that builds the tool, nor the loop for it, and other flags of one do not undo the work of the other.
fn target(this: &Path) -> PathBuf {
    this.parent().unwrap_or(Path::new(".")).join("..").join("tool")
}

/// The workspace's folder: cargo tells where this package is each time it runs it.
fn workspace() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    PathBuf::from(package).join("../..")
}

/// Takes away what cargo has set because it runs this package. Build scripts that read the same variables would be run
/// anew, with half of the tool's libraries behind them, whenever cargo is called by a person and by us in turn.
fn without_ours(command: &mut Command) -> &mut Command {
    let of_package = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")
    };
    env::vars_os().map(|(name, _)| name).filter(of_package).fold(command, |command, name| command.env_remove(name))
}

fn cargo(workspace: &Path, target: &Path, variables: &[(&str, &str)]) -> io::Result<ExitStatus> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    without_ours(&mut command)
        .envs(variables.iter().copied())
        .args(["build", "--package", TOOL, "--bin", TOOL, "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    if io::stderr().is_terminal() {
        return command.status();
    }
    pulse::wait(&mut command.spawn()?, PULSE, |since| {
        // Standard error may be closed; the build goes on.
        let _ = writeln!(io::stderr(), "    Building the tool, for {} s so far", since.as_secs());
    })
}
