//! The objects of a rendered manifest: many YAML documents in one text, as helm keeps and prints them.
//!
//! YAML is read the way Go's libraries in helm and kubectl read it: `yes` and `on` are booleans, `0644` is octal.

use std::fs;
use std::path::Path;

use engine::failure::Failure;
use serde_json::Value;

/// One object that a manifest asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// The namespace that the manifest names; what it leaves out is decided by whoever applies it.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
    /// The whole object.
    pub body: Value,
    /// The template that it comes from (`todo/templates/backend.yaml`), where helm says so.
    pub source: Option<String>,
}

impl Rendered {
    /// `Deployment todo-backend`: how messages name it.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// An annotation's value.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.body.get("metadata")?.get("annotations")?.get(name)?.as_str()
    }

    /// Whether helm leaves it where it is when the release goes.
    pub fn asks_to_be_kept(&self) -> bool {
        self.annotation("helm.sh/resource-policy").is_some_and(|policy| policy.trim() == "keep")
    }

    /// Where this kind of object keeps the template of its pods, as a JSON pointer.
    pub fn pod_template(&self) -> Option<&'static str> {
        pod_template(&self.kind)
    }

    /// The images that its pods' containers name.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        let template = match self.kind.as_str() {
            "Pod" => Some(&self.body),
            _ => self.pod_template().and_then(|pointer| self.body.pointer(pointer)),
        };
        let containers = ["/spec/initContainers", "/spec/containers"].into_iter();
        let containers = containers.filter_map(move |pointer| template?.pointer(pointer)?.as_array()).flatten();
        containers.filter_map(|container| container.get("image")?.as_str())
    }
}

/// Whether any file of a chart has `word` in it.
pub fn is_mentioned(chart: &Path, word: &str) -> bool {
    let entries = fs::read_dir(chart).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => is_mentioned(&path, word),
        false => fs::read_to_string(&path).is_ok_and(|text| text.contains(word)),
    })
}

/// Where objects of `kind` keep the template of their pods, as a JSON pointer.
pub fn pod_template(kind: &str) -> Option<&'static str> {
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some("/spec/template")
        }
        "CronJob" => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

/// All objects of `text`, in its order; a `List` stands for its items. `origin` is named in errors.
pub fn objects(text: &str, origin: &str) -> Result<Vec<Rendered>, Failure> {
    let mut objects = Vec::new();
    for document in documents(text) {
        let source = source(document);
        if let Some(body) = parse(document).map_err(|error| unreadable(origin, source, &error))? {
            collect(body, source, origin, &mut objects)?;
        }
    }
    Ok(objects)
}

/// The documents of `text`, cut at lines that begin with `---`.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let text = match text.strip_prefix("---") {
            Some(after) => after.split_once('\n').map_or("", |(_, text)| text),
            None => text,
        };
        match text.find("\n---") {
            Some(at) => {
                rest = Some(&text[at + 1..]);
                Some(&text[..=at])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// The value of one document; `None` for one with nothing but comments and blanks.
pub fn parse(document: &str) -> Result<Option<Value>, serde_saphyr::Error> {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if document.lines().all(blank) {
        return Ok(None);
    }
    let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    serde_saphyr::from_str_with_options(document, options)
        .map(|value: Value| Some(value).filter(|value| !value.is_null()))
}

fn source(document: &str) -> Option<&str> {
    document.lines().find_map(|line| line.strip_prefix("# Source: ")).map(str::trim)
}

fn collect(body: Value, source: Option<&str>, origin: &str, objects: &mut Vec<Rendered>) -> Result<(), Failure> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    if let (Some("List"), Some(Value::Array(items))) = (kind.as_deref(), body.get("items")) {
        return items.iter().try_for_each(|item| collect(item.clone(), source, origin, objects));
    }
    match (api_version, kind, text("/metadata/name")) {
        (Some(api_version), Some(kind), Some(name)) => {
            let namespace = text("/metadata/namespace").filter(|namespace| !namespace.is_empty());
            objects.push(Rendered { api_version, kind, namespace, name, source: source.map(str::to_owned), body });
            Ok(())
        }
        (api_version, kind, _) => {
            let lacking = if api_version.is_none() {
                "apiVersion"
            } else if kind.is_none() {
                "kind"
            } else {
                "metadata.name"
            };
            Err(Failure::step(format!("an object in {} has no {lacking}", source.unwrap_or(origin))))
        }
    }
}

fn unreadable(origin: &str, source: Option<&str>, error: &serde_saphyr::Error) -> Failure {
    Failure::step(format!("{} is not valid YAML", source.unwrap_or(origin))).because(error)
}

#[cfg(test)]
mod tests {
    use super::{documents, objects};

    #[test]
    fn documents_are_cut_where_helm_cuts_them() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(documents(text).map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>(), expected);
        };
        check("a: 1", &["a: 1"]);
        check("---\na: 1\n---\nb: 1\n", &["a: 1", "b: 1"]);
        check("--- # first\na: 1\n\n---\n\n---\nb: |\n  ---\n", &["a: 1", "b: |\n  ---"]);
        check("", &[]);
    }

    #[test]
    fn objects_are_read_as_go_reads_them() {
        let text = "---\n# Source: todo/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}\n\
                    immutable: yes\nmode: 0644\ntext: \"yes\"\n---\n# only a comment\n---\napiVersion: v1\nkind: List\nitems:\n\
                    - {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
        let objects = objects(text, "the manifest").unwrap();
        let titles: Vec<_> = objects.iter().map(|object| (object.title(), object.namespace.as_deref())).collect();
        assert_eq!(titles, [("ConfigMap a".to_owned(), Some("other")), ("Secret b".to_owned(), None)]);
        assert_eq!(objects[0].source.as_deref(), Some("todo/templates/a.yaml"));
        assert_eq!(objects[0].body["immutable"], true);
        assert_eq!(objects[0].body["mode"], 420);
        assert_eq!(objects[0].body["text"], "yes");
    }

    #[test]
    fn what_is_no_object_names_its_template() {
        let check = |text: &str, expected: &str| {
            assert_eq!(objects(text, "todo.yaml").unwrap_err().message, expected);
        };
        check("kind: Secret\nmetadata: {name: a}", "an object in todo.yaml has no apiVersion");
        check("# Source: t/x.yaml\napiVersion: v1\nkind: Secret", "an object in t/x.yaml has no metadata.name");
        check("# Source: t/x.yaml\na: [", "t/x.yaml is not valid YAML");
    }
}
