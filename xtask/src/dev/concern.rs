//! Which files the graph depends on: a change of any other begins nothing and stops nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::config::{Dev, GraphFile};
use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use engine::files::glob::Globs;
use engine::files::{Gatherer, Query, Rules};

use super::aliases::Aliases;
use super::reads::{Context, Reads};
use super::sources::build_patterns;

/// What of a graph file's steps lies where.
pub struct Concern {
    reads: Reads,
    images: BTreeMap<String, Built>,
    patterns: Globs,
    made: Globs,
    gatherer: Arc<Gatherer>,
}

/// What an image is built from, and how that was at the last look.
#[derive(Clone)]
struct Built {
    from: Context,
    dev: Option<Dev>,
    digest: Option<Digest>,
}

/// What a change concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// Images that have to be built, by step name.
    pub images: BTreeSet<String>,
    /// Other steps.
    pub others: bool,
}

impl Concerned {
    /// Whether the graph has to run.
    pub fn any(&self) -> bool {
        self.others || !self.images.is_empty()
    }
}

impl Concern {
    /// That of `file`, as things are now.
    ///
    /// # Errors
    /// When a pattern is none.
    pub async fn of(file: &GraphFile, gatherer: Arc<Gatherer>) -> Result<Self, Failure> {
        let reads = Reads::of(file);
        let images = reads.contexts.iter().map(|(name, from)| {
            (name.clone(), Built { from: from.clone(), dev: file.dev.get(name).cloned(), digest: None })
        });
        let (images, patterns, made) = (images.collect(), Globs::new(&reads.patterns)?, Globs::new(&reads.made)?);
        let mut concern = Self { reads, images, patterns, made, gatherer };
        // What cannot be read now is told by the run that is about to begin.
        let names: Vec<String> = concern.images.keys().cloned().collect();
        for name in names {
            concern.look(&name).await;
        }
        Ok(concern)
    }

    /// What changes of `paths` concern; of everything, when events were lost.
    pub async fn of_changes(&mut self, paths: &BTreeSet<PathBuf>, lost: bool) -> Concerned {
        let may_concern = |Context { folder, dockerfile }: &Context| {
            lost || paths.iter().any(|path| touches(path, folder) || is_dockerfile(path, dockerfile))
        };
        let names: Vec<String> =
            self.images.iter().filter(|(_, image)| may_concern(&image.from)).map(|(name, _)| name.clone()).collect();
        let mut images = BTreeSet::new();
        for name in names {
            if self.look(&name).await {
                images.insert(name);
            }
        }
        let others = lost || paths.iter().any(|path| self.is_read_by_others(path));
        Concerned { images, others }
    }

    fn is_read_by_others(&self, path: &Path) -> bool {
        let aliases = Aliases::new(self.gatherer.aliases());
        self.is_read_by_that_name(path)
            || aliases.lie_below(path)
            || aliases.begin_at(path)
            || aliases.of(path).any(|path| self.is_read_by_that_name(&path))
    }

    fn is_read_by_that_name(&self, path: &Path) -> bool {
        let Reads { root, folders, files, .. } = &self.reads;
        files.iter().any(|file| file.starts_with(path))
            || folders.iter().any(|folder| touches(path, folder))
            || path.strip_prefix(root).ok().and_then(Path::to_str).is_some_and(|below| {
                self.patterns.matches(below)
                    // Of a folder that was moved here, or is linked to from now on, the kernel tells nothing else.
                    || (path.is_dir() && self.patterns.may_match_below(below, false))
                    // What is there, commands may have written themselves.
                    || (path.symlink_metadata().is_err() && self.made.matches(below))
            })
    }

    /// Whether what an image is built from differs from the last look. A look that fails differs from any.
    async fn look(&mut self, name: &str) -> bool {
        let Some(image) = self.images.get_mut(name) else { return false };
        let (name, looked, gatherer) = (name.to_owned(), image.clone(), Arc::clone(&self.gatherer));
        // A context may be large, and the ports are served meanwhile.
        let looked = tokio::task::spawn_blocking(move || looked.look(&name, &gatherer)).await;
        let digest = looked.ok().and_then(Result::ok);
        let changed = digest.is_none() || digest != image.digest;
        image.digest = digest;
        changed
    }
}

impl Built {
    fn look(&self, name: &str, gatherer: &Gatherer) -> Result<Digest, Failure> {
        let Context { folder, dockerfile } = &self.from;
        let ignore = build_patterns(folder, dockerfile, self.dev.as_ref())?;
        let query = Query { name: format!("build-{name}"), root: folder.clone(), rules: Rules::Context { ignore } };
        let files = gatherer.gather(&query)?.files.digest();
        let dockerfile =
            std::fs::read(dockerfile).map_err(|error| Failure::io("read the Dockerfile", dockerfile, &error))?;
        let mut hasher = Hasher::new("dev-build/1");
        hasher.digest(&files).digest(&Digest::of_bytes(&dockerfile));
        Ok(hasher.finish())
    }
}

/// Whether `path` is in `folder`, or is a folder that holds it: one that is moved takes all that is in it along.
fn touches(path: &Path, folder: &Path) -> bool {
    path.starts_with(folder) || folder.starts_with(path)
}

/// The Dockerfile, the ignore file beside it, or a folder that holds them.
fn is_dockerfile(path: &Path, dockerfile: &Path) -> bool {
    dockerfile.starts_with(path) || path == dockerfile.with_added_extension("dockerignore")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::sync::Arc;

    use engine::files::glob::Globs;
    use engine::files::{Gatherer, Query, Rules};

    use super::{Concern, Concerned};

    const FILE: &str = "project = \"p\"\n[cluster]\nprofile = \"p\"\n[image.a]\ncontext = \"a\"\n[dev.a]\ntarget = \"dev\"\n\
        runtime = \"python\"\nsync = { app = \"/app\" }\ncommand = [\"python\"]\nrebuild-on = [\"app/native/**\"]\n\
        [release.r]\nchart = \"chart\"\nnamespace = \"n\"\nvalues = [\"values.yaml\"]\nimages = { image = \"a\" }\n\
        [command.c]\nrun = [\"true\"]\ninputs = [\"proto/*/x.proto\"]\n\
        outputs = [\"made.json\"]\n";

    #[tokio::test]
    async fn only_what_a_step_reads_concerns_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        for path in ["a/app/native", "a/lib", "chart", "docs"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for (path, text) in [
            ("a/Dockerfile", "FROM x"),
            ("a/.dockerignore", "*.log\n"),
            ("a/app/main.py", "1"),
            ("a/app/native/n.c", "1"),
            ("a/lib/l.py", "1"),
            ("chart/Chart.yaml", "name: r"),
            ("values.yaml", "{}"),
            ("xtask.toml", FILE),
        ] {
            fs::write(root.join(path), text).unwrap();
        }
        let file = engine::config::load(&root.join("xtask.toml")).unwrap();
        let gatherer = Arc::new(Gatherer::new(root.join(".xtask")));
        let mut concern = Concern::of(&file, Arc::clone(&gatherer)).await.unwrap();
        let image = || Concerned { images: BTreeSet::from(["a".to_owned()]), others: false };
        let others = || Concerned { others: true, ..Concerned::default() };
        for (path, expected) in [
            ("a/app/main.py", Concerned::default()),
            ("a/app/native/n.c", image()),
            ("a/lib/l.py", image()),
            ("a/lib/l.py", Concerned::default()),
            ("a/noise.log", Concerned::default()),
            ("a/Dockerfile", image()),
            ("chart/templates/x.yaml", others()),
            ("values.yaml", others()),
            ("docs/x.md", Concerned::default()),
            ("output.log", Concerned::default()),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "2").unwrap();
            let found = concern.of_changes(&BTreeSet::from([path.clone()]), false).await;
            assert_eq!(found, expected, "{}", path.display());
        }
        for (path, expected) in [("proto/a", others()), ("proto/a/b", Concerned::default())] {
            fs::create_dir_all(root.join(path)).unwrap();
            let found = concern.of_changes(&BTreeSet::from([root.join(path)]), false).await;
            assert_eq!(found, expected, "{path}, moved here with all that is in it");
        }
        let made = root.join("made.json");
        fs::write(&made, "").unwrap();
        let found = concern.of_changes(&BTreeSet::from([made.clone()]), false).await;
        assert_eq!(found, Concerned::default(), "what a command makes");
        fs::remove_file(&made).unwrap();
        assert_eq!(
            concern.of_changes(&BTreeSet::from([made]), false).await,
            others(),
            "what a command has made has gone"
        );
        // What a link leads to, as soon as that was read.
        let beside = tempfile::tempdir().unwrap();
        let beside = fs::canonicalize(beside.path()).unwrap();
        fs::write(beside.join("x.proto"), "1").unwrap();
        let of = |path: PathBuf| BTreeSet::from([path]);
        assert_eq!(concern.of_changes(&of(beside.join("x.proto")), false).await, Concerned::default());
        symlink(&beside, root.join("proto/linked")).unwrap();
        assert_eq!(concern.of_changes(&of(root.join("proto/linked")), false).await, others(), "a link to a folder");
        let globs = Globs::new(["proto/*/x.proto"]).unwrap();
        let rules = Rules::Reached { globs: globs.clone(), below: String::new() };
        let query = Query { name: "c".to_owned(), root: root.clone(), rules };
        let files = gatherer.gather(&query).unwrap().files;
        gatherer.follow(&query, &files, &globs).unwrap();
        assert_eq!(concern.of_changes(&of(beside.join("x.proto")), false).await, others());
        assert_eq!(concern.of_changes(&of(beside.join("y.proto")), false).await, Concerned::default());
        fs::remove_file(root.join("proto/linked")).unwrap();
        assert_eq!(concern.of_changes(&of(root.join("proto/linked")), false).await, others(), "a link that has gone");
        let everything = concern.of_changes(&BTreeSet::new(), true).await;
        assert_eq!(everything, others(), "what was lost is found by looking");
    }
}
