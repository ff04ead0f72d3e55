//! "Did you mean": the right name that is nearest to a wrong one.

/// What people write from habit with other tools, and how it is called here.
const HABITS: &[(&str, &[&str])] = &[
    ("after", &["depends-on", "depends", "needs", "requires", "deps", "dependencies"]),
    ("build-args", &["args", "buildargs"]),
    ("build-secrets", &["secrets", "secret"]),
    ("chart", &["path", "chart-path"]),
    ("context", &["path", "dir", "folder", "kube-context"]),
    ("cwd", &["dir", "workdir", "working-directory", "working-dir"]),
    ("dockerfile", &["file", "containerfile"]),
    ("files", &["paths", "manifests"]),
    ("from", &["file", "path", "source"]),
    ("fresh-for", &["ttl", "max-age", "interval"]),
    ("generate", &["generated", "random"]),
    ("get", &["path", "url"]),
    ("images", &["image", "artifacts"]),
    ("inputs", &["sources", "deps", "in"]),
    ("kubernetes", &["kubernetes-version", "version"]),
    ("namespace", &["ns"]),
    ("object", &["name", "secret", "secret-name"]),
    ("outputs", &["generates", "out", "artifacts"]),
    ("profile", &["name"]),
    ("release", &["helm"]),
    ("run", &["cmd", "command", "commands", "script", "exec"]),
    ("set", &["overrides", "set-values"]),
    ("text", &["body", "contains"]),
    ("values", &["value-files", "values-files"]),
];

/// The candidate that `wrong` most likely means, if any is near enough.
pub(crate) fn nearest<'c>(wrong: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let spelled = plain(wrong);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let right = plain(candidate);
        let habit = HABITS.iter().any(|(name, habits)| *name == candidate && habits.contains(&spelled.as_str()));
        let distance = if right == spelled {
            0
        } else if habit {
            1
        } else {
            strsim::damerau_levenshtein(&spelled, &right)
        };
        let allowed = if habit { 1 } else { (right.chars().count().max(spelled.chars().count()) / 3).max(1) };
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// How a name compares: capitals, and `_` for `-`, are no difference.
fn plain(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// `a`, `b` and `c`, for sentences.
pub(crate) fn listed<'c>(names: impl IntoIterator<Item = &'c str>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{listed, nearest};

    #[test]
    fn a_wrong_name_finds_the_one_that_was_meant() {
        let check = |wrong: &str, candidates: &[&'static str], expected: Option<&str>| {
            assert_eq!(nearest(wrong, candidates.iter().copied()), expected, "{wrong} among {candidates:?}");
        };
        check("contxt", &["context", "target"], Some("context"));
        check("build_args", &["build-args", "build-secrets"], Some("build-args"));
        check("Context", &["context"], Some("context"));
        check("needs", &["after", "context"], Some("after"));
        check("bakcend", &["frontend", "backend"], Some("backend"));
        check("x", &["context"], None);
        check("database", &["frontend", "backend"], None);
        check("anything", &[], None);
    }

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(listed([]), "");
    }
}
