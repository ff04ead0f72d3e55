//! Connections to pods behind a Service, through the API server: for checks, and for people's browsers.
//!
//! Every connection goes to a pod that is ready when it is made, so ports survive any number of rollouts. It works the
//! same with every driver: nothing has to be published on the node, and no child process runs.

pub mod behind;
pub mod http;
pub mod listener;

mod resolve;
mod serve;
mod spdy;
mod tunnel;
mod unanswered;
mod warm;

use engine::failure::Failure;
use kube::Client;

pub use resolve::{At, Port, Target, number};

use tunnel::Tunnel;

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

/// Opens a tunnel to a ready pod behind `at`.
async fn open(client: &Client, at: &At) -> Result<(Target, Tunnel), Trouble> {
    let mut failure = Failure::step(format!("could not connect to {at}"));
    // A pod that has just gone is still listed for a moment: the next one serves.
    for target in resolve::resolve(client, at).await? {
        match Tunnel::open(client, &at.namespace, &target.pod).await {
            Ok(tunnel) => return Ok((target, tunnel)),
            Err(why) => failure = failure.because(why),
        }
    }
    Err(Trouble::NotYet(failure))
}
