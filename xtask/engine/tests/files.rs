//! Gathering real folders: what is in a file set, what changes its digest, what does not.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which have to stop where they cannot go on")]

use std::fs;
use std::path::Path;

use engine::files::dockerignore::Patterns;
use engine::files::{Gatherer, Query, Rules};
use tempfile::TempDir;

fn query(root: &Path, ignore: &str) -> Query {
    let ignore = Patterns::parse(ignore.as_bytes(), Path::new(".dockerignore")).unwrap();
    Query { name: "test".to_owned(), root: root.to_owned(), rules: Rules::Context { ignore } }
}

#[test]
fn an_edit_changes_the_digest_and_is_named() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/c"), "1").unwrap();
    fs::write(root.join("a/d.pyc"), "1").unwrap();
    let gatherer = Gatherer::new(folder.path().join("cache"));
    let query = query(&root, "**/*.pyc");
    let before = gatherer.gather(&query).unwrap();
    assert_eq!(before.note, None);
    assert_eq!(gatherer.gather(&query).unwrap().files, before.files);
    fs::write(root.join("a/b/c"), "2").unwrap();
    let after = gatherer.gather(&query).unwrap();
    let changes = after.files.changes_since(&before.files);
    assert_eq!(engine::files::change::summary(&changes, 1).as_deref(), Some("a/b/c changed, 1 of 1 file"));
}
