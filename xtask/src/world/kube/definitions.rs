//! CustomResourceDefinitions: which kinds they bring, which of them brings a kind, and having one that was removed back.
//!
//! Helm installs those of a chart's `crds/` once and never again, and can neither upgrade nor remove a release while the
//! cluster does not know a kind of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::failure::Failure;
use kube::Client;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::Value;

use crate::world::kube::identity::Address;
use crate::world::kube::kinds::{Kinds, Resource};
use crate::world::kube::rendered::{self, Rendered};
use crate::world::kube::{MANAGER, error};

/// The kind of a definition itself.
pub const KIND: &str = "CustomResourceDefinition";

/// How long the API server may take to serve a new kind.
const ESTABLISHED: Duration = Duration::from_secs(60);

/// Each kind that somebody has defined in the cluster, and that of the definitions themselves. Who may not list them is
/// told of none.
///
/// # Errors
/// When the API server does not list them.
pub async fn kinds(client: &Client, kinds: &Kinds) -> Result<BTreeSet<Resource>, Failure> {
    let resource = kinds.find(client, "apiextensions.k8s.io/v1", KIND).await?;
    let all = Address { resource, namespace: None, name: String::new() };
    match all.api(client).list(&ListParams::default()).await {
        Ok(list) => {
            let brought = list.items.iter().filter_map(|definition| brought(&definition.data));
            Ok(brought.chain([all.resource]).collect())
        }
        Err(found) if error::is_forbidden(&found) => Ok(BTreeSet::new()),
        Err(found) => Err(error::failed("list the CustomResourceDefinitions", &found)),
    }
}

/// The kind that a definition brings, in a version that the API server serves.
fn brought(definition: &Value) -> Option<Resource> {
    let spec = definition.get("spec")?;
    let text = |pointer: &str| Some(spec.pointer(pointer)?.as_str()?.to_owned());
    let versions = spec.get("versions")?.as_array()?.iter();
    let version = versions.filter(|version| version["served"] == true).max_by_key(|version| version["storage"] == true);
    Some(Resource {
        api_version: format!("{}/{}", text("/group")?, version?["name"].as_str()?),
        kind: text("/names/kind")?,
        plural: text("/names/plural")?,
        namespaced: text("/scope")? == "Namespaced",
    })
}

/// The definitions in the `crds/` folders of the chart in the folder `chart`, and of those inside it.
///
/// # Errors
/// When a file cannot be read, or is no YAML.
pub fn of_chart(chart: &Path) -> Result<Vec<Rendered>, Failure> {
    let mut definitions = Vec::new();
    for file in files(&chart.join("crds")) {
        let text = fs::read_to_string(&file).map_err(|error| Failure::io("read", &file, &error))?;
        definitions.extend(rendered::objects(&text, &file.display().to_string())?);
    }
    for inner in entries(&chart.join("charts")).into_iter().filter(|path| path.is_dir()) {
        definitions.extend(of_chart(&inner)?);
    }
    definitions.retain(|object| object.kind == KIND);
    Ok(definitions)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let is_manifest = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("yaml" | "yml" | "json"))
    };
    let found = entries(folder).into_iter();
    found
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| is_manifest(path))
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // In order, for what is told about them.
    entries.map(|entry| entry.path()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether `definition` brings the kind of `object`.
pub fn brings(definition: &Rendered, object: &Rendered) -> bool {
    let spec = &definition.body["spec"];
    let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
    let serves = |versions: &Vec<Value>| {
        versions.iter().any(|one| one["name"] == version && one["served"] != Value::Bool(false))
    };
    spec["group"] == group && spec["names"]["kind"] == *object.kind && spec["versions"].as_array().is_some_and(serves)
}

/// Makes `definition`, unless it is there, and waits until the API server serves its kind.
///
/// # Errors
/// When the API server refuses it, or does not serve its kind in time.
pub async fn bring_back(client: &Client, kinds: &Kinds, definition: &Rendered) -> Result<(), Failure> {
    let address = Address::of(client, kinds, definition, "").await?;
    let object: DynamicObject = serde_json::from_value(definition.body.clone())
        .map_err(|error| Failure::step(format!("{} is no object", definition.title())).because(error))?;
    let params = PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) };
    match address.api(client).create(&params, &object).await {
        Err(found) if !error::is_conflict(&found) => return Err(error::failed(&address.doing("make"), &found)),
        _ => {}
    }
    until_established(client, &address).await
}

/// Waits until the API server serves the kind that the definition at `address` brings.
///
/// # Errors
/// When it does not in time, with what the definition's conditions say of that; or the cluster does not answer.
pub async fn until_established(client: &Client, address: &Address) -> Result<(), Failure> {
    let established = await_condition(address.api(client), &address.name, is_established);
    match tokio::time::timeout(ESTABLISHED, established).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(found)) => Err(Failure::step(format!("could not wait for {}", address.title()))
            .because_of(&found)
            .help("run the same command again")),
        Err(_) => {
            let failure = Failure::step(format!("the API server does not serve {}", address.title()))
                .because(format!("it is not established after {} s", ESTABLISHED.as_secs()));
            let live = address.read(client).await?;
            let said = live.iter().flat_map(conditions).filter(|one| one["status"] == "False");
            let said = said.filter_map(|one| one["message"].as_str());
            let help = format!("see what it says of it: kubectl describe crd {}", address.name);
            Err(said.fold(failure, Failure::because).help(help))
        }
    }
}

/// Whether the API server serves the kind that a definition brings.
fn is_established(object: Option<&DynamicObject>) -> bool {
    let is_it = |one: &Value| one["type"] == "Established" && one["status"] == "True";
    object.is_some_and(|object| conditions(object).any(is_it))
}

fn conditions(object: &DynamicObject) -> impl Iterator<Item = &Value> {
    object.data.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::{brings, brought, of_chart};
    use crate::world::kube::rendered::objects;

    const WIDGETS: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
        metadata: {name: widgets.example.org}\nspec:\n  group: example.org\n  names: {kind: Widget, plural: widgets}\n  \
        versions: [{name: v1, served: true}, {name: v0, served: false}]\n";

    #[test]
    fn a_definition_brings_the_kind_that_it_serves() {
        let definition = &objects(WIDGETS, "test").unwrap()[0];
        let check = |api_version: &str, kind: &str, expected: bool| {
            let text = format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a}}}}");
            assert_eq!(brings(definition, &objects(&text, "test").unwrap()[0]), expected, "{api_version} {kind}");
        };
        check("example.org/v1", "Widget", true);
        check("example.org/v0", "Widget", false);
        check("example.org/v2", "Widget", false);
        check("example.com/v1", "Widget", false);
        check("example.org/v1", "Gadget", false);
        check("v1", "Widget", false);
    }

    #[test]
    fn a_kind_is_asked_for_in_a_version_that_is_served() {
        let check = |versions: Value, expected: Option<&str>| {
            let names = json!({"kind": "Widget", "plural": "widgets"});
            let spec = json!({"group": "example.org", "names": names, "scope": "Namespaced", "versions": versions});
            let found = brought(&json!({"spec": spec}));
            assert_eq!(found.as_ref().map(|found| found.api_version.as_str()), expected);
            assert!(found.is_none_or(|found| found.namespaced && found.kind == "Widget" && found.plural == "widgets"));
        };
        let version =
            |name: &str, served: bool, storage: bool| json!({"name": name, "served": served, "storage": storage});
        check(json!([version("v1", true, true)]), Some("example.org/v1"));
        check(json!([version("v1", true, true), version("v2", true, false)]), Some("example.org/v1"));
        check(json!([version("v1", false, true), version("v2", true, false)]), Some("example.org/v2"));
        check(json!([version("v1", false, true)]), None);
    }

    #[test]
    fn definitions_are_found_in_a_chart_and_in_those_inside_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(of_chart(folder.path()).unwrap().is_empty());
        write("crds/one.yaml", WIDGETS);
        write("crds/README.md", "not: a manifest");
        write("crds/deep/two.yml", &WIDGETS.replace("widgets", "gadgets"));
        write("charts/inner/crds/three.json", &objects(WIDGETS, "test").unwrap()[0].body.to_string());
        write("templates/four.yaml", "{{ not yaml");
        let names: Vec<String> = of_chart(folder.path()).unwrap().into_iter().map(|object| object.name).collect();
        assert_eq!(names, ["gadgets.example.org", "widgets.example.org", "widgets.example.org"]);
    }
}
