//! What exists outside of the checkout: daemons, the API server, tools, child processes, ports.
//!
//! Nothing in here knows of steps, receipts or verdicts.

pub mod backoff;
pub mod contact;
pub mod daemon;
pub mod docker;
pub mod forward;
pub mod git;
pub mod git_ignore;
pub mod git_index;
pub mod helm;
pub mod inherited;
pub mod kube;
pub mod kube_client;
pub mod kube_transport;
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
pub mod tool_folder;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use daemon::Daemon;
use docker::Inventory;
use engine::failure::Failure;
use kube_client::Target;
use tokio::sync::Mutex;

/// The one cluster that a run works on, and the connections to it. Connections are made when first asked for.
pub struct World {
    context: String,
    target: Mutex<Option<Target>>,
    node: Mutex<Option<Daemon>>,
    inventories: Mutex<BTreeMap<String, Arc<Inventory>>>,
    programs: std::sync::Mutex<BTreeMap<String, PathBuf>>,
    node_started: AtomicBool,
}

impl World {
    /// The cluster that the kubeconfig context `context` names. It is named in every call: whatever the current
    /// context is, nothing here looks at it.
    pub fn of_context(context: impl Into<String>) -> Self {
        let context = context.into();
        Self {
            context,
            target: Mutex::new(None),
            node: Mutex::new(None),
            inventories: Mutex::default(),
            programs: std::sync::Mutex::default(),
            node_started: AtomicBool::new(false),
        }
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
        Ok(self.target().await?.client)
    }

    /// Where the context leads, with the client that everything in this run shares.
    ///
    /// # Errors
    /// As [`Self::kube`].
    pub async fn target(&self) -> Result<Target, Failure> {
        let mut target = self.target.lock().await;
        match &*target {
            Some(target) => Ok(target.clone()),
            None => Ok(target.insert(Target::of(&self.context).await?).clone()),
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
        self.programs().clear();
    }

    /// The file on `PATH` that a command by this bare name runs. Many steps run the same few, and `PATH` is long.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        if let Some(path) = self.programs().get(name) {
            return Some(path.clone());
        }
        let path = process::resolve(OsStr::new(name), None)?;
        self.programs().insert(name.to_owned(), path.clone());
        Some(path)
    }

    fn programs(&self) -> MutexGuard<'_, BTreeMap<String, PathBuf>> {
        // Whoever panicked with it in hand has left it whole: each change is one call.
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the node's daemon from somebody who has found out already where it is, and that it works.
    pub async fn found_node(&self, daemon: Option<Daemon>) {
        *self.node.lock().await = daemon;
    }

    /// The node was started in this run, and nothing ran in it before.
    pub fn note_started(&self) {
        self.node_started.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::note_started`] was called: what pods answered before proves nothing.
    pub fn was_started(&self) -> bool {
        self.node_started.load(Ordering::Relaxed)
    }

    /// Reads the kubeconfig again, for whoever got no answer: if the cluster answers elsewhere by now, connections are
    /// made to that place from now on.
    pub async fn look_again(&self) {
        let Ok(now) = Target::of(&self.context).await else { return };
        let mut target = self.target.lock().await;
        if target.as_ref().is_some_and(|before| !before.leads_where(&now)) {
            *target = Some(now);
        }
    }

    /// Drops all connections: the cluster was started, repaired or made anew, and answers elsewhere now.
    pub async fn forget_connections(&self) {
        *self.target.lock().await = None;
        *self.node.lock().await = None;
        self.forget_observations().await;
    }
}

/// Waits for `time`. For back-off between attempts and for deadlines only; what can be watched is watched.
#[allow(clippy::disallowed_methods, reason = "the one place that may: callers select on cancellation beside it")]
pub async fn pause(time: std::time::Duration) {
    tokio::time::sleep(time).await;
}
