//! Connections to pods behind a Service, through the API server: for checks, and for people's browsers.
//!
//! Every connection asks anew which pod is ready, so it survives any number of rollouts. It works the same with every
//! driver: nothing has to be published on the node, and no child process runs.

pub mod http;
pub mod listener;

mod resolve;

use engine::failure::Failure;
use kube::{Api, Client};
use tokio::io::DuplexStream;

use k8s_openapi::api::core::v1::Pod;

pub use resolve::{At, Port};

/// Why there is no connection, or no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Trying again will not help: there is no such Service or port.
    Never(Failure),
    /// It may help: pods are starting, or have just gone.
    NotYet(Failure),
}

impl Trouble {
    /// Either way, what went wrong.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Never(failure) | Self::NotYet(failure) => failure,
        }
    }
}

/// A connection to a port of a pod.
pub struct Connection {
    /// The bytes.
    pub stream: DuplexStream,
    /// The pod that it leads to.
    pub pod: String,
    /// What the kubelet says when the pod does not take the connection, or drops it.
    pub trouble: futures_util::future::BoxFuture<'static, Option<String>>,
}

/// Connects to a ready pod behind `at`. That a pod listens shows only once bytes are exchanged.
///
/// # Errors
/// When there is no such Service or port, no pod behind it is ready, or the cluster does not answer.
pub async fn connect(client: &Client, at: &At) -> Result<Connection, Trouble> {
    let targets = resolve::resolve(client, at).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &at.namespace);
    let mut failure = Failure::step(format!("could not connect to {at}"));
    // A pod that has just gone is still listed for a moment: the next one serves.
    for target in targets {
        match pods.portforward(&target.pod, &[target.port]).await {
            Ok(mut forward) => {
                let stream = forward.take_stream(target.port);
                let trouble = forward.take_error(target.port);
                if let (Some(stream), Some(trouble)) = (stream, trouble) {
                    return Ok(Connection { stream, pod: target.pod, trouble: Box::pin(trouble) });
                }
            }
            Err(error) => failure = failure.because(format!("pod {}: {error}", target.pod)),
        }
    }
    Err(Trouble::NotYet(failure))
}
