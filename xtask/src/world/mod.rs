//! What exists outside of the checkout: daemons, the API server, tools, child processes, ports.
//!
//! Nothing in here knows of steps, receipts or verdicts.

pub mod daemon;
pub mod docker;
pub mod forward;
pub mod git;
pub mod git_index;
pub mod helm;
pub mod kube;
pub mod kube_client;
pub mod lines;
pub mod machine;
pub mod machine_key;
pub mod minikube;
pub mod pods;
pub mod port_holder;
pub mod process;
pub mod settle;
pub mod tls;
pub mod tool;

use std::collections::BTreeMap;
use std::sync::Arc;

use daemon::Daemon;
use docker::Inventory;
use engine::failure::Failure;
use tokio::sync::Mutex;

/// The one cluster that a run works on, and the connections to it. Connections are made when first asked for.
pub struct World {
    context: String,
    kube: Mutex<Option<::kube::Client>>,
    node: Mutex<Option<Daemon>>,
    inventories: Mutex<BTreeMap<String, Arc<Inventory>>>,
}

impl World {
    /// The cluster that the kubeconfig context `context` names. It is named in every call: whatever the current
    /// context is, nothing here looks at it.
    pub fn of_context(context: impl Into<String>) -> Self {
        Self { context: context.into(), kube: Mutex::new(None), node: Mutex::new(None), inventories: Mutex::default() }
    }

    /// The kubeconfig context.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// A client of the API server.
    ///
    /// # Errors
    /// When the kubeconfig has no such context, or cannot be read.
    pub async fn kube(&self) -> Result<::kube::Client, Failure> {
        let mut kube = self.kube.lock().await;
        match &*kube {
            Some(client) => Ok(client.clone()),
            None => Ok(kube.insert(kube_client::client(&self.context).await?).clone()),
        }
    }

    /// The docker daemon that the pods' images come from: the one inside the node of the minikube profile by the
    /// context's name. Looked up once in a run, because its address changes whenever the node starts.
    ///
    /// # Errors
    /// When this is no minikube cluster that we can build in, or its node does not run.
    pub async fn node_daemon(&self) -> Result<Daemon, Failure> {
        let mut node = self.node.lock().await;
        match &*node {
            Some(daemon) => Ok(daemon.clone()),
            None => Ok(node.insert(minikube::node::daemon(&self.context).await?).clone()),
        }
    }

    /// The images of `daemon`. Asked once, and believed until something that this run does may have changed them.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub async fn inventory(&self, daemon: &Daemon) -> Result<Arc<Inventory>, Failure> {
        let mut inventories = self.inventories.lock().await;
        let name = daemon.to_string();
        if let Some(inventory) = inventories.get(&name) {
            return Ok(Arc::clone(inventory));
        }
        let inventory = Arc::new(Inventory::fetch(daemon).await?);
        inventories.insert(name, Arc::clone(&inventory));
        Ok(inventory)
    }

    /// Forgets what was observed: the world has changed, or may have while this run waited.
    pub async fn forget_observations(&self) {
        self.inventories.lock().await.clear();
    }

    /// Takes connections that somebody has made already while finding out that they work.
    pub async fn connected(&self, kube: ::kube::Client, node: Option<Daemon>) {
        *self.kube.lock().await = Some(kube);
        *self.node.lock().await = node;
    }

    /// Drops all connections: the cluster was started, repaired or made anew, and answers elsewhere now.
    pub async fn forget_connections(&self) {
        *self.kube.lock().await = None;
        *self.node.lock().await = None;
        self.forget_observations().await;
    }
}

/// Waits for `time`. For back-off between attempts and for deadlines only; what can be watched is watched.
#[allow(clippy::disallowed_methods, reason = "the one place that may: callers select on cancellation beside it")]
pub async fn pause(time: std::time::Duration) {
    tokio::time::sleep(time).await;
}
