//! What the symlinks among the files of a query lead to, which is an input of whatever reads through them.
//!
//! A gathering never follows a link: an image gets it as it is. Helm and commands read through it, wherever it leads.
//! So their steps ask for this as well, and find files under the paths by which they are reached. A link that leads
//! nowhere is only its own text, which the file set has already.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use rustix::io::Errno;

use super::file_set::{Entry, EntryKind, FileSet, compare};
use super::glob::Globs;
use super::rules::Rules;
use super::tree::join;
use super::{Gatherer, Query};
use crate::digest::{Digest, Hasher};
use crate::failure::Failure;

/// How many links lead from one to the next before they are taken to lead nowhere, as the kernel has it.
const MOST: usize = 40;

/// Who reads through links, and what of that which they lead to.
pub trait Reader {
    /// By which rules the folder `real` is read, which is reached at `reached`; `None` where nobody looks into it.
    ///
    /// # Errors
    /// When it must not be read.
    fn folder(&self, reached: &str, real: &Path) -> Result<Option<Rules>, Failure>;

    /// Whether the file `real` is read, which is reached at `reached`. A link that leads nowhere is such a file, too.
    ///
    /// # Errors
    /// When it must not be read.
    fn file(&self, reached: &str, real: &Path) -> Result<bool, Failure>;
}

/// A command, or whoever else reads what globs match.
impl Reader for Globs {
    fn folder(&self, reached: &str, _: &Path) -> Result<Option<Rules>, Failure> {
        Ok(Some(Rules::Reached { globs: self.clone(), below: reached.to_owned() }))
    }

    fn file(&self, reached: &str, _: &Path) -> Result<bool, Failure> {
        Ok(self.matches(reached))
    }
}

/// What there is behind links.
#[derive(Debug, Clone)]
pub struct Behind {
    /// The files, under the paths by which they are reached through the links, relative to the query's root. A link to a
    /// file is that file here. Of a further link that is not followed there is its text.
    pub files: FileSet,
    /// Moves whenever one of them is written, as [`Gatherer::stamp`] does. `None` without any.
    pub stamp: Option<Digest>,
    /// The links that were not followed because they lead to a folder around them: there is no end of what is reached
    /// through them. Paths as in `files`.
    pub endless: Vec<String>,
}

impl Behind {
    /// Refuses what has no end, for a reader of whatever is reached through the links that are `read`.
    ///
    /// # Errors
    /// When such a link leads to a folder around it.
    pub fn has_an_end(&self, root: &Path, read: impl Fn(&str) -> bool) -> Result<(), Failure> {
        match self.endless.iter().find(|reached| read(reached)) {
            None => Ok(()),
            Some(reached) => Err(Failure::usage(format!(
                "{} leads to a folder that it lies in itself",
                root.join(reached).display()
            ))
            .because("whoever reads through it comes to no end")
            .help("let it lead elsewhere, or keep it out of what the step reads")),
        }
    }
}

/// Something that is read by another path than its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// Where it lies: a file, a folder with what is in it, or a link on the way there.
    pub real: PathBuf,
    /// The path by which it is reached.
    pub reached: PathBuf,
}

impl Gatherer {
    /// What the links among `files` lead to, which the last gathering of `query` has found, as far as `reader` reads it.
    ///
    /// # Errors
    /// When something behind a link cannot be read, or must not be.
    pub fn follow(&self, query: &Query, files: &FileSet, reader: &impl Reader) -> Result<Behind, Failure> {
        let mut following = Following {
            gatherer: self,
            query,
            reader,
            entries: Vec::new(),
            endless: Vec::new(),
            stamps: Hasher::new("stamps/1"),
            any: false,
        };
        following.links(&Folder { reached: "", real: &query.root, around: &[] }, files)?;
        let Following { mut entries, endless, stamps, any, .. } = following;
        entries.sort_by(|a, b| compare(&a.path, &b.path));
        Ok(Behind { files: FileSet::new(entries), stamp: any.then(|| stamps.finish()), endless })
    }

    /// All that was ever read through links that were followed: who waits for changes waits for them there.
    pub fn aliases(&self) -> BTreeSet<Alias> {
        self.aliases.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A folder with links in it.
struct Folder<'a> {
    /// The path by which it is reached, relative to the query's root.
    reached: &'a str,
    real: &'a Path,
    /// The real folders of the links on the way to it.
    around: &'a [PathBuf],
}

struct Following<'a, R> {
    gatherer: &'a Gatherer,
    query: &'a Query,
    reader: &'a R,
    entries: Vec<Entry>,
    endless: Vec<String>,
    stamps: Hasher,
    /// Anything was gathered.
    any: bool,
}

impl<R: Reader> Following<'_, R> {
    /// Follows all links among `files`, which are those of `folder`.
    fn links(&mut self, folder: &Folder<'_>, files: &FileSet) -> Result<(), Failure> {
        for (path, target) in files.links() {
            let (reached, place) = (join(folder.reached, &path), folder.real.join(&path));
            let own = place.parent().unwrap_or(Path::new("/"));
            let own = own.canonicalize().map_err(|error| Failure::io("look at", own, &error))?;
            let followed = match Way::from(&own, &place)? {
                Some(way) if way.is_folder => self.folder(&reached, &way, &[folder.around, &[own]].concat())?,
                Some(way) => self.file(&reached, &way)?,
                None => false,
            };
            // The query's own links are in its file set.
            if !followed && !folder.reached.is_empty() && self.reader.file(&reached, &place)? {
                self.entries.push(Entry { path: reached, kind: EntryKind::Symlink { target } });
            }
        }
        Ok(())
    }

    /// Reads a file, and returns whether it is read.
    fn file(&mut self, reached: &str, way: &Way) -> Result<bool, Failure> {
        let (Some(folder), Some(name)) = (way.end.parent(), way.end.file_name()) else { return Ok(false) };
        if !self.reader.file(reached, &way.end)? {
            return Ok(false);
        }
        let name = name.to_str().ok_or_else(|| {
            Failure::step(format!("{} leads to a path that is not UTF-8", self.query.root.join(reached).display()))
                .help("let it lead elsewhere, or have it ignored")
        })?;
        self.remember(reached, way);
        let files = self.gather(reached, folder, Rules::File { name: name.to_owned() })?;
        let found = files.entries().iter().map(|entry| Entry { path: reached.to_owned(), kind: entry.kind.clone() });
        self.entries.extend(found);
        Ok(true)
    }

    /// Reads a folder that lies in none of those `around` the link to it, and returns whether it is read.
    fn folder(&mut self, reached: &str, way: &Way, around: &[PathBuf]) -> Result<bool, Failure> {
        let Some(rules) = self.reader.folder(reached, &way.end)? else { return Ok(false) };
        if around.iter().any(|folder| folder.starts_with(&way.end)) {
            self.endless.push(reached.to_owned());
            return Ok(false);
        }
        self.remember(reached, way);
        let files = self.gather(reached, &way.end, rules)?;
        let found = files.entries().iter().filter(|entry| matches!(entry.kind, EntryKind::File { .. }));
        self.entries.extend(found.map(|entry| Entry { path: join(reached, &entry.path), kind: entry.kind.clone() }));
        self.links(&Folder { reached, real: &way.end, around }, &files)?;
        Ok(true)
    }

    fn remember(&self, reached: &str, way: &Way) {
        let reached = self.query.root.join(reached);
        let mut aliases = self.gatherer.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let places = way.through.iter().chain([&way.end]);
        aliases.extend(places.map(|real| Alias { real: real.clone(), reached: reached.clone() }));
    }

    fn gather(&mut self, reached: &str, root: &Path, rules: Rules) -> Result<FileSet, Failure> {
        let name = format!("{}.behind-{}", self.query.name, Digest::of_bytes(reached.as_bytes()).short());
        let query = Query { name, root: root.to_owned(), rules };
        let files = self.gatherer.gather(&query)?.files;
        if let Some(stamp) = self.gatherer.stamp(&query, &files) {
            self.stamps.text(reached).digest(&stamp);
            self.any = true;
        }
        Ok(files)
    }
}

/// Where a link leads.
struct Way {
    /// The links on the way, less the first one.
    through: Vec<PathBuf>,
    end: PathBuf,
    is_folder: bool,
}

impl Way {
    /// That of the link at `place`, which lies in the real folder `own`. `None` where it leads to nothing, to itself, or to
    /// what is no source: a device, a socket.
    fn from(own: &Path, place: &Path) -> Result<Option<Self>, Failure> {
        let name = place.file_name().unwrap_or_default();
        let found = resolve(own, name.to_owned()).and_then(|(through, end)| {
            let about = fs::metadata(&end)?;
            Ok((about.is_dir() || about.is_file()).then_some(Self { through, end, is_folder: about.is_dir() }))
        });
        found.or_else(|error| match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(Failure::io("follow the link", place, &error)),
        })
    }
}

/// Where the link `name` in the real folder `own` leads, and the other links that are passed on the way.
fn resolve(own: &Path, name: OsString) -> io::Result<(Vec<PathBuf>, PathBuf)> {
    let mut links = Vec::new();
    let mut real = own.to_owned();
    let mut left = vec![name];
    while let Some(next) = left.pop() {
        if next == ".." {
            real.pop();
            continue;
        }
        let next = real.join(next);
        match fs::read_link(&next) {
            Ok(target) => {
                links.push(next);
                if links.len() > MOST {
                    return Err(Errno::LOOP.into());
                }
                left.extend(target.components().rev().map(|part| part.as_os_str().to_owned()));
            }
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => real = next,
            Err(error) => return Err(error),
        }
    }
    Ok((links.into_iter().skip(1).collect(), real))
}
