//! The test cluster, as somebody else sees and changes it: through kubectl and helm, not through this tool.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use xshell::{Cmd, Shell, cmd};

use crate::project::NAMESPACE;

/// The cluster behind a kubeconfig context.
#[derive(Clone)]
pub struct Cluster {
    pub context: String,
    /// Where the tests' objects are.
    pub namespace: &'static str,
}

impl Cluster {
    pub fn of_environment() -> Self {
        let context = std::env::var("XTASK_TEST_CONTEXT")
            .expect("XTASK_TEST_CONTEXT names the minikube profile to test in; `cargo xtask test` sets it");
        Self::of_context(&context)
    }

    pub fn of_context(context: &str) -> Self {
        Self { context: context.to_owned(), namespace: NAMESPACE }
    }

    /// The same cluster, for tests that have a namespace of their own.
    pub fn in_namespace(self, namespace: &'static str) -> Self {
        Self { namespace, ..self }
    }

    /// `kubectl` in the tests' namespace; what it prints.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let (shell, context, namespace) = (shell(), &self.context, self.namespace);
        succeed(cmd!(shell, "kubectl --context {context} --namespace {namespace} {arguments...}"))
    }

    /// `helm` in the tests' namespace; what it prints.
    #[track_caller]
    pub fn helm(&self, arguments: &[&str]) -> String {
        let (shell, context, namespace) = (shell(), &self.context, self.namespace);
        succeed(cmd!(shell, "helm --kube-context {context} --namespace {namespace} {arguments...}"))
    }

    /// An object or a list of objects.
    #[track_caller]
    pub fn get(&self, what: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "--output", "json"], what].concat());
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// The uids of a component's pods that are not about to go.
    pub fn pods(&self, component: &str) -> BTreeMap<String, String> {
        let list = self.get(&["pods", "--selector", &format!("app.kubernetes.io/component={component}")]);
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let staying = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        staying.map(|pod| (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]))).collect()
    }

    /// What makes the namespace's objects the ones that they are, by kind and name: uid, generation, what is wanted and
    /// what is kept, and the pods' uids. Not helm's records, of which each upgrade adds one, and not what is about to go.
    pub fn objects(&self) -> BTreeMap<String, Value> {
        const KINDS: &str = "deployments,statefulsets,services,configmaps,secrets,serviceaccounts,networkpolicies,\
                             poddisruptionbudgets,persistentvolumeclaims,pods";
        let list = self.get(&[KINDS]);
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let stays = |item: &Value| item["metadata"]["deletionTimestamp"].is_null();
        let ours = items.into_iter().filter(|item| item["type"] != "helm.sh/release.v1" && stays(item));
        ours.map(|item| {
            let name = format!("{} {}", item["kind"], item["metadata"]["name"]);
            let about = &item["metadata"];
            let (uid, generation) = (about["uid"].clone(), about["generation"].clone());
            (name, serde_json::json!([uid, generation, item["spec"], item["data"]]))
        })
        .collect()
    }

    /// The objects are those of `before`.
    #[track_caller]
    pub fn expect_objects(&self, before: &BTreeMap<String, Value>) {
        let now = self.objects();
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let differ = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
        let differ: Vec<_> = differ.map(|name| (name, before.get(name), now.get(name))).collect();
        assert!(differ.is_empty(), "changed, with what was and what is: {differ:#?}");
    }

    /// Returns when every pod that is about to go has gone.
    #[track_caller]
    pub fn until_none_is_leaving(&self) {
        let list = self.get(&["pods"]);
        for pod in list["items"].as_array().into_iter().flatten() {
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                let pod = format!("pod/{}", pod["metadata"]["name"].as_str().expect("a pod has a name"));
                self.kubectl(&["wait", "--for=delete", &pod, "--timeout=120s"]);
            }
        }
    }

    /// What `path` of the backend answers, asked through the API server.
    pub fn ask_backend(&self, path: &str) -> String {
        let url = format!("/api/v1/namespaces/{}/services/todo-backend:8000/proxy{path}", self.namespace);
        self.kubectl(&["get", "--raw", &url])
    }
}

fn shell() -> Shell {
    Shell::new().expect("there is a current folder")
}

#[track_caller]
fn succeed(command: Cmd<'_>) -> String {
    let line = command.to_string();
    let output = command.quiet().ignore_status().output().unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
