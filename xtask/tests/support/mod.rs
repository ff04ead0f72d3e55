//! What the tests on a real cluster share: namespaces of their own, and the objects that they put into them.

// Each test program uses its own part of this.
#![allow(dead_code, reason = "every test program compiles this module, and none uses all of it")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Event, Namespace as NamespaceObject, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service,
};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{AttachParams, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use xtask::world::process::Redact;

pub const PAUSE: &str = "registry.k8s.io/pause:3.10.1";
/// Any image with a shell; this one is in the node for the application.
pub const SHELL: &str = "python:3.13-slim";

/// The context of the cluster under test.
pub fn context() -> String {
    std::env::var("XTASK_TEST_CONTEXT").unwrap_or_else(|_| {
        panic!("these tests need a cluster: set XTASK_TEST_CONTEXT to the kubeconfig context of one that is for tests")
    })
}

pub fn show_all() -> Redact {
    Arc::new(str::to_owned)
}

/// A namespace of a test's own.
pub struct Namespace {
    client: Client,
    name: String,
}

impl Namespace {
    /// Makes `settle-CASE-PID`, with its service account.
    pub async fn make(case: &str) -> Self {
        let client = xtask::world::kube_client::client(&context()).await.expect("the context can be used");
        let name = format!("settle-{case}-{}", std::process::id());
        let object: NamespaceObject = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let namespaces: Api<NamespaceObject> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &object).await.expect("the namespace can be made");
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(client.clone(), &name);
        let there = |account: Option<&k8s_openapi::api::core::v1::ServiceAccount>| account.is_some();
        let made = tokio::time::timeout(Duration::from_secs(60), await_condition(accounts, "default", there)).await;
        made.expect("the service account is made in time").expect("it can be watched");
        Self { client, name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client that may do everything in this namespace and nothing anywhere else.
    pub async fn confined_client(&self) -> Client {
        let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        let rights = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "all"}, "rules": all});
        self.apply(&rights).await;
        let account = format!("system:serviceaccount:{}:default", self.name);
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "all"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": self.name}],
        });
        self.apply(&binding).await;
        let context = KubeConfigOptions { context: Some(context()), ..KubeConfigOptions::default() };
        let mut config = Config::from_kubeconfig(&context).await.expect("the context can be used");
        config.headers.push(("impersonate-user".parse().expect("a name"), account.parse().expect("a name")));
        Client::try_from(config).expect("the context can be used")
    }

    /// Applies an object and gives it back as the server holds it.
    pub async fn apply(&self, object: &Value) -> Value {
        match object["kind"].as_str().unwrap() {
            "Deployment" => self.apply_as::<Deployment>(object).await,
            "StatefulSet" => self.apply_as::<StatefulSet>(object).await,
            "DaemonSet" => self.apply_as::<DaemonSet>(object).await,
            "Role" => self.apply_as::<Role>(object).await,
            "RoleBinding" => self.apply_as::<RoleBinding>(object).await,
            "Job" => self.apply_as::<Job>(object).await,
            "Secret" => self.apply_as::<Secret>(object).await,
            "Service" => self.apply_as::<Service>(object).await,
            "PersistentVolumeClaim" => self.apply_as::<PersistentVolumeClaim>(object).await,
            "ResourceQuota" => self.apply_as::<ResourceQuota>(object).await,
            other => panic!("no test applies a {other} yet"),
        }
    }

    async fn apply_as<K>(&self, object: &Value) -> Value
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.name);
        let name = object["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("settle-test").force();
        let applied = api.patch(name, &params, &Patch::Apply(object)).await.expect("the object is accepted");
        serde_json::to_value(applied).unwrap()
    }

    /// The pods of `app`.
    pub async fn pods(&self, app: &str) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        pods.list(&ListParams::default().labels(&format!("app={app}"))).await.expect("pods are listed").items
    }

    /// When the namespace showed for the last time until `end` that something is wrong, by the cluster's clock: a warning
    /// that had not been given before, an attempt that failed, or the end of a container.
    pub async fn last_sign(&self, end: Timestamp) -> Timestamp {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.name);
        let events = events.list(&ListParams::default()).await.expect("events are listed").items;
        let warnings = events.into_iter().filter(|event| event.type_.as_deref() == Some("Warning"));
        let warned = warnings.filter_map(|event| {
            // A further attempt that failed says something new; other warnings only say the same again.
            let attempt = event.reason.as_deref() == Some("Failed");
            let counted = if attempt { event.last_timestamp } else { event.first_timestamp };
            counted.map(|time| time.0).or(event.event_time.map(|time| time.0))
        });
        let ended = self.pods("app").await.into_iter().flat_map(|pod| {
            let status = pod.status.unwrap_or_default();
            let all = [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten();
            let ends = all.flat_map(|status| [status.state, status.last_state]).flatten();
            ends.filter_map(|state| Some(state.terminated?.finished_at?.0)).collect::<Vec<_>>()
        });
        let signs = warned.chain(ended).filter(|sign| *sign <= end);
        signs.max().expect("the cluster has shown that something is wrong")
    }

    /// The present generation of the Deployment `name`.
    pub async fn generation(&self, name: &str) -> i64 {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.name);
        let deployment = deployments.get(name).await.expect("the deployment is there");
        deployment.metadata.generation.unwrap_or_default()
    }

    /// Changes the Deployment `name` by a merge patch.
    pub async fn change(&self, name: &str, patch: &Value) {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.name);
        deployments.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("it can be changed");
    }

    /// Returns once the containers of each of `app`'s `pods` pods were restarted so often.
    pub async fn until_restarted(&self, app: &str, pods: usize, times: i32) {
        use futures_util::TryStreamExt;
        use kube::runtime::{WatchStreamExt, watcher};
        let config = watcher::Config::default().labels(&format!("app={app}"));
        let mut states =
            Box::pin(watcher(Api::<Pod>::namespaced(self.client.clone(), &self.name), config).applied_objects());
        let mut restarted = BTreeSet::new();
        while let Some(pod) = states.try_next().await.expect("pods can be watched") {
            let statuses = pod.status.into_iter().flat_map(|status| status.container_statuses.unwrap_or_default());
            if statuses.map(|container| container.restart_count).sum::<i32>() >= times {
                restarted.insert(pod.metadata.name);
            }
            if restarted.len() >= pods {
                return;
            }
        }
    }

    /// Runs `command` in the pod `name` to its end.
    pub async fn run_in(&self, name: &str, command: &[&str]) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        let run = pods.exec(name, command.iter().copied(), &AttachParams::default()).await;
        let ended = run.expect("something can be run there").take_status().expect("nobody else asks").await;
        assert_eq!(ended.and_then(|ended| ended.status).as_deref(), Some("Success"), "{command:?}");
    }

    /// Deletes the pods of `app` with no time to end in.
    pub async fn kill_pods(&self, app: &str) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        let selected = ListParams::default().labels(&format!("app={app}"));
        pods.delete_collection(&DeleteParams::default().grace_period(0), &selected).await.expect("pods are deleted");
    }

    /// Deletes the pods of `app`.
    pub async fn delete_pods(&self, app: &str) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        let selected = ListParams::default().labels(&format!("app={app}"));
        pods.delete_collection(&DeleteParams::default(), &selected).await.expect("pods are deleted");
    }

    /// Returns once a container of a pod of `app` waits for `reason`.
    pub async fn until_waiting(&self, app: &str, reason: &str) {
        use futures_util::TryStreamExt;
        use kube::runtime::{WatchStreamExt, watcher};
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        let config = watcher::Config::default().labels(&format!("app={app}"));
        let mut states = Box::pin(watcher(pods, config).applied_objects());
        while let Some(pod) = states.try_next().await.expect("pods can be watched") {
            let mut statuses = pod.status.into_iter().flat_map(|status| status.container_statuses.unwrap_or_default());
            if statuses.any(|status| status.state.and_then(|state| state.waiting?.reason).as_deref() == Some(reason)) {
                return;
            }
        }
    }

    /// Returns once `app` has a pod.
    pub async fn until_pod(&self, app: &str) {
        use futures_util::TryStreamExt;
        use kube::runtime::{WatchStreamExt, watcher};
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.name);
        let config = watcher::Config::default().labels(&format!("app={app}"));
        let mut states = Box::pin(watcher(pods, config).applied_objects());
        states.try_next().await.expect("pods can be watched");
    }

    /// Returns once the quota's controller has counted, from when on it is enforced.
    pub async fn until_quota(&self, name: &str) {
        let quotas: Api<ResourceQuota> = Api::namespaced(self.client.clone(), &self.name);
        let counted = |quota: Option<&ResourceQuota>| {
            quota.and_then(|quota| quota.status.as_ref()?.used.as_ref()).is_some_and(|used| !used.is_empty())
        };
        await_condition(quotas, name, counted).await.expect("quotas can be watched");
    }

    /// Removes the namespace with all that is in it, without waiting for its end.
    pub async fn remove(self) {
        let namespaces: Api<NamespaceObject> = Api::all(self.client.clone());
        namespaces.delete(&self.name, &DeleteParams::default()).await.expect("the namespace can be deleted");
    }
}

/// A Deployment whose pods are labelled `app: NAME`.
pub fn deployment(name: &str, replicas: i32, pod: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

/// A StatefulSet of one pod, labelled `app: NAME`.
pub fn stateful_set(name: &str, pod: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

/// A DaemonSet of pods labelled `app: NAME`.
pub fn daemon_set(name: &str, pod: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

pub fn shell(script: &str) -> Value {
    json!(["sh", "-c", script])
}
