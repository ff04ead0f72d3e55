//! Which of the given values no template of a chart reads: mostly a slip of the pen. Pure but for reading the chart.
//!
//! Templates are searched for `.Values.a.b`; naming a map means reading all of it. Where a template does something
//! with all values at once nothing can be said, and nothing is: a warning that is wrong teaches people to skip them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::helm::values::leaves;
use crate::world::kube::rendered;

/// The paths in the values that a chart reads, its dependencies included.
#[derive(Debug, Default)]
pub struct Reads {
    /// Dotted paths; each stands for everything below it, too.
    paths: BTreeSet<String>,
    /// Somewhere all values are taken at once.
    everything: bool,
}

/// A given value that nobody reads.
#[derive(Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its dotted path.
    pub path: String,
    /// The path that was probably meant.
    pub nearest: Option<String>,
}

impl Reads {
    /// What the chart in `folder` reads. What cannot be read is left to helm to complain about.
    pub fn of_chart(folder: &Path) -> Self {
        let mut reads = Self::default();
        reads.add_chart(folder, "");
        reads
    }

    /// The values among `given` that no template reads.
    pub fn unread(&self, given: &Value) -> Vec<Unread> {
        if self.everything {
            return Vec::new();
        }
        let is_read = |path: &str| self.paths.iter().any(|read| covers(read, path) || covers(path, read));
        let unread = leaves(given).into_keys().filter(|path| !is_read(path));
        unread.map(|path| Unread { nearest: self.nearest(&path), path }).collect()
    }

    fn nearest(&self, path: &str) -> Option<String> {
        const MOST: usize = 3;
        let distance = |read: &String| strsim::damerau_levenshtein(read, path);
        self.paths.iter().filter(|read| distance(read) <= MOST).min_by_key(|read| distance(read)).cloned()
    }

    fn add_chart(&mut self, folder: &Path, prefix: &str) {
        self.add_templates(&folder.join("templates"), prefix);
        // Conditions and tags switch dependencies on and off before any template is read.
        if let Some(chart) =
            fs::read_to_string(folder.join("Chart.yaml")).ok().and_then(|text| rendered::parse(&text).ok()?)
        {
            for dependency in chart.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
                self.add_dependency(dependency, folder, prefix);
            }
        }
    }

    fn add_dependency(&mut self, dependency: &Value, folder: &Path, prefix: &str) {
        let text = |name: &str| dependency.get(name).and_then(Value::as_str);
        for condition in text("condition").unwrap_or_default().split(',').map(str::trim).filter(|path| !path.is_empty())
        {
            self.add(prefix, condition);
        }
        if dependency.get("tags").is_some() {
            self.add(prefix, "tags");
        }
        let Some(name) = text("name") else { return };
        let below = format!("{prefix}{}.", text("alias").unwrap_or(name));
        let unpacked = folder.join("charts").join(name);
        // A library chart's templates are read with the values of whoever includes them.
        if unpacked.is_dir() {
            self.add_chart(&unpacked, &below);
            self.add_chart(&unpacked, prefix);
        } else {
            // Packed, or not fetched yet: nothing is known of what it reads.
            self.paths.insert(below.trim_end_matches('.').to_owned());
            self.paths.insert("global".to_owned());
        }
    }

    fn add_templates(&mut self, folder: &Path, prefix: &str) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.add_templates(&path, prefix);
            } else if let Ok(text) = fs::read_to_string(&path) {
                self.add_text(&text, prefix);
            }
        }
    }

    fn add_text(&mut self, text: &str, prefix: &str) {
        const VALUES: &str = ".Values";
        let text = without_comments(text);
        for (at, _) in text.match_indices(VALUES) {
            let rest = &text[at + VALUES.len()..];
            if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let path = if rest.starts_with('.') { dotted(rest) } else { quoted(rest) };
            if path.is_empty() {
                self.everything = true;
            } else {
                self.add(prefix, &path);
            }
        }
    }

    fn add(&mut self, prefix: &str, path: &str) {
        let global = path == "global" || path.starts_with("global.");
        self.paths.insert(if global { path.to_owned() } else { format!("{prefix}{path}") });
    }
}

/// Whether `path` is `whole` or lies below it.
fn covers(whole: &str, path: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The path in `.a.b }}`.
fn dotted(rest: &str) -> String {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
    rest[..end].trim_matches('.').to_owned()
}

/// The path in ` "a" "b" }}`, as behind `index .Values` and `hasKey .Values`.
fn quoted(rest: &str) -> String {
    let mut path = Vec::new();
    let mut rest = rest.trim_start_matches(' ');
    while let Some((name, after)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        path.push(name);
        rest = after.trim_start_matches(' ');
    }
    path.join(".")
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::{Reads, Unread};

    #[test]
    fn only_what_nobody_reads_is_named() {
        let check = |template: &str, given: Value, expected: &[(&str, Option<&str>)]| {
            let mut reads = Reads::default();
            reads.add_text(template, "");
            let expected: Vec<_> = expected
                .iter()
                .map(|(path, nearest)| Unread { path: (*path).to_owned(), nearest: nearest.map(str::to_owned) })
                .collect();
            assert_eq!(reads.unread(&given), expected, "{template}");
        };
        check("{{ .Values.a.b }}", json!({"a": {"b": 1}}), &[]);
        check("{{ .Values.a.replicas }}", json!({"a": {"replcas": 1}}), &[("a.replcas", Some("a.replicas"))]);
        check("{{ toYaml .Values.a }}", json!({"a": {"b": {"c": 1}}}), &[]);
        check("{{ with $.Values.a }}{{ .b }}{{ end }}", json!({"a": {"b": 1}}), &[]);
        check(
            "{{ index .Values \"a-b\" \"c\" }}",
            json!({"a-b": {"c": 1, "somethingElse": 2}}),
            &[("a-b.somethingElse", None)],
        );
        check("{{ toYaml .Values }}", json!({"anything": 1}), &[]);
        check("{{ index .Values .Release.Name }}", json!({"anything": 1}), &[]);
        check("{{/* .Values */}}{{ .Values.a }}", json!({"a": 1, "another": 2}), &[("another", None)]);
        check("{{ .Values.ab }}", json!({"a": {"b": 1}}), &[("a.b", Some("ab"))]);
    }

    #[test]
    fn dependencies_read_below_their_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Chart.yaml",
            "name: todo\ndependencies:\n- {name: db, alias: store, condition: store.enabled}\n- {name: packed, tags: [x]}\n",
        );
        write("templates/a.yaml", "{{ .Values.replicas }}");
        write("charts/db/Chart.yaml", "name: db\n");
        write("charts/db/templates/deep/a.yaml", "{{ .Values.size }}{{ .Values.global.region }}");
        let given = json!({
            "replicas": 1, "store": {"enabled": true, "size": 1, "sise": 1}, "packed": {"x": 1},
            "tags": {"x": true}, "global": {"region": "eu"},
        });
        let unread = Reads::of_chart(folder.path()).unread(&given);
        assert_eq!(unread, [Unread { path: "store.sise".to_owned(), nearest: Some("store.size".to_owned()) }]);
    }
}
