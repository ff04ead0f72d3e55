//! The pods whose containers are synced: a link to each, from its start to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::link::{self, Desired, News, Source, What};
use super::overlay;

/// How often in a row the watch may fail before its client is thought to be the reason: a cluster that was started anew
/// answers elsewhere.
const FAILURES: u32 = 3;

/// Keeps all pods of an image in `release` as `desired` says, until dropped, or until the API server has not answered for a while.
pub async fn keep(
    client: Client,
    namespace: String,
    release: String,
    source: Arc<Source>,
    desired: watch::Receiver<Desired>,
    news: mpsc::UnboundedSender<News>,
) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let selected = watcher::Config::default().labels(&selector(&release, &source.image));
    let mut events = watcher(pods, selected).default_backoff().boxed();
    let mut tasks = JoinSet::new();
    let mut links = Links { image: source.image.clone(), links: BTreeMap::new(), news: news.clone() };
    // The pods that are there, while the watch lists them anew.
    let mut listed: BTreeSet<String> = BTreeSet::new();
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
        if let watcher::Event::InitApply(pod) = &event {
            listed.insert(uid(pod));
        }
        match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) if !is_alive(&pod) => links.end(&uid(&pod)),
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) if is_started(&pod) => {
                let name = pod.metadata.name.clone().unwrap_or_default();
                links.links.entry(uid(&pod)).or_insert_with(|| {
                    let (client, namespace, source) = (client.clone(), namespace.clone(), Arc::clone(&source));
                    let link = link::keep(client, namespace, name.clone(), source, desired.clone(), news.clone());
                    (name, tasks.spawn(link))
                });
            }
            watcher::Event::Apply(_) | watcher::Event::InitApply(_) => {}
            watcher::Event::Delete(pod) => links.end(&uid(&pod)),
            watcher::Event::Init => listed.clear(),
            // Those that went while nobody watched.
            watcher::Event::InitDone => links.retain(&listed),
        }
        while tasks.try_join_next().is_some() {}
    }
}

/// What the API server selects the pods by.
fn selector(release: &str, image: &str) -> String {
    overlay::labels(release, image).map(|(label, value)| format!("{label}={value}")).join(",")
}

/// The pods that have a link, by uid, with their names.
struct Links {
    image: String,
    links: BTreeMap<String, (String, AbortHandle)>,
    news: mpsc::UnboundedSender<News>,
}

impl Links {
    /// Ends that of a pod that is about to go, or has gone.
    fn end(&mut self, uid: &str) {
        if let Some((pod, link)) = self.links.remove(uid) {
            link.abort();
            // Nobody listening means that the loop is ending.
            let _ = self.news.send(News { image: self.image.clone(), pod, what: What::Gone });
        }
    }

    /// Ends all but those of `there`.
    fn retain(&mut self, there: &BTreeSet<String>) {
        let gone: Vec<String> = self.links.keys().filter(|uid| !there.contains(*uid)).cloned().collect();
        gone.iter().for_each(|uid| self.end(uid));
    }
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use tokio::sync::mpsc;

    use super::{Links, selector};

    #[test]
    fn pods_of_another_release_are_never_sent_files_though_their_image_has_the_same_name() {
        assert_eq!(selector("todo", "app"), "xtask/dev=app,xtask/dev-release=todo");
        assert_ne!(selector("todo", "app"), selector("notes", "app"));
    }

    #[tokio::test]
    async fn pods_that_went_while_nobody_watched_are_told_and_lose_their_links() {
        let (news, mut told) = mpsc::unbounded_channel();
        let link = || tokio::spawn(std::future::pending::<()>());
        let (stays, goes) = (link(), link());
        let entry =
            |name: &str, link: &tokio::task::JoinHandle<()>| (name.to_owned(), (name.to_owned(), link.abort_handle()));
        let mut links = Links {
            image: "a".to_owned(),
            links: BTreeMap::from([entry("stays", &stays), entry("goes", &goes)]),
            news,
        };
        links.retain(&BTreeSet::from(["stays".to_owned()]));
        assert_eq!(told.recv().await.map(|news| news.pod).as_deref(), Some("goes"));
        assert!(goes.await.is_err_and(|error| error.is_cancelled()));
        assert!(!stays.is_finished() && links.links.contains_key("stays"));
    }
}
