//! The command line: flags become a request, and nothing below this folder reads a flag.

use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
