//! The wildcards of `COPY` sources and of a frontend's include and exclude patterns.

/// Whether `pattern` matches the whole of `name`, a single part of a path: `*`, `?`, `[a-z]`, `[^a-z]` and `\` as in
/// Go's `filepath.Match`. A pattern that does not parse matches nothing.
pub(crate) fn matches_name(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    let mut chars = name.chars();
    match first {
        '*' => name.char_indices().any(|(at, _)| matches_name(rest, &name[at..])) || matches_name(rest, ""),
        '?' => chars.next().is_some() && matches_name(rest, chars.as_str()),
        '[' => {
            let Some((matched, rest)) = chars.next().and_then(|c| class(rest, c)) else { return false };
            matched && matches_name(rest, chars.as_str())
        }
        '\\' => {
            let mut literal = rest.chars();
            matches!((literal.next(), chars.next()), (Some(a), Some(b)) if a == b)
                && matches_name(literal.as_str(), chars.as_str())
        }
        literal => chars.next() == Some(literal) && matches_name(rest, chars.as_str()),
    }
}

/// Reads a character class behind its `[`: whether it holds `c`, and the pattern behind its `]`.
fn class(pattern: &str, c: char) -> Option<(bool, &str)> {
    let (negated, mut rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let mut matched = false;
    let mut first = true;
    loop {
        if let (false, Some(behind)) = (first, rest.strip_prefix(']')) {
            return Some((matched != negated, behind));
        }
        let low;
        (low, rest) = class_char(rest)?;
        let mut high = low;
        if let Some(behind) = rest.strip_prefix('-') {
            (high, rest) = class_char(behind)?;
        }
        matched |= (low..=high).contains(&c);
        first = false;
    }
}

fn class_char(pattern: &str) -> Option<(char, &str)> {
    let mut chars = pattern.strip_prefix('\\').unwrap_or(pattern).chars();
    Some((chars.next()?, chars.as_str()))
}

/// Whether a part of a path has to be matched rather than looked up.
pub(crate) fn has_wildcards(part: &str) -> bool {
    part.contains(['*', '?', '[', '\\'])
}

/// Whether `pattern` matches `path` or a directory above it; `**` stands for any number of parts.
pub(crate) fn matches_path(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let path: Vec<&str> = path.split('/').collect();
    matches_parts(&pattern, &path)
}

fn matches_parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], _) => true,
        (["**", rest @ ..], _) => (0..=path.len()).any(|skip| matches_parts(rest, &path[skip..])),
        ([_, ..], []) => false,
        ([part, rest @ ..], [name, below @ ..]) => matches_name(part, name) && matches_parts(rest, below),
    }
}

#[cfg(test)]
mod tests {
    use super::{matches_name, matches_path};

    #[test]
    fn names() {
        let rows = [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("*", "", true),
            ("*", "anything", true),
            ("*.rs", "main.rs", true),
            ("*.rs", "main.py", false),
            ("a*b*c", "axxbyyc", true),
            ("?", "é", true),
            ("?", "", false),
            ("[abc]", "b", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]", "b", false),
            ("[^a-c]", "d", true),
            ("[]a]", "]", true),
            ("[a", "a", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("\\", "\\", false),
        ];
        for (pattern, name, expected) in rows {
            assert_eq!(matches_name(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn paths() {
        let rows = [
            ("a", "a/b/c", true),
            ("a/b", "a", false),
            ("*/b", "a/b", true),
            ("*", "a/b", true),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("a/**/x", "a/x", true),
            ("a/**/x", "b/x", false),
            ("/a/", "a", true),
        ];
        for (pattern, path, expected) in rows {
            assert_eq!(matches_path(pattern, path), expected, "{pattern} {path}");
        }
    }
}
