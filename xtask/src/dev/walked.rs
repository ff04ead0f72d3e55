//! Which folders hold anything that a step reads, and so are watched.
//!
//! Folders that tools make (`node_modules`, `target`, …) are most of a workspace's folders, and the kernel counts watches.
//! Few steps read them, but some do: an image whose context holds one that its ignore file does not leave out, and a
//! pattern or a path that leads there by name. The rules are those by which files are hashed ([`engine::files::Rules`]).

use std::path::{Path, PathBuf};

use engine::failure::Failure;
use engine::files::dockerignore::{Matched, Patterns};
use engine::files::glob::Globs;
use engine::files::rules::{NEVER_WALKED, STATE_FOLDER};

use super::aliases::Aliases;
use super::reads::Reads;

/// See the module.
#[derive(Debug, Clone)]
pub struct Walked {
    reads: Reads,
    aliases: Aliases,
    /// The contexts' folders, with what is left out of each.
    contexts: Vec<(PathBuf, Patterns)>,
    globs: Globs,
}

impl Walked {
    /// By what is read, also through links, and by the ignore files as they are now.
    ///
    /// # Errors
    /// When a pattern is none, which the graph file's reader has refused before.
    pub fn of(reads: Reads, aliases: Aliases) -> Result<Self, Failure> {
        let contexts = reads.contexts.values();
        // A context whose ignore file cannot be read is not built before that is mended.
        let contexts = contexts.filter_map(|context| {
            Some((context.folder.clone(), Patterns::load(&context.folder, &context.dockerfile).ok()?))
        });
        let globs = Globs::new(reads.patterns.iter().chain(&reads.made))?;
        Ok(Self { contexts: contexts.collect(), globs, reads, aliases })
    }

    /// The workspace.
    pub fn root(&self) -> &Path {
        &self.reads.root
    }

    /// What is read outside the workspace, with the folders that hold its files: they are watched apart.
    pub fn elsewhere(&self) -> impl Iterator<Item = &Path> {
        let reads = &self.reads;
        let files = reads.files.iter().filter_map(|file| file.parent());
        let folders = reads.folders.iter().map(PathBuf::as_path);
        // One that goes is made anew in the folder around it, and a link is retargeted there.
        let behind = self.aliases.places().flat_map(|place| place.parent().into_iter().chain([place]));
        files.chain(folders).chain(behind).filter(|path| !path.starts_with(&reads.root))
    }

    /// Whether all that is in `folder` counts, and not only some files in it.
    pub fn is_whole(&self, folder: &Path) -> bool {
        folder.starts_with(&self.reads.root)
            || self.reads.folders.iter().any(|whole| folder.starts_with(whole))
            || self.aliases.of(folder).next().is_some()
    }

    /// Whether any step may read what is at `path`, or below it.
    pub fn holds(&self, path: &Path) -> bool {
        // Every run writes into it: whoever has a link lead there would see no end of changes.
        let is_state = path.strip_prefix(self.root()).is_ok_and(|below| below.iter().any(|name| name == STATE_FOLDER));
        !is_state
            && (self.holds_by_that_name(path)
                || self.aliases.lie_below(path)
                || self.aliases.of(path).any(|path| self.holds_by_that_name(&path)))
    }

    fn holds_by_that_name(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(self.root()) else { return self.is_named(path) };
        !below.iter().any(is_made)
            || self.is_named(path)
            || self.contexts.iter().any(|(folder, ignore)| may_be_sent(path, folder, ignore))
            || below.to_str().is_some_and(|below| self.may_match(below))
    }

    /// Whether `path` is one of those that are read by name, holds one, or is in one that is a folder.
    fn is_named(&self, path: &Path) -> bool {
        let reads = &self.reads;
        reads.folders.iter().any(|folder| path.starts_with(folder) || folder.starts_with(path))
            || reads.files.iter().any(|file| file.starts_with(path))
            || reads.contexts.values().any(|context| context.dockerfile.starts_with(path))
    }

    /// Whether a pattern matches `path`, or may match below it.
    fn may_match(&self, path: &str) -> bool {
        let walked = |folder: &str| self.globs.may_match_below(folder, is_made(name(folder)));
        parents(path).all(walked) && (self.globs.matches(path) || walked(path))
    }
}

/// Whether what is at `path` may be part of the context `folder`, or of one that is in it.
fn may_be_sent(path: &Path, folder: &Path, ignore: &Patterns) -> bool {
    if folder.starts_with(path) {
        return true;
    }
    let Some(below) = path.strip_prefix(folder).ok().and_then(Path::to_str) else { return false };
    let mut above = Matched::default();
    for path in parents(below).chain([below]) {
        let (excluded, matched) = ignore.excludes(path, &above);
        if excluded && !ignore.may_bring_back_below(path) {
            return false;
        }
        above = matched;
    }
    true
}

/// The folders above `path`, from the top.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

fn name(path: &str) -> &std::ffi::OsStr {
    Path::new(path).file_name().unwrap_or_default()
}

/// Whether a folder of that name holds what tools make.
fn is_made(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| NEVER_WALKED.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use engine::failure::Failure;
    use engine::files::dockerignore::Patterns;
    use engine::files::glob::Globs;
    use engine::files::{Behind, EntryKind, FileSet, Gatherer, Query, Reader, Rules};

    use super::Walked;
    use crate::dev::aliases::Aliases;
    use crate::dev::reads::{Context, Reads};

    /// What is read of a workspace with one context, one chart, one file and some patterns in made folders.
    fn walked(root: &Path) -> Walked {
        let context = Context { folder: root.join("backend"), dockerfile: root.join("target/docker/Dockerfile") };
        let patterns = ["target/*.json", "proto/**/*.proto", "build/node_modules/x/**"].map(str::to_owned);
        let made = vec!["dist/target/out.js".to_owned()];
        Walked::of(
            Reads {
                root: root.to_owned(),
                contexts: BTreeMap::from([("a".to_owned(), context)]),
                folders: [root.join("target/chart"), PathBuf::from("/elsewhere/.git/refs")].into(),
                files: [root.join(".venv/values.yaml"), PathBuf::from("/elsewhere/.git/HEAD")].into(),
                patterns: patterns.into(),
                made,
            },
            Aliases::default(),
        )
        .unwrap()
    }

    #[test]
    fn a_folder_that_tools_make_counts_only_where_something_is_read_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(root.join("backend")).unwrap();
        let ignored = "node_modules\n.venv\n!.venv/keep/it\n";
        fs::write(root.join("backend/.dockerignore"), ignored).unwrap();
        let walked = walked(&root);
        for (path, expected) in [
            // Nothing of theirs: as everywhere.
            ("docs/x.md", true),
            ("node_modules/x/a.js", false),
            (".git/index", false),
            (".xtask/receipts", false),
            // The context: by its ignore file alone.
            ("backend/app/target/a.py", true),
            ("backend/app/target", true),
            ("backend/target", true),
            ("backend/.git/HEAD", true),
            ("backend/node_modules/x", false),
            ("backend/.venv", true),
            ("backend/.venv/keep", true),
            ("backend/.venv/keep/it", true),
            ("backend/.venv/lib", false),
            ("backend/.xtask/x", false),
            ("other/target/a.py", false),
            // By name.
            ("target", true),
            ("target/chart", true),
            ("target/chart/templates/x.yaml", true),
            // helm packs what it is not told to ignore.
            ("target/chart/node_modules/x", true),
            ("target/docker/Dockerfile", true),
            ("target/debug/x", false),
            (".venv/values.yaml", true),
            (".venv/bin", false),
            // By pattern.
            ("target/a.json", true),
            ("target/debug/a.json", false),
            ("build/node_modules/x/deep/a", true),
            ("build/node_modules/y", false),
            ("proto/target/a.proto", false),
            ("dist/target/out.js", true),
            ("dist/target/in.js", false),
        ] {
            assert_eq!(walked.holds(&root.join(path)), expected, "{path}");
        }
        for (path, expected) in [
            ("/elsewhere/.git/HEAD", true),
            ("/elsewhere/.git/refs/heads/main", true),
            ("/elsewhere/.git", true),
            ("/elsewhere/.git/index", false),
            ("/elsewhere/file", false),
        ] {
            assert_eq!(walked.holds(Path::new(path)), expected, "{path}");
        }
        assert_eq!(walked.elsewhere().collect::<Vec<_>>(), ["/elsewhere/.git", "/elsewhere/.git/refs"].map(Path::new));
    }

    #[test]
    fn every_file_that_is_hashed_is_in_folders_that_count() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let names = ["app", "target", "node_modules", ".venv"];
        for (above, below) in names.iter().flat_map(|above| names.iter().map(move |below| (above, below))) {
            let folder = root.join("backend").join(above).join(below);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.json"), "1").unwrap();
            let folder = root.join(above).join(below);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("a.json"), "1").unwrap();
        }
        for (ignored, globs) in [
            ("", "**/*.json"),
            ("target\n!target/app", "target/**"),
            ("**/node_modules", "app/.venv/*.json"),
            ("*\n!**/a.json", "{app,target}/node_modules/*"),
        ] {
            fs::write(root.join("backend/.dockerignore"), ignored).unwrap();
            let context = Context { folder: root.join("backend"), dockerfile: root.join("backend/Dockerfile") };
            let walked = Walked::of(
                Reads {
                    root: root.clone(),
                    contexts: BTreeMap::from([("a".to_owned(), context.clone())]),
                    folders: [].into(),
                    files: [].into(),
                    patterns: vec![globs.to_owned()],
                    made: Vec::new(),
                },
                Aliases::default(),
            )
            .unwrap();
            let cache = tempfile::tempdir().unwrap();
            let ignore = Patterns::load(&context.folder, &context.dockerfile).unwrap();
            let queries = [
                (context.folder, Rules::Context { ignore }),
                (root.clone(), Rules::Reached { globs: Globs::new([globs]).unwrap(), below: String::new() }),
            ];
            for (from, rules) in queries {
                let query = Query { name: "a".to_owned(), root: from.clone(), rules };
                let files = Gatherer::new(cache.path().to_owned()).gather(&query).unwrap().files;
                for entry in files.entries() {
                    let path = from.join(&entry.path);
                    let above = path.ancestors().take_while(|path| path.starts_with(&root));
                    let unseen: Vec<_> = above.filter(|path| !walked.holds(path)).collect();
                    assert_eq!(unseen, Vec::<&Path>::new(), "{ignored:?} {globs:?}: {}", path.display());
                }
            }
        }
    }

    #[test]
    fn every_file_that_is_hashed_behind_a_link_is_in_folders_that_count() {
        let folder = tempfile::tempdir().unwrap();
        let all = fs::canonicalize(folder.path()).unwrap();
        let root = all.join("shop");
        let made =
            ["shop/chart/charts", "shop/in", "shop/node_modules/lib/target", "beside/node_modules", "beside/deep"];
        made.iter().for_each(|folder| fs::create_dir_all(all.join(folder)).unwrap());
        for file in
            ["shop/note.txt", "shop/node_modules/lib/target/a.py", "beside/node_modules/a.py", "beside/deep/a.py"]
        {
            fs::write(all.join(file), "1").unwrap();
        }
        let links = [
            ("shop/chart/charts/lib", "../../node_modules/lib"),
            ("shop/chart/note.txt", "../note.txt"),
            ("shop/chart/beside", "../current"),
            ("shop/current", "../beside"),
            ("shop/in/beside", "../../beside"),
            ("shop/in/a.py", "../../beside/deep/a.py"),
            ("beside/deep/on", "../../shop/chart"),
        ];
        for (link, target) in links {
            symlink(target, all.join(link)).unwrap();
        }
        let gatherer = Gatherer::new(all.join("cache"));
        let globs = Globs::new(["in/**/*.py"]).unwrap();
        let inputs = Rules::Reached { globs: globs.clone(), below: String::new() };
        let query = |root: PathBuf, rules: Rules| Query { name: "a".to_owned(), root, rules };
        let hashed = |query: &Query, reader: &dyn Fn(&FileSet) -> Behind| {
            let behind = reader(&gatherer.gather(query).unwrap().files);
            let files = behind.files.entries().iter().filter(|entry| matches!(entry.kind, EntryKind::File { .. }));
            files.map(|entry| query.root.join(&entry.path).canonicalize().unwrap()).collect::<Vec<_>>()
        };
        let chart = query(root.join("chart"), Chart::rules());
        let mut files = hashed(&chart, &|files| gatherer.follow(&chart, files, &Chart).unwrap());
        let inputs = query(root.clone(), inputs);
        files.extend(hashed(&inputs, &|files| gatherer.follow(&inputs, files, &globs).unwrap()));
        for file in ["note.txt", "node_modules/lib/target/a.py", "../beside/node_modules/a.py", "../beside/deep/a.py"] {
            assert!(files.contains(&root.join(file).canonicalize().unwrap()), "{file}: {files:?}");
        }

        let reads = Reads {
            root: root.clone(),
            contexts: BTreeMap::new(),
            folders: [root.join("chart")].into(),
            files: [].into(),
            patterns: vec!["in/**/*.py".to_owned()],
            made: Vec::new(),
        };
        let walked = Walked::of(reads.clone(), Aliases::new(gatherer.aliases())).unwrap();
        let tops: Vec<&Path> = walked.elsewhere().chain([root.as_path()]).collect();
        for path in &files {
            let top = tops.iter().find(|top| path.starts_with(top)).expect("it is in a folder that is watched");
            let above = path.ancestors().take_while(|path| path.starts_with(top));
            let unseen: Vec<_> = above.filter(|path| !walked.holds(path)).collect();
            assert_eq!(unseen, Vec::<&Path>::new(), "{}", path.display());
        }
        assert!(!walked.holds(&root.join("node_modules/other")), "nobody reads it");
        assert!(!walked.holds(&all.join("cache")), "nor that");
        let without = Walked::of(reads, Aliases::default()).unwrap();
        assert!(files.iter().any(|path| !without.holds(path)), "or else this test would see nothing");
    }

    /// Who reads a chart.
    struct Chart;

    impl Chart {
        fn rules() -> Rules {
            Rules::Context { ignore: Patterns::default() }
        }
    }

    impl Reader for Chart {
        fn folder(&self, _: &str, _: &Path) -> Result<Option<Rules>, Failure> {
            Ok(Some(Self::rules()))
        }

        fn file(&self, _: &str, _: &Path) -> Result<bool, Failure> {
            Ok(true)
        }
    }
}
