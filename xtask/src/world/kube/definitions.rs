//! CustomResourceDefinitions: which of them brings a kind, and having one that was removed back.
//!
//! Helm installs those of a chart's `crds/` once and never again, and can neither upgrade nor remove a release while the
//! cluster does not know a kind of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::failure::Failure;
use kube::Client;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::Value;

use crate::world::kube::identity::Address;
use crate::world::kube::kinds::Kinds;
use crate::world::kube::rendered::{self, Rendered};
use crate::world::kube::{MANAGER, error};

/// The kind of a definition itself.
pub const KIND: &str = "CustomResourceDefinition";

/// How long the API server may take to serve a new kind.
const ESTABLISHED: Duration = Duration::from_secs(60);

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
    let established = await_condition(address.api(client), &address.name, is_established);
    match tokio::time::timeout(ESTABLISHED, established).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(found)) => Err(Failure::step(format!("could not wait for {}", address.title())).because_of(&found)),
        Err(_) => Err(Failure::step(format!("the API server does not serve {}", address.title()))
            .because(format!("it is not established after {} s", ESTABLISHED.as_secs()))
            .help(format!("see what it says of it: kubectl describe crd {}", address.name))),
    }
}

/// Whether the API server serves the kind that a definition brings.
pub fn is_established(object: Option<&DynamicObject>) -> bool {
    let conditions = object.and_then(|object| object.data.pointer("/status/conditions")?.as_array());
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Established" && one["status"] == "True"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{brings, of_chart};
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
