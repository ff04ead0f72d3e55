//! Which entries of the context a request of BuildKit is about.
//!
//! BuildKit asks for just the paths that `COPY` and `ADD` name. What lies below them and the directories above them
//! go with them, and a symbolic link goes with what it points to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::context::{Entry, Kind};
use crate::pattern::{has_wildcards, matches_name, matches_path};

/// What BuildKit asked for; with neither followed paths nor includes it wants everything.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Paths, wildcards allowed, whose symbolic links are followed.
    pub(crate) follow: Vec<String>,
    /// Patterns of what to send.
    pub(crate) include: Vec<String>,
    /// Patterns of what to leave out, `!` takes back.
    pub(crate) exclude: Vec<String>,
}

/// The indices of the entries that are wanted, in order, parents before children.
pub(crate) fn select(entries: &[Entry], wanted: &Wanted) -> Vec<usize> {
    let index: BTreeMap<&str, usize> = entries.iter().enumerate().map(|(at, e)| (e.path.as_str(), at)).collect();
    let parent = |path: &str| path.rsplit_once('/').and_then(|(parent, _)| index.get(parent).copied());

    let mut chosen = vec![wanted.follow.is_empty() && wanted.include.is_empty(); entries.len()];
    let mut follower = Follower { entries, index: &index, seen: BTreeSet::new(), chosen: &mut chosen };
    wanted.follow.iter().for_each(|path| follower.follow(path));
    for (at, entry) in entries.iter().enumerate() {
        let inherited = parent(&entry.path).is_some_and(|parent| chosen[parent]);
        chosen[at] |= inherited || wanted.include.iter().any(|pattern| matches_path(pattern, &entry.path));
    }
    let mut sent = chosen;
    if !wanted.exclude.is_empty() {
        for (at, entry) in entries.iter().enumerate() {
            sent[at] &= !excluded(&wanted.exclude, &entry.path);
        }
    }
    for at in (0..entries.len()).rev() {
        if let (true, Some(parent)) = (sent[at], parent(&entries[at].path)) {
            sent[parent] = true;
        }
    }
    (0..entries.len()).filter(|at| sent[*at]).collect()
}

/// The last pattern that matches decides.
fn excluded(patterns: &[String], path: &str) -> bool {
    patterns.iter().fold(false, |excluded, pattern| match pattern.strip_prefix('!') {
        Some(pattern) => excluded && !matches_path(pattern, path),
        None => excluded || matches_path(pattern, path),
    })
}

struct Follower<'a> {
    entries: &'a [Entry],
    index: &'a BTreeMap<&'a str, usize>,
    /// Paths that were followed already: links that point in a circle end here.
    seen: BTreeSet<String>,
    chosen: &'a mut Vec<bool>,
}

impl Follower<'_> {
    fn follow(&mut self, path: &str) {
        let parts = clean("", path);
        if self.seen.insert(parts.join("/")) {
            self.descend("", parts.into());
        }
    }

    fn descend(&mut self, directory: &str, mut parts: VecDeque<String>) {
        let Some(part) = parts.pop_front() else {
            // Only the root has no name of its own: everything is wanted.
            self.chosen.fill(true);
            return;
        };
        for at in self.candidates(directory, &part) {
            let path = self.entries[at].path.clone();
            match &self.entries[at].kind {
                Kind::Symlink { target } => {
                    self.chosen[at] = true;
                    let mut onward = clean(directory, target);
                    onward.extend(parts.iter().cloned());
                    self.follow(&onward.join("/"));
                }
                _ if parts.is_empty() => self.chosen[at] = true,
                Kind::Directory => self.descend(&path, parts.clone()),
                Kind::File { .. } => {}
            }
        }
    }

    /// The entries in `directory` that `part` names. The literal name counts even if it reads as a wildcard, as
    /// `[id]` does, the name of a route: too much sent costs a little, too little would fail the build.
    fn candidates(&self, directory: &str, part: &str) -> Vec<usize> {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        if !has_wildcards(part) {
            return self.index.get(format!("{prefix}{part}").as_str()).copied().into_iter().collect();
        }
        let first = if directory.is_empty() { 0 } else { self.index[directory] + 1 };
        let inside = self.entries[first..].iter().map_while(|entry| entry.path.strip_prefix(&prefix));
        inside
            .enumerate()
            .filter(|(_, name)| !name.contains('/') && (*name == part || matches_name(part, name)))
            .map(|(offset, _)| first + offset)
            .collect()
    }
}

/// The parts of `path`, seen from `directory` unless absolute, without `.` and `..`; what leaves the root stays in it.
fn clean(directory: &str, path: &str) -> Vec<String> {
    let start = if path.starts_with('/') { "" } else { directory };
    let mut parts: Vec<String> = Vec::new();
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Wanted, select};
    use crate::context::{Context, Entry, Kind};

    /// Sends `a/x`, `a/y.rs`, `b` and so on; `link>target` is a symbolic link.
    fn check(entries: &str, wanted: &Wanted, expected: &str) {
        let entries = entries.split(' ').map(|text| match text.split_once('>') {
            Some((path, target)) => Entry { path: path.to_owned(), kind: Kind::Symlink { target: target.to_owned() } },
            None => Entry { path: text.to_owned(), kind: Kind::File { executable: false, size: 0, digest: [0; 32] } },
        });
        let context = Context::new(PathBuf::new(), String::new(), entries).unwrap();
        let entries = context.entries();
        let sent: Vec<&str> = select(entries, wanted).into_iter().map(|at| entries[at].path.as_str()).collect();
        assert_eq!(sent.join(" "), expected, "{wanted:?}");
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn followed_paths_bring_their_parents_contents_and_link_targets() {
        let rows = [
            ("a/x b", "", "a a/x b"),
            ("a/x b", "a", "a a/x"),
            ("a/x a/y b", "/a/x", "a a/x"),
            ("a/x b", "nothing", ""),
            ("a/x b", ".", "a a/x b"),
            ("a.rs b.rs c.py", "*.rs", "a.rs b.rs"),
            ("p/x/m q/x/m q/y/m", "*/x", "p p/x p/x/m q q/x q/x/m"),
            ("app/[id]/page app/i/page app/z/page", "app/[id]", "app app/[id] app/[id]/page app/i app/i/page"),
            ("link>a/x a/x a/y", "link", "a a/x link"),
            ("d/link>../e e/x f", "d/link/x", "d d/link e e/x"),
            ("link>/a a/x b", "link", "a a/x link"),
            ("one>two two>one b", "one", "one two"),
            ("up>../../b b c", "up", "b up"),
            ("gone>nowhere b", "gone", "gone"),
        ];
        for (entries, follow, expected) in rows {
            check(entries, &Wanted { follow: words(follow), ..Wanted::default() }, expected);
        }
    }

    #[test]
    fn includes_and_excludes() {
        let rows = [
            ("a/x b/x c", "a", "", "a a/x"),
            ("a/x b/x c", "**/x", "", "a a/x b b/x"),
            ("a/x a/y b", "", "a/x", "a a/y b"),
            ("a/x a/y b", "", "a !a/y", "a a/y b"),
            ("a/x a/y b", "", "* !b", "b"),
        ];
        for (entries, include, exclude, expected) in rows {
            check(entries, &Wanted { include: words(include), exclude: words(exclude), follow: vec![] }, expected);
        }
    }
}
