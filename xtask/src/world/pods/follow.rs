//! Follows the logs of workloads: pods come and go, containers restart, connections break, and every line is shown
//! once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::failure::Failure;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::log::{Cursor, Line, Part, next, open};
use super::{Selection, list};
use crate::diagnose::evidence::{ContainerOf, containers};

/// Gives `sink` every line of the selected containers from now on, those of pods that come later included, until
/// dropped. Of what was written before, `part` decides.
///
/// # Errors
/// When the cluster does not answer at the start, or nothing is selected.
pub async fn follow(
    client: &Client,
    selection: &Selection,
    part: &Part,
    mut sink: impl FnMut(Line),
) -> Result<(), Failure> {
    // Names that fit nothing are told before anything is waited for.
    list(client, selection).await?;
    let mut events = SelectAll::new();
    for namespace in &selection.namespaces {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        events.push(watcher(pods, watcher::Config::default()).default_backoff().boxed());
    }
    let (sender, mut lines) = mpsc::channel(1024);
    let mut followed = Followed { client: client.clone(), sender, pods: BTreeMap::new(), tasks: JoinSet::new() };
    loop {
        tokio::select! {
            Some(line) = lines.recv() => sink(line),
            event = events.next() => match event {
                Some(Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod))) if selection.has(&pod) => {
                    followed.see(pod, selection, part);
                }
                Some(Ok(watcher::Event::Delete(pod))) => followed.gone(&pod),
                // The watch tries again by itself, and the logs' own connections live on.
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

/// How long after a broken connection the log is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// The containers whose logs are being followed.
struct Followed {
    client: Client,
    sender: mpsc::Sender<Line>,
    /// By pod uid: where its followers hear of its state.
    pods: BTreeMap<String, watch::Sender<Arc<Pod>>>,
    tasks: JoinSet<()>,
}

impl Followed {
    fn see(&mut self, pod: Pod, selection: &Selection, part: &Part) {
        while self.tasks.try_join_next().is_some() {}
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let pod = Arc::new(pod);
        if let Some(known) = self.pods.get(&uid) {
            known.send_replace(pod);
            return;
        }
        let (state, states) = watch::channel(Arc::clone(&pod));
        self.pods.insert(uid, state);
        let spec = pod.spec.as_ref();
        let names = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        for container in names {
            let follower = Follower {
                client: self.client.clone(),
                label: selection.label(&pod).to_owned(),
                of: ContainerOf::new(&pod, &container.name),
                cursor: Cursor::after(part.since),
                read: None,
                sender: self.sender.clone(),
            };
            self.tasks.spawn(follower.run(states.clone()));
        }
    }

    fn gone(&mut self, pod: &Pod) {
        // Dropping the sender tells its followers that nothing will follow what they still read.
        self.pods.remove(pod.metadata.uid.as_deref().unwrap_or_default());
    }
}

/// Follows one container of one pod through its restarts.
struct Follower {
    client: Client,
    label: String,
    of: ContainerOf,
    cursor: Cursor,
    /// The runtime's ID of the container whose log was read last.
    read: Option<String>,
    sender: mpsc::Sender<Line>,
}

impl Follower {
    async fn run(mut self, mut states: watch::Receiver<Arc<Pod>>) {
        loop {
            let pod = Arc::clone(&states.borrow_and_update());
            let status = containers(&pod).find(|status| status.name == self.of.container);
            let lives = status.and_then(lives).filter(|(present, _)| self.read.as_deref() != Some(*present));
            if let Some((present, last)) = lives {
                // Between two looks it may have lived and died once more.
                if last.is_some() && last != self.read.as_deref() && self.read.is_some() {
                    self.copy(false, true).await;
                }
                self.read = Some(present.to_owned());
                if !self.copy(true, false).await {
                    return;
                }
                // While it runs, an end of the stream was an end of the connection: read on from the cursor.
                if self.still_runs(&states.borrow(), present) {
                    self.read = None;
                    crate::world::pause(AGAIN).await;
                    continue;
                }
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    fn still_runs(&self, pod: &Pod, id: &str) -> bool {
        containers(pod).any(|status| {
            let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
            status.name == self.of.container && running && status.container_id.as_deref() == Some(id)
        })
    }

    /// Sends the lines behind the cursor; `false` when nobody wants them any more.
    async fn copy(&mut self, follow: bool, previous: bool) -> bool {
        self.cursor.reread();
        let Ok(mut log) = open(&self.client, &self.of, self.cursor.since(), follow, previous).await else {
            return true;
        };
        while let Ok(Some((at, text))) = next(&mut log).await {
            if !self.cursor.is_new(at) {
                continue;
            }
            let line = Line { label: self.label.clone(), of: self.of.clone(), at, text };
            if self.sender.send(line).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// The IDs of the container that runs or has ended now, and of the one before it.
fn lives(status: &ContainerStatus) -> Option<(&str, Option<&str>)> {
    let present = status.container_id.as_deref().filter(|id| !id.is_empty())?;
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.container_id.as_deref());
    Some((present, last))
}
