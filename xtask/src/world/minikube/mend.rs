//! A node whose container was removed while its volume, with etcd's data and the images, is still there: what
//! `docker system prune` leaves of a stopped cluster.
//!
//! minikube alone makes the container anew, finds on the volume the kubeadm settings that it would write, concludes
//! that nothing has to be set up, and waits six minutes for a kubelet whose own settings went with the container.
//! Without that file it sets everything up again around the data that is there.

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use engine::failure::Failure;
use futures_util::StreamExt as _;

use super::profile::Profile;
use crate::world::daemon::Daemon;

/// The file by which minikube tells whether a node is set up; the volume is the node's `/var`.
const SETTINGS: &str = "/var/tmp/minikube/kubeadm.yaml";

/// Makes minikube set the node of `profile` up again at its next start. Does nothing where there is no volume, or no
/// image to look into it with: then there is nothing to be kept either.
///
/// # Errors
/// When the host's daemon does not do it.
pub async fn forget_settings(host: &Daemon, profile: &Profile) -> Result<(), Failure> {
    let docker = host.connect().await?;
    if !has_volume(&docker, &profile.name).await? || docker.inspect_image(&profile.image).await.is_err() {
        return Ok(());
    }
    // The name makes it one at a time, and lets the next run find what a killed one has left.
    let helper = format!("{}-xtask-mend", profile.name);
    remove(&docker, &helper).await?;
    let removed = remove_settings(&docker, &helper, profile).await;
    remove(&docker, &helper).await?;
    removed
}

async fn has_volume(docker: &Docker, name: &str) -> Result<bool, Failure> {
    match docker.inspect_volume(name).await {
        Ok(_) => Ok(true),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
        Err(error) => Err(could_not("look for the volume of", name, &error)),
    }
}

async fn remove_settings(docker: &Docker, helper: &str, profile: &Profile) -> Result<(), Failure> {
    let name = profile.name.as_str();
    let failed = |error: Error| could_not("look into the volume of", name, &error);
    let body = ContainerCreateBody {
        image: Some(profile.image.clone()),
        entrypoint: Some(vec!["rm".to_owned()]),
        cmd: Some(vec!["-f".to_owned(), SETTINGS.to_owned()]),
        network_disabled: Some(true),
        host_config: Some(HostConfig { binds: Some(vec![format!("{name}:/var")]), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(helper).build();
    docker.create_container(Some(options), body).await.map_err(failed)?;
    docker.start_container(helper, None::<StartContainerOptions>).await.map_err(failed)?;
    let mut ended = docker.wait_container(helper, None::<WaitContainerOptions>);
    while let Some(end) = ended.next().await {
        end.map_err(failed)?;
    }
    Ok(())
}

async fn remove(docker: &Docker, helper: &str) -> Result<(), Failure> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    match docker.remove_container(helper, Some(options)).await {
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        Err(error) => Err(could_not("clean up after mending", helper, &error)),
    }
}

fn could_not(doing: &str, name: &str, error: &Error) -> Failure {
    Failure::environment(format!("could not {doing} {name} in the host's docker daemon")).because_of(error)
}
