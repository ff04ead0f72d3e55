//! `cargo xtask post-render FILE`, which helm runs and people do not: a manifest comes in on standard input and goes
//! out on standard output, with the versions of the secrets that its pods read, and with what `dev` changes.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use engine::failure::Failure;

use super::problem::Problem;
use crate::steps::release::changes::Changes;

/// What it is given.
#[derive(Debug, Args)]
pub struct Request {
    /// The changes to make, as JSON.
    file: PathBuf,
}

/// Changes the manifest.
///
/// # Errors
/// When the file cannot be read, or a stream is closed: helm then applies nothing.
pub fn run(request: &Request) -> Result<ExitCode, Problem> {
    let failed = |error: io::Error| Failure::step("could not change the manifest").because(error);
    let json = std::fs::read(&request.file).map_err(|error| Failure::io("read", &request.file, &error))?;
    let changes: Changes = serde_json::from_slice(&json).map_err(|error| failed(error.into()))?;
    let mut manifest = String::new();
    io::stdin().read_to_string(&mut manifest).map_err(failed)?;
    io::stdout().write_all(changes.make(&manifest).as_bytes()).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
