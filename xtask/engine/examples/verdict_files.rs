//! Gathers a folder with a stat cache beside it and prints the digest: what a run without changes does for one image.
//!
//! `verdict_files ROOT CACHE` exists to be timed as a process; see `bench/files.sh`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own, whose output is its purpose")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use engine::failure::Failure;
use engine::files::dockerignore::Patterns;
use engine::files::{Gatherer, Query, Rules};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [root, cache] = arguments.as_slice() else {
        eprintln!("usage: verdict_files ROOT CACHE");
        return ExitCode::from(2);
    };
    match verdict(root, cache) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.class.exit_code())
        }
    }
}

fn verdict(root: &Path, cache: &Path) -> Result<String, Failure> {
    let ignore = Patterns::load(root, &root.join("Dockerfile"))?;
    let query = Query { name: "image-bench".to_owned(), root: root.to_owned(), rules: Rules::Context { ignore } };
    let gathering = Gatherer::new(cache.to_owned()).gather(&query)?;
    let counts = gathering.files.counts();
    if let Some(note) = gathering.note {
        eprintln!("note: {note}");
    }
    Ok(format!("{} {} files, {} bytes", gathering.files.digest(), counts.files, counts.bytes))
}
