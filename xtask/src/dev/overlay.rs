//! What `dev` changes in a release's manifests: containers of synced images run the agent, with folders of their own.
//!
//! Whoever else runs such an image gets no files, so where there is somebody (see [`others`]) the manifests name the image
//! as a deploy builds it, and only the containers that are synced are given the stage without sources.
//!
//! It is done in helm's post-renderer, so it is part of the release's one apply: everything that judges, watches and
//! puts back releases understands it without knowing of it, and the next `deploy` takes it away.

use std::collections::{BTreeMap, BTreeSet};

use engine::config::{Dev, Runtime};
use engine::digest::{Digest, Hasher};
use engine::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::world::helm::hooks;
use crate::world::kube::rendered::{self, Rendered};

/// The label of pods whose containers are synced; its value is the image's step name.
const LABEL: &str = "xtask/dev";

/// The label that says of which release they are: images of other projects in the same namespace may have the same name.
const RELEASE: &str = "xtask/dev-release";

/// The labels of the pods of `release` whose containers are synced from the sources of `image`.
pub fn labels<'a>(release: &'a str, image: &'a str) -> [(&'static str, &'a str); 2] {
    [(LABEL, image), (RELEASE, release)]
}

/// The port of the pod's own loopback interface on which the agent listens.
pub const PORT: u16 = 27190;

/// The name of the volumes and of the ConfigMap with the agents.
const NAME: &str = "xtask-dev";

/// Where the agents are mounted.
const AGENTS: &str = "/xtask-dev";

const PYTHON: &str = include_str!("agent/agent.py");
const NODE: &str = include_str!("agent/agent.mjs");

/// An image whose containers are to run the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    /// The image's step name.
    pub image: String,
    /// The image as the manifest names it: repository and tag.
    pub reference: String,
    /// What the containers that are synced run in its place; the same where nobody else runs the image.
    pub stage: String,
    /// `python` or `node`.
    pub runtime: Agent,
    /// Where the synced folders are in the container, in the order of their names in the context.
    pub roots: Vec<String>,
    /// The command that the agent runs.
    pub command: Vec<String>,
    /// Further variables of the container.
    pub env: BTreeMap<String, String>,
    /// What the container may use.
    pub limits: BTreeMap<String, String>,
    /// How many pods run it.
    pub replicas: u32,
}

/// Whether the pods of a rendered object are synced.
pub fn is_synced(object: &Rendered) -> bool {
    let template = object.pod_template().and_then(|pointer| object.body.pointer(pointer));
    template.and_then(|template| template.get("metadata")?.get("labels")?.get(LABEL)).is_some()
}

/// What of a rendered workload is so for `dev`, for people: `Deployment todo-backend: 1 replica, …`; `None` where it is as
/// its chart says.
pub fn described(object: &Rendered) -> Option<String> {
    let template = object.pod_template().and_then(|pointer| object.body.pointer(pointer))?;
    let containers = template.pointer("/spec/containers")?.as_array()?;
    let mounts_agents =
        |container: &&Value| entries(container, "volumeMounts").iter().any(|mount| text(mount, "mountPath") == AGENTS);
    let container = containers.iter().find(mounts_agents)?;
    let files = format!("{NAME}-files");
    let over = entries(container, "volumeMounts").iter().filter(|mount| text(mount, "name") == files);
    let over: Vec<&str> = over.map(|mount| text(mount, "mountPath")).collect();
    let replicas = object.body.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let limits = container.pointer("/resources/limits").and_then(Value::as_object).into_iter().flatten();
    let limits: Vec<String> =
        limits.map(|(resource, amount)| format!("{resource} {}", amount.to_string().trim_matches('"'))).collect();
    let mut parts = vec![
        format!("{replicas} {}", if replicas == 1 { "replica" } else { "replicas" }),
        format!("image {}", text(container, "image")),
        format!("files synced into {}", over.join(" and ")),
        "neither liveness nor startup probe".to_owned(),
    ];
    if !limits.is_empty() {
        parts.push(format!("limits {}", limits.join(", ")));
    }
    Some(format!("{}: {}", object.title(), parts.join(", ")))
}

fn entries<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Changes when anything changes that the amendment makes of a manifest, the agents included.
pub fn digest(amendment: &Amendment) -> Digest {
    let mut hasher = Hasher::new("dev-amendment/2");
    // Nothing in an amendment can fail to be written as JSON.
    hasher.text(&serde_json::to_string(amendment).unwrap_or_default()).text(PYTHON).text(NODE);
    hasher.finish()
}

/// Which agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agent {
    /// `agent.py`.
    Python,
    /// `agent.mjs`.
    Node,
}

impl Agent {
    /// What runs it, before its own path. An application that is a fork of the agent writes as the agent does: at once,
    /// as programs in containers are told to, and not when some kilobytes have gathered.
    pub const fn command(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "-u"],
            Self::Node => &["node"],
        }
    }

    /// The name of its file.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Python => "agent.py",
            Self::Node => "agent.mjs",
        }
    }
}

impl Amendment {
    /// What the table of the image `name` asks for; its steps have made `reference`, and `stage` to be synced.
    pub fn new(name: &str, dev: &Dev, reference: String, stage: String) -> Self {
        Self {
            image: name.to_owned(),
            reference,
            stage,
            runtime: match dev.runtime {
                Runtime::Python => Agent::Python,
                Runtime::Node => Agent::Node,
            },
            roots: dev.sync.values().cloned().collect(),
            command: dev.command.clone(),
            env: dev.env.clone(),
            limits: dev.limits.clone(),
            replicas: dev.replicas,
        }
    }

    fn agent(&self) -> Vec<String> {
        let command = self.runtime.command().iter().map(|word| (*word).to_owned());
        command.chain([format!("{AGENTS}/{}", self.runtime.file())]).collect()
    }

    fn is_run_by(&self, container: &Value) -> bool {
        text(container, "image") == self.reference
    }
}

/// How likely it is that a container runs the application and not another program of the same image, such as a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// It has a command of its own, and nobody can connect to it.
    Other,
    /// It has a command of its own, and a port.
    Serves,
    /// It runs what the image does, or what the application is started with.
    Application,
}

impl Likeness {
    fn of(container: &Value, amendment: &Amendment) -> Self {
        let words = entries(container, "command").iter().chain(entries(container, "args"));
        let words: Vec<&str> = words.filter_map(Value::as_str).collect();
        if words.is_empty() || words == amendment.command {
            Self::Application
        } else if entries(container, "ports").iter().any(|port| tcp(port).is_some()) {
            Self::Serves
        } else {
            Self::Other
        }
    }
}

/// The containers of a workload that can be synced: a DaemonSet's pods are not as many as somebody asks for, and those of
/// Jobs end.
fn containers(object: &Value) -> &[Value] {
    let may = matches!(text(object, "kind"), "Deployment" | "StatefulSet");
    let found = object.pointer("/spec/template/spec/containers").filter(|_| may).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// For each amendment, how its application's containers are: those that are likelier than any other of the release.
fn likenesses(manifest: &str, amendments: &[Amendment]) -> Vec<Option<Likeness>> {
    let speaks_of_any = |document: &&str| amendments.iter().any(|amendment| document.contains(&amendment.reference));
    let objects = rendered::documents(manifest).filter(speaks_of_any);
    let objects: Vec<Value> = objects.filter_map(|document| rendered::parse(document).ok()?).collect();
    let of = |amendment: &Amendment| {
        let runs = objects.iter().flat_map(containers).filter(|container| amendment.is_run_by(container));
        runs.map(|container| Likeness::of(container, amendment)).max()
    };
    amendments.iter().map(of).collect()
}

/// Who in `manifest` names an image of the amendments and is not synced: titles of objects, by the image's step name. The
/// amendments' stages are others than their references.
///
/// # Errors
/// When `manifest` has an object that cannot be read.
pub fn others(
    manifest: &str,
    release: &str,
    amendments: &[Amendment],
) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let objects = rendered::objects(&amend(manifest, release, amendments), &format!("the chart of {release}"))?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // A chart's tests run when a person asks for them.
    for object in objects.iter().filter(|object| hooks::is_made_by_upgrades(object)) {
        for amendment in amendments.iter().filter(|amendment| names(&object.body, &amendment.reference)) {
            found.entry(amendment.image.clone()).or_default().insert(object.title());
        }
    }
    Ok(found)
}

/// Whether a text in `value` names the image: a container's, or a variable by which a program is told what to start. What
/// labels and annotations say, nobody runs.
fn names(value: &Value, reference: &str) -> bool {
    match value {
        Value::String(text) => text.contains(reference),
        Value::Array(items) => items.iter().any(|item| names(item, reference)),
        Value::Object(fields) => fields.iter().any(|(field, value)| field != "metadata" && names(value, reference)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// `manifest` of `release` with the amendments made. Documents that they do not concern stay as they
/// are, byte for byte.
pub fn amend(manifest: &str, release: &str, amendments: &[Amendment]) -> String {
    if amendments.is_empty() {
        return manifest.to_owned();
    }
    let config = format!("{release}-{NAME}");
    let likenesses = likenesses(manifest, amendments);
    let wanted: Vec<(&Amendment, Likeness)> =
        amendments.iter().zip(likenesses).filter_map(|(amendment, likeness)| Some((amendment, likeness?))).collect();
    let mut text = String::with_capacity(manifest.len() + PYTHON.len() + NODE.len() + 4096);
    for document in rendered::documents(manifest) {
        text.push_str("---\n");
        match amended(document, release, &config, &wanted) {
            Some(object) => {
                // Comments name the template that it comes from.
                text.extend(document.lines().filter(|line| line.starts_with('#')).flat_map(|line| [line, "\n"]));
                text.push_str(&object.to_string());
            }
            None => text.push_str(document),
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    let agents = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": config },
        "data": { "agent.py": PYTHON, "agent.mjs": NODE },
    });
    text.push_str(&format!("---\n{agents}\n"));
    text
}

fn amended(document: &str, release: &str, config: &str, wanted: &[(&Amendment, Likeness)]) -> Option<Value> {
    let mut object = rendered::parse(document).ok()??;
    let applies = |container: &Value| {
        let mut wanted = wanted.iter().filter(|(amendment, _)| amendment.is_run_by(container));
        let found = wanted.find(|(amendment, likeness)| Likeness::of(container, amendment) == *likeness);
        found.map(|(amendment, _)| *amendment)
    };
    // One agent per pod: it has one port, and a pod one label.
    let mut found = containers(&object).iter().enumerate();
    let (place, amendment) = found.find_map(|(place, container)| Some((place, applies(container)?)))?;
    change_container(object.pointer_mut("/spec/template/spec/containers")?.get_mut(place)?, amendment)?;
    let template = object.pointer_mut("/spec/template")?;
    for (label, value) in labels(release, &amendment.image) {
        set(template, &["metadata", "labels"], label, json!(value))?;
    }
    if amendment.runtime == Agent::Node {
        // Node asks for the end of its own children only. Orphans go to the first process, which is not the agent then.
        set(template, &["spec"], "shareProcessNamespace", json!(true))?;
    }
    let volumes = list(template.get_mut("spec")?, "volumes")?;
    volumes.push(json!({ "name": format!("{NAME}-agents"), "configMap": { "name": config } }));
    volumes.push(json!({ "name": format!("{NAME}-files"), "emptyDir": {} }));
    set(&mut object, &["spec"], "replicas", json!(amendment.replicas))?;
    Some(object)
}

fn change_container(container: &mut Value, amendment: &Amendment) -> Option<()> {
    let ports: Vec<u64> =
        container.get("ports").and_then(Value::as_array).into_iter().flatten().filter_map(tcp).collect();
    let settings = json!({
        "roots": amendment.roots, "command": amendment.command, "ports": ports, "listen": PORT,
    });
    let fields = container.as_object_mut()?;
    fields.insert("image".to_owned(), json!(amendment.stage));
    fields.insert("command".to_owned(), json!(amendment.agent()));
    fields.shift_remove("args");
    // An application that is being changed may be broken for as long as its author thinks.
    fields.shift_remove("livenessProbe");
    fields.shift_remove("startupProbe");
    if let Some(probe) = fields.get_mut("readinessProbe").and_then(Value::as_object_mut) {
        ask_each_second(probe);
    }
    let own = BTreeMap::from([("XTASK_DEV".to_owned(), settings.to_string())]);
    for (name, value) in amendment.env.iter().chain(&own) {
        let env = list(container, "env")?;
        env.retain(|variable| variable.get("name").and_then(Value::as_str) != Some(name));
        env.push(json!({ "name": name, "value": value }));
    }
    for (resource, amount) in &amendment.limits {
        set(container, &["resources", "limits"], resource, json!(amount))?;
    }
    // Development tools write beside their sources. The user stays the one that the chart names.
    if container.get("securityContext").is_some_and(Value::is_object) {
        set(container, &["securityContext"], "readOnlyRootFilesystem", json!(false))?;
    }
    let mounts = list(container, "volumeMounts")?;
    mounts.push(json!({ "name": format!("{NAME}-agents"), "mountPath": AGENTS, "readOnly": true }));
    for (index, root) in amendment.roots.iter().enumerate() {
        mounts.push(json!({ "name": format!("{NAME}-files"), "mountPath": root, "subPath": index.to_string() }));
    }
    Some(())
}

/// Somebody waits for the answer of a new pod. A pod may be as long without one as before until it counts as not ready.
fn ask_each_second(probe: &mut Map<String, Value>) {
    // What Kubernetes takes where nothing is said.
    let number = |probe: &Map<String, Value>, field, usual| probe.get(field).and_then(Value::as_u64).unwrap_or(usual);
    let patience = number(probe, "periodSeconds", 10) * number(probe, "failureThreshold", 3);
    probe.shift_remove("initialDelaySeconds");
    probe.insert("periodSeconds".to_owned(), json!(1));
    probe.insert("failureThreshold".to_owned(), json!(patience));
}

/// The number of a port that can be connected to.
fn tcp(port: &Value) -> Option<u64> {
    let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
    port.get("containerPort")?.as_u64().filter(|_| protocol == "TCP")
}

/// The list at `field`, made where it is missing or null.
fn list<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Vec<Value>> {
    let list = object.as_object_mut()?.entry(field).or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut()
}

/// Sets `field` of the object at `path`; objects on the way are made where they are missing or null.
fn set(object: &mut Value, path: &[&str], field: &str, value: Value) -> Option<()> {
    let mut at = object;
    for part in path {
        at = at.as_object_mut()?.entry(*part).or_insert_with(|| Value::Object(Map::new()));
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
    }
    at.as_object_mut()?.insert(field.to_owned(), value);
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{Agent, Amendment, LABEL, RELEASE, amend, described, is_synced, others};
    use crate::world::kube::rendered;

    const MANIFEST: &str = "---\n# Source: t/templates/a.yaml\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n\
        spec:\n  replicas: 2\n  template:\n    metadata: {labels: {app: a}}\n    spec:\n      containers:\n      - name: app\n        \
        image: t/a:1\n        args: [serve]\n        livenessProbe: {httpGet: {port: 80}}\n        readinessProbe: {httpGet: {port: 80}}\n        \
        ports: [{containerPort: 80}, {containerPort: 53, protocol: UDP}]\n        securityContext: {readOnlyRootFilesystem: true, runAsNonRoot: true}\n        \
        resources: {requests: {cpu: 100m}, limits: {cpu: 500m, memory: 1Gi}}\n---\n# Source: t/templates/b.yaml\n\
        apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\nspec: {template: {spec: {containers: [{image: \"t/b:1\"}]}}}\n";

    fn amendment() -> Amendment {
        Amendment {
            image: "a".to_owned(),
            reference: "t/a:1".to_owned(),
            stage: "t/a:dev".to_owned(),
            runtime: Agent::Python,
            roots: vec!["/app/app".to_owned(), "/app/lib".to_owned()],
            command: vec!["python".to_owned(), "-m".to_owned(), "app".to_owned()],
            env: BTreeMap::from([("MODE".to_owned(), "dev".to_owned())]),
            limits: BTreeMap::from([("memory".to_owned(), "2Gi".to_owned())]),
            replicas: 1,
        }
    }

    #[test]
    fn a_container_of_the_image_runs_the_agent_with_folders_of_its_own() {
        let text = amend(MANIFEST, "todo", &[amendment()]);
        let objects = rendered::objects(&text, "test").unwrap();
        let workload = &objects[0].body;
        let container = &workload["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(workload["spec"]["replicas"], 1);
        assert_eq!(
            workload["spec"]["template"]["metadata"]["labels"],
            json!({"app": "a", LABEL: "a", RELEASE: "todo"})
        );
        assert_eq!(container["image"], "t/a:dev");
        assert_eq!(container["command"], json!(["python3", "-u", "/xtask-dev/agent.py"]));
        assert_eq!(
            container["resources"],
            json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "500m", "memory": "2Gi"}})
        );
        assert_eq!(container["securityContext"], json!({"readOnlyRootFilesystem": false, "runAsNonRoot": true}));
        assert_eq!(
            container["readinessProbe"],
            json!({"httpGet": {"port": 80}, "periodSeconds": 1, "failureThreshold": 30}),
            "a new pod is noticed soon, and none is given up sooner"
        );
        assert_eq!(workload["spec"]["template"]["spec"].get("shareProcessNamespace"), None, "the agent adopts orphans");
        let node = Amendment { runtime: Agent::Node, ..amendment() };
        let node = rendered::objects(&amend(MANIFEST, "todo", &[node]), "test").unwrap();
        assert_eq!(node[0].body["spec"]["template"]["spec"]["shareProcessNamespace"], true);
        for gone in ["args", "livenessProbe", "startupProbe"] {
            assert_eq!(container.get(gone), None, "{gone}");
        }
        let places: Vec<&str> = container["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| mount["mountPath"].as_str().unwrap())
            .collect();
        assert_eq!(places, ["/xtask-dev", "/app/app", "/app/lib"]);
        let settings =
            container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == "XTASK_DEV").unwrap();
        let settings: Value = serde_json::from_str(settings["value"].as_str().unwrap()).unwrap();
        assert_eq!(settings["ports"], json!([80]), "what is no TCP port cannot be asked");
        assert_eq!(settings["roots"], json!(["/app/app", "/app/lib"]));
        assert_eq!(objects[2].kind, "ConfigMap");
        assert!(objects[2].body["data"]["agent.py"].as_str().unwrap().contains("def listing"));
    }

    #[test]
    fn what_is_different_under_dev_is_said_of_the_workloads_that_are_and_of_no_others() {
        let text = amend(MANIFEST, "todo", &[amendment()]);
        let objects = rendered::objects(&text, "test").unwrap();
        let said: Vec<_> = objects.iter().filter_map(described).collect();
        let expected = "Deployment a: 1 replica, image t/a:dev, files synced into /app/app and /app/lib, neither liveness nor \
                        startup probe, limits cpu 500m, memory 2Gi";
        assert_eq!(said, [expected]);
        let objects = rendered::objects(MANIFEST, "test").unwrap();
        assert!(objects.iter().all(|object| described(object).is_none()));
    }

    /// A workload with `containers` of a pod, and whatever else its pods have.
    fn workload(kind: &str, name: &str, pod: &Value) -> String {
        let spec = match kind {
            "CronJob" => json!({"jobTemplate": {"spec": {"template": {"spec": pod}}}}),
            _ => json!({"template": {"spec": pod}}),
        };
        let object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        format!("---\n{object}\n")
    }

    #[test]
    fn whoever_runs_a_synced_image_without_its_files_is_found_and_runs_what_is_built() {
        let app = json!({"name": "app", "image": "t/a:1"});
        let other = json!({"name": "other", "image": "t/b:1"});
        let of = |container: &Value| json!({"containers": [container]});
        let served = json!({"name": "app", "image": "t/a:1", "args": ["serve"], "ports": [{"containerPort": 80}]});
        let work = json!({"name": "worker", "image": "t/a:1", "args": ["work"]});
        let started = json!({"name": "app", "image": "t/a:1", "command": ["python", "-m", "app"]});
        let told = json!({"name": "operator", "image": "t/b:1", "env": [{"name": "RUNS", "value": "t/a:1"}]});
        let annotated = json!({"metadata": {"annotations": {"image": "t/a:1"}}, "containers": [other]});
        let deployment = || workload("Deployment", "a", &of(&app));
        let hook = |moment: &str| {
            let job = workload("Job", "h", &of(&app));
            job.replacen(
                "\"metadata\":{",
                &format!("\"metadata\":{{\"annotations\":{{\"helm.sh/hook\":\"{moment}\"}},"),
                1,
            )
        };
        // What is rendered; whose containers are synced; who else there is.
        let rows: [(Vec<String>, &[&str], &[&str]); 15] = [
            (vec![deployment()], &["a"], &[]),
            (vec![deployment(), workload("Deployment", "b", &of(&other))], &["a"], &[]),
            (
                vec![workload("Deployment", "a", &json!({"containers": [app], "initContainers": [app]}))],
                &["a"],
                &["Deployment a"],
            ),
            (vec![workload("Deployment", "a", &json!({"containers": [work, app]}))], &["a"], &["Deployment a"]),
            (vec![deployment(), workload("Job", "j", &of(&app))], &["a"], &["Job j"]),
            (
                vec![deployment(), workload("CronJob", "c", &of(&work)), workload("DaemonSet", "d", &of(&app))],
                &["a"],
                &["CronJob c", "DaemonSet d"],
            ),
            (vec![deployment(), workload("Deployment", "w", &of(&work))], &["a"], &["Deployment w"]),
            (
                vec![workload("Deployment", "w", &of(&work)), workload("StatefulSet", "s", &of(&started))],
                &["s"],
                &["Deployment w"],
            ),
            (
                vec![workload("Deployment", "a", &of(&served)), workload("Deployment", "w", &of(&work))],
                &["a"],
                &["Deployment w"],
            ),
            (vec![workload("Deployment", "v", &of(&work)), workload("Deployment", "w", &of(&work))], &["v", "w"], &[]),
            (vec![deployment(), workload("Deployment", "b", &of(&app))], &["a", "b"], &[]),
            (vec![deployment(), workload("Deployment", "o", &of(&told))], &["a"], &["Deployment o"]),
            (vec![deployment(), workload("Deployment", "n", &annotated)], &["a"], &[]),
            (vec![deployment(), hook("pre-upgrade")], &["a"], &["Job h"]),
            (vec![deployment(), hook("test")], &["a"], &[]),
        ];
        for (rendered, synced, expected) in rows {
            let manifest = rendered.concat();
            let objects = rendered::objects(&amend(&manifest, "todo", &[amendment()]), "test").unwrap();
            let found: Vec<&str> =
                objects.iter().filter(|object| is_synced(object)).map(|object| object.name.as_str()).collect();
            assert_eq!(found, synced, "{manifest}");
            for object in objects.iter().filter(|object| is_synced(object)) {
                assert_eq!(object.images().filter(|image| *image == "t/a:dev").count(), 1, "{manifest}");
            }
            let found = others(&manifest, "todo", &[amendment()]).unwrap();
            let found: Vec<&str> = found.values().flatten().map(String::as_str).collect();
            assert_eq!(found, expected, "{manifest}");
        }
    }

    #[test]
    fn what_is_not_synced_stays_as_it_is() {
        assert_eq!(amend(MANIFEST, "todo", &[]), MANIFEST);
        let text = amend(MANIFEST, "todo", &[amendment()]);
        let second = MANIFEST.rsplit_once("---\n").unwrap().1;
        assert!(text.contains(&format!("---\n{second}---\n")), "{text}");
    }
}
