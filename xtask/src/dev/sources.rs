//! The files of a synced image: looked at whole each time, through the stat cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::config::{Dev, Image};
use engine::failure::Failure;
use engine::files::dockerignore::Patterns;
use engine::files::glob::Globs;
use engine::files::{Gatherer, Query, Rules};

use super::link::{self, Source};
use super::wanted::{Folder, Wanted};

/// The files of an image that are synced.
#[derive(Clone)]
pub struct Sources {
    source: Arc<Source>,
    dockerfile: PathBuf,
    rebuild_on: Globs,
    gatherer: Arc<Gatherer>,
}

impl Sources {
    /// Those of the image `name`.
    ///
    /// # Errors
    /// When a pattern is none.
    pub fn new(name: &str, image: &Image, dev: &Dev, root: &Path, gatherer: Arc<Gatherer>) -> Result<Self, Failure> {
        let source = Source {
            image: name.to_owned(),
            context: root.join(&image.context),
            folders: dev.sync.keys().map(|path| Folder { path: path.clone() }).collect(),
            roots: dev.sync.values().cloned().collect(),
            restart_on: link::globs(&dev.restart_on)?,
        };
        let dockerfile = root.join(&image.dockerfile);
        Ok(Self { source: Arc::new(source), dockerfile, rebuild_on: rebuild_on(dev)?, gatherer })
    }

    /// What links need to know.
    pub fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    /// Whether something that happened at `path` may concern what running containers should hold: a file of a synced
    /// folder, such a folder or one above it, or what says which files count.
    pub fn syncs(&self, path: &Path) -> bool {
        let context = &self.source.context;
        let beside = self.dockerfile.with_added_extension("dockerignore");
        if path == beside || path == context.join(".dockerignore") || context.starts_with(path) {
            return true;
        }
        let Some(below) = path.strip_prefix(context).ok().and_then(Path::to_str) else { return false };
        self.source
            .folders
            .iter()
            .any(|folder| folder.below(below).is_some() || Path::new(&folder.path).starts_with(below))
    }

    /// Whether changes of all of these `paths`, relative to the context, rebuild the image.
    pub fn rebuild<'a>(&self, mut paths: impl Iterator<Item = &'a String>) -> bool {
        paths.all(|path| self.rebuild_on.cover(path))
    }

    /// What the synced folders should hold, by the files as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn look(&self) -> Result<Wanted, Failure> {
        let this = self.clone();
        let look = move || {
            let ignore = Patterns::load(&this.source.context, &this.dockerfile)?;
            let query = Query {
                name: format!("dev-{}", this.source.image),
                root: this.source.context.clone(),
                rules: Rules::Context { ignore },
            };
            Ok(Wanted::of(&this.gatherer.gather(&query)?.files, &this.source.folders))
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.map_err(|error| Failure::step("could not look at the files").because(error))?
    }
}

/// What is left out of an image's context; as `dev` builds it, also what is synced and rebuilds nothing.
///
/// # Errors
/// When an ignore file cannot be read, or has a line that is no pattern.
pub fn build_patterns(context: &Path, dockerfile: &Path, dev: Option<&Dev>) -> Result<Patterns, Failure> {
    let ignore = Patterns::load(context, dockerfile)?;
    match dev {
        Some(dev) => Ok(ignore.leaving_out(dev.sync.keys().cloned().collect(), rebuild_on(dev)?)),
        None => Ok(ignore),
    }
}

/// What of the synced folders is built into the image all the same: the one matcher for who builds it and who syncs them.
fn rebuild_on(dev: &Dev) -> Result<Globs, Failure> {
    Globs::new(dev.rebuild_on.iter().map(|pattern| pattern.trim_matches('/')))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use engine::files::{EntryKind, Gatherer, Query, Rules};

    use super::{Sources, build_patterns};

    const FILE: &str = "project = \"p\"\n[cluster]\nprofile = \"p\"\n[image.a]\ncontext = \"services/a\"\n[dev.a]\n\
        target = \"dev\"\nruntime = \"python\"\nsync = { \"src/app\" = \"/app\" }\ncommand = [\"python\"]\n\
        rebuild-on = [\"src/app/native/**\"]\n";

    #[test]
    fn folders_above_and_ignore_files_concern_what_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("services/a/src/app")).unwrap();
        fs::write(root.join("services/a/Dockerfile"), "FROM x").unwrap();
        fs::write(root.join("xtask.toml"), FILE).unwrap();
        let file = engine::config::load(&root.join("xtask.toml")).unwrap();
        let gatherer = Arc::new(Gatherer::new(root.join(".xtask")));
        let sources = Sources::new("a", &file.images["a"], &file.dev["a"], &root, gatherer).unwrap();
        let check = |path: &str, expected: bool| assert_eq!(sources.syncs(&root.join(path)), expected, "{path}");
        check("services/a/src/app/main.py", true);
        check("services/a/src/app", true);
        check("services/a/src", true);
        check("services/a", true);
        check("services", true);
        check("services/a/.dockerignore", true);
        check("services/a/Dockerfile.dockerignore", true);
        // The pods that a build of it makes have it from here, too.
        check("services/a/src/app/native/n.c", true);
        check("services/a/src/other", false);
        check("services/a/src/apple", false);
        check("services/a/Dockerfile", false);
        check("services/b", false);
        check("other/.dockerignore", false);
    }

    #[test]
    fn what_rebuilds_an_image_is_what_is_built_into_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let context = root.join("services/a");
        let files = ["native/n.c", "generated/g.py", "g.proto", "main.py", "[x]/p.py", "x/p.py"];
        for file in files {
            fs::create_dir_all(context.join("src/app").join(file).parent().unwrap()).unwrap();
            fs::write(context.join("src/app").join(file), "").unwrap();
        }
        fs::write(context.join("Dockerfile"), "FROM x").unwrap();
        let both = ["src/app/generated/g.py", "src/app/native/n.c"];
        for (pattern, expected) in [
            ("src/app/native/**", &both[1..]),
            ("src/app/{native,generated}/**", &both),
            ("src/app/[!gmx[]*/**", &both[1..]),
            ("/src/app/native/", &both[1..]),
            ("**/*.{c,proto}", &["src/app/g.proto", "src/app/native/n.c"]),
            ("src/app/[x]/**", &["src/app/x/p.py"]),
        ] {
            let text = FILE.replace("src/app/native/**", pattern);
            fs::write(root.join("xtask.toml"), &text).unwrap();
            let file = engine::config::load(&root.join("xtask.toml")).unwrap();
            let dev = &file.dev["a"];
            let gatherer = Arc::new(Gatherer::new(root.join(".xtask")));
            let ignore = build_patterns(&context, &context.join("Dockerfile"), Some(dev)).unwrap();
            let query = Query { name: "a".to_owned(), root: context.clone(), rules: Rules::Context { ignore } };
            let built = gatherer.gather(&query).unwrap().files;
            let built = built.entries().iter().filter(|entry| matches!(entry.kind, EntryKind::File { .. }));
            let built: Vec<&str> =
                built.map(|entry| entry.path.as_str()).filter(|path| *path != "Dockerfile").collect();
            let sources = Sources::new("a", &file.images["a"], dev, &root, Arc::clone(&gatherer)).unwrap();
            let mut rebuild: Vec<String> = files.iter().map(|file| format!("src/app/{file}")).collect();
            rebuild.retain(|path| sources.rebuild([path].into_iter()));
            rebuild.sort();
            assert_eq!(built, rebuild, "{pattern}");
            assert_eq!(built, expected, "{pattern}");
        }
    }
}
