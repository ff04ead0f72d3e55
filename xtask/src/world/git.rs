//! The commit that is checked out, read from git's own files: asking git would cost a process in every run.
//!
//! Knows worktrees and packed refs. Whether files differ from the commit is not asked here: inputs are files, and the
//! commit is but a name for people to find them by.

use std::fs;
use std::path::{Path, PathBuf};

use engine::failure::Failure;

/// The commit checked out in the repository that `folder` lies in: 40 hexadecimal digits, or 64.
///
/// # Errors
/// When it lies in no repository, there is no commit yet, or the refs are kept in a way that is not understood here.
pub fn commit(folder: &Path) -> Result<String, Failure> {
    let Some(repository) = Repository::around(folder) else {
        return Err(Failure::environment(format!("{} lies in no git repository", folder.display()))
            .because("`${git.commit}` stands for the commit that is checked out")
            .help("make one: `git init`, then a first commit; or use another variable"));
    };
    repository.head().ok_or_else(|| {
        Failure::environment(format!("could not tell which commit is checked out in {}", folder.display()))
            .because(format!("{} names none", repository.own.join("HEAD").display()))
            .help("make a first commit, and keep refs in git's default format (files)")
    })
}

/// Where in each worktree of its repository `folder` is: in this one, the main one and all others, whether it is there
/// or not. None if it lies in no repository.
pub fn worktrees(folder: &Path) -> Vec<PathBuf> {
    let Some(repository) = Repository::around(folder) else { return Vec::new() };
    let Ok(inside) = folder.strip_prefix(&repository.worktree) else { return Vec::new() };
    let others = fs::read_dir(repository.common.join("worktrees")).into_iter().flatten().flatten();
    let others = others.filter_map(|entry| fs::read_to_string(entry.path().join("gitdir")).ok());
    let dot_gits = others.map(|text| PathBuf::from(text.trim_end())).chain([repository.common.clone()]);
    dot_gits.filter_map(|dot_git| Some(dot_git.parent()?.join(inside))).collect()
}

/// A repository as one of its worktrees sees it.
pub struct Repository {
    /// The folder of the files that are checked out.
    worktree: PathBuf,
    /// What belongs to this worktree: HEAD.
    own: PathBuf,
    /// What all worktrees share: branches.
    common: PathBuf,
}

impl Repository {
    /// The folder of the files that are checked out.
    pub fn worktree(&self) -> &Path {
        &self.worktree
    }

    /// Where it keeps what belongs to this worktree.
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// Where it keeps what all its worktrees share.
    pub fn common(&self) -> &Path {
        &self.common
    }

    /// The one that `folder` lies in.
    pub fn around(folder: &Path) -> Option<Self> {
        let dot_git = folder.ancestors().map(|folder| folder.join(".git")).find(|path| path.exists())?;
        let worktree = dot_git.parent()?.to_owned();
        let own = if dot_git.is_dir() {
            dot_git
        } else {
            let text = fs::read_to_string(&dot_git).ok()?;
            dot_git.parent()?.join(text.strip_prefix("gitdir:")?.trim())
        };
        let common = match fs::read_to_string(own.join("commondir")) {
            // Worktrees say `../..`; what is joined has to be a path that its parent can be taken of.
            Ok(path) => own.join(path.trim()).canonicalize().ok()?,
            Err(_) => own.clone(),
        };
        Some(Self { worktree, own, common })
    }

    fn head(&self) -> Option<String> {
        let head = fs::read_to_string(self.own.join("HEAD")).ok()?;
        match head.trim().strip_prefix("ref: ") {
            None => is_commit(head.trim()),
            Some(name) => match fs::read_to_string(self.common.join(name)) {
                Ok(text) => is_commit(text.trim()),
                Err(_) => self.packed(name),
            },
        }
    }

    fn packed(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.common.join("packed-refs")).ok()?;
        text.lines().find_map(|line| {
            let (commit, packed) = line.split_once(' ')?;
            (packed == name).then(|| is_commit(commit)).flatten()
        })
    }
}

fn is_commit(text: &str) -> Option<String> {
    let digits = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::{commit, worktrees};

    fn git(folder: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(folder).args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]);
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn it_says_what_git_says() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("main");
        std::fs::create_dir_all(main.join("sub")).unwrap();
        assert!(commit(&main).is_err(), "no repository");
        git(&main, &["init", "-q", "-b", "feature/x"]);
        assert!(commit(&main).is_err(), "no commit yet");
        let says = |folder: &Path| assert_eq!(commit(folder).unwrap(), git(folder, &["rev-parse", "HEAD"]));
        git(&main, &["commit", "-q", "--allow-empty", "-m", "one"]);
        says(&main);
        says(&main.join("sub"));
        git(&main, &["pack-refs", "--all"]);
        says(&main);
        git(&main, &["commit", "-q", "--allow-empty", "-m", "two"]);
        says(&main);
        git(&main, &["worktree", "add", "-q", "-b", "other", "../tree"]);
        let tree = folder.path().join("tree");
        git(&tree, &["commit", "-q", "--allow-empty", "-m", "three"]);
        says(&tree);
        git(&tree, &["checkout", "-q", "--detach", "HEAD~1"]);
        says(&tree);
        for folder in [&main, &tree] {
            let mut found: Vec<_> = worktrees(&folder.join("sub")).into_iter().collect();
            found.sort();
            assert_eq!(found, [main.join("sub"), tree.join("sub")]);
        }
        assert_eq!(worktrees(folder.path()), Vec::<PathBuf>::new(), "no repository");
    }
}
