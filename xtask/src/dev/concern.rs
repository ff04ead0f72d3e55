//! Which files the graph depends on: a change of any other begins nothing and stops nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::config::{Dev, GraphFile};
use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use engine::files::{Gatherer, Query, Rules};
use globset::GlobSet;

use super::link::globs;
use super::sources::build_patterns;

/// What of a graph file's steps lies where.
pub struct Concern {
    root: PathBuf,
    images: BTreeMap<String, Context>,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    patterns: GlobSet,
    gatherer: Arc<Gatherer>,
}

#[derive(Clone)]
struct Context {
    folder: PathBuf,
    dockerfile: PathBuf,
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
        let root = &file.root;
        let images = file.images.iter().map(|(name, image)| {
            let context = Context {
                folder: root.join(&image.context),
                dockerfile: root.join(&image.dockerfile),
                dev: file.dev.get(name).cloned(),
                digest: None,
            };
            (name.clone(), context)
        });
        let releases = file.releases.values();
        let values = releases.clone().flat_map(|release| &release.values);
        let secrets = file.secrets.values().flat_map(|secrets| [&secrets.from, &secrets.example]);
        let manifests = file.manifests.values().flat_map(|manifests| &manifests.files);
        let inputs = file.commands.values().flat_map(|command| &command.inputs);
        let patterns: Vec<String> = manifests.chain(inputs).cloned().collect();
        let mut concern = Self {
            root: root.clone(),
            images: images.collect(),
            folders: releases.map(|release| root.join(&release.chart)).collect(),
            files: values.chain(secrets).map(|path| root.join(path)).collect(),
            patterns: globs(&patterns)?,
            gatherer,
        };
        // What cannot be read now is told by the run that is about to begin.
        let names: Vec<String> = concern.images.keys().cloned().collect();
        for name in names {
            concern.look(&name).await;
        }
        Ok(concern)
    }

    /// What changes of `paths` concern; of everything, when events were lost.
    pub async fn of_changes(&mut self, paths: &BTreeSet<PathBuf>, lost: bool) -> Concerned {
        let may_concern = |context: &Context| {
            lost || paths.iter().any(|path| touches(path, &context.folder) || is_dockerfile(path, &context.dockerfile))
        };
        let names: Vec<String> =
            self.images.iter().filter(|(_, context)| may_concern(context)).map(|(name, _)| name.clone()).collect();
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
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        self.files.iter().any(|file| file.starts_with(path))
            || self.folders.iter().any(|folder| touches(path, folder))
            || self.patterns.is_match(below)
    }

    /// Whether what an image is built from differs from the last look. A look that fails differs from any.
    async fn look(&mut self, name: &str) -> bool {
        let Some(context) = self.images.get_mut(name) else { return false };
        let (name, looked, gatherer) = (name.to_owned(), context.clone(), Arc::clone(&self.gatherer));
        // A context may be large, and the ports are served meanwhile.
        let looked = tokio::task::spawn_blocking(move || looked.look(&name, &gatherer)).await;
        let digest = looked.ok().and_then(Result::ok);
        let changed = digest.is_none() || digest != context.digest;
        context.digest = digest;
        changed
    }
}

impl Context {
    fn look(&self, name: &str, gatherer: &Gatherer) -> Result<Digest, Failure> {
        let ignore = build_patterns(&self.folder, &self.dockerfile, self.dev.as_ref())?;
        let query =
            Query { name: format!("build-{name}"), root: self.folder.clone(), rules: Rules::Context { ignore } };
        let files = gatherer.gather(&query)?.files.digest();
        let dockerfile = std::fs::read(&self.dockerfile);
        let dockerfile = dockerfile.map_err(|error| Failure::io("read the Dockerfile", &self.dockerfile, &error))?;
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
    use std::sync::Arc;

    use engine::files::Gatherer;

    use super::{Concern, Concerned};

    const FILE: &str = "project = \"p\"\n[cluster]\nprofile = \"p\"\n[image.a]\ncontext = \"a\"\n[dev.a]\ntarget = \"dev\"\n\
        runtime = \"python\"\nsync = { app = \"/app\" }\ncommand = [\"python\"]\nrebuild-on = [\"app/native/**\"]\n\
        [release.r]\nchart = \"chart\"\nnamespace = \"n\"\nvalues = [\"values.yaml\"]\nimages = { image = \"a\" }\n";

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
        let mut concern = Concern::of(&file, Arc::new(Gatherer::new(root.join(".xtask")))).await.unwrap();
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
        let everything = concern.of_changes(&BTreeSet::new(), true).await;
        assert_eq!(everything, others(), "what was lost is found by looking");
    }
}
