//! Keeps a [`Snapshot`] in step with the cluster: one list and watch per kind and namespace.
//!
//! It judges nothing. Logs of containers that end are fetched at once, because the kubelet keeps one old container
//! only and a failed Job's pods may be gone a moment later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use engine::failure::Failure;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::LogParams;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::snapshot::{Ended, Kept, Snapshot};

/// How many of a container's last lines are kept.
pub const LINES: i64 = 20;

/// A change of a snapshot, and the ends of containers that it showed.
type Change = Box<dyn FnOnce(&mut Snapshot) -> Vec<Ended> + Send>;

/// The running watches; dropped, they end.
pub struct Feed {
    sender: watch::Sender<Snapshot>,
    namespaces: BTreeSet<String>,
    tasks: JoinSet<()>,
}

impl Feed {
    /// Watches the namespaces: see [`Feed::cover`].
    ///
    /// # Errors
    /// When the cluster does not answer, or does not let us watch.
    pub async fn start(client: &Client, namespaces: &BTreeSet<String>) -> Result<Self, Failure> {
        let sender = watch::Sender::new(Snapshot::default());
        let mut feed = Self { sender, namespaces: BTreeSet::new(), tasks: JoinSet::new() };
        feed.cover(client, namespaces).await?;
        Ok(feed)
    }

    /// Lists and watches those of `namespaces` that are not watched yet, and returns once every list has been read: what
    /// the snapshots show of them from then on is complete.
    ///
    /// # Errors
    /// When the cluster does not answer, or does not let us watch.
    pub async fn cover(&mut self, client: &Client, namespaces: &BTreeSet<String>) -> Result<(), Failure> {
        let mut changes: SelectAll<BoxStream<'static, Note>> = SelectAll::new();
        for namespace in namespaces.difference(&self.namespaces) {
            changes.push(objects::<Deployment>(client, namespace));
            changes.push(objects::<StatefulSet>(client, namespace));
            changes.push(objects::<DaemonSet>(client, namespace));
            changes.push(objects::<Job>(client, namespace));
            changes.push(objects::<Event>(client, namespace));
            changes.push(pods(client, namespace));
            changes.push(objects::<PartialObjectMeta<ReplicaSet>>(client, namespace));
        }
        let mut lists = changes.len();
        if lists == 0 {
            return Ok(());
        }
        let mut logs = Logs::new(client.clone());
        while lists > 0 {
            match changes.next().await {
                Some(Note::Listed(change)) => {
                    lists -= 1;
                    let ended = apply(&self.sender, change);
                    logs.fetch(ended);
                }
                Some(Note::Changed(change)) => {
                    let ended = apply(&self.sender, change);
                    logs.fetch(ended);
                }
                Some(Note::Trouble { kind, namespace, error }) => {
                    return Err(refused(kind, &namespace, &error));
                }
                None => return Err(Failure::environment("the watch of the cluster ended before it began")),
            }
        }
        self.namespaces.extend(namespaces.iter().cloned());
        self.tasks.spawn(run(self.sender.clone(), changes, logs));
        Ok(())
    }

    /// The snapshots, from now on.
    pub fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.sender.subscribe()
    }
}

/// What a watch reports.
enum Note {
    /// The list is complete; the change puts it on the shelf.
    Listed(Change),
    /// One object changed.
    Changed(Change),
    /// The watch failed; it is tried again.
    Trouble { kind: &'static str, namespace: String, error: watcher::Error },
}

async fn run(sender: watch::Sender<Snapshot>, mut changes: SelectAll<BoxStream<'static, Note>>, mut logs: Logs) {
    loop {
        tokio::select! {
            note = changes.next() => match note {
                Some(Note::Listed(change) | Note::Changed(change)) => logs.fetch(apply(&sender, change)),
                Some(Note::Trouble { kind, error, .. }) => {
                    sender.send_modify(|snapshot| {
                        snapshot.troubles.insert(kind, error.to_string());
                    });
                }
                None => return,
            },
            Some((ended, lines)) = logs.fetched.recv() => {
                sender.send_modify(|snapshot| snapshot.keep_lines(&ended, lines));
            }
        }
    }
}

fn apply(sender: &watch::Sender<Snapshot>, change: Change) -> Vec<Ended> {
    let mut ended = Vec::new();
    sender.send_modify(|snapshot| ended = change(snapshot));
    ended
}

fn objects<K>(client: &Client, namespace: &str) -> BoxStream<'static, Note>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Kept
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync,
    K: 'static,
{
    notes(watcher(Api::<K>::namespaced(client.clone(), namespace), watcher::Config::default()), namespace)
}

fn pods(client: &Client, namespace: &str) -> BoxStream<'static, Note> {
    let pods = watcher(Api::<Pod>::namespaced(client.clone(), namespace), watcher::Config::default());
    notes_with(pods, namespace, |snapshot, pod| snapshot.note_exits(pod))
}

fn notes<K>(
    events: impl futures_util::Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    namespace: &str,
) -> BoxStream<'static, Note>
where
    K: Kept + ResourceExt + Send + Sync + 'static,
{
    notes_with(events, namespace, |_, _| Vec::new())
}

/// Turns a watcher's events into changes. The objects of a list are put on the shelf together, so that nobody sees
/// half a list, and what is gone from a list after an interrupted watch is gone from the shelf.
fn notes_with<K>(
    events: impl futures_util::Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    namespace: &str,
    seen: fn(&mut Snapshot, &K) -> Vec<Ended>,
) -> BoxStream<'static, Note>
where
    K: Kept + ResourceExt + Send + Sync + 'static,
{
    let namespace = namespace.to_owned();
    let mut listed: BTreeMap<(String, String), Arc<K>> = BTreeMap::new();
    let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
    events
        .default_backoff()
        .filter_map(move |event| {
            let note = match event {
                Ok(watcher::Event::Init) => {
                    listed.clear();
                    None
                }
                Ok(watcher::Event::InitApply(object)) => {
                    listed.insert(key(&object), Arc::new(lean(object)));
                    None
                }
                Ok(watcher::Event::InitDone) => {
                    let listed = std::mem::take(&mut listed);
                    let namespace = namespace.clone();
                    let change: Change = Box::new(move |snapshot| {
                        snapshot.troubles.remove(K::KIND);
                        let ended = listed.values().flat_map(|object| seen(snapshot, object)).collect();
                        K::shelf(snapshot).retain(|(of, _), _| *of != namespace);
                        K::shelf(snapshot).extend(listed);
                        ended
                    });
                    Some(Note::Listed(change))
                }
                Ok(watcher::Event::Apply(object)) => {
                    let (key, object) = (key(&object), Arc::new(lean(object)));
                    let change: Change = Box::new(move |snapshot| {
                        snapshot.troubles.remove(K::KIND);
                        let ended = seen(snapshot, &object);
                        snapshot.put(key, object);
                        ended
                    });
                    Some(Note::Changed(change))
                }
                Ok(watcher::Event::Delete(object)) => {
                    let key = key(&object);
                    let change: Change = Box::new(move |snapshot| {
                        let ended = seen(snapshot, &object);
                        snapshot.delete::<K>(&key);
                        ended
                    });
                    Some(Note::Changed(change))
                }
                Err(error) => Some(Note::Trouble { kind: K::KIND, namespace: namespace.clone(), error }),
            };
            std::future::ready(note)
        })
        .boxed()
}

/// Without the record of who set which field: it is most of an object's bytes and nothing here reads it.
fn lean<K: Kept>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

fn refused(kind: &str, namespace: &str, error: &watcher::Error) -> Failure {
    let failure =
        Failure::environment(format!("could not watch the {kind} of namespace {namespace}")).because_of(error);
    let forbidden = matches!(
        error,
        watcher::Error::InitialListFailed(kube::Error::Api(status)) | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            if status.code == 403
    );
    if forbidden {
        failure.help(format!("give your user the verbs list and watch on {kind} in namespace {namespace}"))
    } else {
        failure.help("check that the cluster answers: kubectl get namespaces")
    }
}

/// Fetches the logs of containers that ended.
struct Logs {
    client: Client,
    sender: mpsc::UnboundedSender<(Ended, Vec<String>)>,
    fetched: mpsc::UnboundedReceiver<(Ended, Vec<String>)>,
    running: JoinSet<()>,
}

impl Logs {
    fn new(client: Client) -> Self {
        let (sender, fetched) = mpsc::unbounded_channel();
        Self { client, sender, fetched, running: JoinSet::new() }
    }

    fn fetch(&mut self, ended: Vec<Ended>) {
        while self.running.try_join_next().is_some() {}
        for ended in ended {
            let (client, sender) = (self.client.clone(), self.sender.clone());
            self.running.spawn(async move {
                let lines = last_lines(&client, &ended).await;
                // The receiver is gone only when nobody waits any more.
                let _ = sender.send((ended, lines));
            });
        }
    }
}

/// The last lines of a container; none when the kubelet has none (any more).
async fn last_lines(client: &Client, ended: &Ended) -> Vec<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &ended.container.namespace);
    let params = LogParams {
        container: Some(ended.container.container.clone()),
        previous: ended.previous,
        tail_lines: Some(LINES),
        ..LogParams::default()
    };
    let text = pods.logs(&ended.container.pod, &params).await.unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
