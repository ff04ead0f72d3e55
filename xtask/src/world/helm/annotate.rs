//! Writes into pod templates which versions of which secret keys they were made with, so that a changed secret rolls
//! the pods that read it and no others, whatever chart they come from.
//!
//! Done as helm's post-renderer: the annotation is part of what helm applies, so a new image and a new secret make
//! one new ReplicaSet, a first install rolls nothing twice, and the pre-upgrade hooks have run before. Only names,
//! uids and version numbers are written; no digest of a value reaches the cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::world::kube::rendered;
use crate::world::kube::secret::Versions;

/// The annotation on pod templates.
pub const ANNOTATION: &str = "xtask/secrets";

/// The first argument of this program when helm runs it as its post-renderer; the second is a file of [`Secrets`].
pub const VERB: &str = "post-render";

/// What the post-renderer is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Secrets {
    /// The namespace of objects whose manifest names none.
    pub namespace: String,
    /// By namespace, then by name.
    pub objects: BTreeMap<String, BTreeMap<String, Versions>>,
}

/// `manifest` with the annotation in every pod template that reads one of `secrets`. All other documents stay as
/// they are, byte for byte; so does one that is no YAML, for helm to complain about.
pub fn annotate(manifest: &str, secrets: &Secrets) -> String {
    let mut text = String::with_capacity(manifest.len() + 1024);
    for document in rendered::documents(manifest) {
        text.push_str("---\n");
        match annotated(document, secrets) {
            Some(object) => {
                // Comments name the template that it comes from.
                text.extend(document.lines().filter(|line| line.starts_with('#')).flat_map(|line| [line, "\n"]));
                text.push_str(&object.to_string());
                text.push('\n');
            }
            None => text.push_str(document),
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

fn annotated(document: &str, secrets: &Secrets) -> Option<Value> {
    let mut object = rendered::parse(document).ok()??;
    // A Job's template cannot be changed, and a CronJob's next pods read the new values anyway.
    let long_running = matches!(object.get("kind")?.as_str()?, "Deployment" | "StatefulSet" | "DaemonSet");
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(&secrets.namespace);
    let known = secrets.objects.get(namespace).filter(|_| long_running)?;
    let template = object.pointer_mut("/spec/template")?;
    let mut read = BTreeMap::new();
    for (secret, keys) in references(template.get("spec")?) {
        if let Some(versions) = known.get(&secret) {
            let mut of_these = versions.clone();
            if let Keys::These(names) = keys {
                // A key that is not there yet has a version too, so that its coming is a change.
                of_these.keys = names
                    .into_iter()
                    .map(|name| (name.clone(), versions.keys.get(&name).copied().unwrap_or(0)))
                    .collect();
            }
            read.insert(secret, of_these);
        }
    }
    if read.is_empty() {
        return None;
    }
    let text = serde_json::to_string(&read).ok()?;
    let metadata = template.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
    let annotations = metadata.as_object_mut()?.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations.as_object_mut()?.insert(ANNOTATION.to_owned(), text.into());
    Some(object)
}

/// Which keys of a Secret are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// All that there are.
    All,
    /// Just these.
    These(BTreeSet<String>),
}

impl Keys {
    fn one(key: &str) -> Self {
        Self::These(BTreeSet::from([key.to_owned()]))
    }

    fn and(&mut self, other: Self) {
        match (self, other) {
            (Self::All, _) => {}
            (this, Self::All) => *this = Self::All,
            (Self::These(these), Self::These(others)) => these.extend(others),
        }
    }
}

/// The Secrets that a pod's spec reads, with the keys that it reads of each.
pub fn references(pod: &Value) -> BTreeMap<String, Keys> {
    let mut found: BTreeMap<String, Keys> = BTreeMap::new();
    let mut add = |name: Option<&Value>, keys: Keys| {
        if let Some(name) = name.and_then(Value::as_str) {
            found.entry(name.to_owned()).and_modify(|known| known.and(keys.clone())).or_insert(keys);
        }
    };
    for container in ["containers", "initContainers"].into_iter().flat_map(|field| items(pod, field)) {
        for variable in items(container, "env") {
            if let Some(reference) = variable.pointer("/valueFrom/secretKeyRef") {
                let key = reference.get("key").and_then(Value::as_str).unwrap_or_default();
                add(reference.get("name"), Keys::one(key));
            }
        }
        for source in items(container, "envFrom") {
            add(source.pointer("/secretRef/name"), Keys::All);
        }
    }
    for volume in items(pod, "volumes") {
        if let Some(secret) = volume.get("secret") {
            add(secret.get("secretName"), of_items(secret));
        }
        for source in volume.get("projected").into_iter().flat_map(|projected| items(projected, "sources")) {
            if let Some(secret) = source.get("secret") {
                add(secret.get("name"), of_items(secret));
            }
        }
    }
    found
}

fn of_items(secret: &Value) -> Keys {
    let keys: BTreeSet<String> =
        items(secret, "items").filter_map(|item| item.get("key")?.as_str().map(str::to_owned)).collect();
    if keys.is_empty() { Keys::All } else { Keys::These(keys) }
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::{Value, json};

    use super::{ANNOTATION, Keys, Secrets, annotate, references};
    use crate::world::kube::rendered;
    use crate::world::kube::secret::Versions;

    fn secrets(keys: &[(&str, u64)]) -> Secrets {
        let versions = Versions {
            uid: "u".to_owned(),
            keys: keys.iter().map(|(key, version)| ((*key).to_owned(), *version)).collect(),
        };
        let objects = BTreeMap::from([("todo".to_owned(), BTreeMap::from([("todo-secrets".to_owned(), versions)]))]);
        Secrets { namespace: "todo".to_owned(), objects }
    }

    #[test]
    fn references_are_found_wherever_a_pod_reads_a_secret() {
        let check = |pod: Value, expected: &[(&str, Option<&[&str]>)]| {
            let expected: BTreeMap<String, Keys> = expected
                .iter()
                .map(|(name, keys)| {
                    let these =
                        |keys: &&[&str]| Keys::These(keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>());
                    ((*name).to_owned(), keys.as_ref().map_or(Keys::All, these))
                })
                .collect();
            assert_eq!(references(&pod), expected);
        };
        let env = |key: &str| json!({"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": key}}});
        check(json!({"containers": [{"env": [env("a"), {"name": "Y", "value": "1"}]}]}), &[("s", Some(&["a"]))]);
        check(
            json!({"containers": [{"env": [env("a")]}], "initContainers": [{"env": [env("b")]}]}),
            &[("s", Some(&["a", "b"]))],
        );
        check(json!({"containers": [{"env": [env("a")], "envFrom": [{"secretRef": {"name": "s"}}]}]}), &[("s", None)]);
        check(
            json!({"volumes": [{"secret": {"secretName": "s", "items": [{"key": "a", "path": "x"}]}}]}),
            &[("s", Some(&["a"]))],
        );
        check(json!({"volumes": [{"secret": {"secretName": "s"}}, {"configMap": {"name": "c"}}]}), &[("s", None)]);
        check(
            json!({"volumes": [{"projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "b"}]}}]}}]}),
            &[("s", Some(&["b"]))],
        );
        check(
            json!({"containers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}], "imagePullSecrets": [{"name": "p"}]}),
            &[],
        );
    }

    #[test]
    fn only_the_keys_that_a_template_reads_reach_its_annotation() {
        let manifest = "---\n# Source: t/templates/a.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  \
                        template:\n    spec:\n      containers:\n      - name: app\n        env:\n        - name: A\n          \
                        valueFrom: {secretKeyRef: {name: todo-secrets, key: A}}\n---\n# Source: t/templates/b.yaml\n\
                        apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\nspec: {template: {spec: {containers: []}}}\n";
        let check = |keys: &[(&str, u64)], expected: &str| {
            let text = annotate(manifest, &secrets(keys));
            let objects = rendered::objects(&text, "test").unwrap();
            let annotation = &objects[0].body["spec"]["template"]["metadata"]["annotations"][ANNOTATION];
            assert_eq!(annotation, expected);
            assert_eq!(objects[0].source.as_deref(), Some("t/templates/a.yaml"));
            assert!(text.ends_with(manifest.rsplit_once("---\n").unwrap().1), "what reads no secret stays as it is");
        };
        check(&[("A", 1), ("B", 1)], r#"{"todo-secrets":{"uid":"u","keys":{"A":1}}}"#);
        check(&[("A", 1), ("B", 7)], r#"{"todo-secrets":{"uid":"u","keys":{"A":1}}}"#);
        check(&[("A", 2), ("B", 7)], r#"{"todo-secrets":{"uid":"u","keys":{"A":2}}}"#);
        check(&[("B", 7)], r#"{"todo-secrets":{"uid":"u","keys":{"A":0}}}"#);
    }

    #[test]
    fn what_is_not_ours_to_understand_is_left_as_it_is() {
        let check = |manifest: &str| assert_eq!(annotate(manifest, &secrets(&[("A", 1)])), manifest);
        check("---\na: [\n");
        check(
            "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{envFrom: [{secretRef: {name: todo-secrets}}]}]}}}\n",
        );
        check(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: j, namespace: other}\nspec: {template: {spec: {containers: [{envFrom: [{secretRef: {name: todo-secrets}}]}]}}}\n",
        );
    }
}
