//! Whether a program is what its sources say: whether none of them was written since cargo began to build it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io, process};

/// A program that cargo builds, and where what it is built from can be found.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The program. Beside it cargo writes which sources it was built from: `PROGRAM.d`.
    pub program: &'a Path,
    /// The folder of the workspace, whose manifests and lock file count as sources.
    pub workspace: &'a Path,
}

impl Build<'_> {
    /// Whether nothing has changed since a build that succeeded, neither a source nor any of `besides`. Whatever cannot
    /// be read counts as changed.
    pub fn is_fresh(&self, besides: &[&Path]) -> bool {
        let Some(begun) = self.begun() else { return false };
        let Ok(sources) = self.sources() else { return false };
        let unchanged = |file: &Path| modified(file).is_some_and(|time| time < begun);
        let mut files = sources.iter().map(PathBuf::as_path).chain(besides.iter().copied());
        self.program.is_file() && files.all(unchanged)
    }

    /// The files that the program was built from: those that cargo has written down, its settings, and the packages'
    /// manifests.
    ///
    /// # Errors
    /// When it was never built, or what cargo has written down cannot be read.
    pub fn sources(&self) -> io::Result<Vec<PathBuf>> {
        let listing = fs::read_to_string(self.program.with_extension("d"))?;
        let mut sources = listed(&listing).ok_or(io::ErrorKind::InvalidData)?;
        sources.extend(["Cargo.toml", "Cargo.lock", ".cargo/config.toml"].map(|file| self.workspace.join(file)));
        sources.extend(self.manifests()?);
        Ok(sources)
    }

    /// When the last build began that succeeded: what was written later is not in the program.
    pub fn begun(&self) -> Option<SystemTime> {
        modified(&self.stamp())
    }

    /// Notes when a build began; [`Self::finish`] takes the file that is returned.
    ///
    /// # Errors
    /// When the folder of programs cannot be written.
    pub fn begin(&self) -> io::Result<PathBuf> {
        let path = self.program.with_extension(format!("begun.{}", process::id()));
        fs::write(&path, "")?;
        Ok(path)
    }

    /// The build that began as `begun` says has succeeded.
    ///
    /// # Errors
    /// When the folder of programs cannot be written.
    pub fn finish(&self, begun: &Path) -> io::Result<()> {
        fs::rename(begun, self.stamp())
    }

    /// Its time is that at which the last build began: what was written while cargo was at work counts as changed.
    fn stamp(&self) -> PathBuf {
        self.program.with_extension("begun")
    }

    /// The manifests of the tool's packages, which lie beside and below this one's.
    fn manifests(&self) -> io::Result<Vec<PathBuf>> {
        let tool = self.workspace.join("xtask");
        let mut manifests = vec![tool.join("Cargo.toml")];
        for entry in fs::read_dir(tool)? {
            let manifest = entry?.path().join("Cargo.toml");
            if manifest.is_file() {
                manifests.push(manifest);
            }
        }
        Ok(manifests)
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

/// The files of a rule as make reads it, `program: one two\ three`.
fn listed(listing: &str) -> Option<Vec<PathBuf>> {
    let (_, files) = listing.lines().next()?.split_once(": ")?;
    let mut found = vec![String::new()];
    let mut characters = files.chars();
    while let Some(character) = characters.next() {
        match (character, found.last_mut()) {
            ('\\', Some(file)) => file.extend(characters.next()),
            (' ', _) => found.push(String::new()),
            (other, Some(file)) => file.push(other),
            (_, None) => {}
        }
    }
    Some(found.into_iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime};

    use super::{Build, listed};

    const FILES: [&str; 8] = [
        "Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
        "xtask/Cargo.toml",
        "xtask/engine/Cargo.toml",
        "xtask/src/main.rs",
        "xtask/engine/src/a b.rs",
        "launcher",
    ];

    /// A workspace whose tool has just been built, and its files' times lie in the past.
    fn built(folder: &Path) {
        for file in FILES {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            set(&path, SystemTime::now() - Duration::from_secs(60));
        }
        let program = folder.join("tool");
        fs::write(&program, "").unwrap();
        let [main, other] = ["xtask/src/main.rs", "xtask/engine/src/a b.rs"].map(|file| folder.join(file));
        let other = other.display().to_string().replace(' ', "\\ ");
        fs::write(program.with_extension("d"), format!("{}: {} {other}\n", program.display(), main.display())).unwrap();
    }

    fn set(path: &Path, time: SystemTime) {
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    fn check(change: impl FnOnce(&Path), fresh: bool, what: &str) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        built(folder);
        let (program, launcher) = (folder.join("tool"), folder.join("launcher"));
        let build = Build { program: &program, workspace: folder };
        assert!(!build.is_fresh(&[&launcher]), "nobody knows when it was built");
        let begun = build.begin().unwrap();
        build.finish(&begun).unwrap();
        change(folder);
        assert_eq!(build.is_fresh(&[&launcher]), fresh, "{what}");
    }

    #[test]
    fn it_is_fresh_until_any_of_what_it_is_built_from_is_written_or_gone() {
        check(|_| {}, true, "nothing happened");
        check(|folder| fs::write(folder.join("xtask/notes.md"), "").unwrap(), true, "no source");
        for file in FILES {
            let later = SystemTime::now() + Duration::from_secs(1);
            check(|folder| set(&folder.join(file), later), false, file);
            // A package's manifest that is gone is no package any more; its sources tell.
            if !file.starts_with("xtask/engine/Cargo") {
                check(|folder| fs::remove_file(folder.join(file)).unwrap(), false, file);
            }
        }
        check(|folder| fs::remove_file(folder.join("tool")).unwrap(), false, "the program");
        check(|folder| fs::remove_file(folder.join("tool.d")).unwrap(), false, "the list of sources");
    }

    #[test]
    fn what_is_written_while_cargo_builds_counts_as_changed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        built(folder);
        let program = folder.join("tool");
        let build = Build { program: &program, workspace: folder };
        let begun = build.begin().unwrap();
        fs::write(folder.join("xtask/src/main.rs"), "fn main() {}").unwrap();
        build.finish(&begun).unwrap();
        assert!(!build.is_fresh(&[]));
    }

    #[test]
    fn sources_are_read_from_the_rule_for_make() {
        let rows: [(&str, Option<&[&str]>); 4] = [
            ("/t/x: /a/b.rs /a/c\\ d.rs\n\n/a/b.rs:\n", Some(&["/a/b.rs", "/a/c d.rs"])),
            ("/t/x: \n", Some(&[])),
            ("/t/x\n", None),
            ("", None),
        ];
        for (listing, expected) in rows {
            let expected = expected.map(|files| files.iter().map(PathBuf::from).collect::<Vec<_>>());
            assert_eq!(listed(listing), expected, "{listing:?}");
        }
    }
}
