//! The files of a synced image: looked at whole each time, through the stat cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::config::{Dev, Image};
use engine::failure::Failure;
use engine::files::dockerignore::Patterns;
use engine::files::{Gatherer, Query, Rules};

use super::link::{self, Source};
use super::wanted::{Folder, Wanted};

/// The files of an image that are synced.
#[derive(Clone)]
pub struct Sources {
    source: Arc<Source>,
    dockerfile: PathBuf,
    rebuild_on: globset::GlobSet,
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
            restart_on: link::globs(&dev.restart_on)?,
        };
        let dockerfile = root.join(&image.dockerfile);
        Ok(Self { source: Arc::new(source), dockerfile, rebuild_on: link::globs(&dev.rebuild_on)?, gatherer })
    }

    /// What links need to know.
    pub fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    /// Whether a change of the file at `path` goes into running containers and nowhere else.
    pub fn syncs(&self, path: &Path) -> bool {
        let Some(below) = path.strip_prefix(&self.source.context).ok().and_then(Path::to_str) else { return false };
        self.source.folders.iter().any(|folder| folder.below(below).is_some()) && !self.rebuild_on.is_match(below)
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
        Some(dev) => ignore.leaving_out(dev.sync.keys().map(String::as_str), dev.rebuild_on.iter().map(String::as_str)),
        None => Ok(ignore),
    }
}
