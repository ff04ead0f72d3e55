//! The folder in the user's cache where day zero's graph lives: a copy of `dayzero/` beside all that is made of it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::failure::Failure;
use engine::lock::{Held, Lock, Locks};
use engine::receipt::write_atomically;
use engine::step::StepId;

use crate::context::Context;
use crate::run;
use crate::world::{pause, tool_folder};

/// What of `dayzero/` is copied, folders whole. What lies beside them in the copy was made there.
const COPIED: [&str; 6] = ["xtask.toml", "bases", "go", "images", "node", "tools"];

/// Folders in `caches/` that compilers fill.
const COMPILERS: [&str; 2] = ["go-build", "go-mod"];

/// How the names of those begin in `caches/` that nobody goes on from.
const BEGUN: &str = "work.";

/// Looks at a lock that is held before its holder is told of, and the time between two.
const QUIET_LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(20);

/// Folders that the graph file names and that nothing has been put into yet.
const CONTEXTS: &str = include_str!("../../../dayzero/images/upstream");

/// The folder, ours alone for as long as this value lives.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    _held: Held,
}

impl Home {
    /// Takes the folder, waiting for whoever has it, and brings its copy up to date.
    ///
    /// # Errors
    /// When the checkout that this tool was built from is gone, or the cache cannot be written.
    pub(super) async fn open(cx: &Context) -> Result<Self, Failure> {
        let root = tool_folder::root();
        let held = hold(cx, &root).await?;
        refresh(&source(), &root)?;
        // What is remembered of hosts is remembered for one run, which may come here several times. A process may have
        // many of them, for hours.
        static ASKED: Mutex<Option<PathBuf>> = Mutex::new(None);
        if is_another(&ASKED, cx.workspace.run_folder(cx.run)) {
            clear(&root.join("run"))?;
        }
        let home = Self { root, _held: held };
        home.clear_remains()?;
        Ok(home)
    }

    /// The folder as it is, with nothing brought up to date; `None` while a run has it.
    ///
    /// # Errors
    /// When the lock cannot be made.
    pub(super) fn alone() -> Result<Option<Self>, Failure> {
        let root = tool_folder::root();
        let held = lock(&root)?.try_acquire(&format!("day zero, process {}", std::process::id()))?;
        Ok(held.map(|held| Self { root, _held: held }))
    }

    /// Removes what recipes that were killed had begun, and caches whose removal was cut short.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub(super) fn clear_remains(&self) -> Result<(), Failure> {
        let begun = fs::read_dir(self.root.join("caches")).into_iter().flatten().flatten();
        let mut remains = begun.filter(|entry| entry.file_name().to_string_lossy().starts_with(BEGUN));
        remains.try_for_each(|entry| clear(&entry.path()))
    }

    /// Drops compilers' caches: they are ten times the size of what they are for, and not needed once that is there.
    /// They are put aside first, at once: whoever is killed while they go has them removed by the next run.
    ///
    /// # Errors
    /// When something in them cannot be removed.
    pub(super) fn forget_caches(&self) -> Result<(), Failure> {
        let caches = self.root.join("caches");
        for name in COMPILERS {
            let (path, aside) = (caches.join(name), caches.join(format!("{BEGUN}{name}")));
            clear(&aside)?;
            match fs::rename(&path, &aside) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved.map_err(|error| Failure::io("put aside", &path, &error))?,
            }
        }
        self.clear_remains()
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// `dayzero/` of the checkout that this program was built in, which `cargo` rebuilds when the checkout moves.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("dayzero")
}

/// Whether `run` is another one than it was the last time.
fn is_another(last: &Mutex<Option<PathBuf>>, run: PathBuf) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    last.replace(run.clone()) != Some(run)
}

fn lock(root: &Path) -> Result<Lock, Failure> {
    Ok(Locks::of_this_user()?.named(&format!("day zero in {}", root.display())))
}

async fn hold(cx: &Context, root: &Path) -> Result<Held, Failure> {
    let lock = lock(root)?;
    let holder = format!("day zero of {}, process {}", cx.workspace.root().display(), std::process::id());
    // Two steps of one run meet here for a moment; only a wait for another run's work is worth telling.
    for _ in 0..QUIET_LOOKS {
        if let Some(held) = lock.try_acquire(&holder)? {
            return Ok(held);
        }
        pause(LOOK).await;
    }
    let other = lock.holder();
    run::wait_for(cx, &StepId::cluster(), lock, holder, other).await
}

/// Makes what is copied in `root` the same as in `source`, writing only what differs.
fn refresh(source: &Path, root: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error: &io::Error| Failure::io("bring up to date", path, error);
    let mut wanted = BTreeSet::new();
    for name in COPIED {
        let from = source.join(name);
        files(&from, &mut |path| wanted.extend([path.to_owned()])).map_err(|error| {
            Failure::io("read", &from, &error).help("the checkout that this program was built in has to be there")
        })?;
    }
    let relative = |path: &Path, base: &Path| path.strip_prefix(base).map(Path::to_owned).unwrap_or_default();
    let wanted: BTreeSet<PathBuf> = wanted.iter().map(|path| relative(path, source)).collect();
    for path in &wanted {
        let (from, to) = (source.join(path), root.join(path));
        copy_if_other(&from, &to)?;
    }
    for name in COPIED {
        let mut gone = Vec::new();
        let is_old = &mut |path: &Path| {
            if !wanted.contains(&relative(path, root)) {
                gone.push(path.to_owned());
            }
        };
        files(&root.join(name), is_old).map_err(|error| failed(root, &error))?;
        for path in gone {
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
    }
    let contexts = CONTEXTS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next());
    for folder in contexts.map(|name| format!("out/images/{name}")).chain(["out/node".to_owned()]) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    }
    Ok(())
}

fn clear(folder: &Path) -> Result<(), Failure> {
    match remove(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::io("remove", folder, &error)),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it, also where folders are read-only, as Go makes those of its modules.
fn remove(path: &Path) -> io::Result<()> {
    if !path.symlink_metadata()?.is_dir() {
        return fs::remove_file(path);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    fs::read_dir(path)?.try_for_each(|entry| remove(&entry?.path()))?;
    fs::remove_dir(path)
}

/// Calls `found` with each file at or below `path`.
fn files(path: &Path, found: &mut dyn FnMut(&Path)) -> io::Result<()> {
    if !path.is_dir() {
        found(path);
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        files(&entry?.path(), found)?;
    }
    Ok(())
}

fn copy_if_other(from: &Path, to: &Path) -> Result<(), Failure> {
    let bytes = fs::read(from).map_err(|error| Failure::io("read", from, &error))?;
    if fs::read(to).is_ok_and(|there| there == bytes) && executable(from) == executable(to) {
        return Ok(());
    }
    write_atomically(to, &bytes)?;
    let mode = if executable(from) { 0o755 } else { 0o644 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(|error| Failure::io("write", to, &error))
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::Mutex;

    use engine::lock::Locks;

    use super::{Home, executable, is_another, refresh, source};

    fn home(root: &Path) -> Home {
        let held = Locks::in_folder(root.join("locks")).unwrap().named("home").acquire("a test").unwrap();
        Home { root: root.to_owned(), _held: held }
    }

    #[test]
    fn compilers_caches_go_though_an_earlier_run_was_killed_meanwhile_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let caches = folder.path().join("caches");
        let fill = |name: &str| {
            let module = caches.join(name).join("k8s.io/api@v0.34.4");
            fs::create_dir_all(&module).unwrap();
            fs::write(module.join("go.mod"), "").unwrap();
            // As Go makes them.
            fs::set_permissions(&module, fs::Permissions::from_mode(0o555)).unwrap();
        };
        // What the killed run had put aside, what a killed recipe has begun, and what came since.
        ["work.go-mod", "work.a1b2c3", "go-mod", "go-build"].into_iter().for_each(fill);
        fs::write(caches.join("go.lock"), "").unwrap();
        let home = home(folder.path());
        home.forget_caches().unwrap();
        let left: Vec<_> = fs::read_dir(&caches).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["go.lock"]);
        home.forget_caches().expect("there is nothing any more, and that is no error");
    }

    #[test]
    fn a_run_forgets_which_hosts_the_one_before_it_has_missed() {
        let last = Mutex::new(None);
        let rows = [("runs/1", true), ("runs/1", false), ("runs/2", true), ("runs/2", false)];
        for (run, expected) in rows {
            assert_eq!(is_another(&last, run.into()), expected, "{run}");
        }
    }

    #[test]
    fn the_copy_follows_the_checkout_and_keeps_what_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("out/helm-4.1.4")).unwrap();
        fs::write(root.join("out/helm-4.1.4/helm"), "made").unwrap();
        fs::create_dir_all(root.join("tools")).unwrap();
        fs::write(root.join("tools/of-an-older-version"), "").unwrap();
        fs::write(root.join("tools/helm"), "older").unwrap();

        refresh(&source(), root).unwrap();

        assert_eq!(fs::read(root.join("tools/helm")).unwrap(), fs::read(source().join("tools/helm")).unwrap());
        assert!(executable(&root.join("tools/helm")) && !executable(&root.join("tools/lib")));
        assert!(!root.join("tools/of-an-older-version").exists());
        assert_eq!(fs::read_to_string(root.join("out/helm-4.1.4/helm")).unwrap(), "made");
        // The graph file can be read, so every folder that it names is there.
        engine::graph::load(&root.join("xtask.toml")).unwrap();
    }
}
