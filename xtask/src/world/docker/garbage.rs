//! Removes images that nobody needs any more.
//!
//! Kept is what the caller says somebody still names (a pod, a ReplicaSet, a kept revision, a checkout's receipt),
//! what is younger than an hour, whoever's run may just be about to use it, and what a person has given a name of
//! their own.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::RemoveImageOptions;
use engine::failure::Failure;

use super::inventory::{Image, Inventory};
use super::naming::{familiar, is_ours};
use crate::world::daemon::Daemon;

/// How long an image is nobody's garbage.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// An image that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its ID.
    pub id: String,
    /// The names that it had.
    pub names: BTreeSet<String>,
    /// Its size in bytes with its base; what others share with it stays.
    pub size: u64,
}

/// Removes the project's images in `inventory` except those that `keep` names, by ID or by name. `now` is the time.
///
/// # Errors
/// When the daemon does not answer, or refuses for another reason than that the image is in use.
pub async fn collect(
    daemon: &Daemon,
    inventory: &Inventory,
    project: &str,
    keep: &BTreeSet<String>,
    now: SystemTime,
) -> Result<Vec<Removed>, Failure> {
    let candidates: Vec<&Image> = candidates(inventory, project, keep, now).collect();
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let docker = daemon.connect().await?;
    let mut removed = Vec::new();
    for image in candidates {
        // A build that was all cached gives an old image: its name tells when somebody last wanted it.
        let named = match docker.inspect_image(&image.id).await {
            Ok(found) => found.metadata.and_then(|metadata| metadata.last_tag_time),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => continue,
            Err(error) => return Err(daemon.unreachable(&error)),
        };
        if named.is_some_and(|time| is_young(&time, now)) {
            continue;
        }
        removed.extend(take_away(daemon, &docker, image).await?);
    }
    Ok(removed)
}

/// Removes one of the project's images, whatever its age; `None` if a container uses it.
///
/// # Errors
/// When the daemon does not answer, or refuses for another reason.
pub async fn remove(daemon: &Daemon, image: &Image) -> Result<Option<Removed>, Failure> {
    let docker = daemon.connect().await?;
    take_away(daemon, &docker, image).await
}

/// What is garbage as far as the list tells: [`collect`] asks for each whether its name is young.
pub fn candidates<'a>(
    inventory: &'a Inventory,
    project: &'a str,
    keep: &BTreeSet<String>,
    now: SystemTime,
) -> impl Iterator<Item = &'a Image> {
    let keep: BTreeSet<String> = keep.iter().flat_map(|name| [name.clone(), familiar(name)]).collect();
    inventory.of_project(project, None).filter(move |image| {
        let kept = keep.contains(&image.id) || image.names.iter().any(|name| keep.contains(name));
        let others = image.names.iter().any(|name| !is_ours(name, &image.id));
        !kept && !others && !is_recent(image.created(), now)
    })
}

/// Removes an image's names one by one: with the last of them the image goes, unless a container uses it.
async fn take_away(daemon: &Daemon, docker: &Docker, image: &Image) -> Result<Option<Removed>, Failure> {
    let nameless = [image.id.clone()];
    let ours = image.names.iter().filter(|name| is_ours(name, &image.id));
    let names: Vec<&String> = if image.names.is_empty() { nameless.iter().collect() } else { ours.collect() };
    for name in names {
        match docker.remove_image(name, None::<RemoveImageOptions>, None).await {
            // Somebody else was faster.
            Ok(_) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => return Ok(None),
            Err(error) => {
                return Err(
                    Failure::environment(format!("could not remove the image {name} from {daemon}")).because_of(&error)
                );
            }
        }
    }
    Ok(Some(Removed { id: image.id.clone(), names: image.names.clone(), size: image.size }))
}

fn is_recent(time: SystemTime, now: SystemTime) -> bool {
    // What comes from the future is as young as can be.
    now.duration_since(time).is_ok_and(|age| age < YOUNG) || time > now
}

/// Whether a time as the daemon writes it is less than an hour ago. One that is not understood counts as such.
fn is_young(time: &str, now: SystemTime) -> bool {
    time.parse::<jiff::Timestamp>().map_or(true, |time| is_recent(time.into(), now))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, SystemTime};

    use super::{YOUNG, is_recent, is_young};

    #[test]
    fn an_hour_is_young() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        assert!(is_recent(now - YOUNG / 2, now));
        assert!(is_recent(now + YOUNG, now));
        assert!(!is_recent(now - YOUNG, now));
        let rows = [
            ("2026-01-01T00:00:00Z", true),
            ("2025-12-31T23:30:00.123456789Z", true),
            ("2026-01-01T01:30:00+02:00", true),
            ("2025-12-31T22:59:59Z", false),
            // What the daemon says of an image that never had a name.
            ("0001-01-01T00:00:00Z", false),
            ("whenever", true),
        ];
        let wrong: BTreeSet<_> = rows.iter().filter(|(time, young)| is_young(time, now) != *young).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
