//! What links lead to: whoever reads through them reads that, so it counts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has to stop")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use engine::digest::Digest;
use engine::failure::Failure;
use engine::files::dockerignore::Patterns;
use engine::files::glob::Globs;
use engine::files::{Behind, EntryKind, Gatherer, Query, Reader, Rules};
use tempfile::TempDir;

/// Who reads everything, as helm does, apart from what is called `hidden`.
struct Everything;

impl Reader for Everything {
    fn folder(&self, reached: &str, real: &Path) -> Result<Option<Rules>, Failure> {
        Ok(self.file(reached, real)?.then(everything))
    }

    fn file(&self, reached: &str, _: &Path) -> Result<bool, Failure> {
        Ok(!reached.ends_with("hidden"))
    }
}

fn everything() -> Rules {
    Rules::Context { ignore: Patterns::default() }
}

fn globs(globs: &[&str]) -> Globs {
    Globs::new(globs).unwrap()
}

struct Folder {
    all: TempDir,
    gatherer: Gatherer,
}

impl Folder {
    /// A root with files and links, and beside it what the links lead to.
    fn new(links: &[(&str, &str)]) -> Self {
        let all = TempDir::new().unwrap();
        let gatherer = Gatherer::new(all.path().join("cache"));
        let folder = Self { all, gatherer };
        for path in
            ["root/app/main.py", "root/app/inner/one.py", "shared/lib.py", "shared/deep/more.py", "shared/NOTES"]
        {
            folder.write(path, path);
        }
        for (path, target) in links {
            symlink(target, folder.path(path)).unwrap();
        }
        folder
    }

    fn path(&self, path: &str) -> PathBuf {
        self.all.path().canonicalize().unwrap().join(path)
    }

    fn write(&self, path: &str, contents: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// What is reached by whoever reads everything.
    fn behind(&self) -> Behind {
        self.follow(everything(), &Everything)
    }

    /// What is reached by whoever reads what globs match.
    fn behind_globs(&self, globs: &Globs) -> Behind {
        self.follow(Rules::Reached { globs: globs.clone(), below: String::new() }, globs)
    }

    fn follow(&self, rules: Rules, reader: &impl Reader) -> Behind {
        let query = Query { name: "test".to_owned(), root: self.path("root"), rules };
        // From the disk, and then from the stat cache.
        let found = [(); 2].map(|()| {
            let files = self.gatherer.gather(&query).unwrap().files;
            self.gatherer.follow(&query, &files, reader).unwrap()
        });
        assert_eq!(found[0].files.entries(), found[1].files.entries());
        let [_, behind] = found;
        behind
    }
}

fn paths(behind: &Behind) -> Vec<&str> {
    behind.files.entries().iter().map(|entry| entry.path.as_str()).collect()
}

#[test]
fn what_links_lead_to_is_found_under_the_paths_by_which_it_is_reached() {
    let check = |links: &[(&str, &str)], of_globs: &[&str], expected: &[&str]| {
        let folder = Folder::new(links);
        let behind = if of_globs.is_empty() { folder.behind() } else { folder.behind_globs(&globs(of_globs)) };
        assert_eq!(paths(&behind), expected, "{links:?}");
        assert_eq!(behind.stamp.is_none(), expected.is_empty(), "{links:?}");
    };
    let to_file = [("root/app/lib.py", "../../shared/lib.py")];
    let to_folder = [("root/app/shared", "../../shared")];
    check(&[], &[], &[]);
    check(&to_file, &[], &["app/lib.py"]);
    check(&to_folder, &[], &["app/shared/NOTES", "app/shared/deep/more.py", "app/shared/lib.py"]);
    // Globs see the paths by which files are reached: one of a file, and what is below one of a folder.
    check(&to_file, &["app/**/*.py"], &["app/lib.py"]);
    check(&to_file, &["app/**/*.rs"], &[]);
    check(&to_folder, &["app/**/*.py"], &["app/shared/deep/more.py", "app/shared/lib.py"]);
    check(&to_folder, &["app/*/lib.py"], &["app/shared/lib.py"]);
    check(&to_folder, &["app/*.py"], &[]);
    // Links behind links.
    let chain = [("root/app/shared", "../../shared"), ("shared/other", "../more"), ("more", "root/app/inner")];
    check(&chain, &["**/other/*.py"], &["app/shared/other/one.py"]);
    check(&[("root/app/a.py", "b.py"), ("root/app/b.py", "main.py")], &["**/a.py"], &["app/a.py"]);
    check(&[("root/app/a.py", "../../up/shared/deep/../lib.py"), ("up", ".")], &["**/a.py"], &["app/a.py"]);
    // What nobody reads is not looked at, be it behind another link.
    check(&[("root/app/hidden", "../../shared"), ("root/hidden", "app/main.py")], &[], &[]);
    check(
        &[("root/app/shared", "../../shared"), ("shared/hidden", ".."), ("shared/deep/hidden", "nowhere")],
        &[],
        &["app/shared/NOTES", "app/shared/deep/more.py", "app/shared/lib.py"],
    );
    check(&[("root/app/shared", "../../shared"), ("shared/.#lib", "me@host")], &["**/lib.py"], &["app/shared/lib.py"]);
    // Those that lead nowhere are their text, which the file set has.
    check(&[("root/app/gone.py", "../nowhere.py")], &[], &[]);
    check(&[("root/app/a.py", "b.py"), ("root/app/b.py", "a.py")], &[], &[]);
    check(&[("root/app/device.py", "/dev/null")], &[], &[]);
    check(&[("root/app/below.py", "main.py/x")], &[], &[]);
}

#[test]
fn a_change_behind_a_link_is_a_change() {
    let folder = Folder::new(&[("root/app/shared", "../../shared"), ("root/one", "../shared/lib.py")]);
    let before = folder.behind();
    assert_eq!(before.files.get("one").unwrap().kind, before.files.get("app/shared/lib.py").unwrap().kind);
    folder.write("shared/lib.py", "changed");
    let after = folder.behind();
    let changes: Vec<String> = after.files.changes_since(&before.files).iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["app/shared/lib.py changed", "one changed"]);

    // Written and put back: the same files, but not at rest.
    folder.write("shared/lib.py", "shared/lib.py");
    let again = folder.behind();
    assert_eq!(again.files.digest(), before.files.digest());
    assert_ne!(again.stamp, before.stamp);
    let digest = Digest::of_bytes(b"shared/lib.py");
    let Some(EntryKind::File { digest: found, .. }) = again.files.get("one").map(|entry| entry.kind.clone()) else {
        panic!("a link to a file is that file");
    };
    assert_eq!(found, digest);

    // A link that leads on and leads nowhere from now on.
    symlink("nowhere", folder.path("shared/gone")).unwrap();
    let gone = folder.behind();
    assert_eq!(gone.files.get("app/shared/gone").unwrap().kind, EntryKind::Symlink { target: "nowhere".into() });
}

#[test]
fn a_link_to_a_folder_around_it_is_not_followed_and_can_be_refused() {
    let check = |links: &[(&str, &str)], of_globs: &[&str], named: &str| {
        let folder = Folder::new(links);
        let behind = if of_globs.is_empty() { folder.behind() } else { folder.behind_globs(&globs(of_globs)) };
        assert!(behind.endless.iter().any(|link| link == named), "{:?}", behind.endless);
        let root = folder.path("root");
        let failure = behind.has_an_end(&root, |link| link == named).unwrap_err();
        assert_eq!(failure.message, format!("{} leads to a folder that it lies in itself", root.join(named).display()));
        assert!(!failure.help.is_empty());
        assert_eq!(behind.has_an_end(&root, |_| false), Ok(()));
    };
    check(&[("root/app/self", ".")], &[], "app/self");
    check(&[("root/app/up", "../..")], &["app/**"], "app/up");
    check(&[("root/app/up", "..")], &["**/*.py"], "app/up");
    check(&[("root/app/shared", "../../shared"), ("shared/back", "../root")], &[], "app/shared/back");
    check(&[("root/there", "../shared/deep"), ("shared/deep/up", "..")], &[], "there/up");
    // Two folders beside each other that lead into each other.
    check(
        &[("root/app/one", "../../shared"), ("shared/two", "deep"), ("shared/deep/three", "../../shared")],
        &[],
        "app/one/deep/three",
    );
}

#[test]
fn all_that_is_read_through_links_is_told_with_the_links_on_the_way() {
    let links = [
        ("root/app/lib.py", "../../current/lib.py"),
        ("root/app/shared", "../../current"),
        ("current", "shared"),
        ("root/app/inside.py", "inner/one.py"),
        ("root/gone", "nowhere"),
        ("root/app/hidden", "../../shared"),
        ("root/around", "."),
    ];
    let folder = Folder::new(&links);
    folder.behind();
    let told: Vec<(PathBuf, PathBuf)> =
        folder.gatherer.aliases().into_iter().map(|alias| (alias.real, alias.reached)).collect();
    let expected = [
        ("current", "root/app/lib.py"),
        ("current", "root/app/shared"),
        ("root/app/inner/one.py", "root/app/inside.py"),
        ("shared", "root/app/shared"),
        ("shared/lib.py", "root/app/lib.py"),
    ];
    assert_eq!(told, expected.map(|(real, reached)| (folder.path(real), folder.path(reached))));
}
