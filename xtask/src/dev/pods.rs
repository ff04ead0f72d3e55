//! The pods whose containers are synced: a link to each, from its start to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::link::{self, Desired, News, Source, What};
use super::overlay::LABEL;

/// How often in a row the watch may fail before its client is thought to be the reason: a cluster that was started anew
/// answers elsewhere.
const FAILURES: u32 = 3;

/// Keeps all pods of an image as `desired` says, until dropped, or until the API server has not answered for a while.
pub async fn keep(
    client: Client,
    namespace: String,
    source: Arc<Source>,
    desired: watch::Receiver<Desired>,
    news: mpsc::UnboundedSender<News>,
) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let selected = watcher::Config::default().labels(&format!("{LABEL}={}", source.image));
    let mut events = watcher(pods, selected).default_backoff().boxed();
    let mut tasks = JoinSet::new();
    let mut links: BTreeMap<String, AbortHandle> = BTreeMap::new();
    let end = |links: &mut BTreeMap<String, AbortHandle>, pod: &Pod| {
        if let Some(link) = links.remove(pod.metadata.uid.as_deref().unwrap_or_default()) {
            link.abort();
            let pod = pod.metadata.name.clone().unwrap_or_default();
            // Nobody listening means that the loop is ending.
            let _ = news.send(News { image: source.image.clone(), pod, what: What::Gone });
        }
    };
    let mut failures = 0;
    while let Some(event) = events.next().await {
        let Ok(event) = event else {
            // The watch tries again by itself; links live on meanwhile.
            failures += 1;
            if failures == FAILURES {
                return;
            }
            continue;
        };
        failures = 0;
        match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                if !is_alive(&pod) {
                    end(&mut links, &pod);
                } else if is_started(&pod) {
                    links.entry(uid).or_insert_with(|| {
                        let name = pod.metadata.name.clone().unwrap_or_default();
                        let (client, namespace, source) = (client.clone(), namespace.clone(), Arc::clone(&source));
                        tasks.spawn(link::keep(client, namespace, name, source, desired.clone(), news.clone()))
                    });
                }
            }
            watcher::Event::Delete(pod) => {
                end(&mut links, &pod);
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
        while tasks.try_join_next().is_some() {}
    }
}

/// Neither ended nor about to.
fn is_alive(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Some container of it runs, so that connections find a network.
fn is_started(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.into_iter().any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}
