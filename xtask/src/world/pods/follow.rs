//! Follows the logs of workloads: pods come and go, containers restart, connections break, and every line is told once.
//!
//! A few lines are read ahead and no more: whoever takes none lets the containers' logs wait where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::failure::Failure;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::watcher::{self, watcher};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Selection;
use super::cursor::Cursor;
use super::log::{Line, Part, Source, next, open};
use crate::diagnose::evidence::{ContainerOf, containers};
use crate::world::World;
use crate::world::backoff::Backoff;
use crate::world::contact::{Attempts, Contact};
use crate::world::process::Redact;

/// How many lines are read ahead.
const AHEAD: usize = 64;

/// How long after a connection broke the log is asked for again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What there is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A line was written.
    Line(Box<Line>),
    /// The API server went away, or is back.
    Contact(Contact),
}

/// Up to where the log of a container was told: whoever has it reads on from there, also in another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    of: ContainerOf,
    cursor: Cursor,
    /// The life that was read last, and whether to its end.
    begun: Option<(String, bool)>,
}

/// Logs that are being followed. Dropping it ends it too, without waiting for that.
pub struct Logs {
    news: mpsc::Receiver<News>,
    stop: DropGuard,
    task: JoinHandle<Vec<Mark>>,
}

impl Logs {
    /// Follows the selected containers, those of pods that come later included. Of what was written before, `part`
    /// decides. `redactor` masks what nobody is to read.
    pub fn follow(world: Arc<World>, selection: Selection, part: Part, redactor: Redact) -> Self {
        Self::go_on(world, selection, part, Vec::new(), redactor)
    }

    /// The same, where containers that have one of `marks` are read on from there.
    pub fn go_on(world: Arc<World>, selection: Selection, part: Part, marks: Vec<Mark>, redactor: Redact) -> Self {
        let (sender, news) = mpsc::channel(AHEAD);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut followed = Followed {
                world,
                selection,
                part,
                marks,
                redactor,
                sender,
                stop: stopped.clone(),
                pods: BTreeMap::new(),
                listed: BTreeSet::new(),
                tasks: JoinSet::new(),
            };
            tokio::select! {
                () = stopped.cancelled() => {}
                () = followed.watch() => {}
            }
            followed.leave().await
        });
        Self { news, stop: stop.drop_guard(), task }
    }

    /// What is told next; lines of one container in their order. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// Ends it. Nothing of it is left afterwards.
    pub async fn close(self) {
        drop((self.stop, self.news));
        // A task that panicked is over, too.
        let _ = self.task.await;
    }

    /// Ends it as well; what was read and not told yet, and where somebody has to go on who has told that.
    pub async fn leave(self) -> (Vec<News>, Vec<Mark>) {
        let Self { mut news, stop, task } = self;
        drop(stop);
        let mut untold = Vec::new();
        while let Some(told) = news.recv().await {
            untold.push(told);
        }
        (untold, task.await.unwrap_or_default())
    }
}

/// The pods whose logs are being followed.
struct Followed {
    world: Arc<World>,
    selection: Selection,
    part: Part,
    /// Of containers that have not been seen yet.
    marks: Vec<Mark>,
    redactor: Redact,
    sender: mpsc::Sender<News>,
    stop: CancellationToken,
    /// By namespace and uid: where its followers hear of its state.
    pods: BTreeMap<(String, String), watch::Sender<Arc<Pod>>>,
    /// The namespaces whose pods have been listed: those that come later are new.
    listed: BTreeSet<String>,
    tasks: JoinSet<Mark>,
}

impl Followed {
    /// Watches the pods until nobody wants to hear of them any more.
    async fn watch(&mut self) {
        let mut attempts = Attempts::default();
        while !self.sender.is_closed() {
            let failure = self.look(&mut attempts).await;
            self.tell(attempts.failed(failure)).await;
            attempts.pause(&self.world).await;
        }
    }

    /// Ends all followers; where each of them was.
    async fn leave(self) -> Vec<Mark> {
        let Self { mut marks, mut tasks, sender, stop, .. } = self;
        // Whoever takes the last lines knows by that when there are no more.
        drop(sender);
        stop.cancel();
        while let Some(left) = tasks.join_next().await {
            marks.extend(left);
        }
        marks
    }

    async fn tell(&self, contact: Option<Contact>) {
        if let Some(contact) = contact {
            // Nobody listens only when all of this is about to end.
            let _ = self.sender.send(News::Contact(contact)).await;
        }
    }

    /// Watches until that fails, and tells why.
    async fn look(&mut self, attempts: &mut Attempts) -> Failure {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::environment("could not watch the pods").because_of(error)
        };
        let client = match self.world.kube().await {
            Ok(client) => client,
            Err(failure) => return failure,
        };
        let mut events = SelectAll::new();
        for namespace in &self.selection.namespaces {
            let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
            let namespace = namespace.clone();
            let watched = watcher(pods, watcher::Config::default()).map(move |event| (namespace.clone(), event));
            events.push(watched.boxed());
        }
        let mut listing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        while let Some((namespace, event)) = events.next().await {
            let uid = |pod: &Pod| pod.metadata.uid.clone().unwrap_or_default();
            match event {
                Ok(watcher::Event::Init) => drop(listing.insert(namespace, BTreeSet::new())),
                Ok(watcher::Event::InitApply(pod)) => {
                    listing.entry(namespace).or_default().insert(uid(&pod));
                    self.see(pod);
                }
                Ok(watcher::Event::InitDone) => {
                    let there = listing.remove(&namespace).unwrap_or_default();
                    // Those that went while nobody watched.
                    self.pods.retain(|(of, uid), _| *of != namespace || there.contains(uid));
                    self.listed.insert(namespace);
                    self.tell(attempts.worked()).await;
                }
                Ok(watcher::Event::Apply(pod)) => self.see(pod),
                // Without the sender, its followers know that nothing comes after what they still read.
                Ok(watcher::Event::Delete(pod)) => drop(self.pods.remove(&(namespace, uid(&pod)))),
                Err(error) => return failed(&error),
            }
        }
        Failure::environment("the watch of the pods ended")
    }

    fn see(&mut self, pod: Pod) {
        while self.tasks.try_join_next().is_some() {}
        if !self.selection.has(&pod) {
            return;
        }
        let key = (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.uid.clone().unwrap_or_default());
        let pod = Arc::new(pod);
        if let Some(known) = self.pods.get(&key) {
            known.send_replace(pod);
            return;
        }
        // All that a pod has written is new that was not there before.
        let since = self.part.since.filter(|_| !self.listed.contains(&key.0));
        let (state, states) = watch::channel(Arc::clone(&pod));
        self.pods.insert(key, state);
        let spec = pod.spec.as_ref();
        let names = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        for container in names {
            let of = ContainerOf::new(&pod, &container.name);
            let mark = self.marks.iter().position(|mark| mark.of == of).map(|at| self.marks.swap_remove(at));
            let (cursor, begun) = match mark {
                Some(mark) => (mark.cursor, mark.begun),
                None => (Cursor::from(since), None),
            };
            let mut follower = Follower {
                world: Arc::clone(&self.world),
                source: Source::new(self.selection.label(&pod), of),
                redactor: Arc::clone(&self.redactor),
                sender: self.sender.clone(),
                cursor,
                begun,
            };
            let (states, stop) = (states.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = follower.run(states) => {}
                }
                let Follower { source, cursor, begun, .. } = follower;
                Mark { of: source.of, cursor, begun }
            });
        }
    }
}

/// How a reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// With the log, as far as one can tell: a break can look like it.
    ToItsEnd,
    /// There is no such log.
    NotThere,
    /// With the connection.
    Broken,
    /// Nobody wants the lines any more.
    Unwanted,
}

/// One life of a container: the runtime's ID of it, whether it goes on, and the ID of the life before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Life {
    id: String,
    runs: bool,
    before: Option<String>,
}

impl Life {
    fn of(pod: &Pod, container: &str) -> Option<Self> {
        let status = containers(pod).find(|status| status.name == container)?;
        let id = status.container_id.clone().filter(|id| !id.is_empty())?;
        let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
        let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.container_id.clone());
        Some(Self { id, runs, before })
    }
}

/// Follows one container of one pod through its lives. It may be stopped wherever it waits.
struct Follower {
    world: Arc<World>,
    source: Source,
    redactor: Redact,
    sender: mpsc::Sender<News>,
    cursor: Cursor,
    /// The life that was read last, and whether to its end.
    begun: Option<(String, bool)>,
}

impl Follower {
    async fn run(&mut self, mut states: watch::Receiver<Arc<Pod>>) {
        let mut backoff = Backoff::between(PAUSES.0, PAUSES.1);
        let mut fresh: Option<Life> = None;
        loop {
            let known = Life::of(&states.borrow_and_update(), &self.source.of.container);
            let life = fresh.take().or(known);
            let unread = life.filter(|life| self.begun.as_ref() != Some(&(life.id.clone(), true)));
            let Some(life) = unread else {
                if states.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let read = self.read(&life).await;
            match read {
                Read::Unwanted => return,
                Read::ToItsEnd | Read::NotThere if !life.runs => {
                    self.begun = Some((life.id, true));
                    backoff.reset();
                    continue;
                }
                // It ran when that began. Whether it has ended, or only the connection, its state will say.
                Read::ToItsEnd => backoff.reset(),
                Read::NotThere | Read::Broken => {}
            }
            tokio::select! {
                () = backoff.pause() => {}
                changed = states.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            // What the watch knows may be older than the break.
            fresh = self.look().await;
        }
    }

    /// Reads what `life` and the one before it have written and nobody has read yet.
    async fn read(&mut self, life: &Life) -> Read {
        if let (Some((begun, whole)), Some(before)) = (&self.begun, &life.before)
            && *begun != life.id
        {
            // The last of the life that was being read; or all of one that came and went between two looks.
            let unread = begun != before || !whole;
            if unread {
                match self.copy(false, true).await {
                    Read::ToItsEnd | Read::NotThere => {}
                    read => return read,
                }
            }
        }
        self.begun = Some((life.id.clone(), false));
        self.copy(life.runs, false).await
    }

    /// The container's life as the API server knows it now.
    async fn look(&self) -> Option<Life> {
        let of = &self.source.of;
        let pods: Api<Pod> = Api::namespaced(self.world.kube().await.ok()?, &of.namespace);
        Life::of(&pods.get(&of.pod).await.ok()?, &of.container)
    }

    /// Tells the lines that are new.
    async fn copy(&mut self, follow: bool, previous: bool) -> Read {
        let Ok(client) = self.world.kube().await else { return Read::Broken };
        let since = self.cursor.begin();
        let mut log = match open(&client, &self.source.of, since, follow, previous).await {
            Ok(log) => log,
            Err(kube::Error::Api(status)) if status.code < 500 => return Read::NotThere,
            Err(_) => return Read::Broken,
        };
        loop {
            match next(&mut log).await {
                Ok(Some((Some(at), text))) => {
                    // It counts as read once there is room for it, and is told with that.
                    let Ok(room) = self.sender.reserve().await else { return Read::Unwanted };
                    if self.cursor.is_new(at) {
                        room.send(News::Line(Box::new(self.source.line(at, (self.redactor)(&text)))));
                    }
                }
                // The kubelet's own remark.
                Ok(Some((None, _))) => {}
                Ok(None) => return Read::ToItsEnd,
                Err(_) => return Read::Broken,
            }
        }
    }
}
