//! Whether git tracks a file, read from its index: asking git would cost a process.

use std::fs;
use std::path::{Path, PathBuf};

/// The command that untracks `path`, if the checkout around it tracks it.
///
/// `path` is absolute. Without a checkout, or with an index that is not understood, nothing is known and nothing said.
pub fn untrack_command(path: &Path) -> Option<String> {
    let root = path.ancestors().skip(1).find(|folder| folder.join(".git").exists())?;
    let relative = path.strip_prefix(root).ok()?;
    let index = fs::read(git_folder(root)?.join("index")).ok()?;
    let name = relative.to_str()?;
    tracks(&index, name).then(|| format!("git -C {} rm --cached {name}", root.display()))
}

/// The folder of the checkout's own state: of a worktree, the one that its file `.git` names.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(&git).ok()?;
    Some(root.join(text.strip_prefix("gitdir:")?.trim()))
}

/// Walks the entries of an index of version 2, 3 or 4.
fn tracks(index: &[u8], name: &str) -> bool {
    entries(index).is_some_and(|names| names.iter().any(|entry| entry == name.as_bytes()))
}

fn entries(index: &[u8]) -> Option<Vec<Vec<u8>>> {
    /// Times, device, inode, mode, owner, size and object name before an entry's flags, in bytes.
    const FIXED: usize = 60;
    const EXTENDED: u16 = 0x4000;
    let number = |at: usize| Some(u32::from_be_bytes(index.get(at..at + 4)?.try_into().ok()?));
    let version = number(4).filter(|version| index.starts_with(b"DIRC") && (2..=4).contains(version))?;
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut at = 12;
    for _ in 0..number(8)? {
        let flags = u16::from_be_bytes(index.get(at + FIXED..at + FIXED + 2)?.try_into().ok()?);
        let begin = at + FIXED + if flags & EXTENDED == 0 { 2 } else { 4 };
        let mut name = Vec::new();
        let mut from = begin;
        if version == 4 {
            // Each name is the one before, less some of its end, with something behind.
            let (cut, after) = offset(index, begin)?;
            name = names.last().cloned().unwrap_or_default();
            name.truncate(name.len().checked_sub(cut)?);
            from = after;
        }
        let length = index.get(from..)?.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(&index[from..from + length]);
        at = if version == 4 { from + length + 1 } else { at + (begin - at + length + 8) / 8 * 8 };
        names.push(name);
    }
    Some(names)
}

/// A number as git packs it, seven bits to the byte, and where it ends.
fn offset(index: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut byte = *index.get(at)?;
    let mut value = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        at += 1;
        byte = *index.get(at)?;
        value = (value.checked_add(1)?.checked_mul(128)?) | usize::from(byte & 0x7f);
    }
    Some((value, at + 1))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::untrack_command;

    fn git(root: &Path, args: &[&str]) {
        let output = Command::new("git").current_dir(root).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_tracked_file_is_found_in_every_version_of_the_index() {
        for version in ["2", "3", "4"] {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().canonicalize().unwrap();
            git(&root, &["init", "--quiet"]);
            for name in ["a.yaml", "helm/b.yaml", "helm/values-local.yaml", "helm/values.yaml", "new.yaml", "z"] {
                let path = root.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, name).unwrap();
            }
            let secret = root.join("helm/values-local.yaml");
            git(&root, &["add", "a.yaml", "helm/b.yaml", "helm/values.yaml", "z"]);
            // An entry with extended flags, which version 2 does not have.
            if version != "2" {
                git(&root, &["add", "--intent-to-add", "new.yaml"]);
            }
            git(&root, &["update-index", "--index-version", version]);
            assert_eq!(untrack_command(&secret), None, "version {version}");
            git(&root, &["add", "helm/values-local.yaml"]);
            let command = format!("git -C {} rm --cached helm/values-local.yaml", root.display());
            assert_eq!(untrack_command(&secret), Some(command), "version {version}");
        }
    }

    #[test]
    fn a_worktree_has_an_index_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("main");
        fs::create_dir(&root).unwrap();
        git(&root, &["init", "--quiet"]);
        fs::write(root.join("a"), "").unwrap();
        git(&root, &["add", "a"]);
        git(&root, &["-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "--message", "m"]);
        git(&root, &["worktree", "add", "--quiet", "../other"]);
        assert!(untrack_command(&root.join("../other").canonicalize().unwrap().join("a")).is_some());
        assert_eq!(untrack_command(&folder.path().join("a")), None);
    }
}
