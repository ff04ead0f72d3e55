//! What exists outside of the checkout: daemons, the API server, tools, child processes, ports.
//!
//! Nothing in here knows of steps, receipts or verdicts.

pub mod daemon;
pub mod docker;
pub mod kube_client;
pub mod lines;
pub mod machine;
pub mod minikube;
pub mod port_holder;
pub mod process;
pub mod tls;
pub mod tool;

use engine::failure::Failure;
use tokio::sync::Mutex;

/// The one cluster that a run works on, and the connections to it. Connections are made when first asked for.
pub struct World {
    context: String,
    kube: Mutex<Option<kube::Client>>,
}

impl World {
    /// The cluster that the kubeconfig context `context` names. It is named in every call: whatever the current
    /// context is, nothing here looks at it.
    pub fn of_context(context: impl Into<String>) -> Self {
        Self { context: context.into(), kube: Mutex::new(None) }
    }

    /// The kubeconfig context.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// A client of the API server.
    ///
    /// # Errors
    /// When the kubeconfig has no such context, or cannot be read.
    pub async fn kube(&self) -> Result<kube::Client, Failure> {
        let mut kube = self.kube.lock().await;
        match &*kube {
            Some(client) => Ok(client.clone()),
            None => Ok(kube.insert(kube_client::client(&self.context).await?).clone()),
        }
    }

    /// Drops all connections: the cluster was started, repaired or made anew, and answers elsewhere now.
    pub async fn forget_connections(&self) {
        *self.kube.lock().await = None;
    }
}

/// Waits for `time`. For back-off between attempts and for deadlines only; what can be watched is watched.
#[allow(clippy::disallowed_methods, reason = "the one place that may: callers select on cancellation beside it")]
pub async fn pause(time: std::time::Duration) {
    tokio::time::sleep(time).await;
}
