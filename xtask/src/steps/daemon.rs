//! The container daemon in which a step's images are: the node's or the host's.

use engine::config::Daemon as Place;
use engine::failure::Failure;
use engine::step::StepId;

use crate::context::Context;
use crate::steps::cluster;
use crate::world::daemon::Daemon;

/// The daemon at `place`.
///
/// # Errors
/// When the node has no daemon that can be reached, or the host's address is not understood.
pub async fn at(cx: &Context, place: Place) -> Result<Daemon, Failure> {
    match place {
        Place::Cluster => cx.world.node_daemon().await,
        Place::Host => Daemon::of_host(),
    }
}

/// The lock that whoever makes `images` in the daemon at `place` holds, from whatever checkout.
///
/// # Errors
/// When the cluster is not known yet.
pub fn lock_name(cx: &Context, place: Place, images: &str) -> Result<String, Failure> {
    let daemon = match place {
        Place::Cluster => cx.facts::<cluster::Facts>(&StepId::cluster())?.uid,
        Place::Host => "host".to_owned(),
    };
    Ok(format!("image {images} of {daemon}"))
}
