//! When "ready" can be believed.
//!
//! A container without a readiness probe counts as ready from the moment it runs, also when it ends a moment later.
//! So it has to have run for a while: a little longer than most programs need to find out that they cannot start,
//! and, once it has ended before, longer than it is held back. A probe that passes is believed at once.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::diagnose::evidence::{Kind, Workload, containers};

/// How long a container that never ended has to run.
const FIRST: Duration = Duration::from_secs(3);
/// How long one that ended before has to run.
const AGAIN: Duration = Duration::from_secs(12);

/// The longest time that [`remaining`] ever asks for.
pub const LONGEST: Duration = AGAIN;

/// How long the pods of a workload that is rolled out still have to go on as they are; `now` is this machine's clock,
/// which may differ from the node's: then it asks for too much or too little, but never for more than [`LONGEST`].
pub fn remaining(workload: &Workload, now: Timestamp) -> Duration {
    if matches!(workload.identity.kind, Kind::Job | Kind::Pod) {
        return Duration::ZERO;
    }
    let pods = workload.pods.iter();
    pods.flat_map(|pod| containers(pod).filter(|status| !probed(pod, status)).map(|status| left(status, now)))
        .max()
        .unwrap_or_default()
}

fn left(status: &ContainerStatus, now: Timestamp) -> Duration {
    let running = status.state.as_ref().and_then(|state| state.running.as_ref());
    let Some(started) = running.and_then(|running| running.started_at.as_ref()) else { return Duration::ZERO };
    let needed = if status.restart_count > 0 { AGAIN } else { FIRST };
    let ran = Duration::try_from(now.duration_since(started.0)).unwrap_or_default();
    needed.saturating_sub(ran)
}

/// Whether a readiness probe vouches for the container. Init containers that go on running have no other say.
fn probed(pod: &Pod, status: &ContainerStatus) -> bool {
    let spec = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    spec.into_iter().any(|container| container.name == status.name && container.readiness_probe.is_some())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::remaining;
    use crate::diagnose::evidence::{Identity, Kind, Rollout, Workload};

    #[test]
    fn only_what_no_probe_vouches_for_has_to_prove_itself() {
        let check = |spec: Value, restarts: i32, started: &str, expected: u64| {
            let pod = json!({
                "metadata": {"name": "p"},
                "spec": {"containers": [spec]},
                "status": {"containerStatuses": [{
                    "name": "app", "image": "i", "imageID": "i", "ready": true, "restartCount": restarts,
                    "state": {"running": {"startedAt": started}},
                }]},
            });
            let workload = Workload {
                identity: Identity::new(Kind::Deployment, "n", "d"),
                uid: String::new(),
                rollout: Rollout { ready: 1, desired: 1, waiting: None },
                conditions: Vec::new(),
                creators: BTreeSet::new(),
                pods: vec![Arc::new(serde_json::from_value(pod).unwrap())],
            };
            let now = "2026-01-01T00:00:10Z".parse().unwrap();
            assert_eq!(remaining(&workload, now), Duration::from_secs(expected), "{restarts} {started}");
        };
        let bare = json!({"name": "app"});
        check(bare.clone(), 0, "2026-01-01T00:00:10Z", 3);
        check(bare.clone(), 0, "2026-01-01T00:00:07Z", 0);
        check(bare.clone(), 2, "2026-01-01T00:00:07Z", 9);
        check(bare.clone(), 2, "2025-12-01T00:00:00Z", 0);
        // The node's clock is ahead.
        check(bare, 0, "2026-01-01T01:00:00Z", 3);
        check(json!({"name": "app", "readinessProbe": {"httpGet": {"port": 80}}}), 2, "2026-01-01T00:00:10Z", 0);
    }
}
