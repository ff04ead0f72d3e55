//! Whether git ignores a file, by its own rules: asking git would cost a process.

use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::world::git::Repository;

/// Whether a `git add` of everything would take `path`, an absolute one, along. Outside of a repository nothing does.
pub fn is_exposed(path: &Path) -> bool {
    path.parent().and_then(Repository::around).is_some_and(|repository| !ignores(&repository, path))
}

fn ignores(repository: &Repository, path: &Path) -> bool {
    let root = repository.worktree();
    let mut outer = GitignoreBuilder::new(root);
    // One that is not there has no rules; of one that cannot be read no more is known.
    let _ = outer.add(repository.common().join("info/exclude"));
    // In the order in which they count for less and less: rules of folders come before these, the deepest first.
    let outer = [outer.build().unwrap_or_else(|_| Gitignore::empty()), Gitignore::global().0];
    let mut folders: Vec<Gitignore> = Vec::new();
    let below: Vec<&Path> = path.ancestors().take_while(|ancestor| *ancestor != root).collect();
    for step in below.into_iter().rev() {
        let folder = step.parent().unwrap_or(root);
        folders.push(Gitignore::new(folder.join(".gitignore")).0);
        let is_folder = step != path;
        let verdict = folders.iter().rev().chain(&outer).map(|rules| rules.matched(step, is_folder));
        // What is in an ignored folder is ignored, whatever rules below it say.
        if matches!(verdict.into_iter().find(|verdict| !verdict.is_none()), Some(Match::Ignore(_))) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::is_exposed;

    fn git(root: &Path, args: &[&str]) -> bool {
        Command::new("git").current_dir(root).args(args).output().unwrap().status.success()
    }

    #[test]
    fn it_says_what_git_says() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        assert!(!is_exposed(&root.join("secrets.yaml")), "no repository");
        assert!(git(&root, &["init", "--quiet"]));
        let file = root.join("helm/app/values-local.yaml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let check = |rules: &[(&str, &str)]| {
            for (path, text) in rules {
                fs::write(root.join(path), text).unwrap();
            }
            let said = !git(&root, &["check-ignore", "--quiet", "helm/app/values-local.yaml"]);
            assert_eq!(is_exposed(&file), said, "{rules:?}");
            for (path, _) in rules {
                fs::remove_file(root.join(path)).unwrap();
            }
            said
        };
        assert!(check(&[]));
        assert!(!check(&[(".gitignore", "values-local.yaml\n")]));
        assert!(!check(&[(".gitignore", "/helm/app/values-local.yaml\n")]));
        assert!(check(&[(".gitignore", "/values-local.yaml\n")]));
        assert!(!check(&[(".gitignore", "helm/\n"), ("helm/app/.gitignore", "!values-local.yaml\n")]));
        assert!(check(&[(".gitignore", "*.yaml\n"), ("helm/app/.gitignore", "!values-local.yaml\n")]));
        assert!(!check(&[("helm/.gitignore", "*-local.yaml\n")]));
        assert!(!check(&[(".git/info/exclude", "values-local.yaml\n")]));
    }
}
