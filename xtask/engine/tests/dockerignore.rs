//! `.dockerignore` means here what it means to docker: a table of ignore files over one tree of paths, with what the
//! matcher and the filtered walk of BuildKit's client leave out for each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has to stop")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use engine::files::dockerignore::{Matched, Patterns};
use engine::files::glob::Globs;
use engine::files::{Gatherer, Query, Rules};
use serde::Deserialize;

/// Directories end with a `/` and come before what is in them.
#[derive(Deserialize)]
struct Table {
    tree: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    ignore: String,
    /// `None`: docker refuses the file.
    left_out: Option<BTreeSet<String>>,
}

fn table() -> Table {
    serde_json::from_str(include_str!("data/dockerignore.json")).expect("the table is JSON")
}

fn parse(text: &str) -> Result<Patterns, engine::failure::Failure> {
    Patterns::parse(text.as_bytes(), Path::new(".dockerignore"))
}

/// What a walk of `tree` leaves out.
fn left_out(tree: &[String], patterns: &Patterns) -> BTreeSet<String> {
    fn walk(tree: &[String], parent: &str, above: &Matched, patterns: &Patterns, sent: &mut BTreeSet<String>) -> bool {
        let mut any = false;
        for path in tree {
            let inside = path.strip_prefix(parent).filter(|rest| !rest.is_empty());
            if inside.is_none_or(|rest| rest.trim_end_matches('/').contains('/')) {
                continue;
            }
            let name = path.trim_end_matches('/');
            let (excluded, matched) = patterns.excludes(name, above);
            let mut wanted = !excluded;
            if path.ends_with('/') && (wanted || patterns.may_bring_back_below(name)) {
                wanted |= walk(tree, path, &matched, patterns, sent);
            }
            if wanted {
                sent.insert(name.to_owned());
            }
            any |= wanted;
        }
        any
    }
    let mut sent = BTreeSet::new();
    walk(tree, "", &Matched::default(), patterns, &mut sent);
    tree.iter().map(|path| path.trim_end_matches('/').to_owned()).filter(|path| !sent.contains(path)).collect()
}

#[test]
fn ignore_files_leave_out_what_docker_leaves_out() {
    let Table { tree, cases } = table();
    let mut wrong = Vec::new();
    for Case { ignore, left_out: expected } in &cases {
        let found = parse(ignore).ok().map(|patterns| left_out(&tree, &patterns));
        if found != *expected {
            wrong.push(format!("{ignore:?}\n  docker leaves out {expected:?}\n  and this          {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} ignore files differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The same table once more through a real folder: walking, skipping and listing parents must not add anything.
#[test]
fn a_gathered_context_is_what_docker_sends() {
    let Table { tree, cases } = table();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("context");
    fs::create_dir(&root).unwrap();
    for path in &tree {
        match path.strip_suffix('/') {
            Some(directory) => fs::create_dir(root.join(directory)).unwrap(),
            None => fs::write(root.join(path), path).unwrap(),
        }
    }
    // One cache for all: its listings are of other rules each time.
    let gatherer = Gatherer::new(folder.path().join("cache"));
    for Case { ignore, left_out } in &cases {
        let Some(left_out) = left_out else { continue };
        let rules = Rules::Context { ignore: parse(ignore).unwrap() };
        let query = Query { name: "image-table".to_owned(), root: root.clone(), rules };
        let gathering = gatherer.gather(&query).unwrap();
        let sent: BTreeSet<&str> = gathering.files.entries().iter().map(|entry| entry.path.as_str()).collect();
        let expected: BTreeSet<&str> =
            tree.iter().map(|path| path.trim_end_matches('/')).filter(|path| !left_out.contains(*path)).collect();
        assert_eq!(sent, expected, "ignore file {ignore:?}");
    }
}

#[test]
fn folders_are_left_out_by_their_names_and_what_globs_cover_in_them_is_not() {
    let tree = [
        "app/",
        "app/[x]/",
        "app/[x]/p",
        "app/x/",
        "app/x/p",
        "app/gen/",
        "app/gen/g",
        "app/gen/l.log",
        "lib/",
        "lib/l",
    ];
    let tree = tree.map(str::to_owned);
    let check = |ignored: &str, folders: &[&str], but: &[&str], expected: &[&str]| {
        let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        let patterns = parse(ignored).unwrap().leaving_out(folders, Globs::new(but).unwrap());
        let expected: BTreeSet<String> = expected.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(left_out(&tree, &patterns), expected, "{ignored:?} {but:?}");
    };
    check("", &["app/[x]"], &[], &["app/[x]", "app/[x]/p"]);
    check("", &["lib", "app/x"], &[], &["app/x", "app/x/p", "lib", "lib/l"]);
    let rest = ["app/[x]", "app/[x]/p", "app/x", "app/x/p"];
    for glob in ["app/{gen,native}/**", "app/g[!x]n/*", "app/gen", "**/gen/**"] {
        check("", &["app"], &[glob], &rest);
    }
    // What docker would not send is no part of the image in any way.
    check("**/*.log", &["app"], &["app/gen/**"], &[&rest[..], &["app/gen/l.log"]].concat());
    check(
        "app/gen",
        &["app"],
        &["app/gen/**"],
        &["app", "app/[x]", "app/[x]/p", "app/gen", "app/gen/g", "app/gen/l.log", "app/x", "app/x/p"],
    );
}

#[test]
fn a_line_that_is_no_pattern_is_named() {
    let check = |bytes: &[u8], expected: &str| {
        let failure = Patterns::parse(bytes, Path::new("backend/.dockerignore")).unwrap_err();
        assert_eq!(failure.to_string(), expected);
        assert_eq!(failure.class, engine::failure::Class::Usage);
    };
    check(
        b"a\n# note\n\n[b\n",
        "backend/.dockerignore:4: not a pattern: `[b`: a `[` without its `]`, an empty class, or a `\\` with nothing behind it",
    );
    check(b"!", "backend/.dockerignore:1: not a pattern: `!`: `!` has no pattern behind it");
    check(
        b"a\r\nx*[b\r\n",
        "backend/.dockerignore:2: not a pattern: `x*[b`: the regular expression that docker makes of it is wrong, or has an escape like `\\x` that is not supported",
    );
    check(b"caf\xe9", "backend/.dockerignore:1: not a pattern: the line is not UTF-8");
    check(&[b'a'; 70_000], "backend/.dockerignore:1: not a pattern: the line is longer than 64 KiB");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_not_part_of_patterns() {
    let tree: Vec<String> = ["a", "b"].map(str::to_owned).into();
    let patterns = parse("\u{feff}a\r\n#b\r\n").unwrap();
    assert_eq!(left_out(&tree, &patterns), BTreeSet::from(["a".to_owned()]));
}

#[test]
fn the_ignore_file_beside_the_dockerfile_goes_before_that_of_the_context() {
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context");
    let dockerfile = folder.path().join("build/api.Dockerfile");
    fs::create_dir_all(&context).unwrap();
    fs::create_dir_all(folder.path().join("build")).unwrap();
    let tree: Vec<String> = ["a", "b"].map(str::to_owned).into();
    let found = || left_out(&tree, &Patterns::load(&context, &dockerfile).unwrap());
    assert_eq!(found(), BTreeSet::new());
    fs::write(context.join(".dockerignore"), "a").unwrap();
    assert_eq!(found(), BTreeSet::from(["a".to_owned()]));
    fs::write(folder.path().join("build/api.Dockerfile.dockerignore"), "b").unwrap();
    assert_eq!(found(), BTreeSet::from(["b".to_owned()]));
    // One that is empty says that nothing is ignored.
    fs::write(folder.path().join("build/api.Dockerfile.dockerignore"), "").unwrap();
    assert_eq!(found(), BTreeSet::new());
}
