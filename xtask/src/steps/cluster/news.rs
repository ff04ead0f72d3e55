//! What the API server says of pods right after a node was started: until the kubelet has reported, it repeats what
//! it knew before the node stopped, and every pod looks as well as it was then.

use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{reflector, store};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::world;

/// How long the kubelet may take. A pod that it never reports is not what a cluster's start is measured by.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until no pod is said to have a container that runs since before `start`, when the node's containers were all
/// down. Gives up without complaint: whoever needs the pods looks at them anyway.
pub(super) async fn of_all_pods(client: Client, start: Timestamp, cancel: &CancellationToken) {
    let (pods, writer) = store();
    let events = watcher(Api::<Pod>::all(client), watcher::Config::default()).default_backoff();
    let mut events = reflector(writer, events).boxed();
    let told = async {
        let mut listed = false;
        while let Some(event) = events.next().await {
            listed |= matches!(event, Ok(watcher::Event::InitDone));
            if listed && !pods.state().iter().any(|pod| is_old_news(pod, start)) {
                return;
            }
        }
    };
    tokio::select! {
        () = told => {}
        () = world::pause(PATIENCE) => {}
        () = cancel.cancelled() => {}
    }
}

/// Whether a container of the pod is said to run since before `start`.
fn is_old_news(pod: &Pod, start: Timestamp) -> bool {
    // Kubernetes tells times in whole seconds.
    let start = start.as_second();
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let running = containers.filter_map(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    running.map(|since| since.0.as_second()).any(|since| since < start)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::is_old_news;

    #[test]
    fn only_what_ran_before_the_start_is_old_news() {
        let start: Timestamp = "2026-01-01T10:00:00.9Z".parse().unwrap();
        let running = |since: &str| json!({"running": {"startedAt": since}});
        let rows: [(Value, bool); 5] = [
            (running("2026-01-01T09:59:59Z"), true),
            (running("2026-01-01T10:00:00Z"), false),
            (running("2026-01-01T10:00:07Z"), false),
            (json!({"waiting": {"reason": "ContainerCreating"}}), false),
            (json!({"terminated": {"exitCode": 255, "startedAt": "2026-01-01T09:00:00Z"}}), false),
        ];
        for (state, expected) in rows {
            let status = json!({
                "name": "app", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state,
            });
            let pod: Pod = serde_json::from_value(json!({"status": {"containerStatuses": [status]}})).unwrap();
            assert_eq!(is_old_news(&pod, start), expected, "{status}");
        }
    }
}
